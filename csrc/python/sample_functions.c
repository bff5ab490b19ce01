// Random numbers, and drawing tokens from logits.
#include "functions.h"

int ml_to_word(PyObject *object, void *word)
{
    PyObject *integer = PyNumber_Index(object);
    if (integer == NULL)
        return 0;
    *(uint64_t *)word = PyLong_AsUnsignedLongLongMask(integer);
    Py_DECREF(integer);
    return !PyErr_Occurred();
}

int ml_to_count(PyObject *object, void *count)
{
    PyObject *integer = PyNumber_Index(object);
    if (integer == NULL)
        return 0;
    unsigned long long value = PyLong_AsUnsignedLongLong(integer);
    Py_DECREF(integer);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) {
        PyErr_Format(PyExc_ValueError, "expected 0 or more (and less than 2**64), got %S", object);
        return 0;
    }
    *(uint64_t *)count = value;
    return 1;
}

// ---- random numbers ---------------------------------------------------------------------------

const char py_philox_doc[] = PyDoc_STR(
    "philox($module, seed, stream, index)\n--\n\n"
    "The block of four random words at `index` in `stream` of `seed`, by Philox4x32-10.\n\n"
    "Parameters\n----------\n"
    "seed, stream, index : int\n    Taken modulo 2**64.\n\n"
    "Returns\n-------\n"
    "tuple of int\n    Four words, 0 to 2**32 - 1.\n");

PyObject *py_philox(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    uint64_t seed, stream, index;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O&O&O&:philox",
                                     ML_NAMES("seed", "stream", "index"), ml_to_word, &seed,
                                     ml_to_word, &stream, ml_to_word, &index))
        return NULL;
    uint32_t words[4];
    ml_philox(seed, stream, index, words);
    return Py_BuildValue("(kkkk)", (unsigned long)words[0], (unsigned long)words[1],
                         (unsigned long)words[2], (unsigned long)words[3]);
}

// ---- sampling ---------------------------------------------------------------------------------

typedef struct sample_call {
    PyArrayObject *logits; // owned
    ml_sampler sampler;
    uint64_t seed, offset;
    size_t token;  // what ml_sample drew
    double *probs; // what ml_sample_probs fills
} sample_call;

int ml_set_top_k(ml_sampler *sampler, Py_ssize_t top_k)
{
    if (top_k < 0) {
        PyErr_Format(PyExc_ValueError, "top_k: expected 0 (all tokens) or more, got %zd", top_k);
        return -1;
    }
    sampler->top_k = (size_t)top_k;
    return 0;
}

// Takes the logits and checks the number of axes.
static int open_call(sample_call *call, PyObject *logits, Py_ssize_t top_k)
{
    if (ml_set_top_k(&call->sampler, top_k) != 0)
        return -1;
    call->logits = ml_as_reals(logits, "logits", "(vocabulary,)");
    if (call->logits == NULL)
        return -1;
    if (PyArray_NDIM(call->logits) != 1) {
        PyErr_Format(PyExc_ValueError, "logits: expected one axis, (vocabulary,), got %d axes",
                     PyArray_NDIM(call->logits));
        return -1;
    }
    return 0;
}

static size_t vocab_of(const sample_call *call) { return (size_t)PyArray_SIZE(call->logits); }

static int run_sample(void *ctx, ml_error *err)
{
    sample_call *call = ctx;
    return ml_sample(PyArray_DATA(call->logits), vocab_of(call), &call->sampler, call->seed,
                     call->offset, &call->token, err);
}

static int run_sample_probs(void *ctx, ml_error *err)
{
    sample_call *call = ctx;
    return ml_sample_probs(PyArray_DATA(call->logits), vocab_of(call), &call->sampler, call->probs,
                           err);
}

static int run_call(sample_call *call, int (*run)(void *ctx, ml_error *err))
{
    ml_error err;
    return ml_without_gil(run, call, &err) == ML_OK ? 0 : ml_raise(&err);
}

const char py_sample_doc[] = PyDoc_STR(
    "sample($module, logits, temperature=1.0, top_k=0, top_p=1.0, seed=0, offset=0)\n--\n\n"
    "Draw a token: a function of the logits and (seed, offset), and of nothing else.\n\n"
    "Parameters\n----------\n"
    "logits : ndarray\n    Float32 (vocabulary,); -inf for tokens that must not be drawn.\n"
    "temperature : float\n    Logits are divided by it; 0 takes the largest, the first of equals.\n"
    "top_k : int\n    Keep the k largest, the first of equals; 0 keeps all.\n"
    "top_p : float\n    Of these keep the fewest, largest first, whose probability reaches it.\n"
    "seed, offset : int\n    Taken modulo 2**64. A sequence of draws counts its offset up.\n\n"
    "Returns\n-------\n"
    "int\n    The token's id.\n\n"
    "Raises\n------\n"
    "ValueError\n    For NaN or +inf (the message says where), logits that are all -inf, and\n"
    "    settings out of their range.\n");

PyObject *py_sample(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    sample_call call = {.sampler = {.temperature = 1, .top_p = 1}};
    PyObject *logits;
    Py_ssize_t top_k = 0;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O|dndO&O&:sample",
            ML_NAMES("logits", "temperature", "top_k", "top_p", "seed", "offset"), &logits,
            &call.sampler.temperature, &top_k, &call.sampler.top_p, ml_to_word, &call.seed,
            ml_to_word, &call.offset))
        return NULL;
    int code = open_call(&call, logits, top_k);
    if (code == 0)
        code = run_call(&call, run_sample);
    Py_XDECREF(call.logits);
    return code == 0 ? PyLong_FromSize_t(call.token) : NULL;
}

const char py_sample_probs_doc[] =
    PyDoc_STR("sample_probs($module, logits, temperature=1.0, top_k=0, top_p=1.0)\n--\n\n"
              "The probabilities that `sample` draws from, after all filters.\n\n"
              "Returns\n-------\n"
              "ndarray\n    Float64 (vocabulary,), adding up to 1.\n");

PyObject *py_sample_probs(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    sample_call call = {.sampler = {.temperature = 1, .top_p = 1}};
    PyObject *logits, *result = NULL;
    Py_ssize_t top_k = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|dnd:sample_probs",
                                     ML_NAMES("logits", "temperature", "top_k", "top_p"), &logits,
                                     &call.sampler.temperature, &top_k, &call.sampler.top_p))
        return NULL;
    int code = open_call(&call, logits, top_k);
    if (code == 0) {
        result = PyArray_SimpleNew(1, PyArray_DIMS(call.logits), NPY_FLOAT64);
        if (result != NULL) {
            call.probs = PyArray_DATA((PyArrayObject *)result);
            if (run_call(&call, run_sample_probs) != 0)
                Py_CLEAR(result);
        }
    }
    Py_XDECREF(call.logits);
    return result;
}
