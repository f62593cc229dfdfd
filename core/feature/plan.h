/* plan.h - reading a recipe's features; private to core/feature.
 *
 * Each reader takes the object that the builder points at and fills the feature in. What fails carries the name and the value of the
 * field; the line is put before it by whoever began. */
#ifndef MOON_FEATURE_PLAN_H
#define MOON_FEATURE_PLAN_H

#include "feature/feature.h"

enum { MOON_MOST_WINDOWS = sizeof(((moon_feature *)0)->windows) / sizeof(int64_t) };

typedef struct moon_plan_builder {
  moon_feature_plan *plan;
  const moon_catalogue *catalogue;
  const json_t *object; /* the feature being read */
  size_t counter_cap, group_cap, together_cap, name_cap;
} moon_plan_builder;

/* ---- plan_read.c: fields ---------------------------------------------------------------------------------------------------- */

moon_status moon_recipe_no_memory(void);
moon_status moon_recipe_unknown(const char *what, const char *name, const char *const *known, size_t n);
/* The place of a name in a list; n where it is not there. */
size_t moon_recipe_place(const char *name, const char *const *known, size_t n);
moon_status moon_recipe_text(const json_t *value, const char *what, char **out);
moon_status moon_recipe_whole_of(const json_t *value, const char *what, int64_t low, int64_t high, int64_t otherwise, int64_t *out);
moon_status moon_recipe_whole(const moon_plan_builder *b, const char *key, int64_t low, int64_t high, int64_t otherwise, int64_t *out);
moon_status moon_recipe_entity(const moon_plan_builder *b, bool *of_user);
/* A set of kinds, sorted, so that equal sets compare equal. Missing or empty: every kind, NULL. */
moon_status moon_recipe_kinds(const moon_plan_builder *b, const char *key, char ***out, size_t *count);
void moon_recipe_texts_free(char **texts, size_t n);
/* A column of the items: its name, which is the caller's even where the column is not as it should be. */
moon_status moon_recipe_string_column(const moon_plan_builder *b, const json_t *name, const char *needed_by, char **out);
moon_status moon_recipe_number_column(const moon_plan_builder *b, const json_t *name, const char *needed_by, char **out);

/* ---- plan_steps.c: numbers and their steps ---------------------------------------------------------------------------------- */

/* The next dense slot; takes over the name. */
moon_status moon_recipe_name_dense(moon_plan_builder *b, moon_buf *name);
/* Steps and slots of a number whose source is known: dense slots, or where it ends in a bucket, an id. */
moon_status moon_recipe_number(moon_plan_builder *b, moon_feature *f);

/* ---- plan_past.c: what the state has to keep -------------------------------------------------------------------------------- */

/* Counts, rates and all else that is read from the state. */
moon_status moon_recipe_past(moon_plan_builder *b, moon_feature *f);
void moon_recipe_past_free(moon_feature_plan *plan);

#endif
