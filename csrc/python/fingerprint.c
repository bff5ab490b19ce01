// Noticing that arrays have changed, however they were written to.
#include "../core/fingerprint.h"

#include "functions.h"

const char py_fingerprint_doc[] = PyDoc_STR(
    "fingerprint($module, arrays)\n--\n\n"
    "A number that is another one when anything in the arrays has changed.\n\n"
    "Parameters\n----------\n"
    "arrays : sequence of ndarray\n    Float32, contiguous.\n\n"
    "Returns\n-------\n"
    "int\n    64 bits; equal for different numbers once in 2**64. Not safe against forgery.\n");

PyObject *py_fingerprint(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    PyObject *object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:fingerprint", ML_NAMES("arrays"), &object))
        return NULL;
    PyObject *arrays = PySequence_Tuple(object);
    if (arrays == NULL)
        return NULL;
    uint64_t result = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(arrays); i++) {
        PyArrayObject *array = ml_check_array(PyTuple_GET_ITEM(arrays, i), "arrays", -1, NULL, 0);
        if (array == NULL) {
            Py_DECREF(arrays);
            return NULL;
        }
        Py_BEGIN_ALLOW_THREADS
        result = ml_fingerprint(result, PyArray_DATA(array), (size_t)PyArray_NBYTES(array));
        Py_END_ALLOW_THREADS
    }
    Py_DECREF(arrays);
    return PyLong_FromUnsignedLongLong(result);
}
