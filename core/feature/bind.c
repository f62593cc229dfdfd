/* bind.c - what is the same for an item at all times, looked up once: embedding ids and numbers of the catalogue, in one short row
 * per catalogue row. Row `rows` of the table is the unknown item. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "feature/compute.h"

/* ---- filling the table ---------------------------------------------------------------------------------------------------- */

uint32_t moon_embedding_id(const moon_features *features, size_t f, const char *text, size_t n) {
  uint32_t buckets = features->plan->features[f].hash;
  if (buckets) return 1 + (uint32_t)(moon_hash(text, n) % (buckets - 1));
  return moon_vocab_find(features->vocabs[f], text, n);
}

static void fill_ids(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = feature->column ? moon_table_column(catalogue->table, feature->column) : NULL;
  moon_cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    const char *text = column ? moon_column_text(column, row) : moon_catalogue_id(catalogue, (uint32_t)row);
    out->id = text ? moon_embedding_id(features, f, text, strlen(text)) : 0;
  }
}

/* The columns of a cross as one number, never 0; 0 where one of them is empty. */
static uint32_t crossed(const moon_feature *feature, const moon_catalogue *catalogue, size_t row) {
  uint64_t hash = 0;
  for (size_t i = 0; i < feature->column_count; i++) {
    const char *text = moon_column_text(moon_table_column(catalogue->table, feature->columns[i]), row);
    if (!text) return 0;
    hash = moon_mix64(hash ^ moon_hash(text, strlen(text))) + i + 1; /* "a" with "b" is not "b" with "a" */
  }
  return (uint32_t)(hash % UINT32_MAX) + 1;
}

uint32_t moon_cross_id(const moon_feature *feature, uint32_t item_part, uint64_t user_part) {
  return item_part ? 1 + (uint32_t)(moon_mix64(item_part ^ user_part) % (feature->hash - 1)) : 0;
}

/* Of a cross with the user the item's part, else the id. */
static void fill_crosses(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  moon_cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    uint32_t part = crossed(feature, catalogue, row);
    out->id = feature->of_user ? part : moon_cross_id(feature, part, 0);
  }
}

/* The ids of an item's parts, each once, in their order; zeros after them. */
static void fill_tags(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = moon_table_column(catalogue->table, feature->column);
  moon_cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    const char *text = moon_column_text(column, row);
    size_t n = 0;
    for (moon_pieces p = moon_pieces_of(feature, text ? text : ""); n < feature->last && moon_pieces_next(&p);) {
      size_t same = 0;
      uint32_t id = moon_embedding_id(features, f, p.text, p.n);
      while (same < n && out[same].id != id) same++;
      if (id && same == n) out[n++].id = id;
    }
  }
}

/* Weights of an item's words on a few numbers: each word goes to one of them with a sign of its own, by a hash (Weinberger et al. 2009),
 * and the whole has length 1. */
static void fill_tfidf(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = moon_table_column(catalogue->table, feature->column);
  size_t known;
  const double *weights = moon_vocab_numbers(features->vocabs[f], &known);
  moon_cell *out = features->cells + features->column[f];
  for (size_t row = 0; row < features->rows; row++, out += features->columns) {
    const char *text = moon_column_text(column, row);
    double square = 0;
    for (moon_pieces p = moon_pieces_of(feature, text ? text : ""); moon_pieces_next(&p);) {
      uint32_t id = moon_vocab_find(features->vocabs[f], p.text, p.n);
      uint64_t hash = moon_hash(p.text, p.n);
      if (id) out[hash % feature->width].number += (float)(hash >> 63 ? weights[id - 1] : -weights[id - 1]);
    }
    for (size_t i = 0; i < feature->width; i++) square += (double)out[i].number * out[i].number;
    for (size_t i = 0; i < feature->width && square > 0; i++) out[i].number = moon_finite(out[i].number / sqrt(square));
  }
}

static const double *fitted(const moon_features *features, size_t f, size_t *known) {
  *known = 0;
  return features->vocabs[f] ? moon_vocab_numbers(features->vocabs[f], known) : NULL;
}

static moon_cells column_of(const moon_features *features, size_t f) {
  return (moon_cells){(char *)(features->cells + features->column[f]), features->columns * sizeof *features->cells};
}

/* As far as they can go. */
static void take_steps(moon_features *features, size_t f) {
  size_t known;
  const double *numbers = fitted(features, f, &known);
  moon_steps_run(&features->plan->features[f], (moon_stage){0}, numbers, known, column_of(features, f), features->rows + 1);
}

/* The numbers of a column as they are in the catalogue. */
static void fill_numbers(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = moon_table_column(catalogue->table, feature->column);
  moon_cell *out = features->cells + features->column[f];
  for (size_t row = 0; row <= features->rows; row++, out += features->columns)
    out->number = row < features->rows ? moon_finite(moon_column_number(column, row)) : NAN;
  take_steps(features, f);
}

