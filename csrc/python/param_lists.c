#include "param_lists.h"

#include <stdlib.h>

static int is_there(const array_list *list)
{
    return list->name != NULL && !(list->optional && list->given == Py_None);
}

// The list whose lengths and shapes the others must have.
static const array_list *first_list(const param_lists *lists)
{
    const array_list *list = lists->list;
    while (!is_there(list))
        list++;
    return list;
}

static PyArrayObject *array_at(const array_list *list, size_t i)
{
    return (PyArrayObject *)PyTuple_GET_ITEM(list->arrays, (Py_ssize_t)i);
}

// ---- kinds and shapes -------------------------------------------------------------------------

// Checks array i of a list; its shape must be that of the array beside it in `first`.
static int check_array(const array_list *list, const array_list *first, size_t i)
{
    size_t shape[NPY_MAXDIMS];
    int ndim = -1; // any
    if (list != first) {
        PyArrayObject *model = array_at(first, i);
        ndim = PyArray_NDIM(model);
        for (int k = 0; k < ndim; k++)
            shape[k] = (size_t)PyArray_DIM(model, k);
    }
    char name[64];
    PyOS_snprintf(name, sizeof name, "%s[%zu]", list->name, i);
    PyObject *item = PyTuple_GET_ITEM(list->arrays, (Py_ssize_t)i);
    return ml_check_array(item, name, ndim, shape, list->written) != NULL ? 0 : -1;
}

static int open_list(array_list *list, const array_list *first)
{
    if (PyArray_Check(list->given) || !PySequence_Check(list->given)) {
        PyErr_Format(PyExc_TypeError, "%s: expected a sequence of arrays, got %s", list->name,
                     Py_TYPE(list->given)->tp_name);
        return -1;
    }
    list->arrays = PySequence_Tuple(list->given);
    if (list->arrays == NULL)
        return -1;
    Py_ssize_t count = PyTuple_GET_SIZE(list->arrays), expected = PyTuple_GET_SIZE(first->arrays);
    if (count != expected) {
        PyErr_Format(PyExc_ValueError, "%s: expected %zd arrays, one for each of %s, got %zd",
                     list->name, expected, first->name, count);
        return -1;
    }
    for (size_t i = 0; i < (size_t)count; i++)
        if (check_array(list, first, i) != 0)
            return -1;
    return 0;
}

// ---- overlap ----------------------------------------------------------------------------------

typedef struct span {
    const char *begin, *end;
    const array_list *list;
    size_t index;
} span;

static int by_begin(const void *a, const void *b)
{
    const char *x = ((const span *)a)->begin, *y = ((const span *)b)->begin;
    return (x > y) - (x < y);
}

static size_t fill_spans(const param_lists *lists, span *spans)
{
    size_t n = 0;
    for (size_t j = 0; j < LISTS; j++) {
        const array_list *list = &lists->list[j];
        for (size_t i = 0; is_there(list) && i < lists->count; i++) {
            const char *begin = PyArray_BYTES(array_at(list, i));
            size_t bytes = (size_t)PyArray_NBYTES(array_at(list, i));
            if (bytes > 0)
                spans[n++] = (span){begin, begin + bytes, list, i};
        }
    }
    return n;
}

// Arrays that are only read may share memory with each other; written ones with nobody. In the
// order of their beginnings, an array meets one before it if and only if it meets the one that
// reaches furthest.
static int check_overlap(const param_lists *lists)
{
    span *spans = malloc((LISTS * lists->count + 1) * sizeof *spans);
    if (spans == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    size_t n = fill_spans(lists, spans);
    qsort(spans, n, sizeof *spans, by_begin);
    const span *furthest = NULL, *furthest_written = NULL;
    int result = 0;
    for (size_t i = 0; i < n && result == 0; i++) {
        const span *s = &spans[i], *before = s->list->written ? furthest : furthest_written;
        if (before != NULL && s->begin < before->end) {
            PyErr_Format(PyExc_ValueError,
                         "%s[%zu] and %s[%zu] share memory; an array that is written needs memory "
                         "of its own (is a parameter given twice?)",
                         before->list->name, before->index, s->list->name, s->index);
            result = -1;
        }
        if (furthest == NULL || s->end > furthest->end)
            furthest = s;
        if (s->list->written && (furthest_written == NULL || s->end > furthest_written->end))
            furthest_written = s;
    }
    free(spans);
    return result;
}

// ---- public -----------------------------------------------------------------------------------

static ml_real *data_at(const array_list *list, size_t i)
{
    return is_there(list) ? PyArray_DATA(array_at(list, i)) : NULL;
}

int param_lists_open(param_lists *lists)
{
    const array_list *first = first_list(lists);
    for (size_t j = 0; j < LISTS; j++)
        if (is_there(&lists->list[j]) && open_list(&lists->list[j], first) != 0)
            return -1;
    lists->count = (size_t)PyTuple_GET_SIZE(first->arrays);
    if (check_overlap(lists) != 0)
        return -1;
    lists->params = calloc(lists->count + 1, sizeof *lists->params);
    if (lists->params == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < lists->count; i++) {
        ml_param *param = &lists->params[i];
        param->value = data_at(&lists->list[LIST_VALUE], i);
        param->grad = data_at(&lists->list[LIST_GRAD], i);
        for (size_t k = 0; k < 3; k++)
            param->state[k] = data_at(&lists->list[LIST_STATE + k], i);
        param->size = (size_t)PyArray_SIZE(array_at(first, i));
    }
    return 0;
}

void param_lists_close(param_lists *lists)
{
    for (size_t j = 0; j < LISTS; j++)
        Py_CLEAR(lists->list[j].arrays);
    free(lists->params);
    lists->params = NULL;
}
