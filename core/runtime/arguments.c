/* arguments.c - what a program hands over, looked at before anything is done with it.
 *
 * A struct says its own size, so old programs and new libraries understand each other as the kernel and its callers do: what the caller does
 * not have is zero, and what only the caller has must be. */
#include <stdio.h>
#include <string.h>

#include "runtime/internal.h"

enum { STRUCT_MOST = 4096, LIST_MOST = 10000, ID_MOST = 256, KIND_MOST = 64 };
#define EARLIEST (INT64_C(631152000) * MOON_SECOND) /* 1990: smaller numbers are seconds or milliseconds by mistake */
#define LATEST (INT64_C(7258118400) * MOON_SECOND)  /* 2200: larger ones are nanoseconds */

moon_status moon_check_given(const void *given, const char *name) { return given ? moon_ok() : moon_fail(MOON_EINVAL, "%s is NULL", name); }

moon_status moon_check_size(size_t size, const char *type, size_t least) {
  if (size >= least && size <= STRUCT_MOST) return moon_ok();
  return moon_fail(MOON_EINVAL, "a %s has the size %zu; its first field, size, must be set to sizeof(%s), which is at least %zu", type,
                   size, type, least);
}

moon_status moon_take_struct(const void *theirs, const char *type, size_t least, size_t known, void *mine) {
  size_t size;
  MOON_TRY(moon_check_given(theirs, type));
  memcpy(&size, theirs, sizeof size);
  MOON_TRY(moon_check_size(size, type, least));
  const char *bytes = theirs;
  for (size_t i = known; i < size; i++)
    if (bytes[i])
      return moon_fail(MOON_EINVAL, "a %s of %zu bytes has fields set that this library (%s, %zu bytes) does not know", type, size,
                       MOON_VERSION, known);
  memset(mine, 0, known);
  memcpy(mine, theirs, size < known ? size : known);
  return moon_ok();
}

moon_status moon_check_query(const moon_query *theirs, moon_query *query) {
  MOON_TRY(moon_take_struct(theirs, "moon_query", offsetof(moon_query, explain) + sizeof(bool), sizeof *query, query));
  if (query->cart_n > LIST_MOST || query->param_n > LIST_MOST)
    return moon_fail(MOON_EINVAL, "a moon_query has up to %d items in its cart and %d parameters; got cart_n %zu, param_n %zu", LIST_MOST,
                     LIST_MOST, query->cart_n, query->param_n);
  if (query->cart_n) MOON_TRY(moon_check_given(query->cart, "moon_query.cart"));
  if (query->param_n) MOON_TRY(moon_check_given(query->params, "moon_query.params"));
  for (size_t i = 0; i < query->cart_n; i++)
    if (!query->cart[i]) return moon_fail(MOON_EINVAL, "moon_query.cart[%zu] is NULL", i);
  for (size_t i = 0; i < query->param_n; i++)
    if (!query->params[i].name || !query->params[i].value) return moon_fail(MOON_EINVAL, "moon_query.params[%zu] has a NULL", i);
  return moon_ok();
}

static moon_status check_text(const char *name, const char *text, size_t most) {
  if (!text) return moon_fail(MOON_EINVAL, "an event has a user, an item and a kind; its %s is NULL", name);
  size_t n = strnlen(text, most + 1);
  if (!n || n > most) return moon_fail(MOON_EINVAL, "an event's %s has 1 to %zu bytes, not %s", name, most, n ? "more" : "none");
  return moon_utf8_prefix(text, n) == n ? moon_ok() : moon_fail(MOON_EINVAL, "an event's %s is not UTF-8", name);
}

moon_status moon_check_event(const moon_event_record *event) {
  MOON_TRY(check_text("user", event->user, ID_MOST));
  MOON_TRY(check_text("item", event->item, ID_MOST));
  MOON_TRY(check_text("kind", event->kind, KIND_MOST));
  if (event->id) MOON_TRY(check_text("id", event->id, ID_MOST));
  if (event->time && (event->time < EARLIEST || event->time > LATEST))
    return moon_fail(MOON_EINVAL, "an event's time is microseconds since 1970, from 1990 to 2200; got %lld", (long long)event->time);
  return moon_ok();
}
