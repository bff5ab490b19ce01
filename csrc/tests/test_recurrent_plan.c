// How threads share a recurrent layer's walk: which plan is chosen, and that each fits its work.
#include "recurrent_plan.h"

#include "kernels/kernels.h"
#include "platform.h"
#include "sizes.h"

#include "check.h"

// A layer of `gates` gates and H units that reads B sequences of 35 steps, its weights in panels of 16 units.
static ml_plan plan_of(size_t B, size_t H, size_t gates, size_t threads)
{
    const double weights = (double)gates * (double)H * (double)H;
    return ml_plan_scan(35, B, ml_ceil_div(H, 16), (double)B * weights, weights * sizeof(ml_real),
                        threads);
}

// The smallest H whose weights, of four gates, no core can keep in its own cache.
static size_t beyond_cache(void)
{
    size_t H = 16;
    while (4 * H * H * sizeof(ml_real) < 2 * ml_core_cache_bytes())
        H += 16;
    return H;
}

static void test_tiny_work_is_done_alone(void)
{
    CHECK(plan_of(1, 16, 1, 8).kind == ML_PLAN_ALONE);
    CHECK(plan_of(1, 16, 4, 2).kind == ML_PLAN_ALONE);
    CHECK(plan_of(32, 256, 4, 1).kind == ML_PLAN_ALONE);
    CHECK(plan_of(1, 16, 1, 8).threads == 1);
}

static void test_sequences_are_shared_where_weights_stay_in_the_cache(void)
{
    const ml_plan plan = plan_of(32, 64, 4, 2);
    CHECK(plan.kind == ML_PLAN_BY_ROWS);
    CHECK(plan.threads == 2);
    CHECK(plan.time < plan_of(32, 64, 4, 1).time);
}

static void test_units_are_shared_where_sequences_are_few_or_weights_large(void)
{
    CHECK(plan_of(1, 512, 4, 2).kind == ML_PLAN_BY_UNITS); // one sequence
    CHECK(plan_of(2, beyond_cache(), 4, 2).kind == ML_PLAN_BY_UNITS);
}

// Row blocks as the walk cuts them: none is empty, none higher than a tile, and by rows each thread
// has some.
static int fits(const ml_plan *plan, size_t B, size_t threads)
{
    if (plan->threads < 1 || plan->threads > threads || plan->time < 0)
        return 0;
    if (plan->kind == ML_PLAN_ALONE && plan->threads != 1)
        return 0;
    if (plan->kind == ML_PLAN_BY_ROWS && plan->blocks % plan->threads != 0)
        return 0;
    size_t rows = 0;
    for (size_t block = 0; block < plan->blocks; block++) {
        const size_t height = B * (block + 1) / plan->blocks - B * block / plan->blocks;
        if (height < 1 || height > ML_TILE_ROWS)
            return 0;
        rows += height;
    }
    return rows == B;
}

static void test_every_plan_fits_its_work(void)
{
    const size_t units[] = {1, 16, 40, 200, 1024};
    size_t bad = 0, seen[3] = {0};
    for (size_t h = 0; h < sizeof units / sizeof *units; h++)
        for (size_t B = 0; B <= 70; B++)
            for (size_t threads = 1; threads <= 17; threads++) {
                const ml_plan plan = plan_of(B, units[h], 4, threads);
                bad += !fits(&plan, B, threads);
                seen[plan.kind]++;
            }
    CHECK(bad == 0);
    CHECK(seen[ML_PLAN_ALONE] > 0 && seen[ML_PLAN_BY_ROWS] > 0 && seen[ML_PLAN_BY_UNITS] > 0);
}

static void test_no_more_threads_than_parts(void)
{
    for (size_t threads = 1; threads <= 64; threads++) {
        const ml_plan few = plan_of(3, 64, 4, threads), one = plan_of(1, 2048, 4, threads);
        CHECK(few.kind != ML_PLAN_BY_ROWS || few.threads <= 3);
        CHECK(one.threads <= threads && one.threads <= 2048 / 16);
    }
}

// A walk without products, of two gates, in pieces of 256 units.
static ml_plan elementwise_plan_of(size_t B, size_t H, size_t threads)
{
    return ml_plan_elementwise(35, B, ml_ceil_div(H, 256), 2.0 * (double)(B * H), threads);
}

static void test_every_elementwise_plan_fits_its_work(void)
{
    size_t bad = 0;
    for (size_t H = 1; H <= 2048; H *= 2)
        for (size_t B = 0; B <= 70; B++)
            for (size_t threads = 1; threads <= 17; threads++) {
                const ml_plan plan = elementwise_plan_of(B, H, threads);
                const size_t items = plan.blocks * ml_ceil_div(H, 256);
                bad += !fits(&plan, B, threads) || (plan.threads > 1 && plan.threads > items);
            }
    CHECK(bad == 0);
}

static void test_without_products_threads_share_sequences_or_units(void)
{
    CHECK(elementwise_plan_of(1, 16, 8).kind == ML_PLAN_ALONE); // not worth a thread
    CHECK(elementwise_plan_of(64, 512, 1).kind == ML_PLAN_ALONE);
    const ml_plan sequences = elementwise_plan_of(13, 256, 2),
                  units = elementwise_plan_of(1, 2048, 2);
    CHECK(sequences.kind == ML_PLAN_APART && sequences.threads == 2);
    CHECK(sequences.blocks % 2 == 0); // as many for each
    CHECK(units.kind == ML_PLAN_APART && units.threads == 2 && units.blocks == 1);
}

int main(void)
{
    RUN(test_tiny_work_is_done_alone);
    RUN(test_sequences_are_shared_where_weights_stay_in_the_cache);
    RUN(test_units_are_shared_where_sequences_are_few_or_weights_large);
    RUN(test_every_plan_fits_its_work);
    RUN(test_no_more_threads_than_parts);
    RUN(test_every_elementwise_plan_fits_its_work);
    RUN(test_without_products_threads_share_sequences_or_units);
    return check_report();
}
