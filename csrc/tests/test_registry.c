// The table of layers, their settings, and what they refuse.
#include "minilm.h"

#include <stdlib.h>

#include "check.h"

// Settings of any layer, as the caller holds them.
typedef union settings {
    double align;
    char bytes[256];
} settings;

static const ml_layer *find(const char *kind)
{
    const ml_layer *layer = ml_layer_find(kind);
    if (layer == NULL || layer->config_size > sizeof(settings))
        abort();
    return layer;
}

// ---- the table -----------------------------------------------------------------------------------

static void test_every_entry_is_complete(void)
{
    size_t n = 0;
    for (const ml_layer *const *layer = ml_layers(); *layer != NULL; layer++, n++) {
        const char *missing = ml_layer_incomplete(*layer);
        if (!CHECK(missing == NULL))
            fprintf(stderr, "    %s has no %s\n", (*layer)->name, missing);
        CHECK(ml_layer_find((*layer)->name) == *layer); // so names are unique
    }
    CHECK(n > 0);
    CHECK(ml_layer_find("") == NULL && ml_layer_find("LSTM") == NULL);
}

static int no_count(ml_call *call, ml_error *err)
{
    (void)call, (void)err;
    return ML_OK;
}

static void test_an_entry_that_lacks_something_is_noticed(void)
{
    const ml_layer linear = *find("linear");
    ml_layer broken = linear;
    broken.backward = NULL;
    CHECK_STRING(ml_layer_incomplete(&broken), "backward");
    broken = linear;
    broken.forward = NULL;
    CHECK_STRING(ml_layer_incomplete(&broken), "forward");
    broken = linear;
    broken.prepare = NULL;
    CHECK(ml_layer_incomplete(&broken) != NULL);
    broken = linear;
    broken.describe = NULL;
    CHECK_STRING(ml_layer_incomplete(&broken), "describe");
    broken = linear;
    broken.fields = NULL;
    CHECK_STRING(ml_layer_incomplete(&broken), "fields");
    broken = linear;
    broken.outputs = 0;
    CHECK_STRING(ml_layer_incomplete(&broken), "ports");
    broken = linear;
    broken.input[0].axes = NULL;
    CHECK_STRING(ml_layer_incomplete(&broken), "name of an input");
    broken = linear;
    broken.forward = no_count;
    CHECK(ml_layer_incomplete(&broken) == NULL);
}

static void test_parameters_have_names_of_their_own(void)
{
    const char *const kinds[] = {"rnn", "lstm", "gru"};
    for (size_t k = 0; k < 3; k++) {
        const ml_layer *layer = find(kinds[k]);
        settings config;
        ml_error err;
        ml_config_init(layer, &config);
        CHECK(ml_config_set(layer, &config, "input_size", 3, &err) == ML_OK);
        CHECK(ml_config_set(layer, &config, "hidden_size", 5, &err) == ML_OK);
        CHECK(ml_config_set(layer, &config, "num_layers", 12, &err) == ML_OK);
        CHECK(ml_config_set(layer, &config, "bidirectional", 1, &err) == ML_OK);
        enum { PARAMS = 12 * 2 * 4 };
        static ml_param_spec spec[PARAMS];
        if (!CHECK(layer->param_count(&config) == PARAMS))
            return;
        for (size_t i = 0; i < PARAMS; i++) {
            layer->describe(layer, &config, i, &spec[i]);
            CHECK(strlen(spec[i].name) > 0 && spec[i].ndim >= 1 && spec[i].ndim <= 2);
            for (size_t j = 0; j < i; j++)
                CHECK(strcmp(spec[i].name, spec[j].name) != 0);
        }
        CHECK_STRING(spec[0].name, "weight_ih_l0");
        CHECK_STRING(spec[7].name, "bias_hh_l0_reverse");
        CHECK_STRING(spec[PARAMS - 1].name, "bias_hh_l11_reverse");
        CHECK(spec[0].shape[1] == 3 &&
              spec[8].shape[1] == 10); // above the first layer: both directions
    }
}

// ---- settings ------------------------------------------------------------------------------------

static void test_presets(void)
{
    settings config;
    const ml_layer *lstm = find("lstm");
    ml_config_init(lstm, &config);
    for (const ml_field *field = lstm->fields; field->name != NULL; field++)
        CHECK(ml_config_get(field, &config) == field->preset);
}

static void test_settings_come_back(void)
{
    settings config;
    ml_error err;
    for (const ml_layer *const *layer = ml_layers(); *layer != NULL; layer++) {
        CHECK((*layer)->config_size <= sizeof config);
        ml_config_init(*layer, &config);
        for (const ml_field *field = (*layer)->fields; field->name != NULL; field++) {
            CHECK(ml_config_set(*layer, &config, field->name, 1, &err) == ML_OK);
            CHECK(ml_config_get(field, &config) == 1);
        }
        for (const ml_field *field = (*layer)->fields; field->name != NULL; field++)
            CHECK(ml_config_get(field, &config) == 1); // none lies over another
    }
}

