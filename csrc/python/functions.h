// Functions of the module: `name` is py_name, documented by py_name_doc.
#ifndef ML_FUNCTIONS_H
#define ML_FUNCTIONS_H

#include "binding.h"

#define FUNCTION(name)                                                                             \
    PyObject *py_##name(PyObject *module, PyObject *args, PyObject *kwargs);                       \
    extern const char py_##name##_doc[];
#include "functions.def"
#undef FUNCTION

// Names of arguments for PyArg_ParseTupleAndKeywords, which takes them as not const.
#define ML_NAMES(...) ((char *[]){__VA_ARGS__, NULL})

// Converters for O&: any integer modulo 2^64, and one that must not be negative, into a uint64_t.
int ml_to_word(PyObject *object, void *word);
int ml_to_count(PyObject *object, void *count);

// Sets top_k, where it still has a sign; -1 with an exception.
int ml_set_top_k(ml_sampler *sampler, Py_ssize_t top_k);

#endif
