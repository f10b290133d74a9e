#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>

/* Bytes of the UTF-8 sequence at `text`, 0 where there is none. Overlong forms and surrogates are none. */
static int sequence_length(const unsigned char *text)
{
    const unsigned char first = text[0];
    const int length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3
                     : first >= 0xf0 && first < 0xf5                    ? 4
                                                                        : 0;
    for (int place = 1; place < length; place++)
        if ((text[place] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && text[1] < 0xa0) || (first == 0xed && text[1] >= 0xa0) || (first == 0xf0 && text[1] < 0x90) ||
        (first == 0xf4 && text[1] >= 0x90))
        return 0;
    return length;
}

static void write_text(FILE *file, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', file);
    while (*at) {
        const int length = sequence_length(at);
        if (length == 0)
            fputs("\\ufffd", file);
        else if (*at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f)
            fprintf(file, "\\u%04x", (unsigned)*at);
        else
            fwrite(at, 1, (size_t)length, file);
        at += length ? length : 1;
    }
    fputc('"', file);
}

/* What comes before a value: a comma, the line's start and the key. */
static void write_key(json *out, const char *key)
{
    if (out->has_items)
        fputc(',', out->file);
    if (out->depth)
        fprintf(out->file, "\n%*s", out->depth, "");
    out->has_items = 1;
    if (key) {
        write_text(out->file, key);
        fputs(": ", out->file);
    }
}

void json_begin(json *out, const char *key, char bracket)
{
    write_key(out, key);
    fputc(bracket, out->file);
    out->depth++;
    out->has_items = 0;
}

void json_end(json *out, char bracket)
{
    out->depth--;
    if (out->has_items)
        fprintf(out->file, "\n%*s", out->depth, "");
    fputc(bracket, out->file);
    if (out->depth == 0)
        fputc('\n', out->file);
    out->has_items = 1;
}

void json_text(json *out, const char *key, const char *text)
{
    write_key(out, key);
    if (text)
        write_text(out->file, text);
    else
        fputs("null", out->file);
}

void json_number(json *out, const char *key, double number)
{
    write_key(out, key);
    if (isfinite(number))
        fprintf(out->file, "%.17g", number);
    else
        fputs("null", out->file);
}

void json_count(json *out, const char *key, uint64_t count)
{
    write_key(out, key);
    fprintf(out->file, "%" PRIu64, count);
}
