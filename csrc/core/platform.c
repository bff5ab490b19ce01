#include "platform.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__x86_64__) || defined(_M_X64) || defined(__i386__)
#define ML_X86 1
#include <immintrin.h>
#endif

#if defined(__linux__)
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#elif defined(_WIN32)
#include <intrin.h>
#include <malloc.h>
#include <process.h>
#else
#include <unistd.h>
#endif

// ---- threads ----------------------------------------------------------------------------------

typedef struct thread_start {
    void (*run)(void *);
    void *arg;
} thread_start;

static void run_and_free(void *p)
{
    thread_start start = *(thread_start *)p;
    free(p);
    start.run(start.arg);
}

#if defined(_WIN32)
static unsigned __stdcall thread_entry(void *p)
{
    run_and_free(p);
    return 0;
}
#else
static void *thread_entry(void *p)
{
    run_and_free(p);
    return NULL;
}
#endif

int ml_thread_start(ml_thread *thread, void (*run)(void *), void *arg)
{
    thread_start *start = malloc(sizeof *start);
    if (start == NULL)
        return -1;
    *start = (thread_start){run, arg};
#if defined(_WIN32)
    *thread = (HANDLE)_beginthreadex(NULL, 0, thread_entry, start, 0, NULL);
    int failed = *thread == NULL;
#else
    int failed = pthread_create(thread, NULL, thread_entry, start) != 0;
#endif
    if (failed)
        free(start);
    return failed ? -1 : 0;
}

#if defined(_WIN32)
void ml_thread_join(ml_thread thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}
void ml_mutex_lock(ml_mutex *mutex) { AcquireSRWLockExclusive(mutex); }
int ml_mutex_trylock(ml_mutex *mutex) { return TryAcquireSRWLockExclusive(mutex) != 0; }
void ml_mutex_unlock(ml_mutex *mutex) { ReleaseSRWLockExclusive(mutex); }
void ml_cond_wait(ml_cond *cond, ml_mutex *mutex)
{
    SleepConditionVariableSRW(cond, mutex, INFINITE, 0);
}
void ml_cond_broadcast(ml_cond *cond) { WakeAllConditionVariable(cond); }
void ml_on_fork(void (*reset)(void)) { (void)reset; }
#else
void ml_thread_join(ml_thread thread) { pthread_join(thread, NULL); }
void ml_mutex_lock(ml_mutex *mutex) { pthread_mutex_lock(mutex); }
int ml_mutex_trylock(ml_mutex *mutex) { return pthread_mutex_trylock(mutex) == 0; }
void ml_mutex_unlock(ml_mutex *mutex) { pthread_mutex_unlock(mutex); }
void ml_cond_wait(ml_cond *cond, ml_mutex *mutex) { pthread_cond_wait(cond, mutex); }
void ml_cond_broadcast(ml_cond *cond) { pthread_cond_broadcast(cond); }
void ml_on_fork(void (*reset)(void)) { pthread_atfork(NULL, NULL, reset); }
#endif

void ml_spin_pause(void)
{
#if defined(ML_X86)
    _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("isb"); // waits; "yield" does nothing on most of these processors
#endif
}

uint64_t ml_clock_us(void)
{
#if defined(_WIN32)
    LARGE_INTEGER ticks, each_second;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&each_second);
    return (uint64_t)((double)ticks.QuadPart * 1e6 / (double)each_second.QuadPart);
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
#endif
}

// ---- cores ------------------------------------------------------------------------------------

// The quota of the control group (version 2): "200000 100000", or "max 100000" for none.
size_t ml_quota_cores(void)
{
    size_t cores = SIZE_MAX;
#if defined(__linux__)
    long long quota = 0, period = 0;
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (file == NULL)
        return cores;
    if (fscanf(file, "%lld %lld", &quota, &period) == 2 && quota > 0 && period > 0)
        cores = (size_t)((quota + period - 1) / period);
    fclose(file);
#endif
    return cores;
}

#if defined(__linux__)
size_t ml_available_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return (size_t)sysconf(_SC_NPROCESSORS_ONLN); // more than a cpu_set_t holds
    int cores = CPU_COUNT(&set);
    return cores > 0 ? (size_t)cores : 1;
}
#elif defined(_WIN32)
size_t ml_available_cores(void)
{
    DWORD_PTR process = 0, system = 0;
    size_t cores = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (; process != 0; process >>= 1)
            cores += process & 1;
    return cores > 0 ? cores : 1;
}
#else
size_t ml_available_cores(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (size_t)cores : 1;
}
#endif

