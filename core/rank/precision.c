/* precision.c - what it costs to score in fewer bits: the same examples in f32 and as the model serves. */
#include <math.h>

#include "rank/evaluate.h"
#include "rank/model.h"

typedef struct sample {    /* the examples of the judged part */
  uint32_t *rows;          /* [n] */
  float *label, *score[2]; /* [n]; scores in f32, and in the model's precision */
  size_t n, bytes[2];      /* bytes: of the compiled layers */
} sample;

static void sample_free(sample *s) {
  moon_free(s->rows);
  moon_free(s->label);
  moon_free(s->score[0]);
  moon_free(s->score[1]);
}

static moon_status sample_new(const moon_dataset *d, sample *s) {
  size_t room = d->part_n[d->judged] + 1;
  *s = (sample){.rows = moon_alloc(room * sizeof *s->rows), .label = moon_alloc(room * sizeof *s->label)};
  for (int i = 0; i < 2; i++) s->score[i] = moon_alloc(room * sizeof *s->score[i]);
  if (!s->rows || !s->label || !s->score[0] || !s->score[1])
    return moon_fail(MOON_ENOMEM, "no memory to score %zu examples", room - 1);
  for (size_t i = 0; i < d->examples.n; i++)
    if (d->part[i] == d->judged) s->label[s->n] = d->examples.label[i], s->rows[s->n++] = (uint32_t)i;
  return moon_ok();
}

static moon_status score_in(moon_model *model, const moon_dataset *d, moon_precision precision, int at, sample *s) {
  MOON_TRY(moon_model_set_precision(model, precision));
  s->bytes[at] = moon_infer_bytes(model->infer);
  return moon_score_examples(model, d, s->rows, s->n, s->score[at], NULL);
}

static json_t *number(double x) {
  return isfinite(x) ? json_real(x) : json_null();
}

static json_t *both(const char *name, json_t *full, json_t *other) {
  return json_pack("{s:o, s:o}", "f32", full, name, other);
}

static json_t *measure(const sample *s, const char *name, double (*metric)(const float *, const float *, size_t)) {
  return both(name, number(metric(s->score[0], s->label, s->n)), number(metric(s->score[1], s->label, s->n)));
}

static json_t *describe(const sample *s, const char *name) {
  double most = 0, sum = 0;
  for (size_t i = 0; i < s->n; i++) {
    double apart = fabs((double)s->score[0][i] - (double)s->score[1][i]);
    if (apart > most || isnan(apart)) most = apart; /* NaN, once there, stays */
    sum += apart;
  }
  return json_pack("{s:s, s:o, s:{s:o, s:o}, s:o, s:o}", "name", name, "bytes",
                   both(name, json_integer((json_int_t)s->bytes[0]), json_integer((json_int_t)s->bytes[1])), "difference", "most",
                   number(most), "mean", number(s->n ? sum / (double)s->n : 0), "auc", measure(s, name, moon_auc), "logloss",
                   measure(s, name, moon_logloss));
}

moon_status moon_precision_report(moon_model *model, const moon_dataset *d, json_t **out) {
  moon_precision precision = model->precision;
  sample s;
  *out = NULL;
  if (precision == MOON_FULL) return moon_ok();
  if (!model->compiled) return moon_fail(MOON_EINVAL, "the model has to be compiled before it scores");
  moon_status status = sample_new(d, &s);
  if (!status.code) status = score_in(model, d, MOON_FULL, 0, &s);
  if (!status.code) status = score_in(model, d, precision, 1, &s);
  if (!status.code && !(*out = describe(&s, moon_precision_name(precision))))
    status = moon_fail(MOON_ENOMEM, "no memory for the report on %s", moon_precision_name(precision));
  sample_free(&s);
  return status;
}
