/* site.h - a site as assembly reads it: the plan's JSON, checked against a bundle and laid out in one arena. */
#ifndef MOON_PAGE_SITE_H
#define MOON_PAGE_SITE_H

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

typedef enum moon_policy_op {
  MOON_POLICY_BOOST,
  MOON_POLICY_FILTER,
  MOON_POLICY_CAP,
  MOON_POLICY_MMR,
  MOON_POLICY_LUA,
  MOON_POLICY_OPS
} moon_policy_op;

typedef struct moon_site_limit { /* of a cap */
  const char *name;
  size_t column; /* index into the catalogue's table */
  size_t n;
} moon_site_limit;

typedef struct moon_site_policy {
  moon_policy_op op;
  const char *label;
  moon_condition *when; /* boost, filter */
  float factor;         /* boost */
  const char *text;     /* boost: "new this month (merchandising)" or NULL */
  int64_t starts, ends; /* boost: works in [starts, ends) */
  moon_site_limit *limits;
  size_t limit_count;
  float lambda; /* mmr */
  const char *by;
  size_t k;
  uint32_t fn; /* lua */
} moon_site_policy;

typedef struct moon_site_slot {
  const char *name, *title;
  size_t take, min;
  uint32_t gate; /* 0: always open */
  bool rank;
  moon_site_source *sources;
  moon_site_policy *policies;
  size_t source_count, policy_count;
} moon_site_slot;

typedef enum moon_dedupe { MOON_DEDUPE_NONE, MOON_DEDUPE_ITEM, MOON_DEDUPE_PRODUCT } moon_dedupe;

typedef struct moon_site_page {
  const char *name;
  moon_site_slot *slots;
  moon_site_source *fallback;
  const char **exclude_seen;
  size_t slot_count, fallback_count, exclude_count;
  moon_dedupe dedupe;
} moon_site_page;

struct moon_site {
  const moon_bundle *bundle;
  moon_site_page *pages;
  size_t page_count;
  uint32_t *
      product; /* [product_rows] item row -> a number < product_rows for its product, MOON_NONE without; NULL where nobody asks */
  size_t product_rows;
  moon_site_nearest nearest;
  moon_ordered *ordered; /* columns that a request's values are compared with */
  size_t chart_length; /* the longest popular or trending list that a slot asks for */
  moon_arena memory;
};

/* site_read.c - reading fields of a plan: each answers with an error that names the key. */
const char *moon_plan_where(const json_t *object, const char *outer); /* the object's "where", else `outer` */
moon_status moon_plan_text(moon_site *site, const json_t *object, const char *key, const char *fallback, const char **out);
moon_status moon_plan_count(const json_t *object, const char *key, size_t low, size_t high, size_t fallback, size_t *out);
moon_status moon_plan_number(const json_t *object, const char *key, double fallback, double *out);
/* An array's elements as calloc'ed objects of `each` bytes; absent or null is an empty one. */
moon_status moon_plan_list(moon_site *site, const json_t *object, const char *key, size_t each, const json_t **array, void *items,
                           size_t *n);
moon_status moon_plan_unknown(const char *what, const char *name, const char *const *names, size_t count);

/* allowed.c */
/* The rows of `listed` for which `when` (conditions, or NULL) holds: as far as no request is asked at once, the rest by moon_site_allowed,
 * whose bits are the source's or in the arena. */
moon_status moon_site_read_allowed(moon_site *site, const json_t *when, const uint64_t *listed, size_t rows, moon_site_source *out);
moon_status moon_site_allowed(const moon_site *site, const moon_site_source *source, const moon_request *request, moon_arena *arena,
                              const uint64_t **out);

/* nearest.c */
moon_status moon_site_read_nearest(moon_site *site, const json_t *json, moon_site_source *out);

/* site_policy.c */
moon_status moon_site_policies(moon_site *site, const json_t *slot, const char *where, moon_site_slot *out);
bool moon_site_has_embedding(const moon_bundle *bundle); /* of items */
void moon_site_policies_free(moon_site_slot *slot);

#endif
