// _core.Decoder: a model's weights, packed for writing. It never changes, so any number of threads
// may use one; what changes, ids and states, is the caller's.
#include "functions.h"

// Multiply-adds between two looks at Ctrl-C: some milliseconds.
static const size_t SLICE = (size_t)1 << 26;

typedef struct DecoderObject {
    PyObject_HEAD
    ml_decoder *decoder;
    size_t vocab, hidden, layers, states; // states: 1, or 2 for an LSTM
} DecoderObject;

// ---- making one -------------------------------------------------------------------------------

enum { LAYER_WEIGHTS = 4 };

// The numbers of an array of this shape, which the list `alive` keeps; a size of 0 takes any, and is
// set. None gives NULL where that is allowed.
static int take_weight(PyObject *alive, PyObject *object, const char *name, int ndim, size_t *shape,
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

static int take_layer(PyObject *alive, PyObject *tuple, size_t gates, size_t inputs, size_t hidden,
                      ml_decoder_layer *layer)
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
        size_t shape[2] = {gates * hidden, i == 0 ? inputs : hidden};
        if (take_weight(alive, PyTuple_GET_ITEM(tuple, i), names[i], i < 2 ? 2 : 1, shape, i >= 2,
                        into[i]) != 0)
            return -1;
    }
    return 0;
}

typedef struct new_call {
    ml_decoder_weights weights;
    int int8;
    ml_decoder *decoder;
} new_call;

static int run_new(void *ctx, ml_error *err)
{
    new_call *call = ctx;
    return ml_decoder_new(&call->decoder, &call->weights, call->int8, err);
}

static size_t gates_of(const char *cell)
{
    return strcmp(cell, "lstm") == 0 ? 4 : strcmp(cell, "gru") == 0 ? 3 : 1;
}

// Reads all weights and packs them; `layer` has room for all layers. 0, or -1 with an exception.
static int pack_all(PyObject *alive, new_call *call, PyObject *const objects[3], PyObject *layers,
                    ml_decoder_layer *layer)
{
    ml_decoder_weights *w = &call->weights;
    size_t table[2] = {0, 0};
    w->layers = (size_t)PyTuple_GET_SIZE(layers);
    w->layer = layer;
    if (take_weight(alive, objects[0], "embedding", 2, table, 0, &w->embedding) != 0)
        return -1;
    w->vocab = table[0];
    w->embed = table[1];
    size_t head_shape[2] = {w->vocab, 0}, bias_shape[1] = {w->vocab};
    if (take_weight(alive, objects[1], "head", 2, head_shape, 0, &w->head) != 0 ||
        take_weight(alive, objects[2], "head_bias", 1, bias_shape, 1, &w->head_bias) != 0)
        return -1;
    w->hidden = head_shape[1];
    for (size_t l = 0; l < w->layers; l++)
        if (take_layer(alive, PyTuple_GET_ITEM(layers, (Py_ssize_t)l), gates_of(w->cell),
                       l == 0 ? w->embed : w->hidden, w->hidden, &layer[l]) != 0)
            return -1;
    ml_error err;
    return ml_without_gil(run_new, call, &err) == ML_OK ? 0 : ml_raise(&err);
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *objects[3], *layers; // embedding, head, head_bias
    new_call call = {0};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "sOO!OO|p:Decoder",
            ML_NAMES("cell", "embedding", "layers", "head", "head_bias", "int8"),
            &call.weights.cell, &objects[0], &PyTuple_Type, &layers, &objects[1], &objects[2],
            &call.int8))
        return NULL;
    DecoderObject *self = NULL;
    PyObject *alive = PyList_New(0);
    ml_decoder_layer *layer = PyMem_Calloc((size_t)PyTuple_GET_SIZE(layers), sizeof *layer);
    if (layer == NULL)
        PyErr_NoMemory();
    if (alive != NULL && layer != NULL && pack_all(alive, &call, objects, layers, layer) == 0) {
        self = (DecoderObject *)type->tp_alloc(type, 0);
        if (self == NULL) {
            ml_decoder_free(call.decoder);
        } else {
            self->decoder = call.decoder;
            self->vocab = call.weights.vocab;
            self->hidden = call.weights.hidden;
            self->layers = call.weights.layers;
            self->states = strcmp(call.weights.cell, "lstm") == 0 ? 2 : 1;
        }
    }
    PyMem_Free(layer);
    Py_XDECREF(alive);
    return (PyObject *)self;
}

