/* How a function of this host tells what went wrong: a code and one line. */
#ifndef ASTRO_FAILURE_H
#define ASTRO_FAILURE_H

#include <stdint.h>

/* Bytes: no program holds more in one piece, and of a 32-bit one a larger size would lose its upper half. */
#define LARGEST_OBJECT (SIZE_MAX / 2)

#ifdef __cplusplus
extern "C" {
#endif

enum astro_failure_code {
    ASTRO_FAILED = 1,
    ASTRO_BAD_BUNDLE = 50,   /* missing, damaged or of an unknown version */
    ASTRO_INCOMPATIBLE = 51, /* for another processor or binary interface */
    ASTRO_BAD_INPUT = 60,    /* NaN or index out of range; the state is unchanged */
    ASTRO_NOT_VERIFIED = 70  /* the golden trace differs */
};

typedef struct astro_failure {
    int code;
    char message[512];
} astro_failure;

/* Put question marks in the place of control characters, those of UTF-8 from 0x80 to 0x9f too: a text of a file may hold
 * a line break or what a terminal acts on. */
void astro_make_printable(char *text);

/* Write a failure, in one printable line; returns its code. */
int astro_fail(astro_failure *failure, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
