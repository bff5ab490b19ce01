// What happens when the system has no memory and no threads to give: the linker sends the core's
// requests (--wrap in the Makefile) through the functions below.
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "layer_cases.h"

// Requests until one is refused; below 0: none is. The request after a refused one is granted.
static atomic_long granted = -1;
static atomic_int threads_refused;

static int refuse(void) { return atomic_load(&granted) >= 0 && atomic_fetch_sub(&granted, 1) == 0; }

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg);

void *__wrap_malloc(size_t size) { return refuse() ? NULL : __real_malloc(size); }
void *__wrap_calloc(size_t count, size_t size)
{
    return refuse() ? NULL : __real_calloc(count, size);
}
int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    return refuse() ? ENOMEM : __real_posix_memalign(block, alignment, size);
}
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *arg)
{
    return atomic_load(&threads_refused) ? EAGAIN
                                         : __real_pthread_create(thread, attributes, run, arg);
}

// Calls `run` again and again, refusing its first request, its second, and so on, until it makes no
// more: it must succeed or say ML_ERR_MEMORY, and leave nothing allocated behind (a sanitizer sees).
// Returns how many requests were refused.
static long refuse_each(int (*run)(void *ctx, ml_error *err), void *ctx)
{
    for (long request = 0;; request++) {
        ml_error err = {0};
        atomic_store(&granted, request);
        int code = run(ctx, &err);
        int all_granted = atomic_exchange(&granted, -1) >= 0;
        if (all_granted) {
            CHECK(code == ML_OK);
            return request;
        }
        CHECK(code == ML_OK || code == ML_ERR_MEMORY);
        if (code != ML_OK)
            CHECK(err.code == code && strstr(err.message, "[ML_ERR_MEMORY]") != NULL);
    }
}

// ---- layers --------------------------------------------------------------------------------------

static int forward(void *ctx, ml_error *err)
{
    layer_run *run = ctx;
    return run->layer->forward(&run->call, err);
}

static int backward(void *ctx, ml_error *err)
{
    layer_run *run = ctx;
    return run->layer->backward(&run->call, err);
}

static void check_layer(const layer_case *c)
{
    layer_run run;
    if (!CHECK_CASE(c, run_open(&run, c, 1) == ML_OK && run_forward(&run) == ML_OK))
        return;
    run_make_grad_outputs(&run);
    run_make_gradients(&run);
    const ml_array *output = &run.call.output[0];
    size_t bytes = ml_array_size(output) * sizeof(ml_real);
    void *expected = memcpy(nan_block(bytes), output->data, bytes);

    run.call.workspace = nan_block(run.call.forward_size);
    refuse_each(forward, &run);
    CHECK_CASE(c, memcmp(output->data, expected, bytes) == 0); // the last run was granted all
    free(run.call.workspace);
    run.call.workspace = nan_block(run.call.backward_size);
    refuse_each(backward, &run);
    free(run.call.workspace);
    free(expected);
    run_close(&run);
}

static void test_layers_without_memory(void) { for_each_case(check_layer); }

static void test_layers_without_threads(void)
{
    ml_error err;
    CHECK(ml_set_threads(1, &err) == ML_OK); // ends those there are
    CHECK(ml_set_threads(4, &err) == ML_OK);
    atomic_store(&threads_refused, 1);
    for_each_case(check_layer);
    atomic_store(&threads_refused, 0);
}

// ---- the rest ------------------------------------------------------------------------------------

static int step(void *ctx, ml_error *err)
{
    ml_real *x = ctx, *grad = x + 40000, *state = x + 80000;
    ml_param param = {.value = x, .grad = grad, .state = {state}, .size = 40000};
    ml_sgd config = {.lr = 0.1, .momentum = 0.9};
    double norm;
    int code = ml_grad_norm(&param, 1, 2, &norm, err);
    return code != ML_OK ? code : ml_sgd_step(&param, 1, &config, err);
}

static void test_optimizers(void)
{
    ml_real *numbers = calloc(120000, sizeof *numbers);
    refuse_each(step, numbers);
    free(numbers);
}

static int draw(void *ctx, ml_error *err)
{
    const ml_sampler sampler = {.temperature = 1, .top_k = 5, .top_p = 0.9};
    size_t token;
    return ml_sample(ctx, 100, &sampler, 1, 2, &token, err);
}

