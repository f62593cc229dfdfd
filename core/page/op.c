/* op.c - the table of operators, and what they share. */
#include <math.h>
#include <string.h>

#include "page/op.h"
#include "page/slate.h"

static const moon_operator *const operators[] = {
    &moon_op_boost,     &moon_op_filter,    &moon_op_cap,      &moon_op_mmr,      &moon_op_lua,
    &moon_op_exclude,   &moon_op_frequency, &moon_op_suppress, &moon_op_sort,     &moon_op_blend,
    &moon_op_freshness, &moon_op_clearance, &moon_op_pin,      &moon_op_quota,    &moon_op_ratio,
    &moon_op_pattern,   &moon_op_debunch,   &moon_op_mix,      &moon_op_margin,   &moon_op_dpp,
    &moon_op_calibrate, &moon_op_epsilon,   &moon_op_sample,   &moon_op_thompson, &moon_op_linucb,
};

const moon_operator *const *moon_operators(size_t *n) {
  *n = sizeof operators / sizeof *operators;
  return operators;
}

const moon_operator *moon_operator_find(const char *name) {
  for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
    if (!strcmp(operators[i]->name, name)) return operators[i];
  return NULL;
}

const char *moon_field_kind_name(moon_field_kind kind) {
  static const char *const names[MOON_FIELD_KINDS_OF] = {"count",  "number",   "span",   "flag",    "choice", "text",
                                                         "column", "likeness", "when",   "pattern", "item",   "items",
                                                         "kinds",  "numbers",  "limits", "weights"};
  return (unsigned)kind < MOON_FIELD_KINDS_OF ? names[kind] : "unknown";
}

static const moon_field script_fields[] = {
    {"fn", MOON_FIELD_COUNT, offsetof(moon_script_args, fn), .required = true, .low = 1, .high = UINT32_MAX}, {NULL}};
const moon_operator moon_op_lua = {"lua", script_fields, sizeof(moon_script_args)};

/* ---- running */

bool moon_policy_due(const moon_policy *policy, const moon_request *request) {
  int64_t now = request ? request->now : 0;
  return now >= policy->starts && now < policy->ends;
}

moon_status moon_policy_run(const moon_policy *policy, moon_slate *slate) {
  bool wanted = slate->n > 0 || policy->op == &moon_op_pin; /* which may bring the first item in */
  return wanted && moon_policy_due(policy, slate->request) ? policy->op->run(policy, slate) : moon_ok();
}

uint64_t moon_policy_cost(const moon_policy *policy, const moon_slate *slate) {
  const char *args = policy->args;
  size_t picks = 0, n = slate->n;
  uint64_t rounds = 4;
  if (policy->op->picks) {
    memcpy(&picks, args + policy->op->picks, sizeof picks);
    rounds += moon_least(picks, n);
  }
  for (const moon_field *f = policy->op->fields; f->name; f++) { /* lists that are gone through item by item */
    if (f->kind == MOON_FIELD_ITEMS) rounds += ((const moon_rows *)(args + f->at))->n;
    if (f->kind == MOON_FIELD_PATTERN) rounds += ((const moon_matches *)(args + f->at))->n;
    if (f->kind == MOON_FIELD_WEIGHTS || f->kind == MOON_FIELD_LIMITS) rounds += ((const moon_weights *)(args + f->at))->n;
  }
  return rounds * (n + 1);
}

void *moon_slate_memory(const moon_slate *slate, size_t bytes) {
  return moon_arena_alloc(slate->arena, bytes);
}

moon_status moon_policy_no_memory(const moon_policy *policy) {
  return moon_fail(MOON_ENOMEM, "no memory for %.100s", policy->label);
}

void moon_policy_pick(const moon_policy *policy, moon_slate *slate, size_t k, const uint8_t *picked) {
  moon_slate_follow(slate, k, picked);
  moon_slate_arrange(slate, slate->n);
  moon_slate_note_moves(slate, policy->label, policy->text);
}

