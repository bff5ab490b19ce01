// From Python's arrays to the core's, and from the core's errors to Python's.
#include "binding.h"

#include "../core/platform.h"

int ml_raise(const ml_error *err)
{
    PyObject *type = PyExc_RuntimeError;
    switch (err->code) {
    case ML_ERR_MEMORY: type = PyExc_MemoryError; break;
    case ML_ERR_SHAPE:
    case ML_ERR_VALUE: type = PyExc_ValueError; break;
    case ML_ERR_INDEX: type = PyExc_IndexError; break;
    case ML_ERR_OVERFLOW: type = PyExc_OverflowError; break;
    case ML_ERR_INTERRUPTED: return -1; // the poll has set KeyboardInterrupt
    default: break;
    }
    // A long message may be cut inside a character.
    PyObject *text =
        PyUnicode_DecodeUTF8(err->message, (Py_ssize_t)strlen(err->message), "replace");
    if (text != NULL)
        PyErr_SetObject(type, text);
    Py_XDECREF(text);
    return -1;
}

// Raises for an array whose number type is wrong.
static void refuse_type(const char *name, const char *axes, const char *expected,
                        PyArrayObject *got, const char *hint)
{
    PyErr_Format(PyExc_TypeError, "%s: expected %s %s, got %S%s", name, expected, axes,
                 (PyObject *)PyArray_DESCR(got), hint);
}

// Any array-like object as an array of whatever type it has.
static PyArrayObject *as_array(PyObject *object) { return (PyArrayObject *)PyArray_FROM_O(object); }

PyArrayObject *ml_as_reals(PyObject *object, const char *name, const char *axes)
{
    PyArrayObject *array = as_array(object);
    if (array == NULL)
        return NULL;
    if (PyArray_TYPE(array) != NPY_FLOAT32) {
        const char *hint = PyArray_ISINTEGER(array)
                               ? ": these look like ids; an embedding turns ids into vectors"
                           : PyArray_ISFLOAT(array) ? ": convert it with .float() or dtype=float32"
                                                    : "";
        refuse_type(name, axes, "float32", array, hint);
        Py_DECREF(array);
        return NULL;
    }
    // Not in native byte order, not aligned or not in C order: a copy is harmless.
    PyArrayObject *result = (PyArrayObject *)PyArray_FROM_OTF(
        (PyObject *)array, NPY_FLOAT32, NPY_ARRAY_CARRAY_RO | NPY_ARRAY_NOTSWAPPED);
    Py_DECREF(array);
    return result;
}

PyArrayObject *ml_as_ids(PyObject *object, const char *name, const char *axes)
{
    PyArrayObject *array = as_array(object);
    if (array == NULL)
        return NULL;
    if (!PyArray_ISINTEGER(array) || PyArray_TYPE(array) == NPY_UINT64) {
        const char *hint =
            PyArray_ISFLOAT(array) ? ": ids are whole numbers; convert them with .long()" : "";
        refuse_type(name, axes, "int64 ids", array, hint);
        Py_DECREF(array);
        return NULL;
    }
    PyArrayObject *result = (PyArrayObject *)PyArray_FROM_OTF(
        (PyObject *)array, NPY_INT64, NPY_ARRAY_CARRAY | NPY_ARRAY_ENSURECOPY);
    Py_DECREF(array);
    return result;
}

static int has_shape(PyArrayObject *array, int ndim, const size_t *shape)
{
    if (ndim < 0)
        return 1;
    if (PyArray_NDIM(array) != ndim)
        return 0;
    for (int i = 0; i < ndim; i++)
        if ((size_t)PyArray_DIM(array, i) != shape[i])
            return 0;
    return 1;
}

static PyObject *shape_tuple(int ndim, const size_t *shape)
{
    PyObject *tuple = PyTuple_New(ndim);
    for (int i = 0; tuple != NULL && i < ndim; i++) {
        PyObject *size = PyLong_FromSize_t(shape[i]);
        if (size == NULL)
            Py_CLEAR(tuple);
        else
            PyTuple_SET_ITEM(tuple, i, size);
    }
    return tuple;
}

