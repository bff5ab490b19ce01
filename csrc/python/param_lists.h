// The lists of arrays that optimizer steps and gradient functions take: parameters, gradients and
// what an optimizer remembers, one array of each list belonging together.
#ifndef ML_PARAM_LISTS_H
#define ML_PARAM_LISTS_H

#include "binding.h"

enum { LIST_VALUE, LIST_GRAD, LIST_STATE, LISTS = LIST_STATE + 3 };

typedef struct array_list {
    const char *name; // of the argument; NULL for a list that the function does not take
    int written;      // its arrays must be writable, and share no memory with any other
    int optional;     // it may be None
    PyObject *given;  // borrowed: the argument
    PyObject *arrays; // owned: a tuple, so that nobody can take arrays away during the call
} array_list;

typedef struct param_lists {
    array_list list[LISTS];
    ml_param *params; // (count,)
    size_t count;
} param_lists;

// Checks all arrays, as ml_check_array does, for equal shapes and for memory of their own, and
// fills params. Returns 0, or -1 with an exception that names argument, index, expected and got. To
// be closed in both cases.
int param_lists_open(param_lists *lists);
void param_lists_close(param_lists *lists);

#endif
