/* text_checkpoint.h - a small checkpoint in memory, drawn from a seed: config.json, vocab.txt and model.safetensors of a BERT or a DistilBERT. */
#ifndef TEST_TEXT_CHECKPOINT_H
#define TEST_TEXT_CHECKPOINT_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/nn.h"
#include "text/text.h"

enum { CK_MOST = 64, CK_VOCAB = 12, CK_PLACES = 20 };
static const char ck_vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\nc\n##d\n##e\n,\nf\ng\n";

typedef struct small_checkpoint {
  size_t hidden, layers, heads, feed;
  const char *act;
  bool distil;
  moon_named_tensor tensors[CK_MOST];
  char names[CK_MOST][96];
  size_t n;
  moon_buf config, weights;
  moon_checkpoint files;
} small_checkpoint;

static inline void ck_must(moon_status status) { /* without cmocka: the fuzz target has none */
  if (status.code) abort();
}

static inline void ck_add(small_checkpoint *c, moon_rng *rng, const char *name, double middle, size_t rows, size_t columns) {
  const size_t shape[] = {rows, columns};
  moon_tensor *t;
  snprintf(c->names[c->n], sizeof c->names[0], "%s", name);
  ck_must(moon_tensor_new(MOON_F32, rows ? 2 : 1, rows ? shape : shape + 1, &t));
  ck_must(moon_tensor_fill_uniform(t, rng, middle - 0.3, middle + 0.3));
  c->tensors[c->n] = (moon_named_tensor){c->names[c->n], t};
  c->n++;
}

static inline void ck_pair(small_checkpoint *c, moon_rng *rng, const char *module, size_t rows, size_t columns) {
  char name[96];
  snprintf(name, sizeof name, "%.80s.weight", module);
  ck_add(c, rng, name, rows ? 0 : 1, rows, columns);
  snprintf(name, sizeof name, "%.80s.bias", module);
  ck_add(c, rng, name, 0, 0, rows ? rows : columns);
}

/* Modules of a layer in this order: query, key, value, out, norm, up, down, norm. */
static const char *const ck_modules[2][8] = {
    {"encoder.layer.%zu.attention.self.query", "encoder.layer.%zu.attention.self.key", "encoder.layer.%zu.attention.self.value",
     "encoder.layer.%zu.attention.output.dense", "encoder.layer.%zu.attention.output.LayerNorm", "encoder.layer.%zu.intermediate.dense",
     "encoder.layer.%zu.output.dense", "encoder.layer.%zu.output.LayerNorm"},
    {"distilbert.transformer.layer.%zu.attention.q_lin", "distilbert.transformer.layer.%zu.attention.k_lin", "distilbert.transformer.layer.%zu.attention.v_lin",
     "distilbert.transformer.layer.%zu.attention.out_lin", "distilbert.transformer.layer.%zu.sa_layer_norm", "distilbert.transformer.layer.%zu.ffn.lin1",
     "distilbert.transformer.layer.%zu.ffn.lin2", "distilbert.transformer.layer.%zu.output_layer_norm"}};

static inline void ck_write_config(small_checkpoint *c) {
  moon_buf_printf(&c->config,
                  c->distil ? "{\"model_type\":\"distilbert\",\"dim\":%zu,\"n_layers\":%zu,\"n_heads\":%zu,\"hidden_dim\":%zu,\"activation\":\"%s\","
                              "\"max_position_embeddings\":%d,\"vocab_size\":%d}"
                            : "{\"model_type\":\"bert\",\"hidden_size\":%zu,\"num_hidden_layers\":%zu,\"num_attention_heads\":%zu,\"intermediate_size\":%zu,"
                              "\"hidden_act\":\"%s\",\"max_position_embeddings\":%d,\"vocab_size\":%d,\"type_vocab_size\":2,\"layer_norm_eps\":1e-12}",
                  c->hidden, c->layers, c->heads, c->feed, c->act, CK_PLACES, CK_VOCAB);
}

/* c: the sizes, all else zero. */
static inline void ck_make(small_checkpoint *c, uint64_t seed) {
  moon_rng rng;
  char name[96], whole[96];
  moon_rng_seed(&rng, seed, 0);
  const char *prefix = c->distil ? "distilbert." : "";
  snprintf(whole, sizeof whole, "%sembeddings.word_embeddings.weight", prefix), ck_add(c, &rng, whole, 0, CK_VOCAB, c->hidden);
  snprintf(whole, sizeof whole, "%sembeddings.position_embeddings.weight", prefix), ck_add(c, &rng, whole, 0, CK_PLACES, c->hidden);
  if (!c->distil) ck_add(c, &rng, "embeddings.token_type_embeddings.weight", 0, 2, c->hidden);
  snprintf(whole, sizeof whole, "%sembeddings.LayerNorm", prefix), ck_pair(c, &rng, whole, 0, c->hidden);
  for (size_t l = 0; l < c->layers; l++)
    for (int m = 0; m < 8; m++) {
      size_t rows = m == 4 || m == 7 ? 0 : m == 5 ? c->feed : c->hidden;
      snprintf(name, sizeof name, ck_modules[c->distil][m], l);
      ck_pair(c, &rng, name, rows, m == 6 ? c->feed : c->hidden);
    }
  ck_must(moon_safetensors_write(c->tensors, c->n, &c->weights));
  ck_write_config(c);
  c->files = (moon_checkpoint){{c->config.data, c->config.n}, {ck_vocab, sizeof ck_vocab - 1}, {NULL, 0}, {c->weights.data, c->weights.n}};
}

static inline void ck_free(small_checkpoint *c) {
  for (size_t i = 0; i < c->n; i++) moon_tensor_free((moon_tensor *)(uintptr_t)c->tensors[i].tensor);
  moon_buf_free(&c->config);
  moon_buf_free(&c->weights);
}

#endif
