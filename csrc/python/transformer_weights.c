// Making a _core.Decoder of a transformer's weights.
#include "decode_object.h"

const char ml_decoder_transformer_doc[] = PyDoc_STR(
    "transformer($type, embedding, blocks, norm, head, positions, heads, kv_heads,\n"
    "            head_size, inner, gated, activation, rms, eps, position_embedding=None,\n"
    "            frequencies=None, int8=False)\n--\n\n"
    "Pack the weights of GPT-2 or Llama. All matrices are (out, in), float32.\n\n"
    "Parameters\n----------\n"
    "embedding : ndarray\n    (vocab, width).\n"
    "blocks : tuple\n"
    "    For each block (norm_1, norm_1_bias, qkv, qkv_bias, out, out_bias, norm_2,\n"
    "    norm_2_bias, inner, inner_bias, down, down_bias, scale): qkv\n"
    "    ((heads + 2 kv_heads) head_size, width), out (width, heads head_size), inner\n"
    "    (inner, width), or with a gate before it (2 inner, width), down (width, inner);\n"
    "    biases may be None; scale multiplies the scores.\n"
    "norm : tuple\n    (weight, bias or None) of the last norm.\n"
    "head : ndarray or None\n    (vocab, width); None: the embedding.\n"
    "positions : int\n    The longest text.\n"
    "heads, kv_heads, head_size, inner : int\n    Sizes.\n"
    "gated : bool\n    Whether the MLP has a gate.\n"
    "activation : int\n    Of the MLP, from `ACTIVATIONS`.\n"
    "rms : bool\n    RMSNorm instead of LayerNorm.\n"
    "eps : float\n    Of all norms.\n"
    "position_embedding : ndarray or None\n    (positions, width), added to the tokens'.\n"
    "frequencies : ndarray or None\n"
    "    (head_size / 2,): radians a position, of rotary positions.\n"
    "int8 : bool\n    Round every row of every matrix to 255 levels.\n");

typedef struct new_call {
    ml_transformer_model model;
    int int8;
    ml_decoder *decoder;
} new_call;

static int run_new(void *ctx, ml_error *err)
{
    new_call *call = ctx;
    return ml_transformer_decoder_new(&call->decoder, &call->model, call->int8, err);
}

// An array of a block, or of the model; rows 0: of one axis.
typedef struct array_spec {
    const char *name;
    size_t rows, columns;
    int optional;
    const float **into;
} array_spec;

static int take(PyObject *alive, PyObject *object, const array_spec *spec)
{
    size_t matrix[2] = {spec->rows, spec->columns}, vector[1] = {spec->columns};
    const int ndim = spec->rows > 0 ? 2 : 1;
    return ml_take_weight(alive, object, spec->name, ndim, ndim == 2 ? matrix : vector,
                          spec->optional, spec->into);
}

enum { BLOCK_ARRAYS = 12 };

static int take_block(PyObject *alive, PyObject *tuple, const ml_transformer_model *m,
                      ml_block_weights *w)
{
    const size_t C = m->width, M = m->inner, mixed = m->heads * m->size;
    const size_t qkv = mixed + 2 * m->groups * m->size, inner = m->gated ? 2 * M : M;
    const array_spec specs[BLOCK_ARRAYS] = {
        {"norm_1", 0, C, 0, &w->norm_1},   {"norm_1_bias", 0, C, 1, &w->norm_1_bias},
        {"qkv", qkv, C, 0, &w->qkv},       {"qkv_bias", 0, qkv, 1, &w->qkv_bias},
        {"out", C, mixed, 0, &w->out},     {"out_bias", 0, C, 1, &w->out_bias},
        {"norm_2", 0, C, 0, &w->norm_2},   {"norm_2_bias", 0, C, 1, &w->norm_2_bias},
        {"inner", inner, C, 0, &w->inner}, {"inner_bias", 0, inner, 1, &w->inner_bias},
        {"down", C, M, 0, &w->down},       {"down_bias", 0, C, 1, &w->down_bias},
    };
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != BLOCK_ARRAYS + 1) {
        PyErr_Format(PyExc_TypeError, "blocks: expected tuples of %d, got %R", BLOCK_ARRAYS + 1,
                     (PyObject *)Py_TYPE(tuple));
        return -1;
    }
    for (Py_ssize_t i = 0; i < BLOCK_ARRAYS; i++)
        if (take(alive, PyTuple_GET_ITEM(tuple, i), &specs[i]) != 0)
            return -1;
    w->scale = PyFloat_AsDouble(PyTuple_GET_ITEM(tuple, BLOCK_ARRAYS));
    return PyErr_Occurred() ? -1 : 0;
}

