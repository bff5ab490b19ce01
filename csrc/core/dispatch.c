// Chooses the kernel table. Whoever comes first chooses; several at once choose the same. So there is
// no lock that inner loops would meet at, or that a child of fork could find held for ever.
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

// What MINILM_ISA asks for, or NULL.
static const char *wanted(void)
{
    const char *isa = getenv("MINILM_ISA");
    return isa != NULL && *isa != '\0' ? isa : NULL;
}

const char *ml_kernels_available(size_t index)
{
    for (size_t i = 0; i < COMPILED; i++)
        if (ml_cpu_supports(compiled[i]->isa) && index-- == 0)
            return compiled[i]->isa;
    return NULL;
}

static const ml_kernels *find(const char *isa)
{
    for (size_t i = 0; i < COMPILED; i++)
        if (strcmp(compiled[i]->isa, isa) == 0 && ml_cpu_supports(isa))
            return compiled[i];
    return NULL;
}

const char *ml_kernels_refused(void)
{
    const char *isa = wanted();
    return isa != NULL && find(isa) == NULL ? isa : NULL;
}

static const ml_kernels *choose(void)
{
    const ml_kernels *named = wanted() != NULL ? find(wanted()) : NULL;
    return named != NULL ? named : find(ml_kernels_available(0)); // generic runs everywhere
}

const ml_kernels *ml_kernels_get(void)
{
    static _Atomic(const ml_kernels *) chosen;
    const ml_kernels *kernels = atomic_load_explicit(&chosen, memory_order_acquire);
    if (kernels == NULL) {
        kernels = choose();
        atomic_store_explicit(&chosen, kernels, memory_order_release);
    }
    return kernels;
}
