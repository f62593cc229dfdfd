/* fit_content.c - neighbours by what the items are: the cosine of what features say of them, for m.nn.content.
 *
 * Each feature that is of the item alone gives it a block of length 1: tags, words and categories by TF-IDF over all items, folded words and
 * vectors as they are. The similarity is the mean of the blocks' cosines, so no feature drowns another. Blocks of few terms go by an
 * inverted list, the others are products of rows. What an item's features are, moon_features_compute says, as it does for a request. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rank/dataset.h"
#include "rank/fit_closed.h"
#include "retrieve/best.h"

enum { MOST_FEATURES = 64 };

typedef struct entry {
  uint32_t at; /* a term, or by term: an item */
  float value;
} entry;

typedef struct content {
  closed_job *job;
  const moon_feature *features[MOST_FEATURES];
  size_t offset[MOST_FEATURES]; /* of its terms, or of its columns among the vectors */
  size_t n, terms, width;
  size_t items;   /* as the layer has them: 0 is none */
  uint32_t *row;  /* [items] of the catalogue */
  float *vectors; /* [items, width] */
  entry *of_item; /* all terms of items, end to end; */
  size_t *start;  /* [items + 1] */
  size_t cap;
  entry *of_term;     /* the same by term */
  size_t *term_start; /* [terms + 2] */
  float *sum;         /* [items] similarity with the item at hand; zeros between items */
  moon_inputs inputs; /* one row */
  moon_arena arena;
} content;

/* ---- which features ------------------------------------------------------------------------------------------------------------- */

static bool is_sparse(const moon_feature *f) {
  return f->op == MOON_FEATURE_TAGS || f->op == MOON_FEATURE_CATEGORY;
}

static bool is_content(const moon_feature *f) {
  bool vector = f->op == MOON_FEATURE_TFIDF || (f->op == MOON_FEATURE_FILE && !f->of_user);
  return f->kind != MOON_KIND_INSIDE && (is_sparse(f) || vector);
}

static moon_status take_feature(content *c, const moon_feature *f) {
  if (c->n == MOST_FEATURES) return closed_fail(c->job, "it compares by 64 features at most");
  size_t *at = is_sparse(f) ? &c->terms : &c->width;
  c->offset[c->n] = *at;
  c->features[c->n++] = f;
  *at += is_sparse(f) ? c->job->model->rows[f - c->job->data->plan->features] : f->op == MOON_FEATURE_FILE ? f->dim : f->width;
  return moon_ok();
}

static moon_status take_named(content *c, const char *name) {
  const moon_feature_plan *plan = c->job->data->plan;
  const char *known[MOST_FEATURES], *near;
  size_t n = 0;
  char message[200];
  for (size_t i = 0; i < plan->feature_count; i++) {
    const moon_feature *f = &plan->features[i];
    if (!is_content(f)) continue;
    if (!strcmp(f->name, name)) return take_feature(c, f);
    if (n < MOST_FEATURES) known[n++] = f->name;
  }
  near = moon_nearest(name, known, n);
  snprintf(message, sizeof message, "no feature '%.60s' says what an item is%s%.60s%s", name, near ? "; did you mean '" : "",
           near ? near : "", near ? "'?" : "");
  return closed_fail(c->job, message);
}

static moon_status choose_features(content *c) {
  const moon_feature_plan *plan = c->job->data->plan;
  const json_t *names = json_object_get(c->job->closed.options, "of"), *name;
  size_t i;
  json_array_foreach(names, i, name) MOON_TRY(take_named(c, json_string_value(name) ? json_string_value(name) : ""));
  for (i = 0; i < plan->feature_count && !json_array_size(names); i++)
    if (is_content(&plan->features[i])) MOON_TRY(take_feature(c, &plan->features[i]));
  return c->n ? moon_ok()
              : closed_fail(
                    c->job,
                    "no feature says what an item is: m.tags, m.words, m.category, m.tfidf, m.embedding_file, m.text_embedding");
}

/* ---- what they say ---------------------------------------------------------------------------------------------------------------- */

