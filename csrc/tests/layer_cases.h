// The table of cases: a few rows for each kind of layer, with sizes that are small, odd, and just
// beyond what a vector, a register tile or a chunk holds.
#ifndef LAYER_CASES_H
#define LAYER_CASES_H

#include "layer_case.h"

// Run as each recurrent kind; what a kind has no place for (c_0) is left out: the inputs are x, h_0,
// c_0, ids, starts. The axes of x are (time, batch, features), or (batch, time, features) with batch_first.
static const layer_case recurrent_cases[] = {
    {.name = "all sizes 1",
     .setting = {{"input_size", 1}, {"hidden_size", 1}},
     .input = {AXES(1, 1, 1)}},
    {.name = "plain", .setting = {{"input_size", 3}, {"hidden_size", 7}}, .input = {AXES(5, 2, 3)}},
    {.name = "one step",
     .setting = {{"input_size", 3}, {"hidden_size", 5}},
     .input = {AXES(1, 4, 3), AXES(1, 4, 5), AXES(1, 4, 5)}},
    {.name = "more rows than a tile, more units than a panel",
     .setting = {{"input_size", 2}, {"hidden_size", 17}},
     .input = {AXES(3, 7, 2)}},
    {.name = "no bias",
     .setting = {{"input_size", 3}, {"hidden_size", 5}, {"bias", 0}},
     .input = {AXES(4, 3, 3)}},
    {.name = "batch first",
     .setting = {{"input_size", 4}, {"hidden_size", 5}, {"batch_first", 1}},
     .input = {AXES(3, 5, 4)}},
    {.name = "batch first, batch 1",
     .setting = {{"input_size", 4}, {"hidden_size", 5}, {"batch_first", 1}},
     .input = {AXES(1, 6, 4), AXES(1, 1, 5), AXES(1, 1, 5)}},
    {.name = "both directions",
     .setting = {{"input_size", 3}, {"hidden_size", 5}, {"bidirectional", 1}},
     .input = {AXES(4, 3, 3), AXES(2, 3, 5), AXES(2, 3, 5)}},
    {.name = "three layers, initial states",
     .setting = {{"input_size", 3}, {"hidden_size", 5}, {"num_layers", 3}},
     .input = {AXES(4, 2, 3), AXES(3, 2, 5), AXES(3, 2, 5)}},
    {.name = "two layers, wide input",
     .setting = {{"input_size", 9}, {"hidden_size", 2}, {"num_layers", 2}},
     .input = {AXES(4, 2, 9)}},
    {.name = "dropout between layers",
     .setting = {{"input_size", 3}, {"hidden_size", 5}, {"num_layers", 3}, {"dropout", 0.4}},
     .input = {AXES(5, 3, 3)},
     .training = 1},
    {.name = "dropout of everything",
     .setting = {{"input_size", 3}, {"hidden_size", 4}, {"num_layers", 2}, {"dropout", 1}},
     .input = {AXES(3, 2, 3)},
     .training = 1},
    {.name = "no dropout outside training",
     .setting = {{"input_size", 3}, {"hidden_size", 5}, {"num_layers", 2}, {"dropout", 0.4}},
     .input = {AXES(4, 2, 3)}},
    {.name = "ids and a table",
     .setting = {{"input_size", 3}, {"hidden_size", 5}},
     .input = {AXES(4, 3), [3] = AXES(6, 3)},
     .classes = 4},
    {.name = "ids in both directions, initial states",
     .setting = {{"input_size", 2},
                 {"hidden_size", 3},
                 {"num_layers", 2},
                 {"batch_first", 1},
                 {"bidirectional", 1}},
     .input = {AXES(7, 2), AXES(4, 3, 3), AXES(4, 3, 3), AXES(3, 4)},
     .classes = 7},
    {.name = "starts, from 0",
     .setting = {{"input_size", 3}, {"hidden_size", 7}},
     .input = {AXES(6, 3, 3), [4] = AXES(6, 3)},
     .classes = 2},
    {.name = "starts, one step",
     .setting = {{"input_size", 3}, {"hidden_size", 5}},
     .input = {AXES(1, 4, 3), AXES(1, 4, 5), AXES(1, 4, 5), [4] = AXES(1, 4)},
     .classes = 2},
    {.name = "starts and ids, initial states, two layers with dropout",
     .setting = {{"input_size", 3},
                 {"hidden_size", 5},
                 {"num_layers", 2},
                 {"batch_first", 1},
                 {"dropout", 0.3}},
     .input = {AXES(2, 3), AXES(2, 7, 5), AXES(2, 7, 5), AXES(7, 5), AXES(7, 5)},
     .classes = 2,
     .training = 1},
    {.name = "everything at once",
     .setting = {{"input_size", 3},
                 {"hidden_size", 5},
                 {"num_layers", 2},
                 {"batch_first", 1},
                 {"bidirectional", 1},
                 {"dropout", 0.3}},
     .input = {AXES(3, 4, 3), AXES(4, 3, 5), AXES(4, 3, 5)},
     .training = 1},
};