void moon_policy_part(const moon_policy *policy, moon_slate *slate, const uint8_t *first) {
  moon_slate_part(slate, first);
  moon_slate_arrange(slate, slate->n);
  moon_slate_note_moves(slate, policy->label, policy->text);
}

moon_rng moon_slate_rng(moon_slate *slate) {
  moon_rng rng;
  moon_rng_seed(&rng, slate->request ? slate->request->seed : 0, moon_mix64(++slate->stream));
  return rng;
}

/* ---- which items */

moon_status moon_match_mask(const moon_match *match, const moon_slate *slate, uint8_t **out) {
  uint8_t *mask = *out = moon_slate_memory(slate, slate->n + 1);
  if (!mask) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  if (match->mask)
    memcpy(mask, match->mask, slate->n);
  else
    memset(mask, 1, slate->n);
  for (size_t i = 0; match->sources && i < slate->n; i++) mask[i] &= match->sources >> slate->source[i] & 1;
  const moon_condition *when = match->when;
  if (when && slate->request) MOON_TRY(moon_condition_ask(when, slate->bundle->catalogue, slate->request, slate->arena, &when));
  if (when) moon_condition_mask(when, slate->bundle->catalogue, slate->item, slate->n, mask);
  return moon_ok();
}

moon_status moon_slate_touched(const moon_slate *slate, const moon_texts *kinds, int64_t *out) {
  const moon_touch *touches;
  uint32_t user = slate->request ? slate->request->user_row : MOON_NONE;
  for (size_t i = 0; i < slate->n; i++) out[i] = INT64_MIN;
  if (!slate->state || user == MOON_NONE) return moon_ok();
  uint32_t *codes = moon_slate_memory(slate, (kinds->n + 1) * sizeof *codes);
  if (!codes) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  for (size_t k = 0; k < kinds->n; k++) /* without `add` the state is only read */
    MOON_TRY(moon_state_kind((moon_state *)slate->state, kinds->at[k], strlen(kinds->at[k]), false, &codes[k]));
  size_t n = moon_state_touches(slate->state, user, &touches), places = 16;
  while (places < 2 * n) places *= 2;
  const moon_touch **table = moon_arena_calloc(slate->arena, places * sizeof *table); /* the newest touch of each item */
  if (!table) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  for (size_t i = 0; i < n; i++) {
    bool wanted = kinds->n == 0;
    for (size_t k = 0; k < kinds->n; k++) wanted = wanted || codes[k] == touches[i].kind;
    size_t at = moon_mix64(touches[i].item) & (places - 1);
    while (wanted && table[at] && table[at]->item != touches[i].item) at = (at + 1) & (places - 1);
    if (wanted) table[at] = &touches[i]; /* they come oldest first */
  }
  for (size_t i = 0; i < slate->n; i++) {
    size_t at = moon_mix64(slate->item[i]) & (places - 1);
    while (table[at] && table[at]->item != slate->item[i]) at = (at + 1) & (places - 1);
    if (table[at]) out[i] = table[at]->time;
  }
  return moon_ok();
}

/* ---- values of a column, numbered */

enum { MOST_VALUES = 64 };

/* The keys of an item's values. */
static size_t keys_of(const moon_column *column, const char *split, uint32_t item, uint64_t keys[MOST_VALUES]) {
  size_t n = 0;
  if (!split || column->type != MOON_STRING) return moon_cell_key(column, item, keys);
  if (item >= column->n || moon_column_is_null(column, item)) return 0;
  size_t length = strlen(split);
  for (const char *text = moon_column_text(column, item), *next; text && n < MOST_VALUES; text = next) {
    const char *end = strstr(text, split);
    next = end ? end + length : NULL;
    if (!end) end = text + strlen(text);
    while (text < end && (*text == ' ' || *text == '\t')) text++;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t')) end--;
    uint64_t key = moon_hash(text, (size_t)(end - text));
    size_t i = 0;
    if (end == text) continue;
    if (key == UINT64_MAX) key--; /* marks an empty place below */
    while (i < n && keys[i] != key) i++;
    if (i == n) keys[n++] = key;
  }
  return n;
}