static void decoder_dealloc(DecoderObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ml_decoder_free(self->decoder);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- ids and states ---------------------------------------------------------------------------

// Points `texts` to the caller's arrays, which are used in place. Borrows; -1 with an exception.
static int open_texts(const DecoderObject *self, PyObject *ids, PyObject *states, ml_texts *texts)
{
    if (!PyArray_Check(ids) || PyArray_TYPE((PyArrayObject *)ids) != NPY_INT64 ||
        PyArray_NDIM((PyArrayObject *)ids) != 2 || !PyArray_ISCARRAY((PyArrayObject *)ids)) {
        PyErr_SetString(PyExc_TypeError,
                        "ids: expected int64 (batch, time), contiguous and writable: it is used in "
                        "place");
        return -1;
    }
    texts->batch = (size_t)PyArray_DIM((PyArrayObject *)ids, 0);
    texts->row = (size_t)PyArray_DIM((PyArrayObject *)ids, 1);
    texts->ids = PyArray_DATA((PyArrayObject *)ids);
    if (!PyTuple_Check(states) || (size_t)PyTuple_GET_SIZE(states) != self->states) {
        PyErr_Format(PyExc_TypeError, "states: expected a tuple of %zu, got %R", self->states,
                     states);
        return -1;
    }
    const size_t shape[3] = {self->layers, texts->batch, self->hidden};
    float **into[] = {&texts->h, &texts->c};
    static const char *const names[] = {"h", "c"};
    for (size_t i = 0; i < self->states; i++) {
        PyArrayObject *state =
            ml_check_array(PyTuple_GET_ITEM(states, (Py_ssize_t)i), names[i], 3, shape, 1);
        if (state == NULL)
            return -1;
        *into[i] = PyArray_DATA(state);
    }
    return 0;
}

// Tokens of a slice.
static size_t slice_of(const DecoderObject *self, const ml_texts *texts)
{
    return 1 + SLICE / (1 + ml_decoder_work(self->decoder) * texts->batch);
}

typedef struct slice {
    const ml_decoder *decoder;
    ml_texts texts;
    ml_writing writing;
    size_t begin, end, written;
    float *logits;
} slice;

static int run_slice(int (*kernel)(void *ctx, ml_error *err), slice *s)
{
    ml_error err;
    if (ml_without_gil(kernel, s, &err) != ML_OK)
        return ml_raise(&err);
    return PyErr_CheckSignals();
}

// ---- reading ----------------------------------------------------------------------------------

PyDoc_STRVAR(read_doc,
             "read($self, ids, states, logits=True)\n--\n\n"
             "Read texts, going on from their states.\n\n"
             "Parameters\n----------\n"
             "ids : ndarray\n    Int64 (batch, time).\n"
             "states : tuple of ndarray\n"
             "    (h,), or (h, c) of an LSTM: float32 (layers, batch, hidden), changed in place.\n"
             "logits : bool\n    Whether they are wanted.\n\n"
             "Returns\n-------\n"
             "ndarray or None\n    Logits (batch, time, vocab).\n\n"
             "Raises\n------\n"
             "IndexError\n    For an id outside the vocabulary.\n");

static int read_slice(void *ctx, ml_error *err)
{
    slice *s = ctx;
    return ml_decoder_read(s->decoder, &s->texts, s->begin, s->end, s->logits, err);
}

static PyObject *decoder_read(DecoderObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *ids, *states;
    int wanted = 1;
    slice s = {.decoder = self->decoder};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:read", ML_NAMES("ids", "states", "logits"),
                                     &ids, &states, &wanted) ||
        open_texts(self, ids, states, &s.texts) != 0)
        return NULL;
    PyArrayObject *logits = NULL;
    if (wanted) {
        const size_t shape[3] = {s.texts.batch, s.texts.row, self->vocab};
        logits = ml_new_reals(3, shape);
        if (logits == NULL)
            return NULL;
        s.logits = PyArray_DATA(logits);
    }
    const size_t length = slice_of(self, &s.texts);
    for (; s.begin < s.texts.row; s.begin = s.end) {
        s.end = s.texts.row - s.begin > length ? s.begin + length : s.texts.row;
        if (run_slice(read_slice, &s) != 0) {
            Py_XDECREF(logits);
            return NULL;
        }
    }
    return logits != NULL ? (PyObject *)logits : Py_NewRef(Py_None);
}

