/* routes_page.c - GET /v1/page/<surface>: from parameters to a query, and the page as the answer. */
#include <string.h>

#include "serve/internal.h"

enum { CART_MAX = 200 };

/* "a,b,c" -> ids in the arena; blanks around the commas and empty parts do not count. */
static moon_status split_items(moon_arena *arena, const char *list, moon_query *query) {
  const char **ids = moon_arena_alloc(arena, CART_MAX * sizeof *ids);
  char *text = moon_arena_strdup(arena, list);
  if (!ids || !text) return moon_fail(MOON_ENOMEM, "no memory for a cart");
  size_t n = 0;
  for (char *rest = text, *id; (id = strsep(&rest, ","));) {
    id += strspn(id, " ");
    for (size_t length = strlen(id); length && id[length - 1] == ' ';) id[--length] = 0;
    if (!*id) continue;
    if (n == CART_MAX) return moon_fail(MOON_EINVAL, "items holds more than %d ids", CART_MAX);
    ids[n++] = id;
  }
  query->cart = ids;
  query->cart_n = n;
  return moon_ok();
}

static moon_status read_flag(const char *name, const char *value, bool *out) {
  if (!value) return moon_ok();
  if (strcmp(value, "1") && strcmp(value, "true") && strcmp(value, "0") && strcmp(value, "false") && *value)
    return moon_fail(MOON_EINVAL, "%s must be 1 or 0, not '%.40s'", name, value);
  *out = !strcmp(value, "1") || !strcmp(value, "true") || !*value;
  return moon_ok();
}

static moon_status read_query(moon_exchange *x, moon_query *query) {
  const char *items = NULL, *explain = NULL;
  *query = (moon_query){.size = sizeof *query, .surface = x->tail, .now = moon_server_now(x->server)};
  MOON_TRY(moon_target_take(&x->target, "user", &query->user));
  MOON_TRY(moon_target_take(&x->target, "item", &query->item));
  MOON_TRY(moon_target_take(&x->target, "items", &items));
  MOON_TRY(moon_target_take(&x->target, "explain", &explain));
  MOON_TRY(read_flag("explain", explain, &query->explain));
  if (items) MOON_TRY(split_items(&x->server->arena, items, query));
  if (query->user && !*query->user) query->user = NULL;
  if (query->item && !*query->item) query->item = NULL;
  query->seed = query->user ? moon_hash(query->user, strlen(query->user)) : 0; /* a visitor's page holds still */
  query->params = x->target.params;
  query->param_n = x->target.param_n;
  return moon_ok();
}

static void count_page(moon_server *server, const moon_page *page, int64_t micros) {
  moon_metrics_page(&server->metrics, micros);
  for (int kind = 0; kind < MOON_SCRIPT_FAILURES; kind++) server->metrics.policy_errors[kind] += page->policy_failures[kind];
  if (!page->degraded) return;
  server->metrics.pages_degraded++;
  moon_server_log_quietly(server, "warning", "page %s: %s", page->surface, page->degraded);
}

moon_status moon_route_page(moon_exchange *x) {
  int64_t start = moon_monotonic();
  moon_query query;
  moon_request request;
  moon_page *page;
  MOON_TRY(read_query(x, &query));
  MOON_TRY(moon_worker_assemble(x->server->worker, &query, &request, &page));
  MOON_TRY(moon_page_json(page, &request, x->body));
  count_page(x->server, page, moon_monotonic() - start);
  if (moon_worker_is_worn(x->server->worker)) moon_reload_begin(x->server, false);
  return moon_ok();
}
