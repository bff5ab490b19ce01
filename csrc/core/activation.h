// The functions by element; the numbers are what Python's `_core.ACTIVATIONS` says.
#ifndef ML_ACTIVATION_H
#define ML_ACTIVATION_H

enum { ML_TANH, ML_SIGMOID, ML_RELU, ML_GELU, ML_GELU_TANH, ML_SILU, ML_ACTIVATION_COUNT };

// "tanh", "sigmoid", ...; NULL outside the range.
const char *ml_activation_name(int function);

#endif
