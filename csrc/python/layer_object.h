// The two types around a layer of the core: _core.Layer (layer_object.c), its settings, and
// _core.Saved (saved_object.c), what one forward left for its backward.
#ifndef ML_LAYER_OBJECT_H
#define ML_LAYER_OBJECT_H

#include "binding.h"

typedef struct LayerObject {
    PyObject_HEAD
    const ml_layer *layer;
    void *config;
    ml_param_spec *specs; // of each parameter
    size_t count;         // of parameters
} LayerObject;

typedef struct SavedObject {
    PyObject_HEAD
    LayerObject *owner;
    PyObject *inputs; // tuples of arrays (None where absent): what `call` points into
    PyObject *params;
    PyObject *outputs;
    ml_array *param;
    ml_call call;
} SavedObject;

// Runs a layer's forward or backward with a workspace of `workspace` bytes, without the GIL.
// 0, or -1 with an exception set.
int ml_run_with_workspace(int (*kernel)(ml_call *, ml_error *), ml_call *call, size_t workspace);

extern PyType_Spec ml_saved_spec;

#endif
