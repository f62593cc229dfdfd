/* vocab.c - what a feature learned: texts with embedding ids, a dictionary whose codes are shifted by one, so that 0 stays free for
 * everything else; and numbers that its steps are fitted to. */
#include <math.h>

#include "feature/feature.h"

struct moon_vocab {
  moon_dict *texts; /* code + 1 is the id */
  double *numbers;
  size_t count, cap; /* of the numbers */
};

moon_status moon_vocab_new(moon_vocab **out) {
  moon_vocab *vocab = moon_calloc(1, sizeof *vocab);
  if (!vocab) return moon_fail(MOON_ENOMEM, "no memory for a vocabulary");
  moon_status status = moon_dict_new(&vocab->texts);
  if (status.code) moon_vocab_free(vocab);
  else *out = vocab;
  return status;
}

void moon_vocab_free(moon_vocab *vocab) {
  if (!vocab) return;
  moon_dict_free(vocab->texts);
  moon_free(vocab->numbers);
  moon_free(vocab);
}

moon_status moon_vocab_add(moon_vocab *vocab, const char *text, size_t n) {
  uint32_t code;
  return moon_dict_add(vocab->texts, text, n, &code);
}

uint32_t moon_vocab_find(const moon_vocab *vocab, const char *text, size_t n) {
  return moon_dict_find(vocab->texts, text, n) + 1; /* MOON_NONE + 1 wraps to 0, the unknown */
}

size_t moon_vocab_size(const moon_vocab *vocab) { return moon_dict_count(vocab->texts) + 1; }

moon_status moon_vocab_add_number(moon_vocab *vocab, double number) {
  if (!isfinite(number)) return moon_fail(MOON_EINVAL, "a fitted number is not finite");
  MOON_TRY(moon_grow(&vocab->numbers, &vocab->cap, vocab->count + 1, sizeof number));
  vocab->numbers[vocab->count++] = number;
  return moon_ok();
}

const double *moon_vocab_numbers(const moon_vocab *vocab, size_t *n) {
  *n = vocab->count;
  return vocab->numbers;
}

/* false without memory; takes the value over */
static bool append(json_t **array, json_t *value) {
  if (!json_array_append_new(*array, value)) return true; /* fails for NULL too */
  json_decref(*array);
  *array = NULL;
  return false;
}

json_t *moon_vocab_json(const moon_vocab *vocab) {
  json_t *array = json_array();
  for (uint32_t code = 0; array && code < moon_dict_count(vocab->texts); code++)
    if (!append(&array, json_stringn(moon_dict_text(vocab->texts, code), moon_dict_length(vocab->texts, code)))) return NULL;
  for (size_t i = 0; array && i < vocab->count; i++)
    if (!append(&array, json_real(vocab->numbers[i]))) return NULL;
  return array;
}

static moon_status fill(moon_vocab *vocab, const json_t *array) {
  for (size_t i = 0; i < json_array_size(array); i++) {
    const json_t *value = json_array_get(array, i);
    if (json_is_number(value)) {
      MOON_TRY(moon_vocab_add_number(vocab, json_number_value(value)));
      continue;
    }
    if (!json_is_string(value) || vocab->count) return moon_fail(MOON_EFORMAT, "vocabulary: entry %zu is not a text", i + 1);
    MOON_TRY(moon_vocab_add(vocab, json_string_value(value), json_string_length(value)));
    if (moon_vocab_size(vocab) != i + 2)
      return moon_fail(MOON_EFORMAT, "vocabulary: '%.100s' (entry %zu) is there twice", json_string_value(value), i + 1);
  }
  return moon_ok();
}

moon_status moon_vocab_parse(const json_t *array, moon_vocab **out) {
  if (!json_is_array(array)) return moon_fail(MOON_EFORMAT, "vocabulary: expected an array of texts and numbers");
  moon_vocab *vocab = NULL;
  MOON_TRY(moon_vocab_new(&vocab));
  moon_status status = fill(vocab, array);
  if (status.code) moon_vocab_free(vocab);
  else *out = vocab;
  return status;
}