/* Each over the mean of its value's items; none where that is 0 or there is no value. */
static moon_status fill_relative(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  const moon_feature *feature = &features->plan->features[f];
  const moon_column *column = moon_table_column(catalogue->table, feature->column), *by = moon_table_column(catalogue->table, feature->by);
  moon_cell *out = features->cells + features->column[f];
  size_t codes = moon_dict_count(by->dict);
  struct mean { double sum, n; } *means = moon_calloc(codes, sizeof *means);
  if (!means) return moon_fail(MOON_ENOMEM, "no memory for the means of %zu values", codes);
  for (size_t row = 0; row < features->rows; row++) {
    double x = moon_column_number(column, row);
    if (by->code[row] != MOON_NONE && !isnan(x)) means[by->code[row]].sum += x, means[by->code[row]].n++;
  }
  for (size_t row = 0; row <= features->rows; row++, out += features->columns) {
    bool known = row < features->rows && by->code[row] != MOON_NONE && means[by->code[row]].sum != 0;
    double x = known ? moon_column_number(column, row) * means[by->code[row]].n / means[by->code[row]].sum : NAN;
    out->number = isfinite(x) ? moon_finite(x) : NAN;
  }
  moon_free(means);
  take_steps(features, f);
  return moon_ok();
}

/* ---- laying it out -------------------------------------------------------------------------------------------------------- */

/* How many cells of an item's row a feature has. */
static size_t cells_for(const moon_feature *feature) {
  switch (feature->op) {
    case MOON_FEATURE_FILE:
    case MOON_FEATURE_ID:
      return feature->of_user ? 0 : 1;
    case MOON_FEATURE_TFIDF:
      return feature->width;
    case MOON_FEATURE_TAGS:
      return feature->last;
    case MOON_FEATURE_CATEGORY:
    case MOON_FEATURE_CROSS:
    case MOON_FEATURE_NUMERIC:
    case MOON_FEATURE_RELATIVE:
      return 1;
    default:
      return 0;
  }
}

static moon_status fill_cells(moon_features *features, size_t f, const moon_catalogue *catalogue) {
  switch (features->plan->features[f].op) {
    case MOON_FEATURE_CROSS:
      fill_crosses(features, f, catalogue);
      break;
    case MOON_FEATURE_TAGS:
      fill_tags(features, f, catalogue);
      break;
    case MOON_FEATURE_TFIDF:
      fill_tfidf(features, f, catalogue);
      break;
    case MOON_FEATURE_RELATIVE:
      return fill_relative(features, f, catalogue);
    case MOON_FEATURE_NUMERIC:
      fill_numbers(features, f, catalogue);
      break;
    default:
      fill_ids(features, f, catalogue);
      break;
  }
  return moon_ok();
}

/* A vocabulary where one is needed, and of a fitted feature as many numbers as it wants: none where it is yet to be fitted. */
static moon_status check_vocab(const moon_features *features, size_t f) {
  const moon_feature *feature = &features->plan->features[f];
  size_t want = moon_feature_fitted(feature), known;
  fitted(features, f, &known);
  if (moon_feature_learns(feature) && !features->vocabs[f])
    return moon_fail(MOON_EINVAL, "%s: %s has neither a vocabulary nor hash buckets", feature->where, feature->name);
  bool weighs = feature->op == MOON_FEATURE_TFIDF;
  if (weighs) want = moon_vocab_size(features->vocabs[f]) - 1;
  if ((!known && !weighs) || known == want) return moon_ok();
  return moon_fail(MOON_EFORMAT, "%s: the vocabulary of %s has %zu numbers where %zu are wanted", feature->where, feature->name,
                   known, want);
}

/* Which features have a column, and whether all that they need is there. */
static moon_status lay_out(moon_features *features, const moon_catalogue *catalogue) {
  features->item_id = SIZE_MAX;
  for (size_t f = 0; f < features->plan->feature_count; f++) {
    const moon_feature *feature = &features->plan->features[f];
    moon_column *column;
    if (feature->column && feature->op != MOON_FEATURE_POSITION)
      MOON_TRY(moon_wrap(moon_table_require(catalogue->table, feature->column, &column), "%s", feature->where));
    if (feature->op == MOON_FEATURE_AGE) features->times[f] = column;
    if (feature->by) MOON_TRY(moon_wrap(moon_table_require(catalogue->table, feature->by, &column), "%s", feature->where));
    MOON_TRY(check_vocab(features, f));
    for (size_t i = 0; i < feature->column_count; i++)
      MOON_TRY(moon_wrap(moon_table_require(catalogue->table, feature->columns[i], &column), "%s", feature->where));
    if (feature->op == MOON_FEATURE_ID && !feature->of_user && features->item_id == SIZE_MAX)
      features->item_id = features->columns;
    features->column[f] = features->columns;
    features->columns += cells_for(feature);
  }
  return moon_ok();
}

