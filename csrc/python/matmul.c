// Products of stacks of matrices, read wherever they lie.
#include "../core/matmul.h"

#include "functions.h"

// The numbers from one entry of an axis to the next; -1 where bytes do not divide, or run backward.
static npy_intp step_of(PyArrayObject *array, int axis)
{
    const npy_intp bytes = PyArray_STRIDE(array, axis);
    return bytes < 0 || bytes % (npy_intp)sizeof(float) != 0 ? -1 : bytes / (npy_intp)sizeof(float);
}

// Describes (count, rows, columns) for the product, row by row or column by column as it lies; 0
// where it lies in neither way. NumPy says nothing of use about the steps along axes of length 1 or
// less, or in an array that is empty.
static int describe(PyArrayObject *array, ml_stack *stack)
{
    const npy_intp count = PyArray_DIM(array, 0);
    const npy_intp rows = PyArray_DIM(array, 1), columns = PyArray_DIM(array, 2);
    const int empty = PyArray_SIZE(array) == 0;
    const npy_intp step = count > 1 && !empty ? step_of(array, 0) : 0;
    const npy_intp row = rows > 1 && !empty ? step_of(array, 1) : columns;
    const npy_intp column = columns > 1 && !empty ? step_of(array, 2) : 1;
    const int by_rows = column == 1 && row >= columns;
    const int by_columns = !by_rows && (rows <= 1 || row == 1) && column >= rows;
    *stack = (ml_stack){.data = PyArray_DATA(array),
                        .step = (size_t)step,
                        .ld = (size_t)(by_columns ? column : row),
                        .trans = by_columns ? ML_TRANS : ML_NO_TRANS};
    return PyArray_ISALIGNED(array) && step >= 0 && (by_rows || by_columns);
}

// The array, or a copy that lies in order; fills `stack`. New reference; NULL with an exception.
static PyArrayObject *operand(PyObject *object, const char *name, ml_stack *stack)
{
    if (!PyArray_Check(object) || PyArray_TYPE((PyArrayObject *)object) != NPY_FLOAT32 ||
        PyArray_NDIM((PyArrayObject *)object) != 3 ||
        !PyArray_ISNOTSWAPPED((PyArrayObject *)object)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a float32 array of three axes", name);
        return NULL;
    }
    PyArrayObject *array = (PyArrayObject *)object;
    if (describe(array, stack)) {
        Py_INCREF(array);
        return array;
    }
    array = (PyArrayObject *)PyArray_NewCopy(array, NPY_CORDER);
    if (array != NULL && !describe(array, stack)) {
        PyErr_Format(PyExc_SystemError, "%s: a copy in order is not in order", name);
        Py_CLEAR(array);
    }
    return array;
}

typedef struct product {
    size_t count, m, n, k;
    ml_stack a, b;
    ml_real *c;
} product;

static int run(void *ctx, ml_error *err)
{
    const product *p = ctx;
    return ml_matmul(p->count, p->m, p->n, p->k, p->a, p->b, p->c, err);
}

static PyObject *multiply(PyArrayObject *a, PyArrayObject *b, product *p)
{
    if (PyArray_DIM(a, 0) != PyArray_DIM(b, 0) || PyArray_DIM(a, 2) != PyArray_DIM(b, 1))
        return PyErr_Format(PyExc_ValueError,
                            "matmul: expected (count, m, k) and (count, k, n), got (%zd, %zd, %zd) "
                            "and (%zd, %zd, %zd)",
                            PyArray_DIM(a, 0), PyArray_DIM(a, 1), PyArray_DIM(a, 2),
                            PyArray_DIM(b, 0), PyArray_DIM(b, 1), PyArray_DIM(b, 2));
    p->count = (size_t)PyArray_DIM(a, 0);
    p->m = (size_t)PyArray_DIM(a, 1);
    p->k = (size_t)PyArray_DIM(a, 2);
    p->n = (size_t)PyArray_DIM(b, 2);
    PyArrayObject *c = ml_new_reals(3, (size_t[]){p->count, p->m, p->n});
    if (c == NULL)
        return NULL;
    p->c = PyArray_DATA(c);
    ml_error err;
    if (ml_without_gil(run, p, &err) != ML_OK) {
        ml_raise(&err);
        Py_CLEAR(c);
    }
    return (PyObject *)c;
}

const char py_matmul_doc[] =
    PyDoc_STR("matmul($module, a, b)\n--\n\n"
              "The product of each two matrices of two stacks.\n\n"
              "Parameters\n----------\n"
              "a : ndarray\n    Float32 (count, m, k). Transposed views are read as they lie.\n"
              "b : ndarray\n    Float32 (count, k, n).\n\n"
              "Returns\n-------\n"
              "ndarray\n    (count, m, n), the same bits on any number of threads.\n");

PyObject *py_matmul(PyObject *module, PyObject *args, PyObject *kwargs)
{
    (void)module;
    PyObject *left, *right, *result = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:matmul", ML_NAMES("a", "b"), &left, &right))
        return NULL;
    product p;
    PyArrayObject *a = operand(left, "a", &p.a);
    PyArrayObject *b = a != NULL ? operand(right, "b", &p.b) : NULL;
    if (b != NULL)
        result = multiply(a, b, &p);
    Py_XDECREF(a);
    Py_XDECREF(b);
    return result;
}