// Both of a loss's own settings and its class weights.
#define LOSS_SETTINGS {"label_smoothing", 0.2}, {"ignore_index", -7}

static const layer_case other_cases[] = {
    {.name = "one id",
     .kind = "embedding",
     .setting = {{"num_embeddings", 1}, {"embedding_dim", 1}},
     .input = {AXES(1)},
     .classes = 1},
    {.name = "repeated ids",
     .kind = "embedding",
     .setting = {{"num_embeddings", 7}, {"embedding_dim", 5}},
     .input = {AXES(3, 11)},
     .classes = 7},

    {.name = "one number",
     .kind = "linear",
     .setting = {{"in_features", 1}, {"out_features", 1}},
     .input = {AXES(1)}},
    {.name = "four axes",
     .kind = "linear",
     .setting = {{"in_features", 5}, {"out_features", 17}},
     .input = {AXES(2, 1, 7, 5)}},
    {.name = "no bias",
     .kind = "linear",
     .setting = {{"in_features", 9}, {"out_features", 3}, {"bias", 0}},
     .input = {AXES(13, 9)}},
    {.name = "transposed",
     .kind = "linear",
     .setting = {{"in_features", 5}, {"out_features", 17}, {"transposed", 1}},
     .input = {AXES(2, 7, 5)}},

    {.name = "training",
     .kind = "dropout",
     .setting = {{"p", 0.3}},
     .input = {AXES(9, 31)},
     .training = 1},
    {.name = "everything",
     .kind = "dropout",
     .setting = {{"p", 1}},
     .input = {AXES(5)},
     .training = 1},
    {.name = "outside training", .kind = "dropout", .setting = {{"p", 0.3}}, .input = {AXES(3, 5)}},

    {.name = "plain",
     .kind = "layernorm",
     .setting = {{"normalized_size", 17}},
     .input = {AXES(2, 3, 17)}},
    {.name = "large eps",
     .kind = "layernorm",
     .setting = {{"normalized_size", 3}, {"eps", 0.5}},
     .input = {AXES(7, 3)}},
    {.name = "no bias",
     .kind = "layernorm",
     .setting = {{"normalized_size", 5}, {"bias", 0}},
     .input = {AXES(5, 5)}},
    {.name = "no parameters",
     .kind = "layernorm",
     .setting = {{"normalized_size", 5}, {"affine", 0}},
     .input = {AXES(5)}},

    {.name = "plain",
     .kind = "rmsnorm",
     .setting = {{"normalized_size", 17}},
     .input = {AXES(2, 3, 17)}},
    {.name = "no parameters, large eps",
     .kind = "rmsnorm",
     .setting = {{"normalized_size", 5}, {"affine", 0}, {"eps", 0.5}},
     .input = {AXES(7, 5)}},

    {.name = "the same angles for all",
     .kind = "rotary",
     .input = {AXES(2, 3, 5, 6), AXES(1, 5, 3), AXES(1, 5, 3)}},
    {.name = "other angles for each sequence, a part of the head",
     .kind = "rotary",
     .setting = {{"heads_first", 0}},
     .input = {AXES(2, 5, 3, 7), AXES(2, 5, 2), AXES(2, 5, 2)}},

    {.name = "one key",
     .kind = "attention",
     .setting = {{"scale", 1}},
     .input = {AXES(1, 1, 1, 1), AXES(1, 1, 1, 1), AXES(1, 1, 1, 1)}},
    {.name = "causal, more queries than a block",
     .kind = "attention",
     .setting = {{"scale", 0.5}, {"causal", 1}},
     .input = {AXES(1, 2, 67, 2), AXES(1, 2, 67, 2), AXES(1, 2, 67, 3)}},
    {.name = "more keys than a block, seen up to the last",
     .kind = "attention",
     .setting = {{"scale", 0.5}, {"causal", 1}, {"aligned_to_end", 1}, {"heads_first", 0}},
     .input = {AXES(2, 7, 2, 3), AXES(2, 67, 1, 3), AXES(2, 67, 1, 2)}},
    {.name = "fewer keys than queries, masked, with probabilities",
     .kind = "attention",
     .setting = {{"scale", 0.5}, {"causal", 1}, {"aligned_to_end", 1}, {"need_weights", 1}},
     .input = {AXES(1, 2, 9, 3), AXES(1, 2, 7, 3), AXES(1, 2, 7, 5), AXES(1, 7)},
     .classes = 2},
    {.name = "all in one array, with dropout",
     .kind = "attention",
     .setting = {{"scale", 0.5}, {"heads_first", 0}, {"packed_kv_heads", 2}, {"dropout", 0.3}},
     .input = {AXES(2, 5, 8, 3)},
     .training = 1},
    {.name = "probabilities with dropout",
     .kind = "attention",
     .setting = {{"scale", 0.5}, {"need_weights", 1}, {"dropout", 0.3}},
     .input = {AXES(1, 2, 5, 3), AXES(1, 1, 7, 3), AXES(1, 1, 7, 3)},
     .training = 1},

    {.name = "tanh",
     .kind = "activation",
     .setting = {{"function", ML_TANH}},
     .input = {AXES(5, 7)}},
    {.name = "sigmoid",
     .kind = "activation",
     .setting = {{"function", ML_SIGMOID}},
     .input = {AXES(5, 7)}},
    {.name = "relu",
     .kind = "activation",
     .setting = {{"function", ML_RELU}},
     .input = {AXES(5, 7)}},
    {.name = "gelu",
     .kind = "activation",
     .setting = {{"function", ML_GELU}},
     .input = {AXES(5, 7)}},
    {.name = "gelu_tanh",
     .kind = "activation",
     .setting = {{"function", ML_GELU_TANH}},
     .input = {AXES(5, 7)}},
    {.name = "silu",
     .kind = "activation",
     .setting = {{"function", ML_SILU}},
     .input = {AXES(5, 7)}},

    {.name = "mean", .kind = "cross_entropy", .input = {AXES(7, 5), AXES(7)}, .classes = 5},
    {.name = "sum, all settings",
     .kind = "cross_entropy",
     .setting = {LOSS_SETTINGS, {"reduction", ML_REDUCE_SUM}},
     .input = {AXES(11, 17), AXES(11), AXES(17)},
     .classes = 17,
     .ignored = -7},
    {.name = "each row, all settings",
     .kind = "cross_entropy",
     .setting = {LOSS_SETTINGS, {"reduction", ML_REDUCE_NONE}},
     .input = {AXES(11, 3), AXES(11), AXES(3)},
     .classes = 3,
     .ignored = -7},
    {.name = "mean, all settings",
     .kind = "cross_entropy",
     .setting = {LOSS_SETTINGS},
     .input = {AXES(11, 6), AXES(11), AXES(6)},
     .classes = 6,
     .ignored = -7},
    {.name = "one class", .kind = "cross_entropy", .input = {AXES(3, 1), AXES(3)}, .classes = 1},

    {.name = "mean",
     .kind = "linear_cross_entropy",
     .setting = {{"in_features", 3}, {"out_features", 5}},
     .input = {AXES(7, 3), AXES(7)},
     .classes = 5},
    {.name = "mean, all settings",
     .kind = "linear_cross_entropy",
     .setting = {{"in_features", 3}, {"out_features", 17}, LOSS_SETTINGS},
     .input = {AXES(11, 3), AXES(11), AXES(17)},
     .classes = 17,
     .ignored = -7},
    {.name = "sum, several chunks, no bias",
     .kind = "linear_cross_entropy",
     .setting =
         {{"in_features", 1}, {"out_features", 3}, {"bias", 0}, {"reduction", ML_REDUCE_SUM}},
     .input = {AXES(1025, 1), AXES(1025)},
     .classes = 3},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static inline void run_recurrent_cases(const char *kind, int relu,
                                       void (*check)(const layer_case *c))
{
    for (size_t i = 0; i < COUNT(recurrent_cases); i++) {
        layer_case c = recurrent_cases[i];
        size_t settings = 0;
        while (c.setting[settings].name != NULL)
            settings++;
        c.kind = kind;
        if (strcmp(kind, "lstm") != 0) { // no c_0: ids and starts come in its place
            c.input[2] = c.input[3];
            c.input[3] = c.input[4];
            c.input[4] = (ml_array){.ndim = 0};
        }
        if (relu) {
            c.setting[settings].name = "relu";
            c.setting[settings].value = 1;
        }
        check(&c);
    }
}

// Calls check for every case of every kind.
static inline void for_each_case(void (*check)(const layer_case *c))
{
    run_recurrent_cases("rnn", 0, check);
    run_recurrent_cases("rnn", 1, check);
    run_recurrent_cases("lstm", 0, check);
    run_recurrent_cases("gru", 0, check);
    run_recurrent_cases("mingru", 0, check);
    run_recurrent_cases("minlstm", 0, check);
    for (size_t i = 0; i < COUNT(other_cases); i++)
        check(&other_cases[i]);
}

#endif
