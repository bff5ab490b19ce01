// The harness of the C tests: each test_*.c is a program of its own.
//
//     static void test_sum(void) { CHECK(1 + 1 == 2); }
//     int main(void) { RUN(test_sum); return check_report(); }
//
// A failed check prints where and what, and the test goes on; the program ends with
// "N passed, N failed", counted in checks, and with status 1 if any failed.
#ifndef CHECK_H
#define CHECK_H

#include <math.h>
#include <stdio.h>
#include <string.h>

static size_t check_passed, check_failed;

static inline int check_that(int holds, const char *what, const char *file, int line)
{
    if (holds) {
        check_passed++;
    } else {
        check_failed++;
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    }
    return holds;
}

// A NaN on either side is not close to anything.
static inline int check_close(double got, double expected, double tolerance, const char *what,
                              const char *file, int line)
{
    int close = got == expected || fabs(got - expected) <= tolerance;
    if (!check_that(close, what, file, line)) {
        fprintf(stderr, "    expected %.9g within %.3g, got %.9g\n", expected, tolerance, got);
    }
    return close;
}

static inline int check_string(const char *got, const char *expected, const char *what,
                               const char *file, int line)
{
    int same = strcmp(got, expected) == 0;
    if (!check_that(same, what, file, line)) {
        fprintf(stderr, "    expected \"%s\", got \"%s\"\n", expected, got);
    }
    return same;
}

// Each yields 1 when it holds, so that a test can stop early: if (!CHECK(block != NULL)) return;
#define CHECK(condition) check_that((condition) != 0, #condition, __FILE__, __LINE__)
#define CHECK_CLOSE(got, expected, tolerance)                                                      \
    check_close((double)(got), (double)(expected), (double)(tolerance), #got " == " #expected,     \
                __FILE__, __LINE__)
#define CHECK_STRING(got, expected)                                                                \
    check_string((got), (expected), #got " == " #expected, __FILE__, __LINE__)

// Names the test first, so that a crash tells where it happened.
#define RUN(test)                                                                                  \
    do {                                                                                           \
        printf("  %s\n", #test);                                                                   \
        fflush(stdout);                                                                            \
        test();                                                                                    \
    } while (0)

static inline int check_report(void)
{
    printf("%zu passed, %zu failed\n", check_passed, check_failed);
    return check_failed != 0 || check_passed == 0;
}

#endif
