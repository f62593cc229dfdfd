/* text.h - the door of core/text: texts become vectors by a BERT-class encoder that somebody else trained.
 *
 * A checkpoint is a folder in the Hugging Face layout: config.json, vocab.txt, model.safetensors and, where it is there,
 * tokenizer_config.json. A text is cut into pieces of words (wordpiece.c), the pieces go through the layers (transformer.c), and the mean of
 * what comes out is the text's vector. A text's vector has the same bits whatever other texts are asked for with it, and on any number of
 * threads: there is no padding, and no sum runs over two texts. */
#ifndef MOON_TEXT_H
#define MOON_TEXT_H

#include "base/base.h"

/* ---- pieces of words (wordpiece.c) -------------------------------------------------------------------------------------------- */

/* BERT's tokenizer (Devlin et al. 2019), as Hugging Face's tokenizers has it: control characters go, blanks and punctuation part words,
 * each CJK character is a word; a word is the longest pieces of the vocabulary from left to right, or [UNK] where there are none or it has
 * over 100 characters. "[SEP]" and the like in a text are the tokens of that name. Bytes that are no UTF-8 are passed over. */
typedef struct moon_wordpiece_options {
  bool lower_case;    /* do_lower_case */
  bool strip_accents; /* strip_accents, else as lower_case */
  bool split_cjk;     /* tokenize_chinese_chars */
  size_t max_length;  /* model_max_length; 0: none is given */
} moon_wordpiece_options;
/* Of a tokenizer_config.json; without bytes BERT's own: lower case, no accents. */
moon_status moon_wordpiece_configure(const char *json, size_t n, moon_wordpiece_options *out);

typedef struct moon_wordpiece moon_wordpiece;
/* vocab: a vocab.txt, a token a line, numbered from 0. MOON_EFORMAT where [UNK], [CLS] or [SEP] is missing. */
moon_status moon_wordpiece_new(const char *vocab, size_t n, const moon_wordpiece_options *options, moon_wordpiece **out);
void moon_wordpiece_free(moon_wordpiece *wordpiece);
size_t moon_wordpiece_size(const moon_wordpiece *wordpiece); /* lines of the vocabulary */
/* [CLS], pieces, [SEP]: at most `most` >= 2 ids, later pieces are cut. Answers how many. */
size_t moon_wordpiece_encode(const moon_wordpiece *wordpiece, const char *text, size_t n, uint32_t *ids, size_t most);

/* ---- the encoder (checkpoint.c, encoder.c) ------------------------------------------------------------------------------------- */

typedef enum moon_pooling { MOON_POOL_MEAN, MOON_POOL_CLS } moon_pooling; /* of all tokens; of the first */
moon_status moon_pooling_parse(const char *name, moon_pooling *out);      /* "mean" "cls"; names the nearest */

typedef struct moon_encoder_options {
  moon_pooling pooling;
  bool normalize;    /* vectors of length 1 */
  size_t max_length; /* tokens of a text, with [CLS] and [SEP]; 0: as many as the checkpoint allows */
} moon_encoder_options;

/* The files' bytes, for who has them in memory. */
typedef struct moon_checkpoint {
  moon_text config, vocab, tokenizer, weights; /* tokenizer may be empty */
} moon_checkpoint;

typedef struct moon_encoder moon_encoder;
/* model_type bert or distilbert; weights in f32, f64, f16 or bf16 are computed with in f32. Names may begin with the model's own ("bert."),
 * and norms be called gamma and beta. MOON_EFORMAT, MOON_EINVAL or MOON_ENOTFOUND name the file and what is wrong in it. Borrows nothing. */
moon_status moon_encoder_new(const moon_checkpoint *checkpoint, const moon_encoder_options *options, moon_encoder **out);
moon_status moon_encoder_open(const char *folder, const moon_encoder_options *options, moon_encoder **out);
void moon_encoder_free(moon_encoder *encoder);
size_t moon_encoder_dim(const moon_encoder *encoder);
size_t moon_encoder_max_length(const moon_encoder *encoder);

enum { MOON_ENCODER_TOKENS = 512 }; /* a good number for `tokens` */
/* vectors [n, dim] of texts [n]; a NULL text is an empty one. About `tokens` tokens (0: a good number) go through a layer together on each of
 * `threads` threads; memory is for so many, whatever n. MOON_ECANCELED by progress, whose stage is "embed". */
moon_status moon_encoder_run(const moon_encoder *encoder, const moon_text *texts, size_t n, size_t tokens, size_t threads,
                             const moon_progress *progress, float *vectors);

#endif
