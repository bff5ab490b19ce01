// The module minilm._core: its life, and what it says of itself.
#define ML_IMPORT_ARRAY
#include "binding.h"

#include "../core/kernels/kernels.h"

// ---- functions that are not kernels -----------------------------------------------------------

PyDoc_STRVAR(empty_doc,
             "empty($module, shape, /)\n--\n\n"
             "A new float32 array, not cleared, aligned to 64 bytes, from the cache of buffers.\n");

static PyObject *empty(PyObject *module, PyObject *shape)
{
    (void)module;
    PyArray_Dims dims = {NULL, 0};
    size_t sizes[ML_MAX_DIMS];
    if (!PyArray_IntpConverter(shape, &dims))
        return NULL;
    PyObject *result = NULL;
    int usable = dims.len <= ML_MAX_DIMS;
    for (int i = 0; usable && i < dims.len; i++) {
        usable = dims.ptr[i] >= 0;
        sizes[i] = (size_t)dims.ptr[i];
    }
    if (usable)
        result = (PyObject *)ml_new_reals(dims.len, sizes);
    else
        PyErr_Format(PyExc_ValueError, "shape: expected at most %d sizes of at least 0, got %R",
                     ML_MAX_DIMS, shape);
    PyDimMem_FREE(dims.ptr);
    return result;
}

PyDoc_STRVAR(set_num_threads_doc, "set_num_threads($module, threads, /)\n--\n\n"
                                  "Set how many threads the kernels may use, 1 to 256. Results do "
                                  "not depend on it, to the bit.\n");

