// Writing with a transformer: its kernels on every instruction set of this machine, threads, errors.
#include "decode_transformer.h"

#include <stdlib.h>

#include "activation.h"
#include "check.h"
#include "kernels/kernels.h"
#include "matvec.h"
#include "platform.h"
#include "pool.h"
#include "rng.h"

extern const ml_kernels ml_kernels_generic, ml_kernels_avx2, ml_kernels_avx512, ml_kernels_neon;

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

static void for_each_isa(void (*test)(const ml_kernels *kernels))
{
    for (size_t i = 0; i < sizeof compiled / sizeof *compiled; i++)
        if (ml_cpu_supports(compiled[i]->isa))
            test(compiled[i]);
}

static ml_real number(uint64_t index)
{
    uint32_t words[4];
    ml_philox(7, 0, index, words);
    return (ml_real)ml_uniform24(words[0]) * 2 - 1;
}

// ---- kernels ----------------------------------------------------------------------------------

enum { KEYS = 70, SIZE = 130 };
static ml_real query[SIZE], keys[KEYS * SIZE], values[KEYS * SIZE];

// The same by plain loops in double.
static void slow_attention(size_t count, size_t size, double *out)
{
    double p[KEYS], top = -INFINITY, sum = 0;
    for (size_t t = 0; t < count; t++) {
        p[t] = 0;
        for (size_t i = 0; i < size; i++)
            p[t] += (double)query[i] * (double)keys[t * size + i];
        top = fmax(top, p[t]);
    }
    for (size_t t = 0; t < count; t++)
        sum += p[t] = exp(p[t] - top);
    for (size_t i = 0; i < size; i++) {
        out[i] = 0;
        for (size_t t = 0; t < count; t++)
            out[i] += p[t] / sum * (double)values[t * size + i];
    }
}

static void check_attention(const ml_kernels *kernels)
{
    const size_t sizes[] = {1, 4, 8, 16, 20, 31, 64, 80, 128, 130};
    for (size_t i = 0; i < SIZE; i++)
        query[i] = number(i);
    for (size_t i = 0; i < KEYS * SIZE; i++) {
        keys[i] = number(1000 + i);
        values[i] = number(20000 + i);
    }
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t count = 1; count <= KEYS; count += count < 20 ? 1 : 7) {
            ml_real p[KEYS + ML_MAX_LANES], out[SIZE + 1];
            double expected[SIZE];
            out[sizes[s]] = 77;
            const ml_decode_attention attention = {count, sizes[s], query, keys, values, p, out};
            kernels->decode_attention(&attention);
            slow_attention(count, sizes[s], expected);
            for (size_t i = 0; i < sizes[s]; i++)
                CHECK_CLOSE(out[i], expected[i], 3e-6);
            CHECK(out[sizes[s]] == 77); // nothing is written behind the head
        }
}

// Scores that exp alone could not take, and one that is not a number.
static void check_large_scores(const ml_kernels *kernels)
{
    ml_real p[32], out[1], large[18], ones[18], one = 1;
    for (size_t t = 0; t < 18; t++) {
        large[t] = 1000;
        ones[t] = (ml_real)t;
    }
    large[5] = 2000;
    const ml_decode_attention attention = {18, 1, &one, large, ones, p, out};
    kernels->decode_attention(&attention);
    CHECK(out[0] == 5);
    for (size_t t = 0; t < 18; t++) {
        large[t] = (ml_real)NAN;
        kernels->decode_attention(&attention);
        CHECK(isnan(out[0]));
        large[t] = 0;
    }
}

static void check_largest_size(const ml_kernels *kernels)
{
    ml_real x[40];
    for (size_t n = 0; n <= 40; n++) {
        for (size_t i = 0; i < n; i++)
            x[i] = number(i) / 2;
        CHECK(n > 0 || kernels->largest_size(n, x) == 0);
        for (size_t i = 0; i < n; i++) {
            ml_real kept = x[i];
            x[i] = -3;
            CHECK(kernels->largest_size(n, x) == 3);
            x[i] = 2;
            CHECK(kernels->largest_size(n, x) == 2);
            x[i] = -(ml_real)INFINITY;
            CHECK(isnan(kernels->largest_size(n, x)));
            x[i] = (ml_real)NAN;
            CHECK(isnan(kernels->largest_size(n, x)));
            x[i] = kept;
        }
    }
}

