// The kernels that write tokens, on every instruction set of this machine, and the decoder's errors.
#include "decode_recurrent.h"

#include <stdlib.h>

#include "check.h"
#include "fingerprint.h"
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

static uint32_t word(uint64_t index)
{
    uint32_t words[4];
    ml_philox(7, 0, index, words);
    return words[0];
}

static ml_real number(uint64_t index) { return (ml_real)ml_uniform24(word(index)) * 2 - 1; }

// ---- kernels ----------------------------------------------------------------------------------

enum { DEPTH = 8192, COLUMNS = ML_PANEL_VECTORS * ML_MAX_LANES };
static int8_t panel_int8[DEPTH * COLUMNS];
static int16_t levels[DEPTH];
static ml_real panel[257 * COLUMNS], x[257];

// Whole numbers: not close to the plain loop, but equal, and so the same on all of them.
static void check_int8(const ml_kernels *kernels, size_t vectors, size_t pairs)
{
    size_t columns = vectors * kernels->lanes;
    int32_t total[COLUMNS];
    kernels->matvec_panel_int8(vectors, pairs, levels, panel_int8, total);
    for (size_t j = 0; j < columns; j++) {
        int64_t expected = 0;
        for (size_t k = 0; k < 2 * pairs; k++)
            expected += levels[k] * panel_int8[(k / 2 * columns + j) * 2 + k % 2];
        CHECK(total[j] == expected);
    }
}

static void check_int8_sums(const ml_kernels *kernels)
{
    for (size_t i = 0; i < DEPTH; i++)
        levels[i] = (int16_t)((int)(word(i) % (2 * ML_LEVELS + 1)) - ML_LEVELS);
    for (size_t i = 0; i < DEPTH * COLUMNS; i++)
        panel_int8[i] = (int8_t)((int)(word(i + DEPTH) % 255) - 127);
    for (size_t vectors = 1; vectors <= ML_PANEL_VECTORS; vectors++)
        for (size_t pairs = 0; pairs < 20; pairs++)
            check_int8(kernels, vectors, pairs);
    check_int8(kernels, 4, 300);
}

// 127 ML_LEVELS ML_INT8_DEPTH is all that 32 bits hold.
static void check_largest_sums(const ml_kernels *kernels)
{
    memset(panel_int8, 127, sizeof panel_int8);
    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t i = 0; i < DEPTH; i++)
            levels[i] = (int16_t)(sign * ML_LEVELS);
        check_int8(kernels, 4, ML_INT8_DEPTH / 2);
    }
}

static void check_levels(const ml_kernels *kernels)
{
    const ml_real some[7] = {0, 1, -1, 1.5f, -3, 0.5f / ML_LEVELS, -1.49f / ML_LEVELS};
    const int16_t expected[7] = {0, 2048, -2048, 2048, -2048, 1, -1};
    int16_t got[7];
    kernels->to_levels(7, some, ML_LEVELS, ML_LEVELS, got);
    CHECK(memcmp(got, expected, sizeof got) == 0);
}

static void check_matvec(const ml_kernels *kernels)
{
    for (size_t i = 0; i < 257; i++)
        x[i] = number(i);
    for (size_t i = 0; i < 257 * COLUMNS; i++)
        panel[i] = number(i + 1000);
    for (size_t vectors = 1; vectors <= ML_PANEL_VECTORS; vectors++)
        for (size_t depth = 0; depth <= 257; depth += depth < 20 ? 1 : 79) {
            size_t columns = vectors * kernels->lanes;
            ml_real sum[COLUMNS];
            for (size_t j = 0; j < columns; j++)
                sum[j] = (ml_real)j / 64;
            kernels->matvec_panel(vectors, depth, x, panel, sum);
            for (size_t j = 0; j < columns; j++) {
                double expected = (double)j / 64;
                for (size_t k = 0; k < depth; k++)
                    expected += (double)x[k] * (double)panel[k * columns + j];
                CHECK_CLOSE(sum[j], expected, 2e-5);
            }
        }
}

static void check_logit_top(const ml_kernels *kernels)
{
    for (size_t n = 1; n < 70; n++) {
        ml_real largest = -1;
        for (size_t i = 0; i < n; i++)
            largest = x[i] > largest ? x[i] : largest;
        CHECK(kernels->logit_top(n, x) == largest);
        ml_real kept = x[n / 2];
        x[n / 2] = (ml_real)NAN;
        CHECK(isnan(kernels->logit_top(n, x)));
        x[n / 2] = (ml_real)INFINITY;
        CHECK(isnan(kernels->logit_top(n, x)));
        x[n / 2] = -(ml_real)INFINITY;
        CHECK(kernels->logit_top(n, x) <= largest);
        x[n / 2] = kept;
    }
}

