// _core.Decoder: a model's weights, packed for writing. It never changes, so any number of threads
// may use one; what changes, ids and states, is the caller's.
#include "decode_object.h"

// Multiply-adds between two looks at Ctrl-C: some milliseconds.
static const size_t SLICE = (size_t)1 << 26;

static void decoder_dealloc(DecoderObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ml_decoder_free(self->decoder);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- ids and states ---------------------------------------------------------------------------

enum { CAPACITY_AXIS = 3 }; // of keys and values

// A transformer's positions of each text; -1 with an exception.
static int open_lengths(PyObject *lengths, ml_texts *texts)
{
    if (!PyArray_Check(lengths) || PyArray_TYPE((PyArrayObject *)lengths) != NPY_INT64 ||
        PyArray_NDIM((PyArrayObject *)lengths) != 2 ||
        PyArray_DIM((PyArrayObject *)lengths, 0) != 1 ||
        (size_t)PyArray_DIM((PyArrayObject *)lengths, 1) != texts->batch ||
        !PyArray_ISCARRAY((PyArrayObject *)lengths)) {
        PyErr_Format(PyExc_TypeError,
                     "lengths: expected int64 (1, batch=%zu), contiguous and writable: it is used "
                     "in place",
                     texts->batch);
        return -1;
    }
    texts->lengths = PyArray_DATA((PyArrayObject *)lengths);
    return 0;
}

// The shape of the states of so many texts.
static ml_decoder_state state_shape(const DecoderObject *self, size_t batch, size_t capacity)
{
    ml_decoder_state state = ml_decoder_state_of(self->decoder);
    state.shape[1] = batch;
    if (state.positions > 0)
        state.shape[CAPACITY_AXIS] = capacity;
    return state;
}

static int open_states(const DecoderObject *self, PyObject *states, ml_texts *texts)
{
    ml_decoder_state state = state_shape(self, texts->batch, 0);
    const size_t count = state.arrays + (state.positions > 0);
    if (!PyTuple_Check(states) || (size_t)PyTuple_GET_SIZE(states) != count) {
        PyErr_Format(PyExc_TypeError, "states: expected a tuple of %zu, got %R", count, states);
        return -1;
    }
    PyObject *first = PyTuple_GET_ITEM(states, 0);
    if (state.positions > 0 && PyArray_Check(first) &&
        PyArray_NDIM((PyArrayObject *)first) > CAPACITY_AXIS)
        texts->capacity = (size_t)PyArray_DIM((PyArrayObject *)first, CAPACITY_AXIS);
    state = state_shape(self, texts->batch, texts->capacity);
    static const char *const names[2][2] = {{"h", "c"}, {"keys", "values"}};
    for (size_t i = 0; i < state.arrays; i++) {
        PyArrayObject *array =
            ml_check_array(PyTuple_GET_ITEM(states, (Py_ssize_t)i), names[state.positions > 0][i],
                           (int)state.dims, state.shape, 1);
        if (array == NULL)
            return -1;
        texts->state[i] = PyArray_DATA(array);
    }
    return state.positions > 0 ? open_lengths(PyTuple_GET_ITEM(states, 2), texts) : 0;
}

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
    return open_states(self, states, texts);
}

// Tokens of a slice, at least so many.
static size_t slice_of(const DecoderObject *self, const ml_texts *texts, size_t least)
{
    size_t tokens = SLICE / (1 + ml_decoder_work(self->decoder) * texts->batch);
    return tokens > least ? tokens : least;
}

