/* slices.c - parts of what is judged that deserve a look of their own: users and items that training never saw, and categories. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/evaluate.h"

enum { MOST_CATEGORIES = MOON_MOST_SLICES - 2 };

static moon_status mark_new(const moon_dataset *d, const uint32_t *number, moon_evaluation *e) {
  uint8_t *training;
  e->user_new = moon_arena_alloc(&e->arena, e->users);
  e->item_new = moon_arena_alloc(&e->arena, e->rows);
  if (!e->user_new || !e->item_new) return moon_fail(MOON_ENOMEM, "no memory to mark what is new");
  memset(e->user_new, 1, e->users);
  memset(e->item_new, 1, e->rows);
  MOON_TRY(moon_list_training(d, &training));
  for (size_t i = 0; i < d->log->n; i++) {
    const moon_event *event = &d->log->events[i];
    if (!training[i]) continue;
    if (number[event->user] != MOON_NONE) e->user_new[number[event->user]] = 0;
    e->item_new[event->item] = 0;
  }
  moon_free(training);
  return moon_ok();
}

static moon_status weigh_items(const moon_dataset *d, moon_evaluation *e) {
  e->information = moon_arena_alloc(&e->arena, e->rows * sizeof *e->information);
  if (!e->information) return moon_fail(MOON_ENOMEM, "no memory for %zu items", e->rows);
  double all = (double)d->known_n + (double)e->rows;
  for (uint32_t item = 0; item < e->rows; item++) e->information[item] = log2(all / ((double)moon_state_item_total(d->state_then, item) + 1));
  return moon_ok();
}

/* ---- categories ------------------------------------------------------------------------------------------------------------- */

static const char *category_of(const moon_feature_plan *plan) {
  for (size_t i = 0; i < plan->feature_count; i++)
    if (plan->features[i].op == MOON_FEATURE_CATEGORY) return plan->features[i].column;
  return "category";
}

/* NULL where none was asked for and there is none. */
static moon_status find_column(const moon_dataset *d, const char *asked, const moon_column **out) {
  const moon_table *table = d->catalogue->table;
  const char *name = asked ? asked : category_of(d->plan);
  *out = table ? moon_table_column(table, name) : NULL;
  if (*out && (*out)->type != MOON_STRING) *out = NULL;
  if (*out || !asked) return moon_ok();
  const char *names[64];
  size_t n = 0;
  for (size_t i = 0; table && i < table->column_count && n < 64; i++)
    if (table->columns[i].type == MOON_STRING) names[n++] = table->columns[i].name;
  const char *near = moon_nearest(asked, names, n);
  return moon_fail(MOON_EINVAL, "the items have no column '%s' of texts to slice by%s%s%s", asked, near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
}

typedef struct category {
  uint32_t code;
  size_t n; /* examples */
} category;

static int by_size(const void *a, const void *b) {
  const category *x = a, *y = b;
  return x->n != y->n ? (x->n < y->n ? 1 : -1) : (x->code > y->code) - (x->code < y->code);
}

static moon_status add_slice(moon_evaluation *e, moon_slice_kind kind, uint32_t code, const char *name) {
  if (!name) return moon_fail(MOON_ENOMEM, "no memory for a slice's name");
  e->slices[e->slice_n++] = (moon_slice){kind, code, name};
  return moon_ok();
}

/* The largest by the examples that are judged. */
static moon_status list_categories(const moon_column *column, moon_evaluation *e) {
  size_t codes = moon_dict_count(column->dict);
  e->group = moon_arena_alloc(&e->arena, e->rows * sizeof *e->group);
  category *all = moon_alloc(codes * sizeof *all);
  moon_status status = e->group && all ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu categories", codes);
  for (size_t row = 0; row < e->rows && !status.code; row++) e->group[row] = row < column->n ? column->code[row] : MOON_NONE;
  for (uint32_t code = 0; code < codes && !status.code; code++) all[code] = (category){code, 0};
  for (size_t i = 0; i < e->judged->n && !status.code; i++)
    if (e->group[e->judged->item[i]] != MOON_NONE) all[e->group[e->judged->item[i]]].n++;
  if (!status.code && codes) qsort(all, codes, sizeof *all, by_size);
  for (size_t i = 0; i < codes && i < MOST_CATEGORIES && !status.code && all[i].n; i++)
    status = add_slice(e, MOON_SLICE_CATEGORY, all[i].code,
                       moon_arena_printf(&e->arena, "%s = %s", column->name, moon_dict_text(column->dict, all[i].code)));
  moon_free(all);
  return status;
}

moon_status moon_slices_find(const moon_dataset *d, const char *asked, const uint32_t *number, moon_evaluation *e) {
  const moon_column *column;
  MOON_TRY(find_column(d, asked, &column));
  MOON_TRY(mark_new(d, number, e));
  MOON_TRY(weigh_items(d, e));
  MOON_TRY(add_slice(e, MOON_SLICE_NEW_USERS, MOON_NONE, "new users"));
  MOON_TRY(add_slice(e, MOON_SLICE_NEW_ITEMS, MOON_NONE, "new items"));
  return column ? list_categories(column, e) : moon_ok();
}

bool moon_slice_has(const moon_evaluation *e, const moon_slice *slice, uint32_t user, uint32_t item) {
  switch (slice->kind) {
    case MOON_SLICE_NEW_USERS: return e->user_new[user];
    case MOON_SLICE_NEW_ITEMS: return e->item_new[item];
    case MOON_SLICE_CATEGORY: return e->group[item] == slice->code;
    default: return true;
  }
}
