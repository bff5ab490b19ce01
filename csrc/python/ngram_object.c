// _core.NGram: an n-gram model, whose counts are replaced by `fit` and read by the rest.
#include <stdatomic.h>

#include "functions.h"

// Tokens between two looks at Ctrl-C: some tens of milliseconds.
enum { SLICE = 1 << 16 };

typedef struct NGramObject {
    PyObject_HEAD
    ml_ngram *model;
    size_t order, vocab;
    atomic_flag in_use;
} NGramObject;

// The GIL is released while the counts are read and written, so a second thread is turned away.
static int take(NGramObject *self)
{
    if (!atomic_flag_test_and_set(&self->in_use))
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "this NGram is in use by another thread");
    return -1;
}

static void let_go(NGramObject *self) { atomic_flag_clear(&self->in_use); }

// ---- work in slices ---------------------------------------------------------------------------

typedef struct slice {
    ml_ngram *model;
    const int64_t *ids; // (end,)
    size_t begin, end;
    double *log_probs; // of [begin, end)
} slice;

static int count(void *ctx, ml_error *err)
{
    const slice *s = ctx;
    return ml_ngram_count(s->model, s->ids, s->begin, s->end, err);
}

static int log_prob(void *ctx, ml_error *err)
{
    const slice *s = ctx;
    return ml_ngram_log_prob(s->model, s->ids, s->begin, s->end, s->log_probs, err);
}

// Works through [all.begin, all.end) slice by slice; 0, or -1 with an exception.
static int run_slices(int (*kernel)(void *ctx, ml_error *err), slice all)
{
    for (slice s = all; s.begin < all.end; s.begin = s.end) {
        ml_error err;
        s.end = all.end - s.begin > SLICE ? s.begin + SLICE : all.end;
        s.log_probs = all.log_probs == NULL ? NULL : all.log_probs + (s.begin - all.begin);
        if (ml_without_gil(kernel, &s, &err) != ML_OK)
            return ml_raise(&err);
        if (PyErr_CheckSignals() != 0)
            return -1;
    }
    return 0;
}

static PyArrayObject *ids_of(PyObject *object, const char *name)
{
    PyArrayObject *ids = ml_as_ids(object, name, "(time,)");
    if (ids != NULL && PyArray_NDIM(ids) != 1) {
        PyErr_Format(PyExc_ValueError, "%s: expected one axis, (time,), got %d axes", name,
                     PyArray_NDIM(ids));
        Py_CLEAR(ids);
    }
    return ids;
}

// ---- methods ----------------------------------------------------------------------------------

PyDoc_STRVAR(fit_doc,
             "fit($self, ids, /)\n--\n\n"
             "Count the n-grams of a text, in place of what was counted before.\n\n"
             "Parameters\n----------\n"
             "ids : ndarray\n    Int64 (time,), 0 to vocab_size - 1.\n\n"
             "Raises\n------\n"
             "IndexError\n    For an id outside the vocabulary; the counts stay as they were.\n");

// Counts into a new model, which takes the place of the old one when all has gone well.
static int fit_ids(NGramObject *self, PyArrayObject *ids)
{
    ml_error err;
    ml_ngram *fresh = NULL;
    if (ml_ngram_new(&fresh, self->order, self->vocab, &err) != ML_OK)
        return ml_raise(&err);
    slice all = {.model = fresh, .ids = PyArray_DATA(ids), .end = (size_t)PyArray_SIZE(ids)};
    if (run_slices(count, all) != 0) {
        ml_ngram_free(fresh);
        return -1;
    }
    ml_ngram_free(self->model);
    self->model = fresh;
    return 0;
}

static PyObject *ngram_fit(NGramObject *self, PyObject *object)
{
    PyArrayObject *ids = ids_of(object, "ids");
    int code = -1;
    if (ids != NULL && take(self) == 0) {
        code = fit_ids(self, ids);
        let_go(self);
    }
    Py_XDECREF(ids);
    if (code != 0)
        return NULL;
    Py_RETURN_NONE;
}

PyDoc_STRVAR(log_prob_doc, "log_prob($self, ids, start=0)\n--\n\n"
                           "The log probability of each token of a text, given those before it.\n\n"
                           "Parameters\n----------\n"
                           "ids : ndarray\n    Int64 (time,).\n"
                           "start : int\n    First token to return a probability of.\n\n"
                           "Returns\n-------\n"
                           "ndarray\n    Float64 (time - start,), in nats.\n");

static PyObject *new_doubles(size_t n)
{
    npy_intp size = (npy_intp)n;
    return PyArray_SimpleNew(1, &size, NPY_FLOAT64);
}

