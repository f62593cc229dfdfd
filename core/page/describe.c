/* describe.c - a site's plan as a tree for people: pages, slots, where they take from and what is done to it. */
#include <string.h>

#include "page/page.h"

static const char *text_of(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

static json_int_t whole_of(const json_t *object, const char *key) {
  return json_integer_value(json_object_get(object, key));
}

/* The parent's new child, with this text, which it takes. */
static json_t *grow(json_t *parent, moon_buf *text, const json_t *word) {
  json_t *child = json_pack("{s:s, s:s, s:[]}", "text", text->data && !text->failed ? text->data : "", "where",
                            text_of(word, "where"), "children");
  moon_buf_free(text);
  return json_array_append_new(json_object_get(parent, "children"), child) ? NULL : child;
}

static void put_sources(moon_buf *out, const json_t *sources) {
  const json_t *source;
  size_t i;
  json_array_foreach(sources, i, source)
      moon_buf_printf(out, "%s%s(%lld)", i ? ", " : " ", text_of(source, "type"), (long long)whole_of(source, "n"));
}

static void add_slot(json_t *page, const json_t *slot) {
  const json_t *policy;
  moon_buf text = {0};
  size_t i;
  moon_buf_printf(&text, "slot %s: %lld from", text_of(slot, "name"), (long long)whole_of(slot, "take"));
  put_sources(&text, json_object_get(slot, "sources"));
  if (json_is_true(json_object_get(slot, "rank"))) moon_buf_puts(&text, ", ranked");
  if (json_object_get(slot, "gate")) moon_buf_puts(&text, ", gated");
  json_t *node = grow(page, &text, slot);
  json_array_foreach(json_object_get(slot, "policies"), i, policy) {
    moon_buf label = {0};
    moon_buf_puts(&label, text_of(policy, "label"));
    grow(node, &label, policy);
  }
}

static void add_page(json_t *root, const char *name, const json_t *page) {
  const json_t *slot;
  moon_buf text = {0}, fallback = {0};
  size_t i;
  moon_buf_printf(&text, "page %s", name);
  if (*text_of(page, "dedupe")) moon_buf_printf(&text, ", each %s once", text_of(page, "dedupe"));
  json_t *node = grow(root, &text, page);
  json_array_foreach(json_object_get(page, "slots"), i, slot) add_slot(node, slot);
  if (!json_array_size(json_object_get(page, "fallback"))) return;
  moon_buf_puts(&fallback, "fallback:");
  put_sources(&fallback, json_object_get(page, "fallback"));
  grow(node, &fallback, page);
}

moon_status moon_site_describe(const json_t *plan, json_t **out) {
  const char *name;
  json_t *page, *root = json_pack("{s:s, s:s, s:[]}", "text", "site", "where", text_of(plan, "where"), "children");
  json_object_foreach(json_object_get(plan, "surfaces"), name, page) add_page(root, name, page);
  *out = json_pack("{s:o}", "tree", root);
  return *out ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to describe a site");
}
