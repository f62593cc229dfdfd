/* Any bytes as a checkpoint: refused, or an encoder that embeds. A part of it is broken at a time, which the first byte chooses. */
#include "fuzz/fuzz.h"
#include "unit/text_checkpoint.h"

static small_checkpoint whole = {.hidden = 4, .layers = 1, .heads = 2, .feed = 4, .act = "gelu"};

static void make_whole(void) {
  if (!whole.n) ck_make(&whole, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  moon_encoder *encoder;
  const moon_encoder_options how = {0};
  float out[2 * 8];
  make_whole();
  if (!size) return 0;
  moon_checkpoint files = whole.files;
  moon_text *parts[] = {&files.config, &files.vocab, &files.tokenizer, &files.weights};
  *parts[data[0] % 4] = (moon_text){(const char *)data + 1, size - 1};
  moon_status status = moon_encoder_new(&files, &how, &encoder);
  check(status.code ? !encoder && status.message[0] : encoder != NULL);
  check(moon_utf8_prefix(status.message, strlen(status.message)) == strlen(status.message));
  if (status.code) return 0;
  const moon_text texts[] = {{"a, [UNK] b", 10}, {(const char *)data + 1, size - 1}};
  if (moon_encoder_dim(encoder) <= 4 && moon_encoder_max_length(encoder) <= CK_PLACES) check(!moon_encoder_run(encoder, texts, 2, 0, 1, NULL, out).code);
  moon_encoder_free(encoder);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  make_whole();
  static const char tokenizer[] = "{\"do_lower_case\": false, \"strip_accents\": null, \"tokenize_chinese_chars\": true, \"model_max_length\": 16}";
  const moon_text parts[] = {whole.files.config, whole.files.vocab, {tokenizer, sizeof tokenizer - 1}, whole.files.weights};
  if (which >= 4 || parts[which].n + 1 > cap) return 0;
  out[0] = (uint8_t)which;
  memcpy(out + 1, parts[which].at, parts[which].n);
  return parts[which].n + 1;
}