static PyObject *set_num_threads(PyObject *module, PyObject *value)
{
    (void)module;
    Py_ssize_t threads = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    ml_error err;
    if (threads == -1 && PyErr_Occurred())
        return NULL;
    if (threads < 0) // the core counts with sizes, which cannot say so
        return PyErr_Format(PyExc_ValueError, "threads: expected 1 to 256, got %zd", threads);
    int code;
    Py_BEGIN_ALLOW_THREADS
    code = ml_set_threads((size_t)threads, &err);
    Py_END_ALLOW_THREADS
    if (code != ML_OK) {
        ml_raise(&err);
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(get_num_threads_doc, "get_num_threads($module, /)\n--\n\n"
                                  "How many threads the kernels may use.\n");

static PyObject *get_num_threads(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    size_t threads;
    Py_BEGIN_ALLOW_THREADS
    threads = ml_get_threads();
    Py_END_ALLOW_THREADS
    return PyLong_FromSize_t(threads);
}

PyDoc_STRVAR(
    config_doc,
    "config($module, /)\n--\n\n"
    "What the core was built with and what it runs on: a dict with `isa`, `isa_available`,\n"
    "`blas`, `blas_core`, `compiler`, `threads`, and the `version` of minilm it was built for.\n");

#if defined(__VERSION__)
#define COMPILER __VERSION__
#else
#define COMPILER "MSVC"
#endif

// Names of the instruction sets that could be chosen here, the best first.
static PyObject *available_isas(void)
{
    PyObject *names = PyList_New(0);
    const char *isa;
    for (size_t i = 0; names != NULL && (isa = ml_kernels_available(i)) != NULL; i++) {
        PyObject *name = PyUnicode_FromString(isa);
        if (name == NULL || PyList_Append(names, name) != 0)
            Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

static PyObject *config(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    PyObject *isas = available_isas();
    if (isas == NULL)
        return NULL;
    size_t threads;
    Py_BEGIN_ALLOW_THREADS
    threads = ml_get_threads(); // waits for a region that is running
    Py_END_ALLOW_THREADS
    return Py_BuildValue("{s:s,s:N,s:s,s:s,s:s,s:n,s:s}", "isa", ml_kernels_get()->isa,
                         "isa_available", isas, "blas", ml_blas_name(), "blas_core", ml_blas_core(),
                         "compiler", COMPILER, "threads", (Py_ssize_t)threads, "version",
                         ML_VERSION);
}

PyDoc_STRVAR(buffer_stats_doc, "buffer_stats($module, /)\n--\n\n"
                               "The cache of buffers: a dict with `used` and `kept` (bytes), "
                               "`requests`, and `misses`, the requests\n"
                               "that had to ask the system.\n");

static PyObject *buffer_stats(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    ml_buffer_stats stats = ml_buffer_get_stats();
    return Py_BuildValue("{s:n,s:n,s:n,s:n}", "used", (Py_ssize_t)stats.used, "kept",
                         (Py_ssize_t)stats.kept, "requests", (Py_ssize_t)stats.requests, "misses",
                         (Py_ssize_t)stats.misses);
}

PyDoc_STRVAR(empty_cache_doc,
             "empty_cache($module, /)\n--\n\n"
             "Give the buffers that nobody uses back to the system; returns the bytes.\n");

static PyObject *empty_cache(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromSize_t(ml_buffer_trim());
}

static PyMethodDef module_functions[] = {
    {"empty", empty, METH_O, empty_doc},
    {"set_num_threads", set_num_threads, METH_O, set_num_threads_doc},
    {"get_num_threads", get_num_threads, METH_NOARGS, get_num_threads_doc},
    {"config", config, METH_NOARGS, config_doc},
    {"buffer_stats", buffer_stats, METH_NOARGS, buffer_stats_doc},
    {"empty_cache", empty_cache, METH_NOARGS, empty_cache_doc},
    {NULL, NULL, 0, NULL},
};

// ---- tables that Python reads instead of writing them again -----------------------------------

// Adds a value and lets go of it; -1 where it is NULL.
static int add_value(PyObject *module, const char *name, PyObject *value)
{
    int code = value != NULL ? PyModule_AddObjectRef(module, name, value) : -1;
    Py_XDECREF(value);
    return code;
}

static int add_constants(PyObject *module)
{
    PyObject *activations = PyDict_New();
    for (int i = 0; activations != NULL && i < ML_ACTIVATION_COUNT; i++) {
        PyObject *code = PyLong_FromLong(i);
        if (code == NULL || PyDict_SetItemString(activations, ml_activation_name(i), code) != 0)
            Py_CLEAR(activations);
        Py_XDECREF(code);
    }
    if (add_value(module, "ACTIVATIONS", activations) != 0)
        return -1;
    PyObject *reductions = Py_BuildValue("{s:i,s:i,s:i}", "none", ML_REDUCE_NONE, "mean",
                                         ML_REDUCE_MEAN, "sum", ML_REDUCE_SUM);
    if (add_value(module, "REDUCTIONS", reductions) != 0)
        return -1;
    PyObject *layers = PyList_New(0);
    for (const ml_layer *const *layer = ml_layers(); layers != NULL && *layer != NULL; layer++) {
        PyObject *name = PyUnicode_FromString((*layer)->name);
        if (name == NULL || PyList_Append(layers, name) != 0)
            Py_CLEAR(layers);
        Py_XDECREF(name);
    }
    PyObject *tuple = layers != NULL ? PyList_AsTuple(layers) : NULL;
    Py_XDECREF(layers);
    return add_value(module, "LAYERS", tuple);
}

// An entry that cannot train must not be offered.
static int check_layers(void)
{
    for (const ml_layer *const *layer = ml_layers(); *layer != NULL; layer++) {
        const char *missing = ml_layer_incomplete(*layer);
        if (missing != NULL) {
            PyErr_Format(PyExc_SystemError, "layer '%s' has no %s", (*layer)->name, missing);
            return -1;
        }
    }
    return 0;
}

static int check_isa(void)
{
    const char *refused = ml_kernels_refused();
    if (refused == NULL)
        return 0;
    PyObject *isas = available_isas();
    if (isas != NULL)
        PyErr_Format(PyExc_ImportError,
                     "MINILM_ISA='%s' names no instruction set that this build and this processor "
                     "have: expected one of %S",
                     refused, isas);
    Py_XDECREF(isas);
    return -1;
}

// ---- the module -------------------------------------------------------------------------------

ml_module_state *ml_state_of(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &ml_module);
    return module != NULL ? PyModule_GetState(module) : NULL;
}

static int module_exec(PyObject *module)
{
    if (PyArray_ImportNumPyAPI() < 0 || check_isa() != 0 || check_layers() != 0)
        return -1;
    if (add_constants(module) != 0 || PyModule_AddFunctions(module, ml_functions) != 0)
        return -1;
    if (ml_add_layer_types(module) != 0)
        return -1;
    if (ml_add_ngram_type(module) != 0)
        return -1;
    return ml_add_decoder_type(module);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    ml_module_state *state = PyModule_GetState(module);
    Py_VISIT(state->layer_type);
    Py_VISIT(state->saved_type);
    return 0;
}

static int module_clear(PyObject *module)
{
    ml_module_state *state = PyModule_GetState(module);
    Py_CLEAR(state->layer_type);
    Py_CLEAR(state->saved_type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED}, // as NumPy
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef ml_module = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "minilm._core",
    .m_doc = "The C core of minilm: layers, optimizers, sampling and n-grams on NumPy arrays.",
    .m_size = sizeof(ml_module_state),
    .m_methods = module_functions,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__core(void); // the interpreter looks it up by name
PyMODINIT_FUNC PyInit__core(void) { return PyModuleDef_Init(&ml_module); }
