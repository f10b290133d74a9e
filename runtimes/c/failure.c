#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

int astro_fail(astro_failure *failure, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
    va_end(arguments);
    return failure->code = code;
}
