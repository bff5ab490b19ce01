// ml_fail: what a message keeps when it fits, and when it does not.
#include "error.h"

#include "check.h"

static void test_message_ends_with_the_code(void)
{
    ml_error err = {0};
    int code = ml_fail(&err, ML_ERR_VALUE, "p: expected 0..1, got %g", 1.5);
    CHECK(code == ML_ERR_VALUE);
    CHECK(err.code == ML_ERR_VALUE);
    CHECK_STRING(err.message, "p: expected 0..1, got 1.5 [ML_ERR_VALUE]");
}

static void test_long_message_is_cut_before_the_code(void)
{
    char sentence[2 * sizeof((ml_error *)0)->message];
    memset(sentence, 'x', sizeof sentence - 1);
    sentence[sizeof sentence - 1] = '\0';

    ml_error err = {0};
    ml_fail(&err, ML_ERR_INTERRUPTED, "%s", sentence);
    const char *suffix = " [ML_ERR_INTERRUPTED]";
    size_t length = strlen(err.message);
    CHECK(length == sizeof err.message - 1);
    CHECK_STRING(err.message + length - strlen(suffix), suffix);
}

static void test_every_code_has_a_name(void)
{
    for (int code = ML_ERR_INTERRUPTED; code <= ML_OK; code++) {
        CHECK(strcmp(ml_error_name(code), "ML_ERR_UNKNOWN") != 0);
    }
    CHECK_STRING(ml_error_name(1), "ML_ERR_UNKNOWN");
}

int main(void)
{
    RUN(test_message_ends_with_the_code);
    RUN(test_long_message_is_cut_before_the_code);
    RUN(test_every_code_has_a_name);
    return check_report();
}
