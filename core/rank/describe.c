/* describe.c - a recipe's plan before it has seen its data: whether features and layers fit each other, and what they take.
 *
 * A sketch of the items, without a row and with the columns that the plan declares, is enough to lay out the features and to build
 * the model. Only what the training part teaches is not known: how many rows the embedding tables of texts will have. */
#include <stdio.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/fit.h"

enum { CANDIDATES = 500 };
#define NS_WEIGHT 0.06 /* a weight of a compiled stack of layers and a candidate, f32: see feature/describe.c for the machine */

typedef struct sketch {
  moon_catalogue *items;
  moon_feature_plan *features;
  size_t *rows; /* [feature_count] of the embedding tables: what is known, else some number */
  moon_model *model;
} sketch;

/* ---- the items -------------------------------------------------------------------------------------------------------------- */

/* What a feature, or a part of it, needs the column to hold; MOON_STRING unless it says otherwise. */
static moon_type needed(const json_t *feature, const char *column) {
  static const char *const numbers[] = {"numeric", "relative", "mean"};
  const char *op = moon_text_in(feature, "op");
  const json_t *input;
  size_t i;
  bool of = !strcmp(moon_text_in(feature, "column"), column);
  for (size_t n = 0; of && n < sizeof numbers / sizeof *numbers; n++)
    if (!strcmp(op, numbers[n])) return MOON_NUMBER;
  if (of && !strcmp(op, "age")) return MOON_TIME;
  json_array_foreach(json_object_get(feature, "inputs"), i, input) if (needed(input, column) != MOON_STRING) return needed(
      input, column);
  return MOON_STRING;
}

/* What a column holds: as declared, or as the features that read it need it. */
static moon_type type_of(const json_t *column, const json_t *features) {
  const char *name = moon_text_in(column, "name"), *type = moon_text_in(column, "type");
  const json_t *feature;
  size_t i;
  if (!strcmp(type, "string") || !strcmp(name, "item")) return MOON_STRING;
  if (!strncmp(type, "time", 4)) return MOON_TIME;
  if (*type) return MOON_NUMBER;
  json_array_foreach(features, i, feature) if (needed(feature, name) != MOON_STRING) return needed(feature, name);
  return MOON_STRING;
}

/* Whether a layer reads "NAME" or "NAME.id", as it does of ids only. */
static bool is_id_input(const json_t *layer, const char *name) {
  const char *input = moon_text_in(layer, "input");
  const json_t *inner;
  size_t i, n = strlen(name);
  if (!strncmp(input, name, n) && (!input[n] || !strcmp(input + n, ".id"))) return true;
  json_array_foreach(json_object_get(layer, "layers"), i, inner) if (is_id_input(inner, name)) return true;
  return false;
}

/* Of what functions answer, only the data tell what it is: numbers, unless a layer or a history wants ids. */
static moon_type answer_type(const json_t *plan, const char *name) {
  const json_t *feature;
  size_t i;
  bool ids = is_id_input(json_object_get(plan, "model"), name);
  json_array_foreach(json_object_get(plan, "features"), i, feature) ids |= !strcmp(moon_text_in(feature, "of"), name);
  return ids ? MOON_STRING : MOON_NUMBER;
}

static moon_status draw_columns(const json_t *plan, const json_t *features, const json_t *source, moon_table *table) {
  const json_t *column;
  moon_column *made;
  size_t i;
  json_array_foreach(json_object_get(source, "columns"), i, column) {
    moon_type type = type_of(column, features);
    MOON_TRY(moon_table_add_column(table, moon_text_in(column, "name"), type, &made));
  }
  json_array_foreach(json_object_get(plan, "item_columns"), i, column) {
    const char *name = moon_text_in(column, "column");
    MOON_TRY(moon_table_add_column(table, name, answer_type(plan, name), &made));
  }
  return moon_ok();
}

moon_status moon_draw_items(const json_t *plan, const json_t *features, moon_catalogue **out) {
  const json_t *source = json_object_get(json_object_get(plan, "sources"), "items");
  moon_table *table = NULL;
  if (!source) return moon_catalogue_new(NULL, out);
  MOON_TRY(moon_table_new("the items", &table));
  moon_status status = draw_columns(plan, features, source, table);
  if (!status.code) return moon_catalogue_new(table, out);
  moon_table_free(table);
  return status;
}

