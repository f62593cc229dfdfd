/* learn.c - what features learn of the training part, and of nothing else: the texts that it has, and the numbers that steps are
 * fitted to.
 *
 * Ids are given in the order in which texts come up in the log. */
#include <math.h>
#include <string.h>

#include "rank/dataset.h"

/* ---- texts ------------------------------------------------------------------------------------------------------------------ */

typedef struct counted { /* how often each code came up, and in which order they did first */
  uint32_t *count, *order;
  size_t n;
} counted;

typedef struct source { /* of a feature's texts: a column of the items, or ids */
  const moon_dataset *d;
  const moon_feature *feature;
  const moon_column *column;
} source;

static const char *text_for(const source *s, uint32_t code) {
  if (s->column) return moon_dict_text(s->column->dict, code);
  return s->feature->of_user ? moon_dict_text(s->d->log->users, code) : moon_catalogue_id(s->d->catalogue, code);
}

static size_t codes_of(const source *s) {
  if (s->column) return moon_dict_count(s->column->dict);
  return s->feature->of_user ? moon_dict_count(s->d->log->users) : moon_catalogue_rows(s->d->catalogue);
}

static uint32_t code_of(const source *s, const moon_event *event) {
  if (s->column) return s->column->code[event->item];
  return s->feature->of_user ? event->user : event->item;
}

static moon_status count(const source *s, const uint8_t *training, counted *seen) {
  size_t codes = codes_of(s);
  seen->count = moon_calloc(codes, sizeof *seen->count);
  seen->order = moon_alloc((codes ? codes : 1) * sizeof *seen->order);
  if (!seen->count || !seen->order) return moon_fail(MOON_ENOMEM, "no memory for %zu texts", codes);
  for (size_t i = 0; i < s->d->log->n; i++) {
    uint32_t code = training[i] ? code_of(s, &s->d->log->events[i]) : MOON_NONE;
    if (code != MOON_NONE && !seen->count[code]++) seen->order[seen->n++] = code;
  }
  return moon_ok();
}

static moon_status add_whole(const source *s, const counted *seen, moon_vocab *vocab) {
  for (size_t i = 0; i < seen->n; i++) {
    const char *text = text_for(s, seen->order[i]);
    if (seen->count[seen->order[i]] >= s->feature->min_count) MOON_TRY(moon_vocab_add(vocab, text, strlen(text)));
  }
  size_t known = s->feature->min_count || s->feature->of_user ? 0 : s->column ? codes_of(s) : s->d->catalogue->listed;
  for (uint32_t code = 0; code < known; code++) { /* a min_count of 0: whatever the items' table lists */
    const char *text = seen->count[code] ? NULL : text_for(s, code);
    if (text) MOON_TRY(moon_vocab_add(vocab, text, strlen(text)));
  }
  return moon_ok();
}

typedef struct parts { /* of the texts: how many events, and how many texts, have each */
  moon_dict *names;
  uint32_t *events, *texts, *last; /* last: the last text that was seen to have it */
  size_t cap[3];
} parts;

static moon_status count_part(parts *out, const moon_pieces *piece, uint32_t text, uint32_t events) {
  uint32_t code;
  size_t known = moon_dict_count(out->names);
  MOON_TRY(moon_grow(&out->events, &out->cap[0], known + 1, sizeof *out->events));
  MOON_TRY(moon_grow(&out->texts, &out->cap[1], known + 1, sizeof *out->texts));
  MOON_TRY(moon_grow(&out->last, &out->cap[2], known + 1, sizeof *out->last));
  MOON_TRY(moon_dict_add(out->names, piece->text, piece->n, &code));
  if (code == known) out->events[code] = out->texts[code] = 0, out->last[code] = MOON_NONE;
  if (out->last[code] == text) return moon_ok();
  out->last[code] = text;
  out->texts[code]++;
  out->events[code] += events;
  return moon_ok();
}