static moon_status make_room(content *c) {
  c->items = c->job->closed.items;
  c->row = moon_calloc(c->items, sizeof *c->row);
  c->vectors = moon_calloc(c->items * c->width, sizeof *c->vectors);
  c->start = moon_calloc(c->items + 1, sizeof *c->start);
  c->term_start = moon_calloc(c->terms + 2, sizeof *c->term_start);
  c->sum = moon_calloc(c->items, sizeof *c->sum);
  if (!c->row || !c->vectors || !c->start || !c->term_start || !c->sum)
    return moon_fail(MOON_ENOMEM, "no memory to compare %zu items", c->items);
  MOON_TRY(moon_inputs_alloc(c->job->data->plan, &c->arena, 1, &c->inputs));
  memset(c->row, 0xff, c->items * sizeof *c->row);
  for (size_t row = moon_catalogue_rows(c->job->data->catalogue); row--;)
    c->row[moon_features_item_id(c->job->data->features, (uint32_t)row)] = (uint32_t)row;
  return moon_ok();
}

/* Ids of terms; 0 is none. */
static moon_status put_terms(content *c, size_t offset, const uint32_t *ids, size_t n, size_t *count) {
  MOON_TRY(moon_grow(&c->of_item, &c->cap, *count + n, sizeof *c->of_item));
  for (size_t i = 0; i < n; i++)
    if (ids[i]) c->of_item[(*count)++] = (entry){(uint32_t)(offset + ids[i]), 1};
  return moon_ok();
}

static float scale_of(double squares, size_t blocks) {
  return squares > 0 ? (float)(1 / sqrt(squares * (double)blocks)) : 0;
}

/* To length 1, and of all blocks a share. */
static void put_vector(content *c, size_t item, size_t offset, const float *v, size_t n) {
  float *out = c->vectors + item * c->width + offset;
  double squares = 0;
  for (size_t i = 0; i < n; i++) squares += (double)v[i] * v[i];
  float scale = isfinite(squares) ? scale_of(squares, c->n) : 0;
  for (size_t i = 0; i < n && scale > 0; i++) out[i] = v[i] * scale;
}

static moon_status put_feature(content *c, size_t item, size_t at, size_t *count) {
  const moon_dataset *d = c->job->data;
  const moon_feature *f = c->features[at];
  size_t n, which = (size_t)(f - d->plan->features);
  const uint32_t *words = moon_input_words(d->plan, f, &c->inputs, 0, &n);
  if (is_sparse(f)) return put_terms(c, c->offset[at], words, n, count);
  const float *v = (const float *)(const void *)words;
  if (f->op == MOON_FEATURE_FILE) { /* vector k is that of id k + 1 */
    const moon_tensor *vectors = d->vectors ? d->vectors[which] : NULL;
    n = f->dim;
    v = vectors && *words ? (const float *)moon_tensor_data(vectors) + (*words - (size_t)1) * n : NULL;
  }
  if (v) put_vector(c, item, c->offset[at], v, n);
  return moon_ok();
}

static moon_status put_items(content *c) {
  const moon_dataset *d = c->job->data;
  size_t count = 0;
  for (size_t item = 1; item < c->items; item++) {
    c->start[item] = count;
    if (c->row[item] == MOON_NONE) continue;
    moon_features_compute(d->features, d->state, MOON_NONE, NULL, &c->row[item], 1, moon_state_clock(d->state), &c->inputs);
    for (size_t f = 0; f < c->n; f++) MOON_TRY(put_feature(c, item, f, &count));
  }
  c->start[c->items] = count;
  return moon_ok();
}

/* ---- TF-IDF, and the inverted list --------------------------------------------------------------------------------------------------- */

/* The feature that a term is of. */
static size_t owner(const content *c, uint32_t term) {
  size_t found = 0;
  for (size_t f = 0; f < c->n; f++)
    if (is_sparse(c->features[f]) && c->offset[f] <= term) found = f;
  return found;
}

