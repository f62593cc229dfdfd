/* op.h - operators: what a policy does to a slate.
 *
 * One shape for all of them. An operator is its fields, a table, and a function that runs it over a slate with the arguments that
 * were read by that table. The words of m.policy, the methods of a slate in Lua, the reading and checking of a plan come from the
 * table (op_read.c, script/lua_policy.c, lua/moonshelf/policy.lua), so a new operator is one file and a line in op.c, and a page of
 * documentation.
 *
 * Every operator keeps the order of what it has no word about, invents no item, and shows none twice. A score that is NaN is the
 * worst there is. Where a promise cannot be kept (there are not three new items to show) it does what it can, counts it in
 * slate->relaxed and says so on an item. Chance comes from the request's seed alone. */
#ifndef MOON_PAGE_OP_H
#define MOON_PAGE_OP_H

#include <math.h>

#include "page/page.h"

/* ---- arguments ------------------------------------------------------------------------------------------------------------ */

/* Behind each name: what it is in a plan, and in the operator's arguments. */
typedef enum moon_field_kind {
  MOON_FIELD_COUNT,    /* a whole number from low to high; size_t */
  MOON_FIELD_NUMBER,   /* from low to high; double */
  MOON_FIELD_SPAN,     /* microseconds, under name_us; int64_t */
  MOON_FIELD_FLAG,     /* true, false; bool */
  MOON_FIELD_CHOICE,   /* one of `names`; unsigned, its index */
  MOON_FIELD_TEXT,     /* const char *; NULL: none */
  MOON_FIELD_COLUMN,   /* the name of a column of the types in `names`; const moon_column *, NULL: none */
  MOON_FIELD_LIKENESS, /* "embedding" or a column of strings; const char * */
  MOON_FIELD_WHEN,     /* conditions; moon_match */
  MOON_FIELD_PATTERN,  /* a list of "any" and conditions; moon_matches */
  MOON_FIELD_ITEM,     /* an id; uint32_t, MOON_NONE: none */
  MOON_FIELD_ITEMS,    /* ids; moon_rows */
  MOON_FIELD_KINDS,    /* kinds of events; moon_texts */
  MOON_FIELD_NUMBERS,  /* moon_numbers */
  MOON_FIELD_LIMITS,   /* [{"column","n"}], n a whole number; moon_weights */
  MOON_FIELD_WEIGHTS,  /* the same, n any number, the column may be "score", "model_score", "source_score"; moon_weights */
  MOON_FIELD_KINDS_OF  /* how many kinds there are */
} moon_field_kind;
const char *moon_field_kind_name(moon_field_kind kind); /* "count" */

typedef struct moon_field {
  const char *name;
  moon_field_kind kind;
  size_t at; /* in the arguments */
  bool required;
  double low, high, fallback;
  const char *text;         /* the fallback of a text, a choice, a likeness */
  const char *const *names; /* ends with NULL: of a choice; of a column "string", "number", "time" */
} moon_field;

/* Which items of a slate: conditions, sources, or (from a script) a mask. */
typedef struct moon_match {
  const moon_condition *when; /* NULL: any */
  uint32_t sources;           /* bits by kind; 0: any */
  const uint8_t *mask;        /* [slate->n] */
} moon_match;
typedef struct moon_matches {
  moon_match *at;
  size_t n;
} moon_matches;
typedef struct moon_rows {
  uint32_t *at, *sorted; /* [n] as they were written, and rising */
  size_t n;
} moon_rows;
typedef struct moon_texts {
  const char **at;
  size_t n;
} moon_texts;
typedef struct moon_numbers {
  double *at;
  size_t n;
} moon_numbers;
typedef enum moon_slate_score { MOON_SCORE, MOON_MODEL_SCORE, MOON_SOURCE_SCORE, MOON_SLATE_SCORES } moon_slate_score;
typedef struct moon_weight {
  const moon_column *column; /* NULL: */
  moon_slate_score score;
  double n;
} moon_weight;
typedef struct moon_weights {
  moon_weight *at;
  size_t n;
} moon_weights;

/* ---- operators (op.c) ------------------------------------------------------------------------------------------------------- */

typedef struct moon_policy moon_policy;
typedef struct moon_operator {
  const char *name;
  const moon_field *fields; /* ends with a name that is NULL */
  size_t size;              /* of the arguments */
  size_t picks;             /* where in them is a size_t k, if it costs k looks at each item; 0: a few looks at each */
  moon_status (*check)(void *args, const moon_bundle *bundle);      /* what no field can tell alone; may be NULL */
  moon_status (*run)(const moon_policy *policy, moon_slate *slate); /* NULL: the script runs it */
} moon_operator;
struct moon_policy { /* an operator with its arguments */
  const moon_operator *op;
  const char *label, *text; /* "boost(new)", "spring drop (merch)" or NULL */
  int64_t starts, ends;     /* works in [starts, ends) */
  const void *args;
};
typedef struct moon_script_args {
  size_t fn;
} moon_script_args; /* of `lua` */
typedef struct moon_cap_args {
  moon_weights limits;
  const char *split;
  size_t first;
} moon_cap_args;
typedef struct moon_filter_args {
  moon_match when;
} moon_filter_args;
typedef struct moon_boost_args {
  moon_match when;
  double factor;
} moon_boost_args;
typedef struct moon_mmr_args {
  double lambda;
  const char *by;
  size_t k;
} moon_mmr_args;