/* A number for each key. */
typedef struct numbering {
  uint64_t *key; /* UINT64_MAX: an empty place */
  uint32_t *number;
  size_t mask, count;
} numbering;

static bool numbering_new(moon_arena *arena, size_t values, numbering *out) {
  size_t places = 16;
  while (places < 2 * values) places *= 2;
  *out = (numbering){.key = moon_arena_alloc(arena, places * sizeof *out->key), .mask = places - 1};
  out->number = moon_arena_alloc(arena, places * sizeof *out->number);
  if (out->key) memset(out->key, 0xff, places * sizeof *out->key);
  return out->key && out->number;
}

static uint32_t number_of(numbering *all, uint64_t key) {
  size_t at = moon_mix64(key) & all->mask;
  while (all->key[at] != UINT64_MAX && all->key[at] != key) at = (at + 1) & all->mask;
  if (all->key[at] == UINT64_MAX) all->key[at] = key, all->number[at] = (uint32_t)all->count++;
  return all->number[at];
}

/* Where the dictionary is small beside the items, the numbers are looked up by code. */
static bool number_codes(const moon_slate *slate, const uint32_t *items, size_t n, const moon_column *column, moon_groups *out) {
  size_t codes = moon_dict_count(column->dict), total = 0;
  uint32_t *number = codes <= 8 * n + 64 ? moon_slate_memory(slate, (codes + 1) * sizeof *number) : NULL;
  if (!number) return false;
  memset(number, 0xff, codes * sizeof *number);
  for (size_t i = 0; i < n; i++) {
    uint32_t code = items[i] < column->n ? column->code[items[i]] : MOON_NONE;
    out->first[i] = (uint32_t)total;
    if (code == MOON_NONE) continue;
    if (number[code] == MOON_NONE) number[code] = (uint32_t)out->count++;
    out->value[total++] = number[code];
  }
  out->first[n] = (uint32_t)total;
  return true;
}

moon_status moon_groups_of(const moon_slate *slate, const uint32_t *items, size_t n, const moon_column *column, const char *split,
                           moon_groups *out) {
  uint64_t keys[MOST_VALUES];
  size_t total = 0;
  numbering all;
  if (split && !*split) split = NULL;
  for (size_t i = 0; i < n; i++) total += split ? keys_of(column, split, items[i], keys) : 1;
  *out = (moon_groups){.first = moon_slate_memory(slate, (n + 1) * sizeof *out->first),
                       .value = moon_slate_memory(slate, (total + 1) * sizeof *out->value)};
  if (!out->first || !out->value) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  if (!split && column->type == MOON_STRING && number_codes(slate, items, n, column, out)) return moon_ok();
  if (!numbering_new(slate->arena, total, &all)) return moon_fail(MOON_ENOMEM, "no memory for a policy");
  total = 0;
  for (size_t i = 0; i < n; i++) {
    size_t many = keys_of(column, split, items[i], keys);
    out->first[i] = (uint32_t)total;
    for (size_t k = 0; k < many; k++) out->value[total++] = number_of(&all, keys[k]);
  }
  out->first[n] = (uint32_t)total;
  out->count = all.count;
  return moon_ok();
}

moon_status moon_slate_groups(const moon_slate *slate, const moon_column *column, const char *split, moon_groups *out) {
  return moon_groups_of(slate, slate->item, slate->n, column, split, out);
}

void moon_slate_scaled(const moon_slate *slate, float *out) {
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < slate->n; i++) {
    if (!isfinite(slate->score[i])) continue;
    if (slate->score[i] < low) low = slate->score[i];
    if (slate->score[i] > high) high = slate->score[i];
  }
  for (size_t i = 0; i < slate->n; i++) {
    double x = high > low ? (slate->score[i] - low) / (high - low) : 0;
    out[i] = (float)(x > 0 ? x < 1 ? x : 1 : 0);
  }
}
