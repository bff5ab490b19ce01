// Errors of the core: a code to branch on and a sentence to read.
#ifndef ML_ERROR_H
#define ML_ERROR_H

enum {
    ML_OK = 0,
    ML_ERR_MEMORY = -1,      // an allocation failed
    ML_ERR_SHAPE = -2,       // an array has other axes than the layer expects
    ML_ERR_VALUE = -3,       // a setting or a number is out of its range
    ML_ERR_INDEX = -4,       // an id lies outside its table
    ML_ERR_OVERFLOW = -5,    // a size does not fit the integer it must go into
    ML_ERR_INTERRUPTED = -6, // the caller's poll asked to stop
};

typedef struct ml_error {
    int code;
    char message[480]; // ends with the name of the code
} ml_error;

#if defined(__GNUC__)
#define ML_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define ML_PRINTF(text, first)
#endif

// Writes the message and returns `code`, so that a check is one line:
//     if (bad) return ml_fail(err, ML_ERR_VALUE, "p: expected 0..1, got %g", p);
int ml_fail(ml_error *err, int code, const char *format, ...) ML_PRINTF(3, 4);

// "ML_ERR_SHAPE" for ML_ERR_SHAPE; never NULL.
const char *ml_error_name(int code);

#endif