static void refuse_shape(const char *name, int ndim, const size_t *shape, PyArrayObject *got)
{
    PyObject *expected = shape_tuple(ndim, shape);
    PyObject *actual = PyObject_GetAttrString((PyObject *)got, "shape");
    if (expected != NULL && actual != NULL)
        PyErr_Format(PyExc_ValueError, "%s: expected shape %S, got %S", name, expected, actual);
    Py_XDECREF(expected);
    Py_XDECREF(actual);
}

PyArrayObject *ml_check_array(PyObject *object, const char *name, int ndim, const size_t *shape,
                              int writable)
{
    if (!PyArray_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a NumPy array, got %s", name,
                     Py_TYPE(object)->tp_name);
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    if (PyArray_TYPE(array) != NPY_FLOAT32 || !PyArray_ISNOTSWAPPED(array)) {
        refuse_type(name, "array", "a float32", array,
                    ": it is used in place, so it is not converted; make it float32");
        return NULL;
    }
    if (!has_shape(array, ndim, shape)) {
        refuse_shape(name, ndim, shape, array);
        return NULL;
    }
    if (!PyArray_IS_C_CONTIGUOUS(array) || !PyArray_ISALIGNED(array)) {
        PyErr_Format(PyExc_ValueError,
                     "%s: expected a C-contiguous, aligned array: it is used in place; pass "
                     "numpy.ascontiguousarray of it",
                     name);
        return NULL;
    }
    if (writable && !PyArray_ISWRITEABLE(array)) {
        PyErr_Format(PyExc_ValueError, "%s: expected a writable array, got a read-only one", name);
        return NULL;
    }
    return array;
}

static void release_buffer(PyObject *capsule)
{
    ml_buffer_release(PyCapsule_GetPointer(capsule, "minilm.buffer"));
}

PyArrayObject *ml_new_reals(int ndim, const size_t *shape)
{
    npy_intp dims[ML_MAX_DIMS];
    size_t size = 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] > 0 && size > (size_t)NPY_MAX_INTP / sizeof(float) / shape[i]) {
            PyErr_SetString(PyExc_MemoryError,
                            "an array of this shape does not fit the address space");
            return NULL;
        }
        size *= shape[i];
        dims[i] = (npy_intp)shape[i];
    }
    void *data = ml_buffer_acquire(size * sizeof(float));
    if (data == NULL)
        return (PyArrayObject *)PyErr_NoMemory();
    PyObject *capsule = PyCapsule_New(data, "minilm.buffer", release_buffer);
    if (capsule == NULL) {
        ml_buffer_release(data);
        return NULL;
    }
    PyArrayObject *array =
        (PyArrayObject *)PyArray_SimpleNewFromData(ndim, dims, NPY_FLOAT32, data);
    if (array == NULL) {
        Py_DECREF(capsule);
        return NULL;
    }
    if (PyArray_SetBaseObject(array, capsule) != 0) // takes the capsule, also when it fails
        Py_CLEAR(array);
    return array;
}

ml_array ml_view(PyArrayObject *array)
{
    ml_array view = {0};
    if (array == NULL)
        return view;
    view.data = PyArray_DATA(array);
    view.ndim = PyArray_NDIM(array);
    for (int i = 0; i < view.ndim && i < ML_MAX_DIMS; i++)
        view.shape[i] = (size_t)PyArray_DIM(array, i);
    return view;
}

int ml_without_gil(int (*kernel)(void *ctx, ml_error *err), void *ctx, ml_error *err)
{
    int code;
    Py_BEGIN_ALLOW_THREADS
    unsigned state = ml_flush_begin();
    code = kernel(ctx, err);
    ml_flush_end(state);
    Py_END_ALLOW_THREADS
    return code;
}