static void test_sampling(void)
{
    ml_real logits[100] = {0};
    refuse_each(draw, logits);
}

static int count(void *ctx, ml_error *err)
{
    ml_ngram *model = NULL;
    double probs[10];
    int code = ml_ngram_new(&model, 3, 10, err);
    if (code == ML_OK)
        code = ml_ngram_count(model, ctx, 0, 500, err);
    if (code == ML_OK)
        code = ml_ngram_distribution(model, ctx, 2, probs, err);
    ml_ngram_free(model);
    return code;
}

static void test_ngrams(void)
{
    int64_t ids[500];
    for (int i = 0; i < 500; i++)
        ids[i] = i * i % 10;
    CHECK(refuse_each(count, ids) > 0);
}

static int write_text(void *ctx, ml_error *err)
{
    enum { V = 9, E = 3, H = 4 };
    static const ml_real weights[3 * H * H + V * H];
    const ml_recurrent_weights layer[2] = {{weights, weights, weights, NULL},
                                           {weights, weights, NULL, weights}};
    const ml_recurrent_model model = {"gru", V, E, H, 2, weights, layer, weights, weights};
    int64_t ids[2 * 5] = {0};
    ml_real h[2 * 2 * H] = {0};
    const ml_texts texts = {2, ids, 5, {h}};
    const ml_writing writing = {.sampler = {.temperature = 1, .top_k = 3, .top_p = 1},
                                .end_id = -1};
    size_t written;
    ml_decoder *decoder = NULL;
    int code = ml_recurrent_decoder_new(&decoder, &model, *(int *)ctx, err);
    if (code == ML_OK)
        code = ml_decoder_write(decoder, &texts, &writing, 1, 5, &written, err);
    ml_decoder_free(decoder);
    ml_buffer_trim();
    return code;
}

static int write_with_blocks(void *ctx, ml_error *err)
{
    enum { V = 9, C = 4, T = 5 };
    static const ml_real w[3 * C * C + V * C];
    const ml_block_weights block[2] = {{w, w, w, NULL, w, w, w, w, w, w, w, NULL, 1},
                                       {w, NULL, w, w, w, w, w, w, w, NULL, w, w, 1}};
    const ml_transformer_model model = {V, C, 2, T, 2, 1,     2, C, 0, 0,
                                        0, 1, w, w, w, block, w, w, w};
    int64_t ids[T] = {0}, lengths[1] = {0};
    ml_real cache[2][2 * T * 2] = {{0}};
    const ml_texts texts = {1, ids, T, {cache[0], cache[1]}, T, lengths};
    const ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = -1};
    size_t written;
    ml_decoder *decoder = NULL;
    int code = ml_transformer_decoder_new(&decoder, &model, *(int *)ctx, err);
    if (code == ML_OK)
        code = ml_decoder_write(decoder, &texts, &writing, 1, T, &written, err);
    ml_decoder_free(decoder);
    ml_buffer_trim();
    return code;
}

static void test_writing(void)
{
    for (int int8 = 0; int8 <= 1; int8++) {
        CHECK(refuse_each(write_text, &int8) > 8);
        CHECK(refuse_each(write_with_blocks, &int8) > 20);
    }
}

static void test_buffers(void)
{
    ml_buffer_trim();
    ml_buffer_stats before = ml_buffer_get_stats();
    atomic_store(&granted, 0);
    CHECK(ml_buffer_acquire(1000) == NULL);
    atomic_store(&granted, -1);
    CHECK(ml_buffer_get_stats().used == before.used);

    void *kept = ml_buffer_acquire(5000); // with something to give back, it is given back
    ml_buffer_release(kept);
    atomic_store(&granted, 0);
    void *buffer = ml_buffer_acquire(100000);
    atomic_store(&granted, -1);
    CHECK(buffer != NULL);
    CHECK(ml_buffer_get_stats().kept == 0);
    ml_buffer_release(buffer);
    ml_buffer_trim();
}

int main(void)
{
    setenv("MINILM_OVERSUBSCRIBE", "1", 1); // threads even on one core
    RUN(test_layers_without_memory);
    RUN(test_layers_without_threads);
    RUN(test_optimizers);
    RUN(test_sampling);
    RUN(test_ngrams);
    RUN(test_writing);
    RUN(test_buffers);
    return check_report();
}
