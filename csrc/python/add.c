// Sums of large arrays, on all threads.
#include "../core/rows.h"

#include "functions.h"

typedef struct sum {
    size_t n;
    const ml_real *a, *b;
    ml_real *y;
} sum;

static int run(void *ctx, ml_error *err)
{
    (void)err;
    const sum *s = ctx;
    ml_add(s->n, s->a, s->b, s->y);
    return ML_OK;
}

const char py_add_doc[] = PyDoc_STR(
    "add($module, a, b, out=None)\n--\n\n"
    "The sum of two arrays.\n\n"
    "Parameters\n----------\n"
    "a, b : ndarray\n    Float32, C-contiguous, of equal shapes.\n"
    "out : ndarray, optional\n"
    "    Where the sum goes, of that shape; may be `a` or `b`. A new array without it.\n\n"
    "Returns\n-------\n"
    "ndarray\n");

PyObject *py_add(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    PyObject *left, *right, *out = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|O:add", ML_NAMES("a", "b", "out"), &left,
                                     &right, &out))
        return NULL;
    PyArrayObject *a = ml_check_array(left, "a", -1, NULL, 0);
    if (a == NULL)
        return NULL;
    const ml_array shape = ml_view(a);
    PyArrayObject *b = ml_check_array(right, "b", shape.ndim, shape.shape, 0);
    if (b == NULL)
        return NULL;
    PyArrayObject *y;
    if (out == Py_None)
        y = ml_new_reals(shape.ndim, shape.shape);
    else
        Py_XINCREF(y = ml_check_array(out, "out", shape.ndim, shape.shape, 1));
    if (y == NULL)
        return NULL;
    sum s = {(size_t)PyArray_SIZE(a), PyArray_DATA(a), PyArray_DATA(b), PyArray_DATA(y)};
    ml_error err;
    ml_without_gil(run, &s, &err);
    return (PyObject *)y;
}
