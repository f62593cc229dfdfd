/* inputs.c - what the features of a row are to the layers of a model: named inputs, the first of which is all of them side by
 * side.
 *
 * A history looks its items up in the table of the item id feature, so what is learned of an item as a candidate is also known
 * of it as a part of somebody's past. As an input of its own it runs from the oldest item to the newest, padding last. */
#include <string.h>

#include "rank/model.h"

static size_t width_of(const moon_embedding *table) { return moon_tensor_shape(table->weight->value)[1]; }

/* ---- which there are ----------------------------------------------------------------------------------------------------- */

/* The one width of all embeddings, or 0. */
static size_t field_width(const moon_model *model) {
  size_t n = model->plan->id_slots, all = n + model->plan->bag_slots, width = 0;
  for (size_t i = 0; i < all; i++) {
    size_t one = width_of(i < n ? model->of_id[i] : model->of_bag[i - n]);
    if (i && one != width) return 0;
    width = one;
  }
  return width;
}

typedef struct listing {
  moon_model *model;
  moon_form *forms;
  moon_arena *names;
} listing;

static moon_status note(listing *list, model_input_kind kind, size_t slot, const char *name, moon_form form) {
  if (!name) return moon_fail(MOON_ENOMEM, "no memory for the inputs of a model");
  form.name = name;
  list->forms[list->model->input_count] = form;
  list->model->inputs[list->model->input_count++] = (model_input){kind, slot};
  return moon_ok();
}

/* Where ids are not embedded, there are only the ids. */
static moon_status note_id(listing *list, const moon_feature *feature, size_t rows) {
  const moon_embedding *table = list->model->of_id[feature->slot];
  bool own = feature->op == MOON_FEATURE_ID;
  moon_whose whose = !own ? MOON_OF_BOTH : feature->of_user ? MOON_OF_USER : feature->slot == list->model->item_slot ? MOON_OF_ITEM : MOON_OF_BOTH;
  const moon_form vector = {.dims = 1, .shape = {table ? width_of(table) : 0}, .whose = whose}, id = {.ids = rows, .whose = whose};
  if (table) MOON_TRY(note(list, MODEL_VECTOR, feature->slot, feature->name, vector));
  return note(list, MODEL_ID, feature->slot, moon_arena_printf(list->names, "%s.id", feature->name), id);
}

static moon_status note_history(listing *list, size_t slot, size_t rows, size_t number) {
  const moon_embedding *table = list->model->of_bag[slot];
  size_t steps = list->model->plan->bag_length;
  const moon_form vectors = {.dims = 2, .shape = {steps, table ? width_of(table) : 0}, .whose = MOON_OF_USER},
                  ids = {.ids = rows, .dims = 1, .shape = {steps}, .whose = MOON_OF_USER};
  char *name = number > 1 ? moon_arena_printf(list->names, "history.%zu", number) : moon_arena_strdup(list->names, "history");
  if (table) MOON_TRY(note(list, MODEL_HISTORY, slot, name, vectors));
  return note(list, MODEL_HISTORY_IDS, slot, moon_arena_printf(list->names, "%s.ids", name), ids);
}

static moon_status note_tags(listing *list, const moon_feature *feature, size_t rows) {
  const moon_embedding *table = list->model->of_bag[feature->slot];
  const moon_form mean = {.dims = 1, .shape = {table ? width_of(table) : 0}},
                  ids = {.ids = rows, .dims = 1, .shape = {list->model->plan->bag_length}};
  if (table) MOON_TRY(note(list, MODEL_MEAN, feature->slot, feature->name, mean));
  return note(list, MODEL_HISTORY_IDS, feature->slot, moon_arena_printf(list->names, "%s.ids", feature->name), ids);
}

moon_status moon_model_list_inputs(moon_model *model, moon_arena *names, moon_form **forms) {
  const moon_feature_plan *plan = model->plan;
  size_t most = 3 + 2 * plan->feature_count, fields = plan->id_slots + plan->bag_slots, histories = 0;
  model->inputs = moon_alloc(most * sizeof *model->inputs);
  *forms = moon_arena_alloc(names, most * sizeof **forms);
  if (!model->inputs || !*forms) return moon_fail(MOON_ENOMEM, "no memory for the inputs of a model");
  listing list = {model, *forms, names};
  MOON_TRY(note(&list, MODEL_X, 0, "x", (moon_form){.dims = 1, .shape = {model->in}}));
  if (plan->dense_slots) MOON_TRY(note(&list, MODEL_NUMBERS, 0, "numbers", (moon_form){.dims = 1, .shape = {plan->dense_slots}}));
  if (!model->closed && field_width(model))
    MOON_TRY(note(&list, MODEL_FIELDS, 0, "fields", (moon_form){.dims = 2, .shape = {fields, field_width(model)}}));
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *feature = &plan->features[i];
    size_t shared = feature->op == MOON_FEATURE_HISTORY && !feature->dim ? feature->shares : i, rows = model->rows[shared];
    if (feature->op == MOON_FEATURE_TAGS) MOON_TRY(note_tags(&list, feature, rows));
    else if (feature->kind == MOON_KIND_BAG) MOON_TRY(note_history(&list, feature->slot, rows, ++histories));
    else if (feature->kind == MOON_KIND_ID) MOON_TRY(note_id(&list, feature, rows));
  }
  return moon_ok();
}

