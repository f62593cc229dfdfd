/* fit_checkpoint.c - a fit's whole state in one file, so that training that was killed goes on and ends as if nothing had happened.
 *
 *   moonshelf-checkpoint 1 SHA-256 of all below
 *   {"identity": what it is a checkpoint of, "epoch":, "done":, ..., "bytes":[n, n, n]}
 *   weights, best weights, the optimiser's state: safetensors one after the other
 *
 * There is no random number generator to save: an epoch's order is a function of the seed and its number. The file is written beside its
 * place and moved over it, so a kill at any moment leaves the checkpoint before or this one. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rank/fit.h"

#define MAGIC "moonshelf-checkpoint 1 "
enum { MAGIC_N = sizeof MAGIC - 1, DIGEST_N = 64, HEAD_N = MAGIC_N + DIGEST_N + 1 };
enum { WEIGHTS, BEST, OPTIMIZER, PARTS };

/* ---- what it is a checkpoint of --------------------------------------------------------------------------------------------------- */

static json_t *hex(uint64_t hash) {
  char text[17];
  snprintf(text, sizeof text, "%016" PRIx64, hash);
  return json_string(text);
}

static uint64_t fold(uint64_t hash, const void *bytes, size_t n) {
  return moon_mix64(hash ^ (n ? moon_hash(bytes, n) : n));
}

static uint64_t hash_data(const moon_fit_state *f) {
  const moon_dataset *d = f->data;
  size_t n = d->examples.n, bags = d->plan->bag_slots * d->plan->bag_length;
  uint64_t hash = fold(n, d->examples.label, n * d->examples.tasks * sizeof *d->examples.label);
  hash = fold(hash, d->part, n);
  hash = fold(hash, d->inputs.dense, n * d->plan->dense_slots * sizeof *d->inputs.dense);
  hash = fold(hash, d->inputs.ids, n * d->plan->id_slots * sizeof *d->inputs.ids);
  hash = fold(hash, d->inputs.bags, n * bags * sizeof *d->inputs.bags);
  return f->weight ? fold(hash, f->weight, n * sizeof *f->weight) : hash;
}

