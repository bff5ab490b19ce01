// Chooses the kernel table once.
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kernels.h"
#include "platform.h"

extern const ml_kernels ml_kernels_generic, ml_kernels_avx2, ml_kernels_avx512, ml_kernels_neon;

// Best first.
static const ml_kernels *const compiled[] = {
#ifdef ML_HAVE_AVX512
    &ml_kernels_avx512,
#endif
#ifdef ML_HAVE_AVX2
    &ml_kernels_avx2,
#endif
#ifdef ML_HAVE_NEON
    &ml_kernels_neon,
#endif
    &ml_kernels_generic,
};
enum { COMPILED = sizeof compiled / sizeof *compiled };

static struct {
    ml_mutex lock;                      // held while choosing
    _Atomic(const ml_kernels *) chosen; // read in inner loops: no lock once it is set
    const char *refused;
    char available[64];
} dispatch = {.lock = ML_MUTEX_INIT};

static const ml_kernels *choose(void)
{
    const char *wanted = getenv("MINILM_ISA");
    if (wanted != NULL && *wanted == '\0')
        wanted = NULL;
    const ml_kernels *best = NULL, *named = NULL;
    for (size_t i = 0; i < COMPILED; i++) {
        const char *isa = compiled[i]->isa;
        if (!ml_cpu_supports(isa))
            continue;
        if (best == NULL)
            best = compiled[i];
        else
            strcat(dispatch.available, " "); // the buffer holds the four names there are
        strcat(dispatch.available, isa);
        if (wanted != NULL && strcmp(wanted, isa) == 0)
            named = compiled[i];
    }
    if (wanted != NULL && named == NULL)
        dispatch.refused = wanted;
    return named != NULL ? named : best;
}

const ml_kernels *ml_kernels_get(void)
{
    const ml_kernels *chosen = atomic_load_explicit(&dispatch.chosen, memory_order_acquire);
    if (chosen != NULL)
        return chosen;
    ml_mutex_lock(&dispatch.lock);
    chosen = atomic_load_explicit(&dispatch.chosen, memory_order_relaxed);
    if (chosen == NULL) {
        chosen = choose();
        atomic_store_explicit(&dispatch.chosen, chosen, memory_order_release);
    }
    ml_mutex_unlock(&dispatch.lock);
    return chosen;
}

const char *ml_kernels_available(void)
{
    (void)ml_kernels_get();
    return dispatch.available;
}

const char *ml_kernels_refused(void)
{
    (void)ml_kernels_get();
    return dispatch.refused;
}