// The message of a setting that is refused.
static const char *refusal(const char *kind, const char *name, double value)
{
    static ml_error err;
    settings config;
    const ml_layer *layer = find(kind);
    ml_config_init(layer, &config);
    err = (ml_error){0};
    CHECK(ml_config_set(layer, &config, name, value, &err) == ML_ERR_VALUE);
    return err.message;
}

static void test_an_elementwise_layer_has_no_parameters_of_the_state(void)
{
    const char *const kinds[] = {"mingru", "minlstm"};
    for (size_t k = 0; k < 2; k++)
        for (int bias = 0; bias < 2; bias++) {
            const ml_layer *layer = find(kinds[k]);
            settings config;
            ml_error err;
            ml_config_init(layer, &config);
            CHECK(ml_config_set(layer, &config, "input_size", 3, &err) == ML_OK);
            CHECK(ml_config_set(layer, &config, "hidden_size", 5, &err) == ML_OK);
            CHECK(ml_config_set(layer, &config, "bidirectional", 1, &err) == ML_OK);
            CHECK(ml_config_set(layer, &config, "bias", bias, &err) == ML_OK);
            if (!CHECK(layer->param_count(&config) == (bias ? 4 : 2)))
                return;
            ml_param_spec first, last;
            layer->describe(layer, &config, 0, &first);
            layer->describe(layer, &config, bias ? 3 : 1, &last);
            CHECK_STRING(first.name, "weight_ih_l0");
            CHECK(first.ndim == 2 && first.shape[0] == (2 + k) * 5 && first.shape[1] == 3);
            CHECK_STRING(last.name, bias ? "bias_ih_l0_reverse" : "weight_ih_l0_reverse");
        }
}

static void test_settings_of_the_wrong_type_are_refused(void)
{
    CHECK_STRING(
        refusal("linear", "in_featurs", 3),
        "linear has no setting 'in_featurs': expected one of in_features, out_features, bias, "
        "transposed [ML_ERR_VALUE]");
    const double sizes[] = {0, -1, 1.5, NAN, INFINITY, -INFINITY, 1e300, 0x1p60};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        CHECK(strstr(refusal("linear", "in_features", sizes[i]),
                     "linear: in_features: expected a whole number of at least 1, got ") != NULL);
    const double integers[] = {0.5, NAN, INFINITY, -1e300};
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        CHECK(strstr(refusal("embedding", "padding_idx", integers[i]), "expected a whole number") !=
              NULL);
    const double flags[] = {2, -1, 0.5, NAN};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        CHECK(strstr(refusal("gru", "bias", flags[i]), "expected True or False") != NULL);
    CHECK(strstr(refusal("dropout", "p", NAN), "got NaN") != NULL);
}

// The message of a layer's own check of its settings.
static const char *check_of(const char *kind, const char *name, double value)
{
    static ml_error err;
    settings config;
    const ml_layer *layer = find(kind);
    ml_config_init(layer, &config);
    for (const ml_field *field = layer->fields; field->name != NULL; field++)
        if (field->required)
            CHECK(ml_config_set(layer, &config, field->name, 3, &err) == ML_OK);
    CHECK(ml_config_set(layer, &config, name, value, &err) == ML_OK);
    return layer->check(&config, &err) == ML_ERR_VALUE ? err.message : "accepted";
}

static void test_settings_out_of_range_are_refused(void)
{
    CHECK(strstr(check_of("dropout", "p", 1.5), "expected a probability in 0..1, got 1.5") != NULL);
    CHECK(strstr(check_of("lstm", "dropout", -0.5), "expected a probability in 0..1, got -0.5") !=
          NULL);
    CHECK(strstr(check_of("embedding", "padding_idx", 3), "outside the table of 3 rows") != NULL);
    CHECK(strstr(check_of("activation", "function", -1), "expected 0..5, got -1") != NULL);
    CHECK(strstr(check_of("cross_entropy", "label_smoothing", 2), "0..1, got 2") != NULL);
    CHECK(strstr(check_of("cross_entropy", "reduction", 3), "expected 0..2, got 3") != NULL);
    CHECK(strstr(check_of("linear_cross_entropy", "reduction", ML_REDUCE_NONE), "mean or sum") !=
          NULL);
    CHECK_STRING(check_of("dropout", "p", 0.5), "accepted");
}

// ---- shapes and ids ------------------------------------------------------------------------------

