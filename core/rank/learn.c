/* learn.c - what features learn of the training part, and of nothing else: the texts that it has, and the numbers that steps are
 * fitted to.
 *
 * Ids are given in the order in which texts come up in the log. */
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
  return moon_ok();
}

/* Parts are counted as often as the texts that they are in. */
static moon_status count_parts(const source *s, const counted *seen, moon_dict *parts, uint32_t **count, size_t *cap) {
  for (size_t i = 0; i < seen->n; i++) {
    for (moon_pieces p = moon_pieces_of(s->feature, text_for(s, seen->order[i])); moon_pieces_next(&p);) {
      uint32_t code;
      size_t known = moon_dict_count(parts);
      MOON_TRY(moon_grow(count, cap, known + 1, sizeof **count));
      MOON_TRY(moon_dict_add(parts, p.text, p.n, &code));
      (*count)[code] = (code == known ? 0 : (*count)[code]) + seen->count[seen->order[i]];
    }
  }
  return moon_ok();
}

static moon_status add_parts(const source *s, const counted *seen, moon_vocab *vocab) {
  moon_dict *parts = NULL;
  uint32_t *count = NULL;
  size_t cap = 0;
  moon_status status = moon_dict_new(&parts);
  if (!status.code) status = count_parts(s, seen, parts, &count, &cap);
  for (uint32_t code = 0; !status.code && code < moon_dict_count(parts); code++)
    if (count[code] >= s->feature->min_count) status = moon_vocab_add(vocab, moon_dict_text(parts, code), moon_dict_length(parts, code));
  moon_dict_free(parts);
  moon_free(count);
  return status;
}

/* training: [log->n] 1 where the event belongs to the training part. */
static moon_status learn_texts(const moon_dataset *d, const moon_feature *feature, const uint8_t *training, moon_vocab *vocab) {
  const source s = {d, feature, feature->column ? moon_table_column(d->catalogue->table, feature->column) : NULL};
  counted seen = {0};
  moon_status status = count(&s, training, &seen);
  if (!status.code) status = feature->op == MOON_FEATURE_TAGS ? add_parts(&s, &seen, vocab) : add_whole(&s, &seen, vocab);
  moon_free(seen.count);
  moon_free(seen.order);
  return status;
}

moon_status moon_learn_texts(moon_dataset *d) {
  uint8_t *training;
  d->vocabs = moon_calloc(d->plan->feature_count, sizeof *d->vocabs);
  if (!d->vocabs) return moon_fail(MOON_ENOMEM, "no memory for vocabularies");
  MOON_TRY(moon_list_training(d, &training));
  moon_status status = moon_ok();
  for (size_t i = 0; i < d->plan->feature_count && !status.code; i++) {
    const moon_feature *feature = &d->plan->features[i];
    if (moon_feature_learns(feature)) status = moon_vocab_new(&d->vocabs[i]);
    if (feature->texts && !status.code) status = learn_texts(d, feature, training, d->vocabs[i]);
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