static moon_status count_parts(const source *s, const counted *seen, parts *out) {
  MOON_TRY(moon_dict_new(&out->names));
  for (uint32_t i = 0; i < seen->n; i++)
    for (moon_pieces p = moon_pieces_of(s->feature, text_for(s, seen->order[i])); moon_pieces_next(&p);)
      MOON_TRY(count_part(out, &p, i, seen->count[seen->order[i]]));
  return moon_ok();
}

/* TF-IDF weighs a word by log((1 + n) / (1 + texts with it)) + 1. */
static moon_status add_parts(const source *s, const counted *seen, moon_vocab *vocab) {
  parts found = {0};
  moon_status status = count_parts(s, seen, &found);
  size_t n = found.names ? moon_dict_count(found.names) : 0;
  for (uint32_t code = 0; !status.code && code < n; code++)
    if (found.events[code] >= s->feature->min_count)
      status = moon_vocab_add(vocab, moon_dict_text(found.names, code), moon_dict_length(found.names, code));
  for (uint32_t code = 0; !status.code && s->feature->op == MOON_FEATURE_TFIDF && code < n; code++)
    if (found.events[code] >= s->feature->min_count)
      status = moon_vocab_add_number(vocab, log((1 + (double)seen->n) / (1 + (double)found.texts[code])) + 1);
  moon_dict_free(found.names);
  moon_free(found.events);
  moon_free(found.texts);
  moon_free(found.last);
  return status;
}

/* training: [log->n] 1 where the event belongs to the training part. */
static moon_status learn_texts(const moon_dataset *d, const moon_feature *feature, const uint8_t *training, moon_vocab *vocab) {
  const source s = {d, feature, feature->column ? moon_table_column(d->catalogue->table, feature->column) : NULL};
  counted seen = {0};
  moon_status status = count(&s, training, &seen);
  bool in_parts = feature->op == MOON_FEATURE_TAGS || feature->op == MOON_FEATURE_TFIDF;
  if (!status.code) status = in_parts ? add_parts(&s, &seen, vocab) : add_whole(&s, &seen, vocab);
  moon_free(seen.count);
  moon_free(seen.order);
  return status;
}

moon_status moon_learn_texts(moon_dataset *d, const moon_dataset_options *options) {
  uint8_t *training;
  d->vocabs = moon_calloc(d->plan->feature_count, sizeof *d->vocabs);
  d->vectors = moon_calloc(d->plan->feature_count, sizeof *d->vectors);
  if (!d->vocabs || !d->vectors) return moon_fail(MOON_ENOMEM, "no memory for vocabularies");
  MOON_TRY(moon_list_training(d, &training));
  moon_status status = moon_ok();
  for (size_t i = 0; i < d->plan->feature_count && !status.code; i++) {
    const moon_feature *feature = &d->plan->features[i];
    if (moon_feature_learns(feature)) status = moon_vocab_new(&d->vocabs[i]);
    if (feature->op == MOON_FEATURE_FILE && !status.code)
      status = feature->text ? moon_vectors_encode(feature, d->catalogue, options->data_dir, options->progress, d->vocabs[i], &d->vectors[i])
                             : moon_vectors_read(feature, options->data_dir, d->vocabs[i], &d->vectors[i]);
    else if (feature->texts && !status.code)
      status = learn_texts(d, feature, training, d->vocabs[i]);
  }
  moon_free(training);
  return status;
}

/* ---- numbers: the replay gave them as they are before the steps that want fitting ------------------------------------------- */

moon_status moon_learn_numbers(moon_dataset *d) {
  uint8_t *training = moon_alloc(d->examples.n);
  if (!training) return moon_fail(MOON_ENOMEM, "no memory to fit features to %zu examples", d->examples.n);
  for (size_t i = 0; i < d->examples.n; i++) training[i] = d->part[i] == MOON_TRAIN;
  moon_status status = moon_features_fit(d->features, &d->inputs, training, d->examples.n);
  moon_free(training);
  return status;
}
