#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *ml_error_name(int code)
{
    switch (code) {
    case ML_OK: return "ML_OK";
    case ML_ERR_MEMORY: return "ML_ERR_MEMORY";
    case ML_ERR_SHAPE: return "ML_ERR_SHAPE";
    case ML_ERR_VALUE: return "ML_ERR_VALUE";
    case ML_ERR_INDEX: return "ML_ERR_INDEX";
    case ML_ERR_OVERFLOW: return "ML_ERR_OVERFLOW";
    case ML_ERR_INTERRUPTED: return "ML_ERR_INTERRUPTED";
    default: return "ML_ERR_UNKNOWN";
    }
}

int ml_fail(ml_error *err, int code, const char *format, ...)
{
    err->code = code;
    // The name is always kept whole: a long sentence is cut before it.
    char suffix[40];
    int suffix_length = snprintf(suffix, sizeof suffix, " [%s]", ml_error_name(code));
    size_t room = sizeof err->message - (size_t)suffix_length;

    va_list args;
    va_start(args, format);
    int length = vsnprintf(err->message, room, format, args);
    va_end(args);

    size_t end = length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
    memcpy(err->message + end, suffix, (size_t)suffix_length + 1);
    return code;
}