// Within 2 units in the last place of the C library's exp.
static void check_draw_weights(const ml_kernels *kernels)
{
    enum { N = 5000 };
    static ml_real logits[N];
    static double weights[N];
    for (size_t i = 0; i < N; i++)
        logits[i] = -(ml_real)i * 750 / N;
    logits[1] = -(ml_real)INFINITY;
    const double temperatures[] = {1, 0.7, 1e-300, 1e300};
    for (size_t t = 0; t < 4; t++) {
        kernels->draw_weights(N, logits, 0, temperatures[t], weights);
        for (size_t i = 0; i < N; i++) {
            double y = (double)logits[i] / temperatures[t];
            CHECK_CLOSE(weights[i], exp(y), 5e-16 * exp(y) + 1e-307);
        }
    }
}

static void test_int8_sums(void) { for_each_isa(check_int8_sums); }
static void test_largest_sums(void) { for_each_isa(check_largest_sums); }
static void test_levels(void) { for_each_isa(check_levels); }
static void test_matvec(void) { for_each_isa(check_matvec); }
static void test_logit_top(void) { for_each_isa(check_logit_top); }
static void test_draw_weights(void) { for_each_isa(check_draw_weights); }

// ---- the decoder ------------------------------------------------------------------------------

enum { V = 11, E = 3, H = 5, L = 2, BATCH = 2, TIME = 8 };

typedef struct model {
    ml_real embedding[V * E], weight_ih[L][4 * H * H], weight_hh[L][4 * H * H], head[V * H];
    ml_real bias[V];
    ml_recurrent_weights layer[L];
    ml_recurrent_model weights;
} model;

static void fill(model *m)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < V * E; i++)
        m->embedding[i] = number(i);
    for (size_t i = 0; i < V * H; i++)
        m->head[i] = number(i + 100);
    for (size_t l = 0; l < L; l++) {
        for (size_t i = 0; i < 4 * H * H; i++) {
            m->weight_ih[l][i] = number(i + 1000 * l + 200);
            m->weight_hh[l][i] = number(i + 1000 * l + 600);
        }
        m->layer[l] = (ml_recurrent_weights){m->weight_ih[l], m->weight_hh[l], NULL, NULL};
    }
    m->weights = (ml_recurrent_model){.cell = "lstm",
                                      .vocab = V,
                                      .embed = E,
                                      .hidden = H,
                                      .layers = L,
                                      .embedding = m->embedding,
                                      .layer = m->layer,
                                      .head = m->head,
                                      .head_bias = m->bias};
}

static void test_an_error_leaves_the_states(void)
{
    model m;
    fill(&m);
    m.bias[4] = (ml_real)NAN;
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_recurrent_decoder_new(&decoder, &m.weights, 0, &err) == ML_OK);
    int64_t ids[BATCH * TIME] = {0};
    ml_real h[L * BATCH * H] = {0}, c[L * BATCH * H] = {0}, zero[L * BATCH * H] = {0};
    ml_texts texts = {BATCH, ids, TIME, {h, c}};
    ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = -1};
    size_t written = 0;
    CHECK(ml_decoder_write(decoder, &texts, &writing, 1, TIME, &written, &err) == ML_ERR_VALUE);
    CHECK(strstr(err.message, "logits[4]") != NULL);
    CHECK(memcmp(h, zero, sizeof h) == 0 && memcmp(c, zero, sizeof c) == 0);
    ids[TIME] = V;
    CHECK(ml_decoder_read(decoder, &texts, 0, TIME, NULL, &err) == ML_ERR_INDEX);
    CHECK(strstr(err.message, "ids[1, 0]") != NULL);
    ml_decoder_free(decoder);
}

static void test_texts_end(void)
{
    model m;
    fill(&m);
    m.bias[3] = 100; // always drawn
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_recurrent_decoder_new(&decoder, &m.weights, 1, &err) == ML_OK);
    int64_t ids[BATCH * TIME] = {0};
    ml_real h[L * BATCH * H] = {0}, c[L * BATCH * H] = {0};
    unsigned char ended[BATCH] = {0, 1};
    ml_texts texts = {BATCH, ids, TIME, {h, c}};
    ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = 3, .ended = ended};
    size_t written = 0;
    CHECK(ml_decoder_write(decoder, &texts, &writing, 1, TIME, &written, &err) == ML_OK);
    CHECK(written == 2 && ended[0] && ids[1] == 3 && ids[TIME + 1] == 3 && ids[2] == 0);
    // A text that has ended goes on reading the id that it ended with: it must have a vector.
    writing.end_id = V;
    CHECK(ml_decoder_write(decoder, &texts, &writing, 1, TIME, &written, &err) == ML_ERR_INDEX);
    CHECK(strstr(err.message, "end_id") != NULL);
    ml_decoder_free(decoder);
}