void ml_thread_keep_off_this_core(ml_thread thread)
{
#if defined(__linux__)
    cpu_set_t set;
    int core = sched_getcpu();
    if (core < 0 || core >= CPU_SETSIZE || sched_getaffinity(0, sizeof set, &set) != 0)
        return;
    CPU_CLR((size_t)core, &set);
    if (CPU_COUNT(&set) > 0)
        (void)pthread_setaffinity_np(thread, sizeof set, &set); // a wish, too
#else
    (void)thread;
#endif
}

// Asking may cost some microseconds (a virtual machine traps it), so it is done once.
size_t ml_core_cache_bytes(void)
{
    static atomic_size_t known;
    size_t bytes = atomic_load_explicit(&known, memory_order_relaxed);
    if (bytes == 0) {
#if defined(_SC_LEVEL2_CACHE_SIZE)
        long answer = sysconf(_SC_LEVEL2_CACHE_SIZE);
        bytes = answer > 0 ? (size_t)answer : 0;
#endif
        if (bytes == 0)
            bytes = (size_t)1 << 20;
        atomic_store_explicit(&known, bytes, memory_order_relaxed);
    }
    return bytes;
}

// ---- memory -----------------------------------------------------------------------------------

#if defined(_WIN32)
void *ml_aligned_alloc(size_t bytes) { return _aligned_malloc(bytes > 0 ? bytes : 1, 64); }
void ml_aligned_free(void *block) { _aligned_free(block); }
#else
void *ml_aligned_alloc(size_t bytes)
{
    const size_t huge_page = (size_t)2 << 20;
    size_t alignment = bytes >= 2 * huge_page ? huge_page : 64;
    void *block = NULL;
    if (posix_memalign(&block, alignment, bytes > 0 ? bytes : 1) != 0)
        return NULL;
#if defined(__linux__) && defined(MADV_HUGEPAGE)
    if (alignment == huge_page)
        (void)madvise(block, bytes, MADV_HUGEPAGE); // a wish: what it answers changes nothing
#endif
    return block;
}
void ml_aligned_free(void *block) { free(block); }
#endif

// ---- floating point ---------------------------------------------------------------------------

unsigned ml_flush_begin(void)
{
#if defined(ML_X86)
    unsigned state = _mm_getcsr();
    _mm_setcsr(state | 0x8040u); // flush-to-zero and denormals-are-zero
    return state;
#elif defined(__aarch64__) && defined(__GNUC__)
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    __asm__ volatile("msr fpcr, %0" : : "r"(state | ((uint64_t)1 << 24)));
    return (unsigned)state;
#else
    return 0;
#endif
}

void ml_flush_end(unsigned state)
{
#if defined(ML_X86)
    // What the kernels raised (inexact, overflow) is not the caller's: only its own flags go back.
    _mm_setcsr(state);
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)state));
#else
    (void)state;
#endif
}

#if defined(ML_X86) && defined(_MSC_VER)
// Bits of CPUID leaf 7 (EBX), and whether the system saves the wide registers (XCR0).
static int msvc_supports(int ebx_bits, unsigned long long xcr0_bits)
{
    int r[4];
    __cpuid(r, 1);
    const int osxsave = 1 << 27, fma = 1 << 12;
    if (!(r[2] & osxsave) || !(r[2] & fma) || (_xgetbv(0) & xcr0_bits) != xcr0_bits)
        return 0;
    __cpuidex(r, 7, 0);
    return (r[1] & ebx_bits) == ebx_bits;
}
#endif

int ml_cpu_supports(const char *isa)
{
    if (strcmp(isa, "generic") == 0)
        return 1;
#if defined(ML_X86) && defined(__GNUC__)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(isa, "avx2") == 0)
        return avx2;
    if (strcmp(isa, "avx512") == 0)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#elif defined(ML_X86) && defined(_MSC_VER)
    if (strcmp(isa, "avx2") == 0)
        return msvc_supports(1 << 5, 0x6);
    if (strcmp(isa, "avx512") == 0)
        return msvc_supports(1 << 5 | 1 << 16 | 1 << 17 | 1 << 30 | (int)(1u << 31), 0xe6);
#elif defined(__aarch64__) || defined(_M_ARM64)
    if (strcmp(isa, "neon") == 0)
        return 1;
#endif
    return 0;
}