static moon_status draw(const json_t *plan, size_t rows, sketch *s) {
  MOON_TRY(moon_draw_items(plan, json_object_get(plan, "features"), &s->items));
  MOON_TRY(moon_feature_plan_new(json_object_get(plan, "features"), s->items, &s->features));
  s->rows = moon_alloc(s->features->feature_count * sizeof *s->rows);
  if (!s->rows) return moon_fail(MOON_ENOMEM, "no memory to sketch a model");
  for (size_t i = 0; i < s->features->feature_count; i++) s->rows[i] = s->features->features[i].rows ? s->features->features[i].rows : rows;
  MOON_TRY(moon_model_new(json_object_get(plan, "model"), s->features, s->rows, 0, &s->model));
  MOON_TRY(moon_windows_check(s->model, json_object_get(plan, "train")));
  return moon_model_compile(s->model);
}

static void wipe(sketch *s) {
  moon_model_free(s->model);
  moon_free(s->rows);
  moon_feature_plan_free(s->features);
  moon_catalogue_free(s->items);
}

/* ---- the tree ------------------------------------------------------------------------------------------------------------- */

json_t *moon_tree_add(json_t *parent, moon_buf *text, const char *where, bool *failed) {
  json_t *node =
      text->failed ? NULL : json_pack("{s:s, s:s, s:[]}", "text", text->data ? text->data : "", "where", where, "children");
  moon_buf_free(text);
  if (node && parent && json_array_append_new(json_object_get(parent, "children"), node)) node = NULL;
  if (!node) *failed = true;
  return node;
}

typedef struct tree {
  json_t *root;
  bool failed;
} tree;

__attribute__((format(printf, 4, 5))) static json_t *add(tree *t, json_t *parent, const char *where, const char *format, ...) {
  char text[400];
  moon_buf copy = {0};
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  moon_buf_add(&copy, text, moon_utf8_prefix(text, strlen(text)));
  moon_buf_add(&copy, "", 1);
  return moon_tree_add(parent, &copy, where, &t->failed);
}

static void put_list(moon_buf *out, const json_t *list) {
  const json_t *item;
  size_t i;
  if (json_is_string(list)) moon_buf_printf(out, " %s", json_string_value(list));
  json_array_foreach(list, i, item)
      moon_buf_printf(out, "%s %s", i ? "," : "", json_is_string(item) ? json_string_value(item) : "");
}

static void add_source(tree *t, const char *name, const json_t *source) {
  const json_t *column;
  moon_buf text = {0};
  size_t i;
  if (!source) return;
  moon_buf_printf(&text, "%s:", name);
  if (strcmp(moon_text_in(source, "format"), "postgres")) put_list(&text, json_object_get(source, "file"));
  json_t *node = moon_tree_add(t->root, &text, moon_text_in(source, "where"), &t->failed);
  json_array_foreach(json_object_get(source, "columns"), i, column) {
    const char *type = moon_text_in(column, "type"), *from = moon_text_in(column, "from");
    add(t, node, moon_text_in(column, "where"), "%s%s%s%s%s%s", moon_text_in(column, "name"), *type ? ": " : "", type,
        strcmp(from, moon_text_in(column, "name")) ? " (" : "", strcmp(from, moon_text_in(column, "name")) ? from : "",
        strcmp(from, moon_text_in(column, "name")) ? ")" : "");
  }
}

static void put_name(moon_buf *out, const json_t *value, const char *key) {
  const char *text = json_string_value(json_object_get(value, key));
  if (text) moon_buf_printf(out, " %s", text);
}

/* "drop_missing user, item", "map event", "join users.csv on user" */
static void add_rules(tree *t, const json_t *rules) {
  static const char *const lists[] = {"values", "types", "names", "zones"};
  const json_t *rule, *entry;
  size_t i, k;
  json_t *node = json_array_size(rules) ? add(t, t->root, "", "rules") : NULL;
  json_array_foreach(rules, i, rule) {
    moon_buf text = {0};
    moon_buf_puts(&text, moon_text_in(rule, "op"));
    if (json_object_get(rule, "source")) put_list(&text, json_object_get(json_object_get(rule, "source"), "file"));
    put_name(&text, rule, "on");
    put_name(&text, rule, "column");
    put_list(&text, json_object_get(rule, "columns"));
    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
      json_array_foreach(json_object_get(rule, lists[l]), k, entry) put_name(&text, entry, "column");
    moon_tree_add(node, &text, moon_text_in(rule, "where"), &t->failed);
  }
}