/* The terms of one item of one feature, which lie together. */
static void weigh_block(content *c, entry *block, size_t n) {
  double squares = 0;
  for (size_t i = 0; i < n; i++) {
    size_t with = c->term_start[block[i].at + 2];
    block[i].value = (float)(log((double)c->items / (1 + (double)with)) + 1); /* items: those there are and 1 */
    squares += (double)block[i].value * block[i].value;
  }
  float scale = scale_of(squares, c->n);
  for (size_t i = 0; i < n; i++) block[i].value *= scale;
}

static void weigh(content *c) {
  for (size_t e = 0; e < c->start[c->items]; e++) c->term_start[c->of_item[e].at + 2]++;
  for (size_t item = 1; item < c->items; item++) {
    size_t from = c->start[item], to = c->start[item + 1];
    for (size_t end = from; from < to; from = end) {
      size_t mine = owner(c, c->of_item[from].at);
      while (end < to && owner(c, c->of_item[end].at) == mine) end++;
      weigh_block(c, c->of_item + from, end - from);
    }
  }
}

static moon_status invert(content *c) {
  size_t n = c->start[c->items];
  c->of_term = moon_alloc((n + 1) * sizeof *c->of_term);
  if (!c->of_term) return moon_fail(MOON_ENOMEM, "no memory for %zu terms of items", n);
  for (size_t t = 2; t < c->terms + 2; t++) c->term_start[t] += c->term_start[t - 1];
  for (size_t item = 1; item < c->items; item++)
    for (size_t e = c->start[item]; e < c->start[item + 1]; e++)
      c->of_term[c->term_start[c->of_item[e].at + 1]++] = (entry){(uint32_t)item, c->of_item[e].value};
  return moon_ok();
}

/* ---- neighbours ------------------------------------------------------------------------------------------------------------------------ */

static void add_similarities(content *c, size_t item) {
  for (size_t e = c->start[item]; e < c->start[item + 1]; e++) {
    const entry *mine = &c->of_item[e];
    for (size_t t = c->term_start[mine->at]; t < c->term_start[mine->at + 1]; t++)
      c->sum[c->of_term[t].at] += mine->value * c->of_term[t].value;
  }
  const float *v = c->vectors + item * c->width;
  for (size_t other = 1; other < c->items && c->width; other++)
    c->sum[other] += moon_dot(v, c->vectors + other * c->width, c->width);
}

static moon_status find_neighbours(content *c) {
  const moon_closed *closed = &c->job->closed;
  uint32_t *near = moon_arena_alloc(&c->arena, closed->k * sizeof *near);
  if (!near) return moon_fail(MOON_ENOMEM, "no memory for %zu neighbours", closed->k);
  for (size_t item = 1; item < c->items; item++) {
    float *weight = closed->weight + item * closed->k;
    moon_best best = {.row = near, .score = weight, .cap = closed->k};
    add_similarities(c, item);
    for (size_t other = 1; other < c->items; other++)
      if (c->sum[other] > 0 && other != item) moon_best_offer(&best, (uint32_t)other, c->sum[other]);
    moon_best_sort(&best);
    for (size_t i = 0; i < best.n; i++) closed->neighbour[item * closed->k + i] = near[i];
    memset(c->sum, 0, c->items * sizeof *c->sum);
    if (item % 64 == 0) MOON_TRY(closed_tell(c->job, (double)item / (double)c->items));
  }
  return moon_ok();
}

moon_status closed_fit_content(closed_job *job) {
  content c = {.job = job};
  moon_status status = choose_features(&c);
  if (!status.code) status = make_room(&c);
  if (!status.code) status = put_items(&c);
  if (!status.code) weigh(&c), status = invert(&c);
  if (!status.code) status = find_neighbours(&c);
  moon_free(c.row);
  moon_free(c.vectors);
  moon_free(c.of_item);
  moon_free(c.start);
  moon_free(c.of_term);
  moon_free(c.term_start);
  moon_free(c.sum);
  moon_arena_free(&c.arena);
  return status;
}