static PyObject *log_prob_ids(NGramObject *self, PyArrayObject *ids, size_t start)
{
    size_t end = (size_t)PyArray_SIZE(ids);
    PyObject *result = new_doubles(end - start);
    if (result == NULL)
        return NULL;
    slice all = {self->model, PyArray_DATA(ids), start, end, PyArray_DATA((PyArrayObject *)result)};
    if (run_slices(log_prob, all) != 0)
        Py_CLEAR(result);
    return result;
}

static PyObject *ngram_log_prob(NGramObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *object, *result = NULL;
    Py_ssize_t start = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|n:log_prob", ML_NAMES("ids", "start"),
                                     &object, &start))
        return NULL;
    PyArrayObject *ids = ids_of(object, "ids");
    if (ids == NULL)
        return NULL;
    if (start < 0 || start > PyArray_SIZE(ids)) {
        PyErr_Format(PyExc_ValueError, "start: expected 0 to %zd, the length of the text, got %zd",
                     (Py_ssize_t)PyArray_SIZE(ids), start);
    } else if (take(self) == 0) {
        result = log_prob_ids(self, ids, (size_t)start);
        let_go(self);
    }
    Py_DECREF(ids);
    return result;
}

PyDoc_STRVAR(distribution_doc,
             "distribution($self, context, /)\n--\n\n"
             "The probability of each token after a context.\n\n"
             "Parameters\n----------\n"
             "context : ndarray\n    Int64 (time,), of which the last order - 1 tokens count.\n\n"
             "Returns\n-------\n"
             "ndarray\n    Float64 (vocab_size,), adding up to 1.\n");

static int distribution(void *ctx, ml_error *err)
{
    const slice *s = ctx;
    return ml_ngram_distribution(s->model, s->ids, s->end, s->log_probs, err);
}

static PyObject *ngram_distribution(NGramObject *self, PyObject *object)
{
    PyArrayObject *context = ids_of(object, "context");
    PyObject *result = context != NULL ? new_doubles(self->vocab) : NULL;
    if (result != NULL && take(self) == 0) {
        ml_error err;
        slice all = {self->model, PyArray_DATA(context), 0, (size_t)PyArray_SIZE(context),
                     PyArray_DATA((PyArrayObject *)result)};
        if (ml_without_gil(distribution, &all, &err) != ML_OK) {
            ml_raise(&err);
            Py_CLEAR(result);
        }
        let_go(self);
    } else {
        Py_CLEAR(result);
    }
    Py_XDECREF(context);
    return result;
}

// ---- the type ---------------------------------------------------------------------------------

static PyObject *ngram_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    uint64_t order, vocab;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&:NGram", ML_NAMES("order", "vocab_size"),
                                     ml_to_count, &order, ml_to_count, &vocab))
        return NULL;
    NGramObject *self = (NGramObject *)type->tp_alloc(type, 0);
    if (self == NULL)
        return NULL;
    ml_error err;
    atomic_flag_clear(&self->in_use);
    self->order = (size_t)order;
    self->vocab = (size_t)vocab;
    if (ml_ngram_new(&self->model, self->order, self->vocab, &err) != ML_OK) {
        ml_raise(&err);
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static void ngram_dealloc(NGramObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    ml_ngram_free(self->model);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *get_order(NGramObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(self->order);
}

static PyObject *get_vocab(NGramObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(self->vocab);
}

PyDoc_STRVAR(ngram_doc,
             "NGram(order, vocab_size)\n--\n\n"
             "An n-gram model with Witten-Bell smoothing. Before `fit`, all tokens are equal.\n\n"
             "Parameters\n----------\n"
             "order : int\n    Tokens in an n-gram, 1 or more.\n"
             "vocab_size : int\n    Ids run from 0 to vocab_size - 1.\n");

static PyMethodDef methods[] = {
    {"fit", (PyCFunction)(void (*)(void))ngram_fit, METH_O, fit_doc},
    {"log_prob", (PyCFunction)(void (*)(void))ngram_log_prob, METH_VARARGS | METH_KEYWORDS,
     log_prob_doc},
    {"distribution", (PyCFunction)(void (*)(void))ngram_distribution, METH_O, distribution_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef members[] = {
    {"order", (getter)get_order, NULL, "Tokens in an n-gram.", NULL},
    {"vocab_size", (getter)get_vocab, NULL, "Number of different tokens.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, ngram_new},  {Py_tp_dealloc, ngram_dealloc}, {Py_tp_methods, methods},
    {Py_tp_getset, members}, {Py_tp_doc, (void *)ngram_doc}, {0, NULL},
};

static PyType_Spec spec = {
    .name = "minilm._core.NGram",
    .basicsize = sizeof(NGramObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = slots,
};

int ml_add_ngram_type(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &spec, NULL);
    int code = type != NULL ? PyModule_AddType(module, (PyTypeObject *)type) : -1;
    Py_XDECREF(type);
    return code;
}
