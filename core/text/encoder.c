/* encoder.c - many texts through an encoder: they are cut into runs of about as many tokens as are to be computed at a time, and each run
 * is one thread's. Room for the runs is taken once. */
#include <stdio.h>
#include <string.h>

#include "nn/crew.h"
#include "text/encoder.h"

/* ---- opening ------------------------------------------------------------------------------------------------------------------- */

moon_status moon_pooling_parse(const char *name, moon_pooling *out) {
  static const char *const names[] = {"mean", "cls"};
  for (int i = 0; i < 2; i++)
    if (!strcmp(name, names[i])) return *out = (moon_pooling)i, moon_ok();
  const char *near = moon_nearest(name, names, 2);
  return moon_fail(MOON_EINVAL, "there is no pooling '%s'; %s%s", name, near ? "did you mean " : "there are mean and cls", near ? near : "");
}

static moon_status read_file(const char *folder, const char *name, bool optional, moon_buf *bytes, moon_text *out) {
  char *path = moon_path_join(folder, name);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_read(path, 0, bytes);
  moon_free(path);
  *out = (moon_text){bytes->data, bytes->n};
  return optional && status.code == MOON_ENOTFOUND ? moon_ok() : status;
}

moon_status moon_encoder_open(const char *folder, const moon_encoder_options *options, moon_encoder **out) {
  moon_buf files[4] = {0};
  moon_checkpoint from;
  *out = NULL;
  moon_status status = read_file(folder, "config.json", false, &files[0], &from.config);
  if (!status.code) status = read_file(folder, "vocab.txt", false, &files[1], &from.vocab);
  if (!status.code) status = read_file(folder, "tokenizer_config.json", true, &files[2], &from.tokenizer);
  if (!status.code) status = read_file(folder, "model.safetensors", false, &files[3], &from.weights);
  if (!status.code) status = moon_wrap(moon_encoder_new(&from, options, out), "%s", folder);
  for (int i = 0; i < 4; i++) moon_buf_free(&files[i]);
  return status;
}

size_t moon_encoder_dim(const moon_encoder *encoder) { return encoder->hidden; }
size_t moon_encoder_max_length(const moon_encoder *encoder) { return encoder->how.max_length; }

/* ---- running ------------------------------------------------------------------------------------------------------------------- */

typedef struct run {
  uint32_t *ids;  /* [room] */
  size_t *starts; /* [room / 2 + 1]: no text has less than two tokens */
  size_t n, first; /* texts, and which is the first */
  float *scratch;
} run;

typedef struct job {
  const moon_encoder *encoder;
  moon_crew *crew;
  run runs[MOON_MOST_THREADS];
  size_t threads, room; /* tokens of a run: as many as are wanted, and in any case a text */
  float *vectors;
} job;

static void close_job(job *j) {
  moon_crew_free(j->crew);
  for (size_t i = 0; i < j->threads; i++) {
    moon_free(j->runs[i].ids);
    moon_free(j->runs[i].starts);
    moon_free(j->runs[i].scratch);
  }
}

static moon_status open_job(job *j) {
  size_t longest = j->encoder->how.max_length, floats = text_scratch(j->encoder, j->room, longest);
  for (size_t i = 0; i < j->threads; i++) {
    run *r = &j->runs[i];
    r->ids = moon_alloc(j->room * sizeof *r->ids);
    r->starts = moon_alloc((j->room / 2 + 1) * sizeof *r->starts);
    r->scratch = moon_alloc_aligned(floats * sizeof *r->scratch);
    if (!r->ids || !r->starts || !r->scratch) return moon_fail(MOON_ENOMEM, "no memory for %zu tokens at a time", j->room);
  }
  return moon_crew_new(j->threads, &j->crew);
}

/* Takes texts from number `at` on while the longest possible one would fit; answers the number after the last. */
static size_t fill(const job *j, run *r, const moon_text *texts, size_t n, size_t at) {
  size_t tokens = 0, most = j->encoder->how.max_length;
  r->first = at, r->n = 0, r->starts[0] = 0;
  for (; at < n && j->room - tokens >= most; at++) {
    const char *text = texts[at].at ? texts[at].at : "";
    tokens += moon_wordpiece_encode(j->encoder->wordpiece, text, texts[at].at ? texts[at].n : 0, r->ids + tokens, most);
    r->starts[++r->n] = tokens;
  }
  return at;
}

static void work(void *self, size_t i) {
  job *j = self;
  run *r = &j->runs[i];
  text_tokens tokens = {r->ids, r->starts, r->n};
  text_forward(j->encoder, &tokens, r->scratch, j->vectors + r->first * j->encoder->hidden);
}

static moon_status run_all(job *j, const moon_text *texts, size_t n, const moon_progress *progress) {
  char note[64];
  int64_t start = moon_monotonic();
  for (size_t at = 0; at < n;) {
    size_t runs = 0;
    for (; runs < j->threads && at < n; runs++) at = fill(j, &j->runs[runs], texts, n, at);
    moon_crew_run(j->crew, runs, work, j);
    double seconds = (double)(moon_monotonic() - start) / 1e6;
    snprintf(note, sizeof note, "%zu texts, %.0f/s", at, seconds > 0 ? (double)at / seconds : 0);
    if (!moon_progress_step(progress, "embed", (double)at / (double)n, note)) return moon_fail(MOON_ECANCELED, "cancelled");
  }
  return moon_ok();
}

moon_status moon_encoder_run(const moon_encoder *encoder, const moon_text *texts, size_t n, size_t tokens, size_t threads,
                             const moon_progress *progress, float *vectors) {
  size_t longest = encoder->how.max_length, wanted = tokens ? tokens : MOON_ENCODER_TOKENS;
  job j = {.encoder = encoder, .threads = threads ? threads : 1, .room = wanted + longest - 1, .vectors = vectors};
  if (threads > MOON_MOST_THREADS) return moon_fail(MOON_EINVAL, "%zu threads, but %d is the most", threads, MOON_MOST_THREADS);
  if (tokens > 1u << 20) return moon_fail(MOON_EINVAL, "%zu tokens at a time, but %u is the most", tokens, 1u << 20);
  moon_status status = open_job(&j);
  if (!status.code) status = run_all(&j, texts, n, progress);
  close_job(&j);
  return status;
}