/* ---- on a tape ----------------------------------------------------------------------------------------------------------- */

typedef struct rows { /* one batch on its way to the tape */
  const moon_model *model;
  moon_tape *tape;
  const moon_batch *batch;
} rows;

static moon_status put_numbers(const rows *r, moon_var *out) {
  return moon_tape_constant(r->tape, MOON_F32, 2, (size_t[]){r->batch->n, r->model->plan->dense_slots}, r->batch->dense, out);
}

static const uint32_t *ids_of(const rows *r, size_t slot) { return r->batch->ids + slot * r->batch->n; }
static const uint32_t *bags_of(const rows *r, size_t slot) {
  return r->batch->bags + slot * r->batch->n * r->model->plan->bag_length;
}

/* Embeddings of ids, then means of bags; parts: [id_slots + bag_slots]. */
static moon_status put_embeddings(const rows *r, moon_var *parts) {
  const moon_feature_plan *plan = r->model->plan;
  for (size_t i = 0; i < plan->id_slots; i++)
    MOON_TRY(moon_embedding_forward(r->tape, r->model->of_id[i], ids_of(r, i), r->batch->n, parts++));
  for (size_t i = 0; i < plan->bag_slots; i++)
    MOON_TRY(moon_embedding_mean(r->tape, r->model->of_bag[i], bags_of(r, i), r->batch->n, plan->bag_length, parts++));
  return moon_ok();
}

enum { MOST = 256 };

static moon_status put_x(const rows *r, moon_var *out) {
  const moon_feature_plan *plan = r->model->plan;
  moon_var parts[MOST];
  size_t n = plan->dense_slots ? 1 : 0, all = n + plan->id_slots + plan->bag_slots;
  if (n) MOON_TRY(put_numbers(r, &parts[0]));
  MOON_TRY(put_embeddings(r, parts + n));
  *out = parts[0];
  return all > 1 ? moon_op_concat(r->tape, parts, all, out) : moon_ok();
}

static moon_status put_fields(const rows *r, moon_var *out) {
  moon_var parts[MOST];
  MOON_TRY(put_embeddings(r, parts));
  return moon_op_stack(r->tape, parts, r->model->plan->id_slots + r->model->plan->bag_slots, 1, out);
}

/* A bag as it happened: the batch has the newest first. */
static moon_status put_history_ids(const rows *r, size_t slot, moon_value *out) {
  size_t n = r->batch->n, length = r->model->plan->bag_length;
  uint32_t *ids = moon_tape_take(r->tape, (n * length + n) * sizeof *ids), *lengths = ids + n * length;
  if (!ids) return moon_fail(MOON_ENOMEM, "no memory for %zu histories", n);
  memset(ids, 0, (n * length + n) * sizeof *ids);
  for (size_t i = 0; i < n; i++) {
    const uint32_t *newest = bags_of(r, slot) + i * length;
    for (size_t k = length; k-- > 0;)
      if (newest[k]) ids[i * length + lengths[i]++] = newest[k];
  }
  out->ids = ids, out->lengths = lengths;
  return moon_ok();
}

static moon_status put_history(const rows *r, size_t slot, moon_value *out) {
  moon_embedding *table = r->model->of_bag[slot];
  size_t n = r->batch->n, length = r->model->plan->bag_length;
  MOON_TRY(put_history_ids(r, slot, out));
  MOON_TRY(moon_embedding_forward(r->tape, table, out->ids, n * length, &out->x));
  out->ids = NULL;
  return moon_op_reshape(r->tape, out->x, 3, (size_t[]){n, length, width_of(table)}, &out->x);
}

static moon_status put_mean(const rows *r, size_t slot, moon_var *out) {
  return moon_embedding_mean(r->tape, r->model->of_bag[slot], bags_of(r, slot), r->batch->n, r->model->plan->bag_length, out);
}

