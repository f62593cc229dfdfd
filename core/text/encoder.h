/* encoder.h - an encoder in memory: what checkpoint.c makes and transformer.c runs. */
#ifndef MOON_TEXT_ENCODER_H
#define MOON_TEXT_ENCODER_H
#include "text/text.h"

typedef enum text_activation { TEXT_GELU, TEXT_GELU_TANH, TEXT_RELU } text_activation;

typedef struct text_linear {
  size_t in, out;
  float *weight; /* in panels */
  float *bias;   /* [out], in whole panels */
} text_linear;

typedef struct text_norm { float *scale, *shift; } text_norm; /* [hidden] */

typedef struct text_layer {
  text_linear qkv, out, up, down; /* qkv: query, key and value side by side, [hidden, 3 hidden] */
  text_norm after_attention, after_feed;
} text_layer;

struct moon_encoder {
  moon_encoder_options how;
  moon_wordpiece *wordpiece;
  size_t hidden, heads, feed, layer_count, positions, vocab;
  text_activation activation;
  float epsilon;
  float *words;  /* [vocab, hidden] */
  float *places; /* [positions, hidden], with the first token type added */
  text_norm norm;
  text_layer *layers;
};

/* Some texts' tokens, one text after the other. */
typedef struct text_tokens {
  const uint32_t *ids;   /* [starts[n]] */
  const size_t *starts;  /* [n + 1] */
  size_t n;
} text_tokens;

/* Floats of scratch for so many tokens, no text of which is longer than `longest`. */
size_t text_scratch(const moon_encoder *encoder, size_t tokens, size_t longest);
/* out [n, hidden]; scratch is 64-byte aligned and for the tokens' number and longest text, or more. */
void text_forward(const moon_encoder *encoder, const text_tokens *tokens, float *scratch, float *out);

#endif
