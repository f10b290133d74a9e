/* JSON, written. */
#ifndef JSON_H
#define JSON_H

#include <stdint.h>
#include <stdio.h>

/* A text that is being written; start with {file}. Errors are the file's (ferror). */
typedef struct json {
    FILE *file;
    int depth;
    int has_items; /* where the next item is written, one is already */
} json;

/* An object or an array begins, with '{' or '[', and ends. `key` is NULL in arrays and at the top. */
void json_begin(json *out, const char *key, char bracket);
void json_end(json *out, char bracket);

/* Members of an object, or with a NULL key items of an array. A NULL text and a number that is not finite are null; what
 * is no UTF-8 becomes U+FFFD. */
void json_text(json *out, const char *key, const char *text);
void json_number(json *out, const char *key, double number);
void json_count(json *out, const char *key, uint64_t count);

#endif
