/* base64.h - bytes as text for JSON (RFC 4648, with padding). */
#ifndef MOON_BASE_BASE64_H
#define MOON_BASE_BASE64_H
#include "base/base.h"

void moon_base64_write(const void *bytes, size_t n, moon_buf *out);
/* False where the text is not that of exactly n bytes, which are then anything. */
bool moon_base64_read(const char *text, size_t length, void *bytes, size_t n);

#endif