static void add_label(tree *t, const json_t *label) {
  moon_buf text = {0};
  json_int_t within = json_integer_value(json_object_get(label, "within_us"));
  moon_buf_printf(&text, "label%s%s:", *moon_text_in(label, "task") ? " " : "", moon_text_in(label, "task"));
  if (json_object_get(label, "column")) {
    moon_buf_printf(&text, " %s of %g or more", moon_text_in(label, "column"), json_number_value(json_object_get(label, "at_least")));
  } else {
    put_list(&text, json_object_get(label, "positive"));
    moon_buf_puts(&text, " of");
    put_list(&text, json_object_get(label, "of"));
    moon_buf_printf(&text, " within %.3g h", (double)within / 3.6e9);
  }
  if (json_integer_value(json_object_get(label, "negatives")))
    moon_buf_printf(&text, "; %lld sampled negatives each", (long long)json_integer_value(json_object_get(label, "negatives")));
  moon_tree_add(t->root, &text, moon_text_in(label, "where"), &t->failed);
}

static void add_state(tree *t, const json_t *state) {
  double ttl = json_number_value(json_object_get(state, "ttl_us"));
  if (ttl > 0) add(t, t->root, moon_text_in(state, "where"), "state: a user is forgotten %.4g days after the last event", ttl / 8.64e10);
}

static void add_features(tree *t, const json_t *described) {
  const json_t *feature, *counter;
  size_t i;
  json_t *node = add(t, t->root, "", "features");
  json_array_foreach(json_object_get(described, "features"), i, feature)
      add(t, node, moon_text_in(feature, "where"), "%s: %s; ~%.0f ns", moon_text_in(feature, "name"), moon_text_in(feature, "text"),
          json_number_value(json_object_get(feature, "ns")));
  node = json_array_size(json_object_get(described, "counters")) ? add(t, t->root, "", "counters") : NULL;
  json_array_foreach(json_object_get(described, "counters"), i, counter) {
    json_int_t each = json_integer_value(json_object_get(counter, "event_bytes"));
    add(t, node, "", "%zu: %s; %lld bytes each%s", i + 1, moon_text_in(counter, "text"),
        (long long)json_integer_value(json_object_get(counter, "bytes")), each ? ", 8 an event" : "");
  }
}

/* The numbers that layers learn, and of the tables whose rows are known. */
static size_t layer_weights(const moon_model *model) {
  size_t n, sum = 0;
  moon_param *const *params = moon_module_params(model->module, &n);
  for (size_t i = 0; i < n; i++) sum += moon_tensor_count(params[i]->value);
  return sum;
}

static moon_status add_model(tree *t, const sketch *s) {
  moon_buf layers = {0};
  moon_status status = moon_module_summary(s->model->module, &layers);
  json_t *node = s->model->closed ? add(t, t->root, "", "model: computed in closed form from the events; ids are not embedded (parameters: of 1 item)")
                                  : add(t, t->root, "", "model: %zu inputs; %zu weights in its layers, %s", s->model->in, layer_weights(s->model),
                                        s->model->infer ? "compiled for scoring" : "scored on a tape");
  char *rest = NULL;
  for (char *line = layers.data && !status.code ? strtok_r(layers.data, "\n", &rest) : NULL; line && rest && *rest;
       line = strtok_r(NULL, "\n", &rest))
    add(t, node, "", "%s", line); /* without the sum at the end */
  for (size_t i = 0; i < s->features->feature_count; i++) {
    const moon_feature *f = &s->features->features[i];
    if (!f->dim || !s->model->tables || !s->model->tables[i]) continue;
    if (f->rows)
      add(t, node, f->where, "table %s: %zu x %zu, %zu weights", f->name, f->rows, f->dim, f->rows * f->dim);
    else
      add(t, node, f->where, "table %s: N x %zu, N - 1 of which the training part has", f->name, f->dim);
  }
  moon_buf_free(&layers);
  return status;
}

/* What a request takes, in microseconds, by the features' nanoseconds; and of layers that compile. */
static void add_times(json_t *cost, const sketch *s) {
  double features = json_number_value(json_object_get(cost, "candidate_ns")) * CANDIDATES / 1000;
  json_object_set_new(cost, "candidates", json_integer(CANDIDATES));
  json_object_set_new(cost, "features_us", json_real(features));
  json_object_set_new(cost, "weights", json_integer((json_int_t)layer_weights(s->model)));
  if (s->model->infer)
    json_object_set_new(cost, "model_us", json_real((double)layer_weights(s->model) * NS_WEIGHT * CANDIDATES / 1000));
}

static long long whole(const json_t *object, const char *key) {
  return (long long)json_integer_value(json_object_get(object, key));
}

