/* bundle_vocabs.c - what all features learned, as the file vocab.json and back. */
#include <string.h>

#include "rank/bundle.h"

moon_status moon_bundle_put_json(const json_t *json, moon_buf *out) {
  char *text = json ? json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1) | JSON_REAL_PRECISION(17)) : NULL;
  if (!text) return moon_fail(MOON_ENOMEM, "no memory for JSON");
  moon_buf_puts(out, text);
  moon_buf_puts(out, "\n");
  free(text);
  return out->failed ? moon_fail(MOON_ENOMEM, "no memory for JSON") : moon_ok();
}

moon_status moon_bundle_parse_json(const moon_buf *bytes, json_t **out) {
  json_error_t error;
  *out = json_loadb(bytes->data ? bytes->data : "", bytes->n, 0, &error);
  return *out ? moon_ok() : moon_fail(MOON_EFORMAT, "line %d: %s", error.line, error.text);
}

/* By the feature's place in the plan; null where a feature has no vocabulary. */
moon_status moon_bundle_put_vocabs(const moon_feature_plan *plan, moon_vocab *const *vocabs, moon_buf *out) {
  json_t *list = json_array();
  for (size_t i = 0; i < plan->feature_count; i++) json_array_append_new(list, vocabs[i] ? moon_vocab_json(vocabs[i]) : json_null());
  moon_status status =
      json_array_size(list) == plan->feature_count ? moon_bundle_put_json(list, out) : moon_fail(MOON_ENOMEM, "no memory for vocabularies");
  json_decref(list);
  return status;
}

/* How many numbers a feature's vocabulary has to hold. */
static size_t numbers_for(const moon_feature *feature, const moon_vocab *vocab) {
  return feature->op == MOON_FEATURE_TFIDF ? moon_vocab_size(vocab) - 1 : moon_feature_fitted(feature);
}

static moon_status parse_vocab(const moon_feature *feature, const json_t *json, moon_vocab **out) {
  bool wants = moon_feature_learns(feature);
  size_t numbers;
  if (wants != json_is_array(json)) return moon_fail(MOON_EFORMAT, "the vocabulary of %s does not fit the plan", feature->name);
  if (!wants) return moon_ok();
  MOON_TRY(moon_vocab_parse(json, out));
  moon_vocab_numbers(*out, &numbers);
  if (numbers == numbers_for(feature, *out)) return moon_ok();
  return moon_fail(MOON_EFORMAT, "the vocabulary of %s does not fit the plan", feature->name);
}

moon_status moon_bundle_parse_vocabs(const moon_buf *bytes, const moon_feature_plan *plan, moon_vocab ***out) {
  json_t *list = NULL;
  size_t n = plan->feature_count;
  MOON_TRY(moon_bundle_parse_json(bytes, &list));
  moon_vocab **vocabs = moon_calloc(n, sizeof *vocabs);
  moon_status status = vocabs ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu vocabularies", n);
  if (!status.code && json_array_size(list) != n)
    status = moon_fail(MOON_EFORMAT, "%zu vocabularies for %zu features", json_array_size(list), n);
  for (size_t i = 0; i < n && !status.code; i++) status = parse_vocab(&plan->features[i], json_array_get(list, i), &vocabs[i]);
  json_decref(list);
  if (status.code) moon_bundle_free_vocabs(vocabs, n);
  else *out = vocabs;
  return status;
}

void moon_bundle_free_vocabs(moon_vocab **vocabs, size_t n) {
  for (size_t i = 0; vocabs && i < n; i++) moon_vocab_free(vocabs[i]);
  moon_free(vocabs);
}