static moon_status put(const rows *r, model_input input, moon_value *out) {
  switch (input.kind) {
    case MODEL_X: return put_x(r, &out->x);
    case MODEL_NUMBERS: return put_numbers(r, &out->x);
    case MODEL_FIELDS: return put_fields(r, &out->x);
    case MODEL_VECTOR:
      return moon_embedding_forward(r->tape, r->model->of_id[input.slot], ids_of(r, input.slot), r->batch->n, &out->x);
    case MODEL_ID: out->ids = ids_of(r, input.slot); return moon_ok();
    case MODEL_MEAN: return put_mean(r, input.slot, &out->x);
    case MODEL_HISTORY: return put_history(r, input.slot, out);
    case MODEL_HISTORY_IDS: return put_history_ids(r, input.slot, out);
  }
  return moon_ok();
}

/* A row for each group: the first of its rows, without numbers, which are of user and item together. */
static moon_status first_rows(moon_tape *tape, const moon_feature_plan *plan, const moon_batch *batch, moon_batch *out) {
  size_t n = batch->n / batch->each, each = batch->each, length = plan->bag_length, bags = plan->bag_slots;
  uint32_t *ids = moon_tape_take(tape, n * (plan->id_slots + bags * length) * sizeof *ids);
  if (!ids) return moon_fail(MOON_ENOMEM, "no memory for %zu groups", n);
  *out = (moon_batch){.n = n, .ids = ids, .bags = ids + n * plan->id_slots};
  for (size_t s = 0; s < plan->id_slots; s++)
    for (size_t g = 0; g < n; g++) *ids++ = batch->ids[s * batch->n + g * each];
  for (size_t s = 0; s < bags; s++)
    for (size_t g = 0; g < n; g++, ids += length)
      memcpy(ids, batch->bags + (s * batch->n + g * each) * length, length * sizeof *ids);
  return moon_ok();
}

/* All items by the ids of their embeddings, or those that are listed. */
static moon_status all_items(moon_tape *tape, const moon_model *model, const moon_batch *batch, moon_batch *out) {
  size_t n = batch->items ? batch->item_count : moon_model_items(model);
  uint32_t *ids = moon_tape_take(tape, n * model->plan->id_slots * sizeof *ids);
  if (!ids) return moon_fail(MOON_ENOMEM, "no memory for %zu items", n);
  *out = (moon_batch){.n = n, .ids = ids};
  for (size_t i = 0; i < n; i++) ids[model->item_slot * n + i] = batch->items ? batch->items[i] : (uint32_t)i + 1;
  return moon_ok();
}

/* The inputs that are wanted, of the rows of a batch; values: [input_count]. */
static moon_status put_side(const rows *r, bool (*wanted)(const moon_model *, size_t), const moon_value **out) {
  moon_value *values = moon_tape_take(r->tape, r->model->input_count * sizeof *values);
  if (!values) return moon_fail(MOON_ENOMEM, "no memory for the inputs of a model");
  for (size_t i = 0; i < r->model->input_count; i++) {
    values[i] = (moon_value){.lengths = NULL};
    if (wanted(r->model, i)) MOON_TRY(put(r, r->model->inputs[i], &values[i]));
  }
  *out = values;
  return moon_ok();
}

static bool of_rows(const moon_model *model, size_t i) { return moon_module_uses(model->module, i); }
static bool of_users(const moon_model *model, size_t i) { return moon_module_uses_once(model->module, i); }
static bool of_either(const moon_model *model, size_t i) { return of_rows(model, i) || of_users(model, i); }
static bool of_items(const moon_model *model, size_t i) {
  model_input input = model->inputs[i];
  return of_rows(model, i) && (input.kind == MODEL_VECTOR || input.kind == MODEL_ID) && input.slot == model->item_slot;
}

moon_status moon_model_put_inputs(const moon_model *model, moon_tape *tape, const moon_batch *batch, moon_pass *pass) {
  if (1 + model->plan->id_slots + model->plan->bag_slots > MOST)
    return moon_fail(MOON_ELIMIT, "a model takes at most %d embeddings", MOST - 1);
  pass->tape = tape, pass->rows = batch->n, pass->each = batch->each;
  pass->reads = batch->reads, pass->read_count = batch->read_count, pass->masked = batch->masked;
  moon_batch other;
  rows r = {model, tape, batch};
  MOON_TRY(put_side(&r, batch->each > 1 ? of_rows : of_either, &pass->inputs));
  r.batch = &other;
  if (batch->each > 1) {
    MOON_TRY(first_rows(tape, model->plan, batch, &other));
    MOON_TRY(put_side(&r, of_users, &pass->once));
  }
  if (batch->all) {
    MOON_TRY(all_items(tape, model, batch, &other));
    MOON_TRY(put_side(&r, of_items, &pass->items));
    pass->item_count = other.n, pass->own_first = batch->items != NULL;
  }
  return moon_ok();
}