// ---- writing ----------------------------------------------------------------------------------

PyDoc_STRVAR(
    write_doc,
    "write($self, ids, states, begin, end, temperature=1.0, top_k=0, top_p=1.0, seed=0, offset=0,\n"
    "      suppressed=None, end_id=-1, ended=None)\n--\n\n"
    "Write the ids at positions begin to end - 1, each drawn from what the model expects there.\n\n"
    "Parameters\n----------\n"
    "ids : ndarray\n    Int64 (batch, time), changed in place. The id before `begin` is read "
    "first.\n"
    "states : tuple of ndarray\n    As for `read`: after all ids but the last before `begin`.\n"
    "begin, end : int\n    Positions; begin > 0.\n"
    "temperature, top_k, top_p, seed, offset\n"
    "    As for `sample`; the next text takes the next seed, the next token the next offset.\n"
    "suppressed : ndarray\n    Int64 (n,): ids that are never written.\n"
    "end_id : int\n    A text ends with it and is filled up with it; -1: none.\n"
    "ended : ndarray\n    Uint8 (batch,), changed in place: 1 for a text that has ended.\n\n"
    "Returns\n-------\n"
    "int\n    Where it stopped: before `end` when all texts have ended.\n");

static int write_slice(void *ctx, ml_error *err)
{
    slice *s = ctx;
    return ml_decoder_write(s->decoder, &s->texts, &s->writing, s->begin, s->end, &s->written, err);
}

static int check_range(const slice *s, Py_ssize_t begin, Py_ssize_t end)
{
    if (begin >= 1 && begin <= end && (size_t)end <= s->texts.row)
        return 0;
    PyErr_Format(PyExc_ValueError, "begin, end: expected 1 <= begin <= end <= %zu, got %zd and %zd",
                 s->texts.row, begin, end);
    return -1;
}

// Ids that are never written, checked; the array is kept alive by the caller.
static int open_suppressed(const DecoderObject *self, PyArrayObject *ids, ml_writing *writing)
{
    writing->suppressed = PyArray_DATA(ids);
    writing->suppressions = (size_t)PyArray_SIZE(ids);
    for (size_t i = 0; i < writing->suppressions; i++)
        if (writing->suppressed[i] < 0 || (size_t)writing->suppressed[i] >= self->vocab) {
            PyErr_Format(PyExc_IndexError, "suppressed: expected ids 0 to %zu, got %lld",
                         self->vocab - 1, (long long)writing->suppressed[i]);
            return -1;
        }
    return 0;
}

static int open_ended(const slice *s, PyObject *ended, ml_writing *writing)
{
    if (writing->end_id < 0)
        return 0;
    if (!PyArray_Check(ended) || PyArray_TYPE((PyArrayObject *)ended) != NPY_UINT8 ||
        (size_t)PyArray_SIZE((PyArrayObject *)ended) != s->texts.batch ||
        !PyArray_ISCARRAY((PyArrayObject *)ended)) {
        PyErr_Format(PyExc_TypeError, "ended: expected uint8 (batch=%zu,), got %R", s->texts.batch,
                     ended);
        return -1;
    }
    writing->ended = PyArray_DATA((PyArrayObject *)ended);
    return 0;
}