// Many texts, so that the work is worth several threads.
static void check_any_number_of_threads(const char *cell, int has_w_hh, int int8)
{
    enum { UNITS = 96, TOKENS = 20, TEXTS = 24, LENGTH = 9, STATES = 2 * TEXTS * UNITS };
    static ml_real weights[4 * UNITS * UNITS], h[4][STATES], c[4][STATES];
    static int64_t ids[4][TEXTS * LENGTH];
    const size_t threads[4] = {1, 2, 3, 8};
    for (size_t i = 0; i < 4 * UNITS * UNITS; i++)
        weights[i] = number(i) / 3;
    const ml_recurrent_weights one = {weights, has_w_hh ? weights : NULL, NULL, NULL};
    const ml_recurrent_weights layer[2] = {one, one};
    const ml_recurrent_model w = {cell, TOKENS, UNITS, UNITS, 2, weights, layer, weights, NULL};
    ml_error err = {0};
    ml_decoder *decoder = NULL;
    CHECK(ml_recurrent_decoder_new(&decoder, &w, int8, &err) == ML_OK);
    memset(ids, 0, sizeof ids);
    memset(h, 0, sizeof h);
    memset(c, 0, sizeof c);
    for (size_t i = 0; i < 4; i++) {
        const ml_texts texts = {TEXTS, ids[i], LENGTH, {h[i], c[i]}};
        const ml_writing writing = {.sampler = {.temperature = 1, .top_p = 1}, .end_id = -1};
        size_t written = 0;
        CHECK(ml_set_threads(threads[i], &err) == ML_OK);
        CHECK(ml_decoder_write(decoder, &texts, &writing, 1, LENGTH, &written, &err) == ML_OK);
        CHECK(memcmp(ids[i], ids[0], sizeof ids[0]) == 0);
        CHECK(memcmp(h[i], h[0], sizeof h[0]) == 0 && memcmp(c[i], c[0], sizeof c[0]) == 0);
    }
    ml_decoder_free(decoder);
}

static void test_any_number_of_threads(void)
{
    check_any_number_of_threads("lstm", 1, 0);
    check_any_number_of_threads("lstm", 1, 1);
    check_any_number_of_threads("gru", 1, 0);
    check_any_number_of_threads("mingru", 0, 0);
    check_any_number_of_threads("minlstm", 0, 0);
}

// ---- fingerprints -----------------------------------------------------------------------------

static void test_fingerprint(void)
{
    unsigned char data[200] = {0};
    for (size_t n = 0; n <= sizeof data; n += 13) {
        uint64_t before = ml_fingerprint(1, data, n);
        CHECK(before == ml_fingerprint(1, data, n));
        CHECK(before != ml_fingerprint(2, data, n));
        CHECK(n == sizeof data || before != ml_fingerprint(1, data, n + 1));
        for (size_t i = 0; i < n; i++)
            for (int bit = 0; bit < 8; bit++) {
                data[i] ^= (unsigned char)(1 << bit);
                CHECK(ml_fingerprint(1, data, n) != before);
                data[i] ^= (unsigned char)(1 << bit);
            }
    }
    // Two words change places: within a lane, and between two lanes.
    data[0] = 1;
    uint64_t first = ml_fingerprint(1, data, sizeof data);
    data[0] = 0, data[8] = 1;
    uint64_t second = ml_fingerprint(1, data, sizeof data);
    data[8] = 0, data[64] = 1;
    uint64_t third = ml_fingerprint(1, data, sizeof data);
    CHECK(first != second && second != third && first != third);
}

int main(void)
{
    setenv("MINILM_OVERSUBSCRIBE", "1", 1); // threads even on one core
    RUN(test_int8_sums);
    RUN(test_largest_sums);
    RUN(test_levels);
    RUN(test_matvec);
    RUN(test_logit_top);
    RUN(test_draw_weights);
    RUN(test_an_error_leaves_the_states);
    RUN(test_texts_end);
    RUN(test_any_number_of_threads);
    RUN(test_fingerprint);
    return check_report();
}
