// What the files of the binding share. Only files in this folder include Python.h.
#ifndef ML_BINDING_H
#define ML_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#ifndef NPY_NO_DEPRECATED_API
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#endif
#define PY_ARRAY_UNIQUE_SYMBOL minilm_core_ARRAY_API
#ifndef ML_IMPORT_ARRAY
#define NO_IMPORT_ARRAY
#endif
#include <numpy/arrayobject.h>

#include "../core/minilm.h"

// What the module owns; found from a type with ml_state_of.
typedef struct ml_module_state {
    PyTypeObject *layer_type;
    PyTypeObject *saved_type;
} ml_module_state;

extern struct PyModuleDef ml_module;
ml_module_state *ml_state_of(PyTypeObject *type);

// ---- convert.c --------------------------------------------------------------------------------

// Raises the Python exception for an error of the core; returns -1, so that it can end a function.
int ml_raise(const ml_error *err);

// A float32 array in C order: the object itself where it is one, else a copy of another layout.
// TypeError for other number types: converting them silently would hide a mistake. New reference.
PyArrayObject *ml_as_reals(PyObject *object, const char *name, const char *axes);

// A private int64 copy of an array of whole numbers: what was checked cannot change afterwards.
// TypeError for floats. New reference.
PyArrayObject *ml_as_ids(PyObject *object, const char *name, const char *axes);

// Checks that a parameter, gradient or state can be used as it stands: float32, C-contiguous,
// aligned, of this shape (`ndim` -1: any), and writable if asked. Borrows; NULL with an exception
// set.
PyArrayObject *ml_check_array(PyObject *object, const char *name, int ndim, const size_t *shape,
                              int writable);

// A new float32 array, not cleared, whose memory comes from the cache of buffers and goes back
// there.
PyArrayObject *ml_new_reals(int ndim, const size_t *shape);

// Describes an array to the core; NULL gives an absent one.
ml_array ml_view(PyArrayObject *array);

// The one place where the GIL is released: runs a kernel with tiny numbers flushed to zero.
int ml_without_gil(int (*kernel)(void *ctx, ml_error *err), void *ctx, ml_error *err);

// ---- the parts of the module ------------------------------------------------------------------

int ml_add_layer_types(PyObject *module);  // layer_object.c
int ml_add_ngram_type(PyObject *module);   // ngram_object.c
int ml_add_decoder_type(PyObject *module); // decode_object.c
extern PyMethodDef ml_functions[];         // functions.c

#endif
