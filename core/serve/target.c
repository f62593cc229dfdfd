/* target.c - percent-decoding (RFC 3986; + as HTML forms write it) with nothing let through that is not text. */
#include "serve/target.h"

#include <string.h>

static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes text [n] into the arena. */
static moon_status decode(const char *text, size_t n, bool form, moon_arena *arena, char **out) {
  char *decoded = moon_arena_alloc(arena, n + 1), *to = decoded;
  if (!decoded) return moon_fail(MOON_ENOMEM, "no memory for an address");
  for (size_t i = 0; i < n; i++) {
    char c = text[i];
    if (c == '+' && form) c = ' ';
    if (c == '%') {
      bool room = n - i > 2;
      int high = room ? hex(text[i + 1]) : -1, low = room ? hex(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return moon_fail(MOON_EFORMAT, "'%.*s' is not percent-encoding: two hex digits follow each %%", (int)(n < 80 ? n : 80),
                         text);
      c = (char)(high << 4 | low);
      i += 2;
    }
    if (!c) return moon_fail(MOON_EFORMAT, "'%.*s' holds a zero byte", (int)(n < 80 ? n : 80), text);
    *to++ = c;
  }
  *to = 0;
  if (moon_utf8_prefix(decoded, (size_t)(to - decoded)) != (size_t)(to - decoded))
    return moon_fail(MOON_EFORMAT, "'%.*s' is not UTF-8", (int)(n < 80 ? n : 80), text);
  *out = decoded;
  return moon_ok();
}

/* A proxy's way of writing: http://host/path. */
static const char *skip_authority(const char *text) {
  if (strncmp(text, "http://", 7) && strncmp(text, "https://", 8)) return text;
  const char *host = strstr(text, "://") + 3;
  return host + strcspn(host, "/?#");
}

static moon_status parse_param(const char *text, size_t n, moon_arena *arena, moon_pair *out) {
  const char *equals = memchr(text, '=', n);
  size_t name_n = equals ? (size_t)(equals - text) : n;
  char *name, *value;
  MOON_TRY(decode(text, name_n, true, arena, &name));
  MOON_TRY(decode(equals ? equals + 1 : "", equals ? n - name_n - 1 : 0, true, arena, &value));
  *out = (moon_pair){name, value};
  return moon_ok();
}

moon_status moon_target_parse(const char *text, moon_arena *arena, moon_target *out) {
  text = skip_authority(text);
  moon_target target = {0};
  size_t path_n = strcspn(text, "?#");
  MOON_TRY(path_n ? decode(text, path_n, false, arena, &target.path) : decode("/", 1, false, arena, &target.path));
  if (target.path[0] != '/') return moon_fail(MOON_EFORMAT, "the path '%.80s' does not begin with /", target.path);
  target.params = moon_arena_alloc(arena, MOON_TARGET_PARAMS * sizeof *target.params);
  if (!target.params) return moon_fail(MOON_ENOMEM, "no memory for parameters");
  const char *at = text + path_n;
  if (*at == '?') at++;
  while (*at && *at != '#') {
    size_t n = strcspn(at, "&#");
    if (n && target.param_n == MOON_TARGET_PARAMS)
      return moon_fail(MOON_ELIMIT, "there are more than %d parameters", MOON_TARGET_PARAMS);
    if (n) MOON_TRY(parse_param(at, n, arena, &target.params[target.param_n++]));
    at += n + (at[n] == '&');
  }
  *out = target;
  return moon_ok();
}

moon_status moon_target_take(moon_target *target, const char *name, const char **value) {
  size_t kept = 0, found = 0;
  for (size_t i = 0; i < target->param_n; i++) {
    if (strcmp(target->params[i].name, name))
      target->params[kept++] = target->params[i];
    else if (!found++)
      *value = target->params[i].value;
  }
  target->param_n = kept;
  return found > 1 ? moon_fail(MOON_EINVAL, "the parameter %s is given %zu times", name, found) : moon_ok();
}