typedef struct new_arguments {
    PyObject *embedding, *blocks, *norm, *norm_bias, *head, *position, *frequencies;
} new_arguments;

// Reads all weights and packs them; `block` has room for all blocks. 0, or -1 with an exception.
static int pack_all(PyObject *alive, new_call *call, const new_arguments *arguments,
                    ml_block_weights *block)
{
    ml_transformer_model *m = &call->model;
    size_t table[2] = {0, 0};
    if (ml_take_weight(alive, arguments->embedding, "embedding", 2, table, 0, &m->embedding) != 0)
        return -1;
    m->vocab = table[0];
    m->width = table[1];
    m->block = block;
    const array_spec norm = {"norm", 0, m->width, 0, &m->norm};
    const array_spec norm_bias = {"norm bias", 0, m->width, 1, &m->norm_bias};
    const array_spec head = {"head", m->vocab, m->width, 1, &m->head};
    const array_spec position = {"position_embedding", m->positions, m->width, 1, &m->position};
    const array_spec frequencies = {"frequencies", 0, m->size / 2, 1, &m->frequencies};
    if (take(alive, arguments->norm, &norm) != 0 ||
        take(alive, arguments->norm_bias, &norm_bias) != 0 ||
        take(alive, arguments->head, &head) != 0 ||
        take(alive, arguments->position, &position) != 0 ||
        take(alive, arguments->frequencies, &frequencies) != 0)
        return -1;
    for (size_t l = 0; l < m->layers; l++)
        if (take_block(alive, PyTuple_GET_ITEM(arguments->blocks, (Py_ssize_t)l), m, &block[l]) !=
            0)
            return -1;
    ml_error err;
    return ml_without_gil(run_new, call, &err) == ML_OK ? 0 : ml_raise(&err);
}

// A size, of at least 1, for O&.
static int to_size(PyObject *object, void *size)
{
    size_t value = PyLong_AsSize_t(object);
    if (value == (size_t)-1 && PyErr_Occurred())
        return 0;
    if (value == 0) {
        PyErr_SetString(PyExc_ValueError, "a transformer's sizes are at least 1, got 0");
        return 0;
    }
    *(size_t *)size = value;
    return 1;
}

PyObject *ml_decoder_transformer(PyObject *type, PyObject *args, PyObject *kwargs)
{
    new_call call = {0};
    ml_transformer_model *m = &call.model;
    new_arguments a = {.position = Py_None, .frequencies = Py_None};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OO!(OO)OO&O&O&O&O&pipd|OOp:transformer",
            ML_NAMES("embedding", "blocks", "norm", "head", "positions", "heads", "kv_heads",
                     "head_size", "inner", "gated", "activation", "rms", "eps",
                     "position_embedding", "frequencies", "int8"),
            &a.embedding, &PyTuple_Type, &a.blocks, &a.norm, &a.norm_bias, &a.head, to_size,
            &m->positions, to_size, &m->heads, to_size, &m->groups, to_size, &m->size, to_size,
            &m->inner, &m->gated, &m->function, &m->rms, &m->eps, &a.position, &a.frequencies,
            &call.int8))
        return NULL;
    m->layers = (size_t)PyTuple_GET_SIZE(a.blocks);
    PyObject *self = NULL, *alive = PyList_New(0);
    ml_block_weights *block = PyMem_Calloc(m->layers, sizeof *block);
    if (block == NULL)
        PyErr_NoMemory();
    if (alive != NULL && block != NULL && pack_all(alive, &call, &a, block) == 0)
        self = ml_wrap_decoder((PyTypeObject *)type, call.decoder);
    PyMem_Free(block);
    Py_XDECREF(alive);
    return self;
}
