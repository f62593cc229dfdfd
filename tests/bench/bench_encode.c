/* bench_encode.c - texts a second of processor time on one core, by an encoder of MiniLM's size: 6 layers, 384 wide, 12 heads, over titles of 12 tokens.
 *
 *   bench_encode [SECONDS]     one line of JSON, for tests/bench/peers/encode.py, which measures PyTorch beside it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nn/nn.h"
#include "text/text.h"

enum { HIDDEN = 384, LAYERS = 6, FEED = 1536, VOCAB = 1000, PLACES = 512, MOST = 128, TEXTS = 64, WORDS = 10 };

typedef struct weights {
  moon_named_tensor tensors[MOST];
  char names[MOST][96];
  size_t n;
  moon_rng rng;
} weights;

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "%s\n", status.message);
  exit(1);
}

static void add(weights *w, const char *name, size_t rows, size_t columns) {
  const size_t shape[] = {rows, columns};
  moon_tensor *t;
  snprintf(w->names[w->n], sizeof w->names[0], "%s", name);
  must(moon_tensor_new(MOON_F32, rows ? 2 : 1, rows ? shape : shape + 1, &t));
  must(moon_tensor_fill_normal(t, &w->rng, 0, 0.05));
  w->tensors[w->n] = (moon_named_tensor){w->names[w->n], t};
  w->n++;
}

static void add_pair(weights *w, size_t layer, const char *module, size_t rows, size_t columns) {
  char name[96];
  snprintf(name, sizeof name, "encoder.layer.%zu.%s.weight", layer, module), add(w, name, rows, columns);
  snprintf(name, sizeof name, "encoder.layer.%zu.%s.bias", layer, module), add(w, name, 0, rows ? rows : columns);
}

static void draw(weights *w, moon_buf *out) {
  moon_rng_seed(&w->rng, 1, 0);
  add(w, "embeddings.word_embeddings.weight", VOCAB, HIDDEN);
  add(w, "embeddings.position_embeddings.weight", PLACES, HIDDEN);
  add(w, "embeddings.token_type_embeddings.weight", 2, HIDDEN);
  add(w, "embeddings.LayerNorm.weight", 0, HIDDEN);
  add(w, "embeddings.LayerNorm.bias", 0, HIDDEN);
  for (size_t l = 0; l < LAYERS; l++) {
    add_pair(w, l, "attention.self.query", HIDDEN, HIDDEN);
    add_pair(w, l, "attention.self.key", HIDDEN, HIDDEN);
    add_pair(w, l, "attention.self.value", HIDDEN, HIDDEN);
    add_pair(w, l, "attention.output.dense", HIDDEN, HIDDEN);
    add_pair(w, l, "attention.output.LayerNorm", 0, HIDDEN);
    add_pair(w, l, "intermediate.dense", FEED, HIDDEN);
    add_pair(w, l, "output.dense", HIDDEN, FEED);
    add_pair(w, l, "output.LayerNorm", 0, HIDDEN);
  }
  must(moon_safetensors_write(w->tensors, w->n, out));
  for (size_t i = 0; i < w->n; i++) moon_tensor_free((moon_tensor *)(uintptr_t)w->tensors[i].tensor);
}

static moon_encoder *make(void) {
  static const char config[] =
      "{\"model_type\":\"bert\",\"hidden_size\":384,\"num_hidden_layers\":6,\"num_attention_heads\":12,\"intermediate_size\":1536,\"hidden_act\":\"gelu\","
      "\"max_position_embeddings\":512,\"vocab_size\":1000,\"type_vocab_size\":2,\"layer_norm_eps\":1e-12}";
  static weights w;
  moon_buf bytes = {0}, vocab = {0};
  moon_encoder *encoder;
  draw(&w, &bytes);
  moon_buf_puts(&vocab, "[PAD]\n[UNK]\n[CLS]\n[SEP]\n");
  for (int i = 4; i < VOCAB; i++) moon_buf_printf(&vocab, "w%d\n", i);
  const moon_checkpoint files = {{config, sizeof config - 1}, {vocab.data, vocab.n}, {NULL, 0}, {bytes.data, bytes.n}};
  const moon_encoder_options how = {.normalize = true};
  must(moon_encoder_new(&files, &how, &encoder));
  moon_buf_free(&bytes);
  moon_buf_free(&vocab);
  return encoder;
}

int main(int argc, char **argv) {
  double seconds = argc > 1 ? atof(argv[1]) : 5, best = 0;
  moon_encoder *encoder = make();
  static char rooms[TEXTS][WORDS * 6];
  static float vectors[TEXTS * HIDDEN];
  moon_text texts[TEXTS];
  for (int i = 0; i < TEXTS; i++) {
    int n = 0;
    for (int k = 0; k < WORDS; k++) n += snprintf(rooms[i] + n, sizeof rooms[i] - (size_t)n, "w%d ", 4 + (i * 37 + k * 101) % (VOCAB - 4));
    texts[i] = (moon_text){rooms[i], (size_t)n};
  }
  for (int64_t start = moon_monotonic(); (double)(moon_monotonic() - start) < seconds * 1e6;) {
    clock_t before = clock();
    must(moon_encoder_run(encoder, texts, TEXTS, 0, 1, NULL, vectors));
    double rate = TEXTS * (double)CLOCKS_PER_SEC / (double)(clock() - before);
    if (rate > best) best = rate;
  }
  printf("{\"texts_per_second\": %.1f}\n", best);
  moon_encoder_free(encoder);
  return 0;
}