// Writes slice by slice; returns where it stopped, or -1 with an exception.
static Py_ssize_t write_all(const DecoderObject *self, slice *s, size_t begin, size_t end)
{
    const size_t length = slice_of(self, &s->texts);
    for (s->begin = begin; s->begin < end; s->begin = s->end) {
        s->end = end - s->begin > length ? s->begin + length : end;
        if (run_slice(write_slice, s) != 0)
            return -1;
        s->writing.offset += s->written - s->begin;
        if (s->written < s->end)
            return (Py_ssize_t)s->written;
    }
    return (Py_ssize_t)end;
}

static PyObject *decoder_write(DecoderObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *ids, *states, *suppressed = Py_None, *ended = Py_None;
    Py_ssize_t begin, end, top_k = 0;
    long long end_id = -1;
    slice s = {.decoder = self->decoder};
    ml_writing *w = &s.writing;
    w->sampler = (ml_sampler){.temperature = 1, .top_p = 1};
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "OOnn|dndO&O&OLO:write",
            ML_NAMES("ids", "states", "begin", "end", "temperature", "top_k", "top_p", "seed",
                     "offset", "suppressed", "end_id", "ended"),
            &ids, &states, &begin, &end, &w->sampler.temperature, &top_k, &w->sampler.top_p,
            ml_to_word, &w->seed, ml_to_word, &w->offset, &suppressed, &end_id, &ended) ||
        open_texts(self, ids, states, &s.texts) != 0 || check_range(&s, begin, end) != 0 ||
        ml_set_top_k(&w->sampler, top_k) != 0)
        return NULL;
    w->end_id = end_id;
    PyArrayObject *never = NULL;
    if (suppressed != Py_None && (never = ml_as_ids(suppressed, "suppressed", "(n,)")) == NULL)
        return NULL;
    Py_ssize_t written = -1;
    if ((never == NULL || open_suppressed(self, never, w) == 0) && open_ended(&s, ended, w) == 0)
        written = write_all(self, &s, (size_t)begin, (size_t)end);
    Py_XDECREF(never);
    return written >= 0 ? PyLong_FromSsize_t(written) : NULL;
}

// ---- the type ---------------------------------------------------------------------------------

static PyObject *get_nbytes(DecoderObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(ml_decoder_bytes(self->decoder));
}

static PyObject *get_work(DecoderObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(ml_decoder_work(self->decoder));
}

static PyObject *get_state_shape(DecoderObject *self, void *unused)
{
    (void)unused;
    return Py_BuildValue("(nnn)", (Py_ssize_t)self->states, (Py_ssize_t)self->layers,
                         (Py_ssize_t)self->hidden);
}

PyDoc_STRVAR(
    decoder_doc,
    "Decoder(cell, embedding, layers, head, head_bias, int8=False)\n--\n\n"
    "The weights of a recurrent language model, packed for writing a token at a time. They "
    "are\ncopied: what happens to the arrays later changes nothing.\n\n"
    "Parameters\n----------\n"
    "cell : {'rnn', 'lstm', 'gru'}\n"
    "embedding : ndarray\n    Float32 (vocab, embed).\n"
    "layers : tuple\n"
    "    For each layer (weight_ih, weight_hh, bias_ih, bias_hh), as in PyTorch; biases may "
    "be None.\n"
    "head : ndarray\n    Float32 (vocab, hidden).\n"
    "head_bias : ndarray or None\n    Float32 (vocab,).\n"
    "int8 : bool\n    Round every row of every matrix to 255 levels.\n");

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))decoder_read, METH_VARARGS | METH_KEYWORDS, read_doc},
    {"write", (PyCFunction)(void (*)(void))decoder_write, METH_VARARGS | METH_KEYWORDS, write_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
    {"nbytes", (getter)get_nbytes, NULL, "Memory that the packed weights take, in bytes.", NULL},
    {"work", (getter)get_work, NULL, "Multiply-adds of a token.", NULL},
    {"state_shape", (getter)get_state_shape, NULL, "Number of states, layers, hidden units.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, decoder_new}, {Py_tp_dealloc, decoder_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, members},  {Py_tp_doc, (void *)decoder_doc}, {0, NULL},
};

static PyType_Spec spec = {
    .name = "minilm._core.Decoder",
    .basicsize = sizeof(DecoderObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int ml_add_decoder_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int code = type != NULL ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}