extern const moon_operator moon_op_boost, moon_op_filter, moon_op_cap, moon_op_mmr, moon_op_lua, moon_op_exclude,
    moon_op_frequency, moon_op_suppress, moon_op_sort, moon_op_blend, moon_op_freshness, moon_op_clearance, moon_op_pin,
    moon_op_quota, moon_op_ratio, moon_op_pattern, moon_op_debunch, moon_op_mix, moon_op_margin, moon_op_dpp, moon_op_calibrate,
    moon_op_epsilon, moon_op_sample, moon_op_thompson, moon_op_linucb;
const moon_operator *const *moon_operators(size_t *n);
const moon_operator *moon_operator_find(const char *name); /* NULL: none */
/* Runs it if it is its time. The slate is as it was where it fails. */
moon_status moon_policy_run(const moon_policy *policy, moon_slate *slate);
/* Whether one more item keeps a cap's limits (cap.c); always where they are of the first places alone, or not in force. */
bool moon_cap_allows(const moon_policy *cap, const moon_slate *shown, uint32_t item);
/* Whether it works at the request's time. */
bool moon_policy_due(const moon_policy *policy, const moon_request *request);
/* Looks at items that running will take, about. */
uint64_t moon_policy_cost(const moon_policy *policy, const moon_slate *slate);

/* ---- out of a plan (op_read.c) ---------------------------------------------------------------------------------------------- */

/* The conditions of policies, which are not the arena's; zero to start. */
typedef struct moon_policy_conditions {
  struct moon_owned_condition *first;
} moon_policy_conditions;
void moon_policy_conditions_free(moon_policy_conditions *conditions); /* before the arena */
typedef struct moon_policy_source { /* what a plan's policy is read against */
  const moon_bundle *bundle;
  moon_arena *memory;
  moon_policy_conditions *conditions; /* NULL: masks stand for all of them */
  const uint8_t *const *masks; /* [mask_count] what {"mask":i} means; none in a site */
  size_t mask_count;
} moon_policy_source;
/* {"op","label", fields, "owner","reason","starts_us","ends_us"}: unknown keys, columns, items and values that do not fit are errors that
 * name the key, the value, and what was expected. */
moon_status moon_policy_read(const json_t *json, const moon_policy_source *source, moon_policy *out);

/* ---- for operators (op.c) ---------------------------------------------------------------------------------------------------- */

/* The slate's items that match, [n + 1] in the arena. */
moon_status moon_match_mask(const moon_match *match, const moon_slate *slate, uint8_t **out);
/* Memory of the slate's arena. */
void *moon_slate_memory(const moon_slate *slate, size_t bytes);
moon_status moon_policy_no_memory(const moon_policy *policy);
/* How most operators end: the first k of slate->order, which are the `picked` ones, or those that are `first`, stand before the rest, and what
 * moved has a reason. */
void moon_policy_pick(const moon_policy *policy, moon_slate *slate, size_t k, const uint8_t *picked);
void moon_policy_part(const moon_policy *policy, moon_slate *slate, const uint8_t *first);
/* The number in a cell; NaN where there is none. */
static inline double moon_cell_number(const moon_column *column, uint32_t item) {
  return item < column->n ? moon_column_number(column, item) : NAN;
}
/* A generator of the operator's own, by the request's seed. */
moon_rng moon_slate_rng(moon_slate *slate);
static inline size_t moon_least(size_t a, size_t b) {
  return a < b ? a : b;
}

/* Numbers of the slate's values in a column, dense, in the order of first sight. A column of strings may hold many, split at a text; an
 * item's first 64 count, each once. */
typedef struct moon_groups {
  size_t count;    /* of values */
  uint32_t *first; /* [n + 1] where in `value` an item's are */
  uint32_t *value; /* below count; an item without a value has none */
} moon_groups;
moon_status moon_slate_groups(const moon_slate *slate, const moon_column *column, const char *split, moon_groups *out);
/* The same, the values of other items going on where the slate's end. */
moon_status moon_groups_of(const moon_slate *slate, const uint32_t *items, size_t n, const moon_column *column, const char *split,
                           moon_groups *out);

/* The slate's scores scaled to [0, 1]: a NaN counts as the worst, infinities as the ends; all alike: 0. */
void moon_slate_scaled(const moon_slate *slate, float *out);

/* Times of the user's newest events of some kinds on the slate's items: [n], INT64_MIN where there was none. */
moon_status moon_slate_touched(const moon_slate *slate, const moon_texts *kinds, int64_t *out);

/* likeness.c: how much alike items are, by unit vectors in blocks of 32 items, dimension by dimension, or by equal values. */
enum { MOON_LIKE_BLOCK = 32 };
typedef struct moon_likeness {
  size_t n, padded, dim; /* padded: n up to a multiple of the block; dim 0: nothing is like anything */
  float *vectors;        /* [padded / 32, dim, 32], zero where an item has none */
  uint32_t *codes;       /* [n] or NULL */
} moon_likeness;
moon_status moon_likeness_new(const moon_slate *slate, const char *by, moon_likeness *out);
/* [dim] of an item, to hold against blocks of items: how much each of a block is like it, [32]. */
void moon_likeness_query(const moon_likeness *like, size_t item, float *query);
void moon_likeness_block(const moon_likeness *like, size_t block, size_t item, const float *query, float *out);

#endif
