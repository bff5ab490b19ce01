// What a layer is: a constant table entry that says what it takes, what it makes, what memory it
// needs, and how to run it forward and backward over a whole sequence in one call.
//
// A new kind of layer is one C file that ends in such an entry, and one line in layers.def.
#ifndef ML_LAYER_H
#define ML_LAYER_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "real.h"

enum { ML_MAX_DIMS = 8, ML_MAX_INPUTS = 5, ML_MAX_OUTPUTS = 3, ML_NAME_SIZE = 32 };

// ---- configuration ----------------------------------------------------------------------------

typedef enum { ML_FIELD_SIZE, ML_FIELD_INT, ML_FIELD_FLAG, ML_FIELD_REAL } ml_field_type;

// One setting: SIZE is a size_t of at least 1, INT an int64_t, FLAG an int that is 0 or 1, REAL a
// double. It lies `offset` bytes into the layer's configuration structure.
typedef struct ml_field {
    const char *name;
    ml_field_type type;
    size_t offset;
    int required;
    double preset; // the value when it is not given
} ml_field;

#define ML_REQUIRED(type, struct_type, member) {#member, type, offsetof(struct_type, member), 1, 0}
#define ML_OPTIONAL(type, struct_type, member, preset)                                             \
    {#member, type, offsetof(struct_type, member), 0, preset}
#define ML_FIELDS_END {NULL, ML_FIELD_INT, 0, 0, 0}

// ---- arrays -----------------------------------------------------------------------------------

typedef enum { ML_REALS, ML_IDS } ml_dtype; // ml_real, int64_t

// A dense row-major array that the caller owns. data NULL: not given, or not wanted.
typedef struct ml_array {
    void *data;
    int ndim;
    size_t shape[ML_MAX_DIMS];
} ml_array;

// A place where an array goes in or comes out; `axes` is for people: "(batch, time, input_size)".
typedef struct ml_port {
    const char *name;
    const char *axes;
    ml_dtype dtype;
    int optional;
    int constant; // an input that no gradient goes to, as none goes to ids
} ml_port;

// A parameter with PyTorch's name.
typedef struct ml_param_spec {
    char name[ML_NAME_SIZE];
    int ndim;
    size_t shape[2];
} ml_param_spec;

// ---- a call -----------------------------------------------------------------------------------

// Everything one run of a layer reads and writes. The caller fills it in two steps: config, input
// shapes and switches; then, after `prepare` has answered, memory.
typedef struct ml_call {
    const struct ml_layer *layer;
    const void *config;
    int training;    // dropout acts
    int need_grad;   // a backward will follow: forward leaves what it needs in `saved`
    uint64_t seed;   // of random masks,
    uint64_t stream; // and which of its streams

    ml_array input[ML_MAX_INPUTS];
    ml_array output[ML_MAX_OUTPUTS];      // shapes from prepare
    const ml_array *param;                // in the order of `describe`
    ml_array grad_output[ML_MAX_OUTPUTS]; // data NULL: zero
    ml_array grad_input[ML_MAX_INPUTS];   // data NULL: not wanted; else overwritten
    ml_array *grad_param;                 // data NULL: not wanted
    const unsigned char *accumulate;      // one a parameter: add to grad_param, or overwrite

    size_t saved_size, forward_size, backward_size; // bytes, from prepare
    void *saved;     // saved_size bytes, from forward to backward, not changed by backward
    void *workspace; // forward_size or backward_size bytes, contents arbitrary
} ml_call;

typedef struct ml_layer {
    const char *name;
    size_t config_size;
    const ml_field *fields; // ended by ML_FIELDS_END
    size_t inputs, outputs;
    ml_port input[ML_MAX_INPUTS];
    ml_port output[ML_MAX_OUTPUTS];

    const void *family; // what layers of one family share code by (an ml_cell), or NULL

    // Checks what the fields' types do not: ranges and combinations. May be NULL.
    int (*check)(const void *config, ml_error *err);
    // Number of parameters; may be NULL for a layer that has none.
    size_t (*param_count)(const void *config);
    // Name and shape of parameter `index`.
    void (*describe)(const struct ml_layer *layer, const void *config, size_t index,
                     ml_param_spec *param);
    // Checks the shapes (and ids) of the inputs; sets the outputs' shapes and the three sizes.
    int (*prepare)(ml_call *call, ml_error *err);
    int (*forward)(ml_call *call, ml_error *err);
    int (*backward)(ml_call *call, ml_error *err);
} ml_layer;

// ---- the table --------------------------------------------------------------------------------

// All kinds, ended by NULL.
const ml_layer *const *ml_layers(void);

// NULL when there is no such kind.
const ml_layer *ml_layer_find(const char *name);

// NULL, or what is missing in a table entry (a backward, a port's name): tests call it for each.
const char *ml_layer_incomplete(const ml_layer *layer);

// Fills a configuration with the presets.
void ml_config_init(const ml_layer *layer, void *config);

// Sets one field by name; ML_ERR_VALUE when there is no such field or the value is not of its type.
int ml_config_set(const ml_layer *layer, void *config, const char *name, double value,
                  ml_error *err);

// The value of a field.
double ml_config_get(const ml_field *field, const void *config);

// ---- helpers of layers ------------------------------------------------------------------------

// Numbers in an array.
size_t ml_array_size(const ml_array *array);

// "(2, 3)" into text, for messages.
const char *ml_shape_text(const ml_array *array, char *text, size_t size);

// Copies ndim and shape.
void ml_same_shape(ml_array *to, const ml_array *from);

// ML_ERR_INDEX when an id is outside 0 .. limit - 1: value, position with axes, range. `also`: one
// more value that is allowed (an index to ignore); pass 0 for none.
int ml_check_ids(const ml_array *ids, const char *name, size_t limit, int64_t also, ml_error *err);

// x = 0, or nothing when it is to be added to.
void ml_clear(ml_array *array);

#endif
