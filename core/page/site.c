/* site.c - a site out of its plan: pages, slots, sources, checked against the bundle that will serve them.
 *
 * Every object carries "where", the line of the script that wrote it; an error begins with the innermost one. */
#include <string.h>

#include "page/site.h"
#include "page/slate.h"

/* ---- sources */

static moon_status read_source(moon_site *site, const json_t *json, moon_site_source *out) {
  const char *names[MOON_SOURCE_PINNED], *type;
  MOON_TRY(moon_plan_text(&site->memory, json, "type", NULL, &type));
  MOON_TRY(moon_plan_count(json, "n", 1, 100000, 100, &out->n));
  MOON_TRY(moon_plan_count(json, "at_most", 1, 1000, 1000, &out->at_most));
  MOON_TRY(moon_plan_count(json, "at_least", 0, out->at_most, 0, &out->at_least));
  for (unsigned kind = 0; kind < MOON_SOURCE_PINNED; kind++) {
    names[kind] = moon_source_name((moon_source_kind)kind);
    if (strcmp(type, names[kind])) continue;
    out->kind = (moon_source_kind)kind;
    bool chart = out->kind == MOON_SOURCE_POPULAR || out->kind == MOON_SOURCE_TRENDING;
    if (chart && out->n > site->chart_length) site->chart_length = out->n;
    return out->kind == MOON_SOURCE_NEAREST ? moon_site_read_nearest(site, json, out) : moon_ok();
  }
  return moon_plan_unknown("source", type, names, MOON_SOURCE_PINNED);
}

/* A quota is of a kind of source, which is what an item is tagged with. */
static moon_status check_quotas(const moon_site_source *sources, size_t n) {
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++)
      if (i != j && sources[i].kind == sources[j].kind && (sources[i].at_least || sources[i].at_most < 1000))
        return moon_fail(MOON_EINVAL, "source '%s' has a quota, and is there twice", moon_source_name(sources[i].kind));
  return moon_ok();
}

static moon_status read_sources(moon_site *site, const json_t *owner, const char *key, const char *where, moon_site_source **out,
                                size_t *n) {
  const json_t *list;
  MOON_TRY(moon_wrap(moon_plan_list(&site->memory, owner, key, sizeof **out, &list, out, n), "%.100s", where));
  for (size_t i = 0; i < *n; i++) {
    const json_t *json = json_array_get(list, i);
    MOON_TRY(moon_wrap(read_source(site, json, &(*out)[i]), "%.100s", moon_plan_where(json, where)));
  }
  return moon_wrap(check_quotas(*out, *n), "%.100s", where);
}

/* [[sources], [sources]]; a list of sources is one stage. */
static moon_status read_stages(moon_site *site, const json_t *owner, const char *where, moon_site_stage **out, size_t *n) {
  json_t *list = json_object_get(owner, "fallback");
  bool many = json_is_array(json_array_get(list, 0));
  *n = many ? json_array_size(list) : json_array_size(list) > 0;
  if (list && !json_is_null(list) && !json_is_array(list)) return moon_fail(MOON_EFORMAT, "%.100s: fallback must be a list", where);
  *out = moon_arena_calloc(&site->memory, *n * sizeof **out);
  if (!*out) return moon_fail(MOON_ENOMEM, "no memory for a site");
  for (size_t i = 0; i < *n; i++) {
    json_t *stage = json_pack("{s:O}", "fallback", many ? json_array_get(list, i) : list);
    if (!stage) return moon_fail(MOON_ENOMEM, "no memory for a site");
    moon_status status = read_sources(site, stage, "fallback", where, &(*out)[i].sources, &(*out)[i].source_count);
    json_decref(stage);
    if (status.code) return status;
  }
  return moon_ok();
}

/* ---- slots */

static moon_status read_slot_fields(moon_site *site, const json_t *json, moon_site_slot *out) {
  const json_t *rank = json_object_get(json, "rank");
  MOON_TRY(moon_plan_text(&site->memory, json, "name", NULL, &out->name));
  MOON_TRY(moon_site_read_titles(site, json, out));
  MOON_TRY(moon_plan_count(json, "take", 1, 1000, 10, &out->take));
  MOON_TRY(moon_plan_count(json, "min", 0, out->take, 1, &out->min));
  MOON_TRY(moon_site_read_gate(site, json_object_get(json, "gate"), &out->gate));
  out->fixed = json_is_true(json_object_get(json, "fixed"));
  out->rank = json_is_true(rank);
  if (rank && !json_is_null(rank) && !json_is_boolean(rank)) return moon_fail(MOON_EFORMAT, "rank must be true or false");
  if (out->rank && !(site->bundle->model && site->bundle->features && site->bundle->feature_plan))
    return moon_fail(MOON_EINVAL, "slot '%.100s' wants to be ranked, and the bundle has no model", out->name);
  return moon_ok();
}