static void test_attention(void) { for_each_isa(check_attention); }
static void test_large_scores(void) { for_each_isa(check_large_scores); }
static void test_largest_size(void) { for_each_isa(check_largest_size); }

static void test_rows_of_a_matrix(void)
{
    enum { ROWS = 75, DEPTH = 7 };
    ml_real w[ROWS * DEPTH], row[DEPTH];
    for (size_t i = 0; i < ROWS * DEPTH; i++)
        w[i] = number(i);
    for (int int8 = 0; int8 <= 1; int8++) {
        ml_matvec m;
        ml_error err = {0};
        CHECK(ml_matvec_pack(&m, "w", 1, ROWS, DEPTH, w, NULL, int8, &err) == ML_OK);
        for (size_t i = 0; i < ROWS; i++) {
            ml_matvec_row(&m, i, row);
            for (size_t k = 0; k < DEPTH; k++)
                CHECK_CLOSE(row[k], w[i * DEPTH + k], int8 ? 0.51 / 127 : 0);
        }
        ml_matvec_free(&m);
    }
}

// ---- the decoder ------------------------------------------------------------------------------

// Large enough that its work is worth several threads.
enum { V = 50, C = 96, L = 2, HEADS = 6, GROUPS = 2, D = 20, M = 160, POSITIONS = 40, TEXTS = 3 };
enum { QKV = (HEADS + 2 * GROUPS) * D, NUMBERS = 2 * M * C + QKV * C + V * C };
enum { CACHE = L * TEXTS * GROUPS * POSITIONS * D };

typedef struct model {
    ml_real w[NUMBERS], frequencies[D / 2];
    ml_block_weights block[L];
    ml_transformer_model model;
} model;

static void fill(model *m)
{
    for (size_t i = 0; i < NUMBERS; i++)
        m->w[i] = number(i) / 4;
    for (size_t i = 0; i < D / 2; i++)
        m->frequencies[i] = (ml_real)1 / (ml_real)(1 + i);
    for (size_t l = 0; l < L; l++) {
        const ml_real *w = m->w + 13 * l;
        m->block[l] = (ml_block_weights){.norm_1 = w,
                                         .qkv = w + C,
                                         .qkv_bias = w + 5,
                                         .out = w + 2 * C,
                                         .norm_2 = w,
                                         .inner = w + 50,
                                         .inner_bias = w,
                                         .down = w + 70,
                                         .scale = 0.25};
    }
    m->model = (ml_transformer_model){.vocab = V,
                                      .width = C,
                                      .layers = L,
                                      .positions = POSITIONS,
                                      .heads = HEADS,
                                      .groups = GROUPS,
                                      .size = D,
                                      .inner = M,
                                      .gated = 1,
                                      .function = ML_SILU,
                                      .rms = 1,
                                      .eps = 1e-6,
                                      .embedding = m->w,
                                      .frequencies = m->frequencies,
                                      .block = m->block,
                                      .norm = m->w};
}

typedef struct texts_memory {
    int64_t ids[TEXTS * POSITIONS], lengths[TEXTS];
    ml_real keys[CACHE], values[CACHE];
} texts_memory;

static ml_texts texts_of(texts_memory *memory)
{
    memset(memory, 0, sizeof *memory);
    return (ml_texts){.batch = TEXTS,
                      .ids = memory->ids,
                      .row = POSITIONS,
                      .state = {memory->keys, memory->values},
                      .capacity = POSITIONS,
                      .lengths = memory->lengths};
}

static void test_any_number_of_threads(void)
{
    static model m;
    static texts_memory memory[4];
    static ml_real logits[4][TEXTS * POSITIONS * V];
    const size_t threads[4] = {1, 2, 3, 8};
    fill(&m);
    for (int int8 = 0; int8 <= 1; int8++) {
        ml_error err = {0};
        ml_decoder *decoder = NULL;
        CHECK(ml_transformer_decoder_new(&decoder, &m.model, int8, &err) == ML_OK);
        for (size_t i = 0; i < 4; i++) {
            ml_texts texts = texts_of(&memory[i]);
            const ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = -1};
            size_t written = 0;
            CHECK(ml_set_threads(threads[i], &err) == ML_OK);
            CHECK(ml_decoder_read(decoder, &texts, 0, 4, logits[i], &err) == ML_OK);
            CHECK(ml_decoder_write(decoder, &texts, &writing, 5, POSITIONS, &written, &err) ==
                  ML_OK);
            CHECK(written == POSITIONS && memory[i].lengths[2] == POSITIONS - 1);
            CHECK(memcmp(&memory[i], &memory[0], sizeof *memory) == 0);
            CHECK(memcmp(logits[i], logits[0], sizeof *logits) == 0);
        }
        ml_decoder_free(decoder);
    }
}