// The message with which `prepare` refuses an input.
static const char *refused_input(const char *kind, ml_array input, int expected)
{
    static ml_error err;
    settings config;
    const ml_layer *layer = find(kind);
    ml_config_init(layer, &config);
    for (const ml_field *field = layer->fields; field->name != NULL; field++)
        if (field->required)
            CHECK(ml_config_set(layer, &config, field->name, 3, &err) == ML_OK);
    ml_call call = {.layer = layer, .config = &config, .input = {input}};
    err = (ml_error){0};
    CHECK(layer->prepare(&call, &err) == expected);
    return err.message;
}

static void test_wrong_shapes_are_refused(void)
{
    static ml_real x[100];
    const ml_array flat = {x, 1, {4}}, wide = {x, 3, {2, 3, 4}}, empty = {x, 3, {0, 2, 3}};
    const ml_array pair = {x, 2, {5, 7}};
    CHECK_STRING(refused_input("linear", flat, ML_ERR_SHAPE),
                 "linear: input: expected (..., in_features=3), got (4,) [ML_ERR_SHAPE]");
    CHECK_STRING(refused_input("lstm", wide, ML_ERR_SHAPE),
                 "lstm: input: expected (time, batch, input_size=3), got (2, 3, 4) [ML_ERR_SHAPE]");
    CHECK(strstr(refused_input("gru", empty, ML_ERR_SHAPE), "time of at least 1") != NULL);
    CHECK(strstr(refused_input("layernorm", pair, ML_ERR_SHAPE), "normalized_size=3") != NULL);
    CHECK(strstr(refused_input("linear_cross_entropy", pair, ML_ERR_SHAPE), "got (5, 7)") != NULL);
    CHECK(strstr(refused_input("cross_entropy", flat, ML_ERR_SHAPE), "(rows, classes)") != NULL);
}

static void test_a_sequence_that_no_memory_could_hold_is_refused(void)
{
    static ml_real x[1];
    const size_t time = (size_t)1 << 30, batch = (size_t)1 << 29;
    const ml_array sequence = {x, 3, {time, batch, 3}};
    const char *const kinds[] = {"rnn", "lstm", "gru", "mingru", "minlstm"};
    for (size_t i = 0; i < 5; i++)
        CHECK(strstr(refused_input(kinds[i], sequence, ML_ERR_OVERFLOW), kinds[i]) != NULL);
}

static void test_ids_outside_the_table_are_refused(void)
{
    int64_t id[6] = {0, 1, 2, 1, 0, 3};
    const ml_array ids = {id, 2, {2, 3}};
    CHECK_STRING(refused_input("embedding", ids, ML_ERR_INDEX),
                 "embedding: ids: id 3 at position (1, 2) is outside 0..2: encoded with another "
                 "vocabulary? [ML_ERR_INDEX]");
    id[0] = INT64_MIN;
    CHECK(strstr(refused_input("embedding", ids, ML_ERR_INDEX),
                 "id -9223372036854775808 at position (0, 0)") != NULL);
    ml_error err;
    const ml_array one = {id, 0, {0}};
    CHECK(ml_check_ids(&one, "x", 5, INT64_MIN, &err) == ML_OK); // the value that is allowed too
    CHECK(ml_check_ids(&one, "x", 5, 0, &err) == ML_ERR_INDEX);
}

static void test_shape_text(void)
{
    char text[40];
    CHECK_STRING(ml_shape_text(&(ml_array){.ndim = 0}, text, sizeof text), "()");
    CHECK_STRING(ml_shape_text(&(ml_array){.ndim = 1, .shape = {7}}, text, sizeof text), "(7,)");
    CHECK_STRING(ml_shape_text(&(ml_array){.ndim = 3, .shape = {2, 0, 5}}, text, sizeof text),
                 "(2, 0, 5)");
    const ml_array long_one = {.ndim = 4, .shape = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX}};
    for (size_t size = 1; size < sizeof text; size++)
        CHECK(strlen(ml_shape_text(&long_one, text, size)) < size); // cut, not run over
}

int main(void)
{
    RUN(test_every_entry_is_complete);
    RUN(test_an_entry_that_lacks_something_is_noticed);
    RUN(test_parameters_have_names_of_their_own);
    RUN(test_an_elementwise_layer_has_no_parameters_of_the_state);
    RUN(test_presets);
    RUN(test_settings_come_back);
    RUN(test_settings_of_the_wrong_type_are_refused);
    RUN(test_settings_out_of_range_are_refused);
    RUN(test_wrong_shapes_are_refused);
    RUN(test_a_sequence_that_no_memory_could_hold_is_refused);
    RUN(test_ids_outside_the_table_are_refused);
    RUN(test_shape_text);
    return check_report();
}
