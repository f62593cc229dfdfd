/* text.h - text at the border: UTF-8 that may be broken, and JSON written straight into a buffer. */
#ifndef MOON_SERVE_TEXT_H
#define MOON_SERVE_TEXT_H

#include "base/base.h"

/* Bytes of the UTF-8 character that `text` begins with; 0 where it is none (RFC 3629: no surrogates, nothing overlong). */
size_t moon_text_step(const char *text, size_t n);
bool moon_text_valid(const char *text, size_t n);

/* "quoted", with escapes; a broken byte becomes U+FFFD, so the answer is always JSON. */
void moon_json_text(moon_buf *out, const char *text, size_t n);
void moon_json_string(moon_buf *out, const char *text);
/* The shortest of 15 or 17 digits that reads back the same; null for what JSON cannot say. */
void moon_json_number(moon_buf *out, double value);
/* {"error":{"code":..,"message":..}} */
void moon_json_error(moon_buf *out, const char *code, const char *message);

#endif