// Refuses before the first slice what a later one would have no room for; -1 with an exception.
static int check_room(const DecoderObject *self, const ml_texts *texts, size_t tokens)
{
    ml_error err;
    return ml_decoder_check_room(self->decoder, texts, tokens, &err) == ML_OK ? 0 : ml_raise(&err);
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

PyDoc_STRVAR(read_doc, "read($self, ids, states, logits=True)\n--\n\n"
                       "Read texts, going on from their states.\n\n"
                       "Parameters\n----------\n"
                       "ids : ndarray\n    Int64 (batch, time).\n"
                       "states : tuple of ndarray\n    As from `states`, changed in place.\n"
                       "logits : bool\n    Whether they are wanted.\n\n"
                       "Returns\n-------\n"
                       "ndarray or None\n    Logits (batch, time, vocab).\n\n"
                       "Raises\n------\n"
                       "IndexError\n    For an id outside the vocabulary.\n"
                       "ValueError\n    If a transformer has no room for so many tokens.\n");

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
        open_texts(self, ids, states, &s.texts) != 0 ||
        check_room(self, &s.texts, s.texts.row) != 0)
        return NULL;
    PyArrayObject *logits = NULL;
    if (wanted) {
        const size_t shape[3] = {s.texts.batch, s.texts.row, ml_decoder_vocab(self->decoder)};
        logits = ml_new_reals(3, shape);
        if (logits == NULL)
            return NULL;
        s.logits = PyArray_DATA(logits);
    }
    const size_t length = slice_of(self, &s.texts, ML_DECODER_BLOCK);
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
    const size_t vocab = ml_decoder_vocab(self->decoder);
    writing->suppressed = PyArray_DATA(ids);
    writing->suppressions = (size_t)PyArray_SIZE(ids);
    for (size_t i = 0; i < writing->suppressions; i++)
        if (writing->suppressed[i] < 0 || (size_t)writing->suppressed[i] >= vocab) {
            PyErr_Format(PyExc_IndexError, "suppressed: expected ids 0 to %zu, got %lld", vocab - 1,
                         (long long)writing->suppressed[i]);
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
    const size_t length = slice_of(self, &s->texts, 1);
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
        check_room(self, &s.texts, (size_t)(end - begin)) != 0 ||
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

// ---- new states -------------------------------------------------------------------------------

PyDoc_STRVAR(
    states_doc,
    "states($self, batch, capacity=None)\n--\n\n"
    "Return the states of texts that have not begun, the texts on axis 1.\n\n"
    "Parameters\n----------\n"
    "batch : int\n    Texts side by side.\n"
    "capacity : int or None\n"
    "    Positions that a transformer's states have room for; None: all that it has.\n\n"
    "Returns\n-------\n"
    "tuple of ndarray\n"
    "    Zeros. Recurrent: (h,), or (h, c) of an LSTM, float32 (layers, batch, hidden).\n"
    "    Transformer: (keys, values, lengths), float32 (layers, batch, kv_heads, capacity,\n"
    "    head_size) twice, and int64 (1, batch): how many positions are filled.\n");

static PyObject *new_zeros(int dims, const size_t *shape, int type)
{
    npy_intp sizes[ML_MAX_DIMS];
    for (int i = 0; i < dims; i++)
        sizes[i] = (npy_intp)shape[i];
    return PyArray_ZEROS(dims, sizes, type, 0);
}

static PyObject *decoder_states(DecoderObject *self, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t batch;
    PyObject *capacity = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "n|O:states", ML_NAMES("batch", "capacity"),
                                     &batch, &capacity))
        return NULL;
    size_t positions = ml_decoder_state_of(self->decoder).positions;
    if (capacity != Py_None) {
        Py_ssize_t asked = PyNumber_AsSsize_t(capacity, PyExc_OverflowError);
        if (asked == -1 && PyErr_Occurred())
            return NULL;
        positions = asked < 0 ? 0 : (size_t)asked;
    }
    if (batch < 0) {
        PyErr_Format(PyExc_ValueError, "batch: expected at least 0, got %zd", batch);
        return NULL;
    }
    const ml_decoder_state state = state_shape(self, (size_t)batch, positions);
    const size_t count = state.arrays + (state.positions > 0), lengths[2] = {1, (size_t)batch};
    PyObject *states = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; states != NULL && i < count; i++) {
        PyObject *array = i < state.arrays ? new_zeros((int)state.dims, state.shape, NPY_FLOAT32)
                                           : new_zeros(2, lengths, NPY_INT64);
        if (array == NULL)
            Py_CLEAR(states);
        else
            PyTuple_SET_ITEM(states, (Py_ssize_t)i, array);
    }
    return states;
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

PyDoc_STRVAR(
    decoder_doc,
    "Decoder(cell, embedding, layers, head, head_bias, int8=False)\n--\n\n"
    "The weights of a language model, packed for writing a token at a time. They are copied:\n"
    "what happens to the arrays later changes nothing. This makes one of a recurrent model,\n"
    "`Decoder.transformer` one of GPT-2 or Llama.\n\n"
    "Parameters\n----------\n"
    "cell : {'rnn', 'lstm', 'gru', 'mingru', 'minlstm'}\n"
    "embedding : ndarray\n    Float32 (vocab, embed).\n"
    "layers : tuple\n"
    "    For each layer (weight_ih, weight_hh, bias_ih, bias_hh), as in PyTorch; biases may "
    "be None, and are, with weight_hh, of the last two.\n"
    "head : ndarray\n    Float32 (vocab, hidden).\n"
    "head_bias : ndarray or None\n    Float32 (vocab,).\n"
    "int8 : bool\n    Round every row of every matrix to 255 levels.\n");

static PyMethodDef methods[] = {
    {"read", (PyCFunction)(void (*)(void))decoder_read, METH_VARARGS | METH_KEYWORDS, read_doc},
    {"write", (PyCFunction)(void (*)(void))decoder_write, METH_VARARGS | METH_KEYWORDS, write_doc},
    {"states", (PyCFunction)(void (*)(void))decoder_states, METH_VARARGS | METH_KEYWORDS,
     states_doc},
    {"transformer", (PyCFunction)(void (*)(void))ml_decoder_transformer,
     METH_VARARGS | METH_KEYWORDS | METH_CLASS, ml_decoder_transformer_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
    {"nbytes", (getter)get_nbytes, NULL, "Memory that the packed weights take, in bytes.", NULL},
    {"work", (getter)get_work, NULL, "Multiply-adds of a token.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, ml_decoder_recurrent}, {Py_tp_dealloc, decoder_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, members},           {Py_tp_doc, (void *)decoder_doc}, {0, NULL},
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
