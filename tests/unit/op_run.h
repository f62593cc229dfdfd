/* op_run.h - operators on random slates: a catalogue with columns of all kinds, a policy out of a plan's text, a slate before and after. */
#ifndef TEST_OP_RUN_H
#define TEST_OP_RUN_H
#include "page/op.h"
#include "page_shop.h"

static const int64_t DAY = INT64_C(86400) * MOON_SECOND;
static const int64_t NOW = INT64_C(20000) * 86400 * MOON_SECOND;

static inline void set_text(moon_column *column, size_t row, const char *text) {
  OK(moon_dict_add(column->dict, text, strlen(text), &column->code[row]));
}

/* As random_catalogue, with "tags" ("a|b"), a time "added", and a number "margin". */
static inline moon_catalogue *rich_catalogue(moon_rng *rng, size_t rows, uint32_t groups) {
  moon_catalogue *catalogue = random_catalogue(rng, rows, groups);
  moon_table *table = catalogue->table;
  moon_column *tags, *added, *margin;
  OK(moon_table_add_column(table, "tags", MOON_STRING, &tags));
  OK(moon_table_add_column(table, "added", MOON_TIME, &added));
  OK(moon_table_add_column(table, "margin", MOON_NUMBER, &margin));
  tags = moon_table_column(table, "tags"), added = moon_table_column(table, "added");
  for (size_t row = 0; row < rows; row++) {
    char text[64] = "";
    for (uint32_t t = moon_rng_below(rng, 4); t > 0; t--)
      snprintf(text + strlen(text), sizeof text - strlen(text), "%st%u", *text ? " | " : "", moon_rng_below(rng, groups));
    if (*text) set_text(tags, row, text);
    if (moon_rng_below(rng, 8)) added->i64[row] = NOW - (int64_t)moon_rng_below(rng, 400) * DAY + 30 * DAY;
    if (moon_rng_below(rng, 8)) margin->f64[row] = (double)moon_rng_below(rng, 100) / 100;
  }
  return catalogue;
}

typedef struct trial { /* a random slate twice: as it was, and to be worked on */
  moon_arena arena;
  moon_bundle bundle;
  moon_request request;
  moon_policy_conditions conditions;
  moon_slate *before, *after;
} trial;

static inline void trial_begin(trial *t, moon_rng *rng, size_t n, uint32_t groups) {
  *t = (trial){.bundle = {.catalogue = rich_catalogue(rng, n + 5, groups)}};
  t->request = (moon_request){.surface = "home", .now = NOW, .user_row = MOON_NONE, .item_row = MOON_NONE, .seed = moon_rng_u64(rng)};
  moon_rng same = *rng;
  t->before = random_slate(rng, &t->bundle, &t->arena, n);
  t->after = random_slate(&same, &t->bundle, &t->arena, n);
  t->before->request = t->after->request = &t->request;
}

static inline void trial_end(trial *t) {
  moon_policy_conditions_free(&t->conditions);
  moon_catalogue_free(t->bundle.catalogue);
  moon_arena_free(&t->arena);
}

static inline moon_status read_policy(trial *t, const char *text, moon_policy *out) {
  const moon_policy_source source = {.bundle = &t->bundle, .memory = &t->arena, .conditions = &t->conditions};
  json_t *json = parse(text);
  moon_status status = moon_policy_read(json, &source, out);
  json_decref(json);
  return status;
}

/* Runs the policy of a plan's text over the slate `after`. */
static inline void act(trial *t, const char *text) {
  moon_policy policy;
  moon_status status = read_policy(t, text, &policy);
  if (status.code) fail_msg("%s: %s", text, status.message);
  OK(moon_policy_run(&policy, t->after));
}

static inline size_t place_in(const moon_slate *slate, uint32_t item) {
  size_t i = 0;
  while (i < slate->n && slate->item[i] != item) i++;
  return i;
}

/* What is there was there before, once, with all that belongs to it. */
static inline void assert_subset(const trial *t) {
  for (size_t i = 0; i < t->after->n; i++) {
    size_t was = place_in(t->before, t->after->item[i]);
    assert_true(was < t->before->n && place_in(t->after, t->after->item[i]) == i);
    assert_true(t->after->model_score[i] == (float)t->after->item[i] && t->after->source[i] == t->before->source[was]);
  }
}
static inline void assert_permutation(const trial *t) {
  assert_int_equal(t->after->n, t->before->n);
  assert_subset(t);
}

/* From `from` on, and where `only` is not NULL among those that it names by item, the order is the old one. */
static inline void assert_stable(const trial *t, size_t from, const uint8_t *only) {
  size_t last = 0;
  bool any = false;
  for (size_t i = from; i < t->after->n; i++) {
    size_t was = place_in(t->before, t->after->item[i]);
    if (only && !only[t->after->item[i]]) continue;
    assert_true(!any || was > last);
    last = was, any = true;
  }
}

static inline double cell_of(const trial *t, const char *name, uint32_t item) { return moon_column_number(moon_table_column(t->bundle.catalogue->table, name), item); }
static inline const char *text_of(const trial *t, const char *name, uint32_t item) { return moon_column_text(moon_table_column(t->bundle.catalogue->table, name), item); }

/* Whether two items share a value of the column, tag by tag where it holds many. */
static inline bool share(const trial *t, const char *name, bool split, uint32_t a, uint32_t b) {
  const char *x = text_of(t, name, a), *y = text_of(t, name, b);
  if (!x || !y) return false;
  if (!split) return !strcmp(x, y);
  char one[64], other[64], *keep, *inner;
  snprintf(one, sizeof one, "%s", x);
  for (char *p = strtok_r(one, " |", &keep); p; p = strtok_r(NULL, " |", &keep)) {
    snprintf(other, sizeof other, "%s", y);
    for (char *q = strtok_r(other, " |", &inner); q; q = strtok_r(NULL, " |", &inner))
      if (!strcmp(p, q)) return true;
  }
  return false;
}
/* How many of items[0, n) have that very tag. */
static inline size_t with_tag(const trial *t, const char *tag, const uint32_t *items, size_t n) {
  size_t count = 0;
  for (size_t i = 0; i < n; i++) {
    char text[64], *keep;
    const char *tags = text_of(t, "tags", items[i]);
    bool has = false;
    snprintf(text, sizeof text, "%s", tags ? tags : "");
    for (char *p = strtok_r(text, " |", &keep); p; p = strtok_r(NULL, " |", &keep)) has = has || !strcmp(p, tag);
    count += has;
  }
  return count;
}

#endif
