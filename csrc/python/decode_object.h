// What the files of _core.Decoder share.
#ifndef ML_DECODE_OBJECT_H
#define ML_DECODE_OBJECT_H

#include "functions.h"

typedef struct DecoderObject {
    PyObject_HEAD
    ml_decoder *decoder;
} DecoderObject;

// ---- recurrent_weights.c ----------------------------------------------------------------------

// The numbers of an array of this shape, which the list `alive` keeps; a size of 0 takes any, and is
// set. None gives NULL where that is allowed. -1 with an exception.
int ml_take_weight(PyObject *alive, PyObject *object, const char *name, int ndim, size_t *shape,
                   int optional, const float **data);

// Wraps a decoder, which it owns from then on.
PyObject *ml_wrap_decoder(PyTypeObject *type, ml_decoder *decoder);

PyObject *ml_decoder_recurrent(PyTypeObject *type, PyObject *args, PyObject *kwargs);

// ---- transformer_weights.c --------------------------------------------------------------------

PyObject *ml_decoder_transformer(PyObject *type, PyObject *args, PyObject *kwargs);
extern const char ml_decoder_transformer_doc[];

#endif
