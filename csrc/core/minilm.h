// The public header of the core: everything that a program outside this folder needs, in reading
// order. Each header documents what it declares.
//
// A layer is called in three steps. The caller owns all memory; the layer says how much:
//
//     const ml_layer *layer = ml_layer_find("linear");
//     ml_config_init(layer, config);                          // then ml_config_set, layer->check
//     call.layer = layer, call.config = config, call.input[0] = x;
//     layer->prepare(&call, &err);                            // shapes of outputs, bytes of memory
//     call.output[0].data = ..., call.saved = ..., call.workspace = ..., call.param = ...;
//     layer->forward(&call, &err);
//     call.grad_output[0] = ..., call.grad_input[0] = ..., call.grad_param = ...;
//     call.workspace = ...;
//     layer->backward(&call, &err);
#ifndef ML_MINILM_H
#define ML_MINILM_H

// Error codes, and messages for people.
#include "error.h"

// The number type: float, or double in the build that checks gradients.
#include "real.h"

// What a layer is, the table of all kinds, and the call above.
#include "layer.h"

// Numbers of the functions that the layer "activation" computes.
#include "activation.h"

// Numbers of the reductions that the losses know.
#include "cross_entropy.h"

// SGD, Adam, Adagrad, RMSprop, and clipping of gradients.
#include "optim.h"

// The next token from a row of logits.
#include "sample.h"

// Writing: packed weights, and the loop over tokens.
#include "decode.h"

// The weights of recurrent models and of transformers, to be packed.
#include "decode_recurrent.h"
#include "decode_transformer.h"

// The n-gram model that neural models are compared with.
#include "ngram.h"

// Random numbers without state.
#include "rng.h"

// The matrix product.
#include "gemm.h"

// Threads: regions, teams, barriers.
#include "pool.h"

// Buffers that are kept between calls.
#include "workspace.h"

#endif
