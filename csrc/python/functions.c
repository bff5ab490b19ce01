// The table of functions.
#include "functions.h"

// Through a pointer to a function without arguments, as CPython has it: the flags say the real
// type.
#define FUNCTION(name)                                                                             \
    {#name, (PyCFunction)(void (*)(void))py_##name, METH_VARARGS | METH_KEYWORDS, py_##name##_doc},
PyMethodDef ml_functions[] = {
#include "functions.def"
    {NULL, NULL, 0, NULL},
};
#undef FUNCTION
