/* site.h - a site as assembly reads it: the plan's JSON, checked against a bundle and laid out in one arena. */
#ifndef MOON_PAGE_SITE_H
#define MOON_PAGE_SITE_H

#include "page/op.h"
#include "page/page.h"

typedef struct moon_site_source {
  moon_source_kind kind;
  size_t n;
  size_t at_least, at_most;  /* of what its list of sources puts into a slot; 0 and 1000, the most that a slot takes, where nothing is said */
  const uint64_t *allowed;   /* nearest: the rows that may come out, */
  moon_condition *when;      /* and of those the ones for which this holds, which asks the request; or NULL */
} moon_site_source;

enum { MOON_HEAVY = 32 };
typedef struct moon_heavy { /* a text that one in 32 items has, or more: its rows as bits */
  uint32_t code;
  uint64_t *bits;
} moon_heavy;

typedef struct moon_ordered { /* the rows of a column in the order of their values, without those that have none */
  struct moon_ordered *next;
  size_t column, n;
  uint32_t *row;  /* [n] */
  uint32_t *start; /* of strings: code c has row[start[c]] to row[start[c + 1]] */
  moon_heavy heavy[MOON_HEAVY];
  size_t heavy_count;
  double *value;  /* [n] of numbers */
} moon_ordered;

typedef struct moon_site_nearest { /* vectors of length one by catalogue row, where a source asks for them */
  const float *vectors; /* [rows, dim] */
  uint64_t *listed;     /* the rows that have one and are not hidden */
  size_t rows, dim;
} moon_site_nearest;

typedef enum moon_gate_op {
  MOON_GATE_PARAM, /* a parameter of the request is one of `values` */
  MOON_GATE_KNOWN, /* the shop knows the user */
  MOON_GATE_TIME,  /* [starts, ends) */
  MOON_GATE_HOURS, /* on these days, from `starts` to `ends` of the day */
  MOON_GATE_STOCK, /* all items may be shown; without items the one that the page shows */
  MOON_GATE_FN,
  MOON_GATE_ALL,
  MOON_GATE_ANY,
  MOON_GATE_NONE,
  MOON_GATE_OPS
} moon_gate_op;

typedef struct moon_site_gate {
  moon_gate_op op;
  const char *label;
  const char *name, **values; /* param: [count] */
  int64_t starts, ends;       /* time, hours: microseconds */
  int64_t zone_us;            /* hours: east of UTC, where there is no zone */
  moon_zone *zone;
  uint8_t days;               /* hours: a bit a day, Monday is 1 << 1 */
  uint32_t *items;            /* stock: [count] rows */
  uint32_t fn;
  struct moon_site_gate *of;  /* all, any, none: [count] */
  size_t count;
} moon_site_gate;

/* Sources that fill up what is still short; one stage after the other, until nothing is. */
typedef struct moon_site_stage {
  moon_site_source *sources;
  size_t source_count;
} moon_site_stage;

typedef struct moon_title moon_title; /* title.c */

typedef struct moon_site_slot {
  const char *name;
  moon_title *titles; /* [title_count] the first that can be filled in is taken */
  size_t title_count;
  size_t take, min;
  moon_site_gate *gate; /* NULL: always open */
  bool rank;
  bool fixed; /* keeps its place where the page orders its slots */
  moon_site_source *sources;
  moon_policy *policies;
  moon_site_stage *fallback; /* its own, or the page's */
  size_t source_count, policy_count, fallback_count;
} moon_site_slot;

typedef enum moon_dedupe { MOON_DEDUPE_NONE, MOON_DEDUPE_ITEM, MOON_DEDUPE_COLUMN } moon_dedupe;

/* How slots are put in order once they are filled: as written; by the mean score of a slot's first items; by how much of what the user did
 * last has their values in a column. */
typedef enum moon_slot_order { MOON_ORDER_WRITTEN, MOON_ORDER_SCORE, MOON_ORDER_AFFINITY } moon_slot_order;

typedef struct moon_site_floor { /* of a page that is solved: at least so many of its items match */
  moon_policy when; /* a filter */
  size_t n;
} moon_site_floor;

typedef struct moon_site_page {
  const char *name;
  bool joint; /* all slots are filled at once: */
  moon_policy *caps; /* NULL: none */
  moon_site_floor *floors;
  size_t floor_count, solve_steps;
  int64_t solve_within;
  moon_site_slot *slots;
  moon_site_stage *fallback;
  const char **exclude_seen;
  size_t slot_count, fallback_count, exclude_count;
  moon_dedupe dedupe;
  const uint32_t *product; /* [site->rows] dedupe by column: item row -> a number < rows for its value, MOON_NONE without */
  const char *dedupe_column;
  moon_slot_order order;
  size_t order_column, order_first; /* affinity: the column; of so many items of a slot */
} moon_site_page;

struct moon_site {
  const moon_bundle *bundle;
  moon_site_page *pages;
  size_t page_count;
  size_t rows; /* of the catalogue, when the site was read */
  moon_site_nearest nearest;
  moon_ordered *ordered; /* columns that a request's values are compared with */
  size_t chart_length; /* the longest popular or trending list that a slot asks for */
  moon_policy_conditions conditions; /* of all policies */
  moon_arena memory;
};

/* site_read.c - reading fields of a plan: each answers with an error that names the key. */
const char *moon_plan_where(const json_t *object, const char *outer); /* the object's "where", else `outer` */
moon_status moon_plan_text(moon_arena *memory, const json_t *object, const char *key, const char *fallback, const char **out);
moon_status moon_plan_count(const json_t *object, const char *key, size_t low, size_t high, size_t fallback, size_t *out);
moon_status moon_plan_number(const json_t *object, const char *key, double fallback, double *out);
/* An array's elements as calloc'ed objects of `each` bytes; absent or null is an empty one. */
moon_status moon_plan_list(moon_arena *memory, const json_t *object, const char *key, size_t each, const json_t **array, void *items,
                           size_t *n);
moon_status moon_plan_unknown(const char *what, const char *name, const char *const *names, size_t count);

/* allowed.c */
/* The rows of `listed` for which `when` (conditions, or NULL) holds: as far as no request is asked at once, the rest by moon_site_allowed,
 * whose bits are the source's or in the arena. */
moon_status moon_site_read_allowed(moon_site *site, const json_t *when, const uint64_t *listed, size_t rows, moon_site_source *out);
moon_status moon_site_allowed(const moon_site *site, const moon_site_source *source, const moon_request *request, moon_arena *arena,
                              const uint64_t **out);

/* gate.c */
moon_status moon_site_read_gate(moon_site *site, const json_t *json, moon_site_gate **out); /* null or absent: NULL */
void moon_site_gate_free(moon_site_gate *gate);

/* site_solve.c */
moon_status moon_site_read_solve(moon_site *site, const json_t *page, moon_site_page *out);

/* title.c */
moon_status moon_site_read_titles(moon_site *site, const json_t *slot, moon_site_slot *out);

/* nearest.c */
moon_status moon_site_read_nearest(moon_site *site, const json_t *json, moon_site_source *out);

/* site_policy.c */
moon_status moon_site_policies(moon_site *site, const json_t *slot, const char *where, moon_site_slot *out);
/* op_read.c */
bool moon_site_has_embedding(const moon_bundle *bundle); /* of items */

#endif
