// Making a _core.Decoder of a recurrent model's weights.
#include "decode_object.h"

int ml_take_weight(PyObject *alive, PyObject *object, const char *name, int ndim, size_t *shape,
                   int optional, const float **data)
{
    *data = NULL;
    if (optional && object == Py_None)
        return 0;
    PyArrayObject *array = ml_as_reals(object, name, ndim == 1 ? "(out,)" : "(out, in)");
    if (array == NULL)
        return -1;
    int code = PyList_Append(alive, (PyObject *)array);
    Py_DECREF(array);
    if (code != 0)
        return -1;
    if (PyArray_NDIM(array) == ndim)
        for (int i = 0; i < ndim; i++)
            if (shape[i] == 0)
                shape[i] = (size_t)PyArray_DIM(array, i);
    if (ml_check_array((PyObject *)array, name, ndim, shape, 0) == NULL)
        return -1;
    *data = PyArray_DATA(array);
    return 0;
}

PyObject *ml_wrap_decoder(PyTypeObject *type, ml_decoder *decoder)
{
    DecoderObject *self = (DecoderObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        ml_decoder_free(decoder);
    else
        self->decoder = decoder;
    return (PyObject *)self;
}

enum { LAYER_WEIGHTS = 4 };

static int is_minimal(const char *cell) { return strncmp(cell, "min", 3) == 0; }

static size_t gates_of(const char *cell)
{
    if (is_minimal(cell))
        return strcmp(cell, "mingru") == 0 ? 2 : 3;
    return strcmp(cell, "lstm") == 0 ? 4 : strcmp(cell, "gru") == 0 ? 3 : 1;
}

static int take_layer(PyObject *alive, PyObject *tuple, const char *cell, size_t inputs,
                      size_t hidden, ml_recurrent_weights *layer)
{
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const float **into[] = {&layer->weight_ih, &layer->weight_hh, &layer->bias_ih, &layer->bias_hh};
    if (!PyTuple_Check(tuple) || PyTuple_GET_SIZE(tuple) != LAYER_WEIGHTS) {
        PyErr_Format(PyExc_TypeError,
                     "layers: expected tuples (weight_ih, weight_hh, bias_ih, bias_hh), got %R",
                     (PyObject *)Py_TYPE(tuple));
        return -1;
    }
    for (int i = 0; i < LAYER_WEIGHTS; i++) {
        size_t shape[2] = {gates_of(cell) * hidden, i == 0 ? inputs : hidden};
        const int recurrent = i % 2 == 1;
        if (is_minimal(cell) && recurrent && PyTuple_GET_ITEM(tuple, i) == Py_None)
            continue;
        if (is_minimal(cell) && recurrent) {
            PyErr_Format(PyExc_ValueError, "%s: expected None: a %s has none", names[i], cell);
            return -1;
        }
        if (ml_take_weight(alive, PyTuple_GET_ITEM(tuple, i), names[i], i < 2 ? 2 : 1, shape,
                           i >= 2, into[i]) != 0)
            return -1;
    }
    return 0;
}

typedef struct new_call {
    ml_recurrent_model model;
    int int8;
    ml_decoder *decoder;
} new_call;

static int run_new(void *ctx, ml_error *err)
{
    new_call *call = ctx;
    return ml_recurrent_decoder_new(&call->decoder, &call->model, call->int8, err);
}

// Reads all weights and packs them; `layer` has room for all layers. 0, or -1 with an exception.
static int pack_all(PyObject *alive, new_call *call, PyObject *const objects[3], PyObject *layers,
                    ml_recurrent_weights *layer)
{
    ml_recurrent_model *w = &call->model;
    size_t table[2] = {0, 0};
    w->layers = (size_t)PyTuple_GET_SIZE(layers);
    w->layer = layer;
    if (ml_take_weight(alive, objects[0], "embedding", 2, table, 0, &w->embedding) != 0)
        return -1;
    w->vocab = table[0];
    w->embed = table[1];
    size_t head_shape[2] = {w->vocab, 0}, bias_shape[1] = {w->vocab};
    if (ml_take_weight(alive, objects[1], "head", 2, head_shape, 0, &w->head) != 0 ||
        ml_take_weight(alive, objects[2], "head_bias", 1, bias_shape, 1, &w->head_bias) != 0)
        return -1;
    w->hidden = head_shape[1];
    for (size_t l = 0; l < w->layers; l++)
        if (take_layer(alive, PyTuple_GET_ITEM(layers, (Py_ssize_t)l), w->cell,
                       l == 0 ? w->embed : w->hidden, w->hidden, &layer[l]) != 0)
            return -1;
    ml_error err;
    return ml_without_gil(run_new, call, &err) == ML_OK ? 0 : ml_raise(&err);
}

PyObject *ml_decoder_recurrent(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *objects[3], *layers; // embedding, head, head_bias
    new_call call = {0};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sOO!OO|p:Decoder",
            ML_NAMES("cell", "embedding", "layers", "head", "head_bias", "int8"), &call.model.cell,
            &objects[0], &PyTuple_Type, &layers, &objects[1], &objects[2], &call.int8))
        return NULL;
    PyObject *self = NULL, *alive = PyList_New(0);
    ml_recurrent_weights *layer = PyMem_Calloc((size_t)PyTuple_GET_SIZE(layers), sizeof *layer);
    if (layer == NULL)
        PyErr_NoMemory();
    if (alive != NULL && layer != NULL && pack_all(alive, &call, objects, layers, layer) == 0)
        self = ml_wrap_decoder(type, call.decoder);
    PyMem_Free(layer);
    Py_XDECREF(alive);
    return self;
}
