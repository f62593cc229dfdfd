/* describe.c - a site's plan as a tree for people: pages, slots, where they take from and what is done to it. */
#include <stdlib.h>
#include <string.h>

#include "page/page.h"

static json_int_t whole_of(const json_t *object, const char *key) {
  return json_integer_value(json_object_get(object, key));
}

static void put_sources(moon_buf *out, const json_t *sources) {
  const json_t *source;
  size_t i;
  json_array_foreach(sources, i, source) {
    json_int_t least = whole_of(source, "at_least"), most = whole_of(source, "at_most");
    moon_buf_printf(out, "%s%s(%lld", i ? ", " : " ", moon_text_in(source, "type"), (long long)whole_of(source, "n"));
    if (least) moon_buf_printf(out, ", at least %lld", (long long)least);
    if (most) moon_buf_printf(out, ", at most %lld", (long long)most);
    moon_buf_puts(out, ")");
  }
}

static void add_slot(json_t *page, const json_t *slot, bool *failed) {
  const json_t *policy;
  moon_buf text = {0};
  size_t i;
  moon_buf_printf(&text, "slot %s: %lld from", moon_text_in(slot, "name"), (long long)whole_of(slot, "take"));
  put_sources(&text, json_object_get(slot, "sources"));
  if (json_is_true(json_object_get(slot, "rank"))) moon_buf_puts(&text, ", ranked");
  const json_t *gate = json_object_get(slot, "gate");
  if (gate) moon_buf_printf(&text, ", gate %s", moon_text_in(gate, "label"));
  json_t *node = moon_tree_add(page, &text, moon_text_in(slot, "where"), failed);
  json_array_foreach(json_object_get(slot, "policies"), i, policy) {
    moon_buf label = {0};
    moon_buf_puts(&label, moon_text_in(policy, "label"));
    moon_tree_add(node, &label, moon_text_in(policy, "where"), failed);
  }
}

static void add_page(json_t *root, const char *name, const json_t *page, bool *failed) {
  const json_t *slot, *stage, *order = json_object_get(page, "order");
  moon_buf text = {0}, fallback = {0};
  size_t i;
  moon_buf_printf(&text, "page %s", name);
  if (*moon_text_in(page, "dedupe")) moon_buf_printf(&text, ", each %s once", moon_text_in(page, "dedupe"));
  if (order) moon_buf_printf(&text, ", slots by %s", moon_text_in(order, "by"));
  json_t *node = moon_tree_add(root, &text, moon_text_in(page, "where"), failed);
  json_array_foreach(json_object_get(page, "slots"), i, slot) add_slot(node, slot, failed);
  if (!json_array_size(json_object_get(page, "fallback"))) return;
  moon_buf_puts(&fallback, "fallback:");
  json_array_foreach(json_object_get(page, "fallback"), i, stage) {
    if (i) moon_buf_puts(&fallback, "; then");
    put_sources(&fallback, stage);
  }
  moon_tree_add(node, &fallback, moon_text_in(page, "where"), failed);
}

static int by_text(const void *a, const void *b) {
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* By their names: objects have no order. */
static moon_status add_pages(json_t *root, json_t *surfaces, bool *failed) {
  const char *name, **names = moon_alloc((json_object_size(surfaces) + 1) * sizeof *names);
  json_t *page;
  size_t n = 0;
  if (!names) return moon_fail(MOON_ENOMEM, "no memory to describe a site");
  json_object_foreach(surfaces, name, page) names[n++] = name;
  qsort(names, n, sizeof *names, by_text);
  for (size_t i = 0; i < n; i++) add_page(root, names[i], json_object_get(surfaces, names[i]), failed);
  moon_free(names);
  return *failed ? moon_fail(MOON_ENOMEM, "no memory to describe a site") : moon_ok();
}

moon_status moon_site_describe(const json_t *plan, json_t **out) {
  moon_buf text = {0};
  bool failed = false;
  moon_buf_puts(&text, "site");
  json_t *root = moon_tree_add(NULL, &text, moon_text_in(plan, "where"), &failed);
  moon_status status = add_pages(root, json_object_get(plan, "surfaces"), &failed);
  *out = json_pack("{s:o}", "tree", root);
  if (!status.code) return status;
  json_decref(*out);
  *out = NULL;
  return status;
}