/* Options that change how fast or how watched a training is, or what is made of its weights, and not the weights. */
static bool is_manner(const char *key) {
  static const char *const keys[] = {"threads", "ahead", "checkpoint", "on_epoch", "on_step", "precision"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (!strcmp(key, keys[i])) return true;
  return false;
}

static json_t *training_identity(const json_t *train) {
  json_t *out = json_object(), *value;
  const char *key;
  json_object_foreach((json_t *)(uintptr_t)train, key, value) { /* only read */
    if (!is_manner(key)) json_object_set(out, key, value);
  }
  return out;
}

/* The parts of the plan that are neither training nor names, by hash. */
static json_t *recipe_identity(const json_t *plan) {
  static const char *const parts[] = {"sources", "preprocess", "label", "features", "model"};
  json_t *out = json_object();
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    char *text = json_dumps(json_object_get(plan, parts[i]), JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    if (text) json_object_set_new(out, parts[i], hex(moon_hash(text, strlen(text))));
    free(text); /* jansson's own allocation */
  }
  return out;
}

static json_t *model_identity(const moon_model *model) {
  json_t *out = json_object();
  for (size_t i = 0; i < model->param_count; i++) {
    const moon_tensor *t = model->params[i]->value;
    json_object_set_new(out, model->params[i]->name,
                        json_string(moon_shape_write(moon_tensor_dims(t), moon_tensor_shape(t)).text));
  }
  return out;
}

static json_t *identity(const moon_fit_state *f) {
  json_t *data = json_pack("{s:I, s:o}", "examples", (json_int_t)f->data->examples.n, "inputs and labels", hex(hash_data(f)));
  return json_pack("{s:o, s:o, s:o, s:o}", "recipe", recipe_identity(f->options.plan), "model", model_identity(f->model), "data",
                   data, "training", training_identity(f->train));
}

static moon_status differs(const char *what, const char *key, const json_t *theirs, const json_t *mine) {
  char *a = theirs ? json_dumps(theirs, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  char *b = mine ? json_dumps(mine, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  moon_status status = strcmp(what, "recipe") ? moon_fail(MOON_EINVAL, "is of another fit: %s: %s was %.100s and is %.100s now",
                                                          what, key, a ? a : "not there", b ? b : "not there")
                                              : moon_fail(MOON_EINVAL, "is of another recipe: %s is not the same", key);
  free(a);
  free(b);
  return status;
}

/* Each part of the identity, key by key, both ways. */
static moon_status same(const json_t *theirs, const json_t *mine) {
  static const char *const parts[] = {"training", "recipe", "model", "data"};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    json_t *a = json_object_get(theirs, parts[i]), *b = json_object_get(mine, parts[i]), *value;
    const char *key;
    json_object_foreach(b, key, value) {
      if (!json_object_get(a, key) || !json_equal(value, json_object_get(a, key)))
        return differs(parts[i], key, json_object_get(a, key), value);
    }
    json_object_foreach(a, key, value) {
      if (!json_object_get(b, key)) return differs(parts[i], key, value, NULL);
    }
  }
  return moon_ok();
}

/* ---- writing ------------------------------------------------------------------------------------------------------------------- */

static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null();
} /* 17 digits: the same double comes back */

static json_t *describe(const moon_fit_state *f, const moon_buf *parts) {
  const moon_fit_report *r = f->report;
  json_t *train = json_array(), *valid = json_array(), *bytes = json_array();
  for (size_t i = 0; i < r->epochs_run; i++) {
    json_array_append_new(train, number(r->train_loss[i]));
    json_array_append_new(valid, number(r->valid_loss[i]));
  }
  for (int i = 0; i < PARTS; i++) json_array_append_new(bytes, json_integer((json_int_t)parts[i].n));
  return json_pack("{s:o, s:I, s:I, s:o, s:I, s:I, s:I, s:o, s:o, s:o}", "identity", identity(f), "epoch", (json_int_t)f->epoch,
                   "done", (json_int_t)f->done, "sum", number(f->sum), "steps", (json_int_t)r->steps, "epochs_run",
                   (json_int_t)r->epochs_run, "best_epoch", (json_int_t)r->best_epoch, "train_loss", train, "validation_loss",
                   valid, "bytes", bytes);
}

static moon_status put_together(const moon_fit_state *f, const moon_buf *parts, moon_buf *out) {
  json_t *state = describe(f, parts);
  char *text = state ? json_dumps(state, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
  json_decref(state);
  char digest[DIGEST_N + 1] = {0};
  moon_buf_printf(out, MAGIC "%0*d\n", DIGEST_N, 0); /* room for the digest */
  if (text) moon_buf_printf(out, "%s\n", text);
  for (int i = 0; i < PARTS; i++)
    if (parts[i].n) moon_buf_add(out, parts[i].data, parts[i].n);
  bool failed = !text || out->failed;
  free(text);
  if (failed) return moon_fail(MOON_ENOMEM, "no memory for a checkpoint");
  moon_sha256(out->data + HEAD_N, out->n - HEAD_N, digest);
  memcpy(out->data + MAGIC_N, digest, DIGEST_N);
  return moon_ok();
}

moon_status moon_checkpoint_write(const moon_fit_state *f, const char *path) {
  moon_buf parts[PARTS] = {{0}}, file = {0};
  parts[BEST] = f->best; /* borrowed */
  moon_status status = moon_model_save(f->model, &parts[WEIGHTS]);
  if (!status.code) status = moon_optimizer_save(f->optimizer, &parts[OPTIMIZER]);
  if (!status.code) status = put_together(f, parts, &file);
  moon_buf_free(&parts[WEIGHTS]);
  moon_buf_free(&parts[OPTIMIZER]);
  if (!status.code) status = moon_file_replace(path, file.data, file.n);
  moon_buf_free(&file);
  return status.code ? moon_wrap(status, "writing a checkpoint") : status;
}

moon_status moon_checkpoint_may_write(const char *path) {
  char begin[MAGIC_N];
  FILE *file = fopen(path, "rb");
  if (!file) return moon_ok(); /* what is wrong with it will be said by who writes it */
  bool ours = fread(begin, 1, MAGIC_N, file) == MAGIC_N && !memcmp(begin, MAGIC, MAGIC_N);
  fclose(file);
  return ours ? moon_ok() : moon_fail(MOON_EINVAL, "%s is there and is not a checkpoint; it will not be replaced by one", path);
}

void moon_checkpoint_remove(const char *path) {
  moon_buf part = {0};
  moon_buf_printf(&part, "%s.part", path);
  remove(path);
  if (!part.failed) remove(part.data);
  moon_buf_free(&part);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------------- */

typedef struct reading {
  json_t *state;
  struct {
    const char *data;
    size_t n;
  } parts[PARTS];
  size_t epoch, done, steps, epochs_run, best_epoch;
} reading;

static moon_status broken(const char *why) {
  return moon_fail(MOON_EFORMAT, "is not a whole checkpoint: %s", why);
}

static moon_status split_parts(const moon_buf *file, size_t at, reading *r) {
  const json_t *bytes = json_object_get(r->state, "bytes");
  for (size_t i = 0; i < PARTS; i++) {
    json_int_t n = json_integer_value(json_array_get(bytes, i));
    if (n < 0 || (uint64_t)n > file->n - at) return broken("its parts do not fit in it");
    r->parts[i].data = file->data + at, r->parts[i].n = (size_t)n;
    at += (size_t)n;
  }
  return at == file->n ? moon_ok() : broken("there is more after its parts");
}

static moon_status open_file(const moon_buf *file, reading *r) {
  char digest[DIGEST_N + 1];
  json_error_t error;
  if (file->n < HEAD_N || memcmp(file->data, MAGIC, MAGIC_N)) return broken("it does not begin with \"" MAGIC "\"");
  moon_sha256(file->data + HEAD_N, file->n - HEAD_N, digest);
  if (memcmp(digest, file->data + MAGIC_N, DIGEST_N)) return broken("its SHA-256 is another");
  const char *line = file->data + HEAD_N, *end = memchr(line, '\n', file->n - HEAD_N);
  if (!end) return broken("it has no second line");
  r->state = json_loadb(line, (size_t)(end - line), 0, &error);
  if (!r->state) return broken("its second line is not JSON");
  return split_parts(file, (size_t)(end + 1 - file->data), r);
}

/* A position that this fit could have come to. */
static moon_status check_position(const moon_fit_state *f, reading *r) {
  const char *const keys[] = {"epoch", "done", "steps", "epochs_run", "best_epoch"};
  size_t *const into[] = {&r->epoch, &r->done, &r->steps, &r->epochs_run, &r->best_epoch};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    json_int_t value = json_integer_value(json_object_get(r->state, keys[i]));
    if (value < 0) return broken("a count is below zero");
    *into[i] = (size_t)value;
  }
  size_t n = f->count[MOON_TRAIN], in_epoch = (n + f->batch - 1) / f->batch, before = (r->done + f->batch - 1) / f->batch;
  bool fits = r->epoch >= 1 && r->epoch <= f->epochs && r->epochs_run == r->epoch - 1 && r->best_epoch <= r->epochs_run &&
              r->done <= n && (r->done % f->batch == 0 || r->done == n) && r->steps == (r->epoch - 1) * in_epoch + before;
  return fits ? moon_ok() : broken("its position is not one of this training");
}

static double loss_at(const json_t *state, const char *key, size_t i) {
  const json_t *value = json_array_get(json_object_get(state, key), i);
  return json_is_number(value) ? json_number_value(value) : NAN;
}

static moon_status restore(moon_fit_state *f, const reading *r) {
  moon_buf best = {0};
  moon_buf_add(&best, r->parts[BEST].data, r->parts[BEST].n);
  moon_status status = best.failed ? moon_fail(MOON_ENOMEM, "no memory for the best weights") : moon_ok();
  if (!status.code) status = moon_optimizer_load(f->optimizer, r->parts[OPTIMIZER].data, r->parts[OPTIMIZER].n);
  if (!status.code) status = moon_model_load(f->model, r->parts[WEIGHTS].data, r->parts[WEIGHTS].n);
  if (status.code || !r->parts[BEST].n) moon_buf_free(&best);
  if (status.code) return status;
  moon_buf_free(&f->best);
  f->best = best;
  f->epoch = r->epoch, f->done = r->done, f->sum = json_number_value(json_object_get(r->state, "sum"));
  f->report->steps = r->steps, f->report->epochs_run = r->epochs_run, f->report->best_epoch = r->best_epoch;
  for (size_t i = 0; i < r->epochs_run; i++) {
    f->report->train_loss[i] = loss_at(r->state, "train_loss", i);
    f->report->valid_loss[i] = loss_at(r->state, "validation_loss", i);
  }
  return moon_ok();
}

static moon_status read_whole(moon_fit_state *f, const moon_buf *file, reading *r) {
  MOON_TRY(open_file(file, r));
  json_t *mine = identity(f);
  moon_status status = mine ? same(json_object_get(r->state, "identity"), mine) : moon_fail(MOON_ENOMEM, "no memory to compare");
  json_decref(mine);
  if (!status.code) status = check_position(f, r);
  return status.code ? status : restore(f, r);
}

moon_status moon_checkpoint_read(moon_fit_state *f, const char *path) {
  moon_buf file = {0};
  reading r = {0};
  moon_status status = moon_file_read(path, 0, &file);
  if (!status.code) status = moon_wrap(read_whole(f, &file, &r), "the checkpoint %s", path);
  json_decref(r.state);
  moon_buf_free(&file);
  return status;
}