static moon_status read_slot(moon_site *site, const moon_site_page *page, const json_t *json, const char *outer, moon_site_slot *out) {
  const char *where = moon_plan_where(json, outer);
  MOON_TRY(moon_wrap(read_slot_fields(site, json, out), "%.100s", where));
  MOON_TRY(read_sources(site, json, "sources", where, &out->sources, &out->source_count));
  if (!out->source_count) return moon_fail(MOON_EFORMAT, "%.100s: slot '%.100s' has no sources", where, out->name);
  size_t owed = 0;
  for (size_t i = 0; i < out->source_count; i++) owed += out->sources[i].at_least;
  if (owed > out->take)
    return moon_fail(MOON_EINVAL, "%.100s: the sources of slot '%.100s' are to have %zu places at least, and it takes %zu", where,
                     out->name, owed, out->take);
  out->fallback = page->fallback, out->fallback_count = page->fallback_count;
  if (json_is_array(json_object_get(json, "fallback"))) MOON_TRY(read_stages(site, json, where, &out->fallback, &out->fallback_count));
  return moon_site_policies(site, json, where, out);
}

/* ---- products: variants of one product share a number, whatever the type of the column */

static moon_status number_products(moon_site *site, const moon_column *column, const uint32_t **out) {
  uint32_t *product = moon_arena_alloc(&site->memory, site->rows * sizeof *product);
  if (!product) return moon_fail(MOON_ENOMEM, "no memory for a site");
  moon_map numbers = {0};
  moon_status status = moon_ok();
  for (size_t row = 0; row < site->rows && !status.code; row++) {
    uint64_t key, number = MOON_NONE;
    if (moon_cell_key(column, row, &key) && !moon_map_get(&numbers, key, &number)) {
      number = numbers.n;
      status = moon_map_put(&numbers, key, number);
    }
    product[row] = (uint32_t)number;
  }
  moon_map_free(&numbers);
  *out = product;
  return status;
}

/* Pages that go by one column share its numbers. */
static moon_status read_dedupe(moon_site *site, const json_t *json, moon_site_page *out) {
  moon_column *column;
  MOON_TRY(moon_plan_text(&site->memory, json, "dedupe", "", &out->dedupe_column));
  if (!*out->dedupe_column) return moon_ok();
  out->dedupe = strcmp(out->dedupe_column, "item") ? MOON_DEDUPE_COLUMN : MOON_DEDUPE_ITEM;
  if (out->dedupe == MOON_DEDUPE_ITEM) return moon_ok();
  MOON_TRY(moon_wrap(moon_table_require(site->bundle->catalogue->table, out->dedupe_column, &column), "dedupe = '%.60s'", out->dedupe_column));
  for (const moon_site_page *page = site->pages; page < out && !out->product; page++)
    if (page->product && !strcmp(page->dedupe_column, out->dedupe_column)) out->product = page->product;
  return out->product ? moon_ok() : number_products(site, column, &out->product);
}

/* ---- the order of slots */

static moon_status read_order(moon_site *site, const json_t *json, moon_site_page *out) {
  static const char *const names[] = {"score", "affinity"};
  const json_t *order = json_object_get(json, "order");
  const moon_table *table = site->bundle->catalogue->table;
  const char *by, *name;
  moon_column *column;
  if (!order || json_is_null(order)) return moon_ok();
  MOON_TRY(moon_plan_text(&site->memory, order, "by", NULL, &by));
  MOON_TRY(moon_plan_count(order, "first", 1, 1000, 4, &out->order_first));
  out->order = !strcmp(by, names[0]) ? MOON_ORDER_SCORE : MOON_ORDER_AFFINITY;
  if (out->order == MOON_ORDER_SCORE) return moon_ok();
  if (strcmp(by, names[1])) return moon_plan_unknown("order", by, names, 2);
  MOON_TRY(moon_plan_text(&site->memory, order, "column", NULL, &name));
  MOON_TRY(moon_table_require(table, name, &column));
  out->order_column = (size_t)(column - table->columns);
  return moon_ok();
}