static void add_cost(tree *t, const json_t *cost) {
  json_t *node = add(t, t->root, "", "cost"), *model = json_object_get(cost, "model_us");
  add(t, node, "", "a row of inputs: %lld bytes (numbers: %lld, ids: %lld, bags: %lld)", whole(cost, "row_bytes"),
      whole(cost, "numbers"), whole(cost, "ids"), whole(cost, "bags"));
  add(t, node, "", "state: %lld bytes a user, the id, and 16 for each item and event they touch", whole(cost, "user_bytes"));
  add(t, node, "", "state: %lld bytes an item", whole(cost, "item_bytes"));
  if (whole(cost, "pair_bytes")) add(t, node, "", "state: %lld bytes for a pair in every group", whole(cost, "pair_bytes"));
  if (whole(cost, "together_bytes"))
    add(t, node, "", "state: up to %lld bytes for the pairs of m.cooccurrence", whole(cost, "together_bytes"));
  if (whole(cost, "event_bytes"))
    add(t, node, "", "state: up to %lld bytes for an event within the windows", whole(cost, "event_bytes"));
  add(t, node, "", "a request of %d candidates: about %.0f us for the features", CANDIDATES,
      json_number_value(json_object_get(cost, "features_us")));
  if (model)
    add(t, node, "", "a request of %d candidates: about %.0f us for the layers, on one core", CANDIDATES,
        json_number_value(model));
}

static moon_status draw_tree(const json_t *plan, const sketch *s, const json_t *described, tree *t) {
  const json_t *sources = json_object_get(plan, "sources");
  t->root = add(t, NULL, moon_text_in(plan, "where"), "recipe %s", moon_text_in(plan, "name"));
  add_source(t, "events", json_object_get(sources, "events"));
  add_source(t, "items", json_object_get(sources, "items"));
  add_rules(t, json_object_get(plan, "preprocess"));
  for (size_t i = 0; i < moon_label_count(json_object_get(plan, "label")); i++) add_label(t, moon_label_at(json_object_get(plan, "label"), i));
  add_state(t, json_object_get(plan, "state"));
  add_features(t, described);
  MOON_TRY(add_model(t, s));
  add_cost(t, json_object_get(described, "cost"));
  return t->failed ? moon_fail(MOON_ENOMEM, "no memory to describe a plan") : moon_ok();
}

static moon_status describe(const json_t *plan, const sketch *s, json_t **out) {
  tree t = {0};
  MOON_TRY(moon_feature_plan_describe(s->features, out));
  add_times(json_object_get(*out, "cost"), s);
  moon_status status = draw_tree(plan, s, *out, &t);
  if (!status.code && json_object_set(*out, "tree", t.root)) status = moon_fail(MOON_ENOMEM, "no memory to describe a plan");
  json_decref(t.root);
  if (!status.code) return status;
  json_decref(*out);
  *out = NULL;
  return status;
}

moon_status moon_recipe_describe(const json_t *plan, json_t **out) {
  sketch s = {0};
  *out = NULL;
  moon_status status = draw(plan, 2, &s);
  if (!status.code) status = describe(plan, &s, out);
  wipe(&s);
  return status;
}

/* ---- the model, as far as it is known ------------------------------------------------------------------------------------- */

static moon_status summarise(const json_t *plan, size_t rows, json_t **out) {
  sketch s = {0};
  moon_precision precision;
  moon_status status = draw(plan, rows, &s);
  if (!status.code) status = moon_train_precision(json_object_get(plan, "train"), &precision);
  if (!status.code) status = moon_model_set_precision(s.model, precision);
  if (!status.code) status = moon_model_describe(s.model, out);
  wipe(&s);
  return status;
}

/* Whatever differs between two of one form becomes null. */
static json_t *common(const json_t *a, const json_t *b) {
  json_t *all, *one;
  const char *key;
  size_t i;
  if (json_is_object(a)) {
    all = json_object();
    json_object_foreach((json_t *)a, key, one) json_object_set_new(all, key, common(one, json_object_get(b, key)));
    return all;
  }
  if (!json_is_array(a)) return json_equal((json_t *)a, (json_t *)b) ? json_incref((json_t *)a) : json_null();
  all = json_array();
  json_array_foreach(a, i, one) json_array_append_new(all, common(one, json_array_get(b, i)));
  return all;
}

moon_status moon_recipe_summary(const json_t *plan, json_t **out) {
  json_t *one = NULL, *other = NULL;
  *out = NULL;
  moon_status status = summarise(plan, 2, &one);
  if (!status.code) status = summarise(plan, 3, &other);
  if (!status.code && !(*out = common(one, other))) status = moon_fail(MOON_ENOMEM, "no memory for a summary");
  json_decref(one);
  json_decref(other);
  return status;
}
