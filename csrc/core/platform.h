// Everything that differs between operating systems, compilers and processors stands here and in
// platform.c; no other file of the core asks what machine it runs on.
#ifndef ML_PLATFORM_H
#define ML_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
typedef HANDLE ml_thread;
typedef SRWLOCK ml_mutex;
typedef CONDITION_VARIABLE ml_cond;
#define ML_MUTEX_INIT SRWLOCK_INIT
#define ML_COND_INIT CONDITION_VARIABLE_INIT
#else
#include <pthread.h>
typedef pthread_t ml_thread;
typedef pthread_mutex_t ml_mutex;
typedef pthread_cond_t ml_cond;
#define ML_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER
#define ML_COND_INIT PTHREAD_COND_INITIALIZER
#endif

// ML_PREFETCH asks for the cache line of an address, ML_PREFETCH_FAR only as far as the second-level
// cache; the address may lie anywhere, and nothing is read.
#if defined(_MSC_VER)
#include <intrin.h>
#define ML_INLINE static __forceinline
#define ML_RESTRICT __restrict
#if defined(_M_X64)
#define ML_PREFETCH(address) _mm_prefetch((const char *)(address), _MM_HINT_T0)
#define ML_PREFETCH_FAR(address) _mm_prefetch((const char *)(address), _MM_HINT_T1)
#else
#define ML_PREFETCH(address) __prefetch(address)
#define ML_PREFETCH_FAR(address) __prefetch(address)
#endif
#elif defined(__GNUC__)
#define ML_INLINE static inline __attribute__((always_inline))
#define ML_RESTRICT restrict
#define ML_PREFETCH(address) __builtin_prefetch(address)
#define ML_PREFETCH_FAR(address) __builtin_prefetch(address, 0, 2)
#else
#define ML_INLINE static inline
#define ML_RESTRICT restrict
#define ML_PREFETCH(address) ((void)(address))
#define ML_PREFETCH_FAR(address) ((void)(address))
#endif

// Starts a thread; 0, or -1 where the system refuses one.
int ml_thread_start(ml_thread *thread, void (*run)(void *), void *arg);
void ml_thread_join(ml_thread thread);

// Lets a sleeping thread wake on any core that the caller may use but the one that the caller is on.
// A system likes to wake a thread on the core of the one that woke it, and may leave both there for
// tens of milliseconds, each waiting for the other. Nothing where there is no other core, or where
// the system does not tell (only Linux does).
void ml_thread_keep_off_this_core(ml_thread thread);

void ml_mutex_lock(ml_mutex *mutex);
int ml_mutex_trylock(ml_mutex *mutex); // 1 when taken
void ml_mutex_unlock(ml_mutex *mutex);
void ml_cond_wait(ml_cond *cond, ml_mutex *mutex);
void ml_cond_broadcast(ml_cond *cond);

// Calls `reset` in the child after each fork (nothing where there is no fork).
void ml_on_fork(void (*reset)(void));

// A hint to the processor that this is a spin-wait loop. How long it waits differs by a factor of ten
// between processors.
void ml_spin_pause(void);

// Microseconds since some moment; they only go on.
uint64_t ml_clock_us(void);

// Bytes of the cache that a core has for itself and that is next to its fastest: 1 MiB where the
// system does not say.
size_t ml_core_cache_bytes(void);

// Cores that this thread may run on now (its affinity mask), at least 1. Cheap: no file is read.
size_t ml_available_cores(void);

// Cores that the container's quota allows, rounded up; SIZE_MAX where there is none.
size_t ml_quota_cores(void);

// Memory aligned to 64 bytes (a cache line and the widest vector), in huge pages where it is large
// and the system has them. NULL when there is none. Freed with ml_aligned_free.
void *ml_aligned_alloc(size_t bytes);
void ml_aligned_free(void *block);

// Tiny (denormal) numbers cost some processors a hundred cycles each. ml_flush_begin rounds them to
// zero in this thread and returns what ml_flush_end needs to put the caller's state back.
unsigned ml_flush_begin(void);
void ml_flush_end(unsigned state);

// 1 where the processor and the system can run "generic", "avx2", "avx512" or "neon" code.
int ml_cpu_supports(const char *isa);

#endif