/* ---- pages */

static moon_status read_exclusions(moon_site *site, const json_t *json, moon_site_page *out) {
  const json_t *list;
  MOON_TRY(moon_plan_list(&site->memory, json, "exclude_seen", sizeof *out->exclude_seen, &list, &out->exclude_seen, &out->exclude_count));
  for (size_t i = 0; i < out->exclude_count; i++) {
    const char *kind = json_string_value(json_array_get(list, i));
    if (!kind) return moon_fail(MOON_EFORMAT, "exclude_seen must be a list of kinds of event");
    out->exclude_seen[i] = moon_arena_strdup(&site->memory, kind);
    if (!out->exclude_seen[i]) return moon_fail(MOON_ENOMEM, "no memory for a site");
  }
  return moon_ok();
}

static moon_status read_page(moon_site *site, const char *name, const json_t *json, const char *outer, moon_site_page *out) {
  const char *where = moon_plan_where(json, outer);
  const json_t *slots;
  out->name = moon_arena_strdup(&site->memory, name);
  if (!out->name) return moon_fail(MOON_ENOMEM, "no memory for a site");
  MOON_TRY(moon_wrap(read_dedupe(site, json, out), "%.100s", where));
  MOON_TRY(moon_wrap(read_exclusions(site, json, out), "%.100s", where));
  MOON_TRY(moon_wrap(read_order(site, json, out), "%.100s: order", where));
  MOON_TRY(moon_wrap(moon_site_read_solve(site, json, out), "%.100s", where));
  MOON_TRY(read_stages(site, json, where, &out->fallback, &out->fallback_count));
  MOON_TRY(
      moon_wrap(moon_plan_list(&site->memory, json, "slots", sizeof *out->slots, &slots, &out->slots, &out->slot_count), "%.100s", where));
  if (!out->slot_count) return moon_fail(MOON_EFORMAT, "%.100s: page '%.100s' has no slots", where, name);
  for (size_t i = 0; i < out->slot_count; i++) MOON_TRY(read_slot(site, out, json_array_get(slots, i), where, &out->slots[i]));
  return moon_ok();
}

static moon_status read_site(moon_site *site, const json_t *plan) {
  const char *where = moon_plan_where(plan, "site"), *name;
  json_t *surfaces = json_object_get(plan, "surfaces"), *page;
  size_t count = json_object_size(surfaces);
  if (!count) return moon_fail(MOON_EFORMAT, "%.100s: surfaces must be an object of at least one page", where);
  site->pages = moon_arena_calloc(&site->memory, count * sizeof *site->pages);
  if (!site->pages) return moon_fail(MOON_ENOMEM, "no memory for a site");
  json_object_foreach(surfaces, name, page) MOON_TRY(read_page(site, name, page, where, &site->pages[site->page_count++]));
  return moon_ok();
}

moon_status moon_site_new(const json_t *plan, const moon_bundle *bundle, moon_site **out) {
  moon_site *site = moon_calloc(1, sizeof *site);
  if (!site) return moon_fail(MOON_ENOMEM, "no memory for a site");
  site->bundle = bundle;
  site->rows = moon_catalogue_rows(bundle->catalogue);
  moon_status status = read_site(site, plan);
  if (status.code) moon_site_free(site);
  else *out = site;
  return status;
}

static void free_sources(const moon_site_source *sources, size_t n) {
  for (size_t i = 0; i < n; i++) moon_condition_free(sources[i].when);
}

static void free_stages(const moon_site_stage *stages, size_t n) {
  for (size_t i = 0; i < n; i++) free_sources(stages[i].sources, stages[i].source_count);
}

static void free_slot(const moon_site_page *page, const moon_site_slot *slot) {
  free_sources(slot->sources, slot->source_count);
  if (slot->fallback != page->fallback) free_stages(slot->fallback, slot->fallback_count);
  moon_site_gate_free(slot->gate);
}

void moon_site_free(moon_site *site) {
  if (!site) return;
  for (size_t p = 0; p < site->page_count; p++) {
    const moon_site_page *page = &site->pages[p];
    free_stages(page->fallback, page->fallback_count);
    for (size_t s = 0; s < page->slot_count; s++) free_slot(page, &page->slots[s]);
  }
  moon_policy_conditions_free(&site->conditions);
  moon_arena_free(&site->memory);
  moon_free(site);
}