static void test_an_error_leaves_the_texts_where_they_were(void)
{
    static model m;
    static texts_memory memory;
    fill(&m);
    m.w[C + 1] = (ml_real)NAN; // in the embedding and in weights
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_transformer_decoder_new(&decoder, &m.model, 1, &err) == ML_ERR_VALUE);
    CHECK(decoder == NULL && strstr(err.message, "not finite") != NULL);
    CHECK(ml_transformer_decoder_new(&decoder, &m.model, 0, &err) == ML_OK);
    ml_texts texts = texts_of(&memory);
    const ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = -1};
    size_t written = 0;
    CHECK(ml_decoder_write(decoder, &texts, &writing, 1, 9, &written, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "has training diverged") != NULL);
    CHECK(memory.lengths[0] == 0 && memory.lengths[2] == 0);
    ml_decoder_free(decoder);
}

// In int8 a vector that is not finite is no number of levels; it must come out as what it is.
static void test_int8_passes_on_what_is_not_finite(void)
{
    static model m;
    static texts_memory memory;
    static ml_real logits[TEXTS * POSITIONS * V];
    fill(&m);
    ml_real norm[C];
    for (size_t i = 0; i < C; i++)
        norm[i] = i == 3 ? (ml_real)INFINITY : 1;
    m.block[1].norm_2 = norm;
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_transformer_decoder_new(&decoder, &m.model, 1, &err) == ML_OK);
    ml_texts texts = texts_of(&memory);
    CHECK(ml_decoder_read(decoder, &texts, 0, 1, logits, &err) == ML_OK);
    CHECK(isnan(logits[0]) && isnan(logits[V - 1]));
    ml_decoder_free(decoder);
}

static void test_no_room(void)
{
    static model m;
    static texts_memory memory;
    fill(&m);
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_transformer_decoder_new(&decoder, &m.model, 0, &err) == ML_OK);
    ml_texts texts = texts_of(&memory);
    memory.lengths[1] = POSITIONS - 2;
    CHECK(ml_decoder_check_room(decoder, &texts, 2, &err) == ML_OK);
    CHECK(ml_decoder_read(decoder, &texts, 0, 3, NULL, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "text 1: 3 tokens after 38") != NULL);
    CHECK(memory.lengths[0] == 0);
    memory.lengths[1] = -1;
    CHECK(ml_decoder_read(decoder, &texts, 0, 1, NULL, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "lengths[1]") != NULL);
    memory.lengths[1] = 0;
    texts.capacity = 2; // fewer than the model has
    CHECK(ml_decoder_check_room(decoder, &texts, 3, &err) == ML_ERR_VALUE);
    ml_decoder_free(decoder);
}

static void refuse(const model *m, const char *part)
{
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_transformer_decoder_new(&decoder, &m->model, 0, &err) != ML_OK);
    CHECK(decoder == NULL && strstr(err.message, part) != NULL);
}

static void test_sizes_that_do_not_fit(void)
{
    static model m;
    fill(&m);
    m.model.groups = 4;
    refuse(&m, "kv_heads");
    fill(&m);
    m.model.size = 19;
    refuse(&m, "head_size");
    fill(&m);
    m.model.function = -1;
    refuse(&m, "activation");
    fill(&m);
    m.model.inner = 0;
    refuse(&m, "at least 1");
}

int main(void)
{
    setenv("MINILM_OVERSUBSCRIBE", "1", 1); // threads even on one core
    RUN(test_attention);
    RUN(test_large_scores);
    RUN(test_largest_size);
    RUN(test_rows_of_a_matrix);
    RUN(test_any_number_of_threads);
    RUN(test_an_error_leaves_the_texts_where_they_were);
    RUN(test_int8_passes_on_what_is_not_finite);
    RUN(test_no_room);
    RUN(test_sizes_that_do_not_fit);
    return check_report();
}