static moon_status bind(moon_features *features, const moon_catalogue *catalogue, moon_vocab *const *vocabs) {
  size_t count = features->plan->feature_count;
  moon_status no_memory = moon_fail(MOON_ENOMEM, "no memory to bind features to %zu items", features->rows);
  features->vocabs = moon_calloc(count, sizeof *features->vocabs);
  features->column = moon_calloc(count, sizeof *features->column);
  features->times = moon_calloc(count, sizeof *features->times);
  if (!features->vocabs || !features->column || !features->times) return no_memory;
  for (size_t f = 0; f < count; f++) features->vocabs[f] = vocabs[f];
  MOON_TRY(lay_out(features, catalogue));
  features->cells = moon_calloc(features->rows + 1, features->columns * sizeof *features->cells);
  if (!features->cells) return no_memory;
  for (size_t f = 0; f < count; f++)
    if (cells_for(&features->plan->features[f])) MOON_TRY(fill_cells(features, f, catalogue));
  return moon_ok();
}

moon_status moon_features_bind(const moon_feature_plan *plan, const moon_catalogue *catalogue, moon_vocab *const *vocabs,
                               moon_features **out) {
  moon_features *features = moon_calloc(1, sizeof *features);
  if (!features) return moon_fail(MOON_ENOMEM, "no memory to bind features");
  features->plan = plan;
  features->rows = moon_catalogue_rows(catalogue);
  moon_status status = bind(features, catalogue, vocabs);
  if (status.code)
    moon_features_free(features);
  else
    *out = features;
  return status;
}

void moon_features_free(moon_features *features) {
  if (!features) return;
  moon_free(features->vocabs);
  moon_free(features->column);
  moon_free(features->times);
  moon_free(features->cells);
  moon_free(features);
}

uint32_t moon_features_item_id(const moon_features *features, uint32_t item) {
  if (features->item_id == SIZE_MAX || item >= features->rows) return 0;
  return features->cells[item * features->columns + features->item_id].id;
}

/* ---- fitting -------------------------------------------------------------------------------------------------------------- */

/* The numbers that slot w of the rows in use holds; values: [n]. */
static size_t gather(moon_cells cells, size_t w, const uint8_t *use, size_t n, double *values) {
  size_t kept = 0;
  for (size_t i = 0; i < n; i++) {
    float x;
    if (!use[i]) continue;
    memcpy(&x, cells.at + i * cells.stride + w * sizeof x, sizeof x);
    if (!isnan(x)) values[kept++] = x;
  }
  return kept;
}

/* Step by step: what a step is fitted to is what the steps before it gave. */
static moon_status fit(moon_features *features, size_t f, moon_cells cells, const uint8_t *use, size_t n, double *values) {
  const moon_feature *feature = &features->plan->features[f];
  moon_vocab *vocab = features->vocabs[f];
  moon_stage at = moon_steps_run(feature, (moon_stage){0}, NULL, 0, (moon_cells){0}, 0);
  while (at.step < feature->step_count) {
    for (size_t w = 0; w < feature->width; w++)
      MOON_TRY(moon_step_fit(&feature->steps[at.step], values, gather(cells, w, use, n, values), vocab));
    size_t known;
    const double *numbers = fitted(features, f, &known);
    if (cells_for(feature)) moon_steps_run(feature, at, numbers, known, column_of(features, f), features->rows + 1);
    at = moon_steps_run(feature, at, numbers, known, cells, n);
  }
  return moon_ok();
}

moon_status moon_features_fit(moon_features *features, const moon_inputs *inputs, const uint8_t *use, size_t n) {
  const moon_feature_plan *plan = features->plan;
  double *values = moon_alloc((n ? n : 1) * sizeof *values);
  moon_status status = values ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to fit features to %zu rows", n);
  for (size_t f = 0; f < plan->feature_count && !status.code; f++) {
    const moon_feature *feature = &plan->features[f];
    size_t known = 0;
    if (!moon_feature_fitted(feature) || (fitted(features, f, &known), known)) continue;
    bool number = feature->kind == MOON_KIND_NUMBER;
    moon_cells cells = {number ? (char *)(inputs->dense + feature->slot) : (char *)(inputs->ids + feature->slot),
                        (number ? plan->dense_slots : plan->id_slots) * sizeof(float)};
    status = fit(features, f, cells, use, n, values);
  }
  moon_free(values);
  return status;
}
