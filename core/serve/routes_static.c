/* routes_static.c - the demo storefront, out of the binary itself. */
#include <stdio.h>
#include <string.h>

#include "base/embedded.h"
#include "serve/internal.h"

static const char *type_of(const char *name) {
  const char *dot = strrchr(name, '.');
  if (dot && !strcmp(dot, ".js")) return "text/javascript; charset=utf-8";
  if (dot && !strcmp(dot, ".css")) return "text/css; charset=utf-8";
  return "text/html; charset=utf-8";
}

moon_status moon_route_file(moon_exchange *x) {
  const char *path = x->target.path[1] ? x->target.path + 1 : "index.html";
  char name[128], tag[24];
  snprintf(name, sizeof name, "core/serve/storefront/%s", path);
  const moon_embedded *file = moon_embedded_find(name);
  if (!file) return moon_fail(MOON_ENOTFOUND, "there is no /%.100s in this build", path);
  snprintf(tag, sizeof tag, "\"%016llx\"", (unsigned long long)moon_hash(file->data, file->size));
  /* Asked for every time and sent once: a new binary shows at once. Nothing but our own files may run or be loaded. */
  x->headers =
      moon_arena_printf(&x->server->arena,
                        "ETag: %s\r\nCache-Control: no-cache\r\nReferrer-Policy: no-referrer\r\n"
                        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
                        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
                        tag);
  if (!x->headers) return moon_fail(MOON_ENOMEM, "no memory for headers");
  x->type = type_of(path);
  const char *have = x->request->if_none_match;
  if (have && (strstr(have, tag) || !strcmp(have, "*"))) x->status = 304;
  moon_buf_add(x->body, file->data, file->size);
  return moon_ok();
}
