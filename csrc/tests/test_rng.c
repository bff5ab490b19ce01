// Philox4x32-10 against the known answers of its authors, and the numbers made from its words.
#include "rng.h"

#include "check.h"

static void test_known_answers(void)
{
    // kat_vectors of Random123, https://github.com/DEShawResearch/random123: the last row's key and
    // counter are the digits of pi.
    static const struct {
        uint32_t counter[4], key[2], words[4];
    } answers[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        uint32_t words[4];
        ml_philox4x32(answers[i].counter, answers[i].key, words);
        CHECK(memcmp(words, answers[i].words, sizeof words) == 0);
    }
}

static void test_seed_is_the_key_and_the_rest_the_counter(void)
{
    uint32_t words[4];
    static const uint32_t pi[4] = {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1};
    ml_philox(0x299f31d0a4093822u, 0x0370734413198a2eu, 0x85a308d3243f6a88u, words);
    CHECK(memcmp(words, pi, sizeof words) == 0);
}

static void test_output_may_be_the_counter(void)
{
    uint32_t block[4] = {0};
    static const uint32_t key[2] = {0};
    ml_philox4x32(block, key, block);
    CHECK(block[0] == 0x6627e8d5 && block[3] == 0x9b00dbd8);
}

static void test_uniform_stays_below_one(void)
{
    CHECK(ml_uniform24(0) == 0.0f);
    CHECK(ml_uniform24(UINT32_MAX) < 1.0f);
    CHECK(ml_uniform24(UINT32_MAX) == 1.0f - 0x1p-24f);
    CHECK(ml_uniform53(0, 0) == 0.0);
    CHECK(ml_uniform53(UINT32_MAX, UINT32_MAX) == 1.0 - 0x1p-53);
}

static void test_uniform_moments(void)
{
    enum { BLOCKS = 25000 };
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        uint32_t words[4];
        ml_philox(1234, 5, i, words);
        for (int j = 0; j < 4; j++) {
            double u = ml_uniform24(words[j]);
            sum += u;
            squares += u * u;
        }
    }
    // Five standard deviations of the two means over 100,000 numbers.
    CHECK_CLOSE(sum / (4 * BLOCKS), 0.5, 5 * 0.2887 / 316.2);
    CHECK_CLOSE(squares / (4 * BLOCKS), 1.0 / 3, 5 * 0.2981 / 316.2);
}

int main(void)
{
    RUN(test_known_answers);
    RUN(test_seed_is_the_key_and_the_rest_the_counter);
    RUN(test_output_may_be_the_counter);
    RUN(test_uniform_stays_below_one);
    RUN(test_uniform_moments);
    return check_report();
}
