/* test_text_encoder.c - the encoder beside plain loops in f64, and checkpoints that lie. */
#include <stdlib.h>

#include "exhaust.h"
#include "text_checkpoint.h"

/* ---- the reference: one text, one number at a time --------------------------------------------------------------------------- */

typedef struct reference {
  const small_checkpoint *c;
  size_t next; /* tensors come in the order that they were made in */
} reference;

static const float *take(reference *r) { return moon_tensor_data(r->c->tensors[r->next++].tensor); }

static void naive_linear(reference *r, size_t t, size_t in, size_t out, const double *x, double *y) {
  const float *w = take(r), *b = take(r);
  for (size_t i = 0; i < t; i++)
    for (size_t o = 0; o < out; o++) {
      y[i * out + o] = (double)b[o];
      for (size_t k = 0; k < in; k++) y[i * out + o] += x[i * in + k] * (double)w[o * in + k];
    }
}

static void naive_norm(reference *r, size_t t, size_t d, double *x) {
  const float *w = take(r), *b = take(r);
  for (size_t i = 0; i < t; i++) {
    double mean = 0, square = 0;
    for (size_t j = 0; j < d; j++) mean += x[i * d + j] / (double)d;
    for (size_t j = 0; j < d; j++) square += (x[i * d + j] - mean) * (x[i * d + j] - mean) / (double)d;
    for (size_t j = 0; j < d; j++) x[i * d + j] = (x[i * d + j] - mean) / sqrt(square + 1e-12) * (double)w[j] + (double)b[j];
  }
}

static void naive_attention(reference *r, size_t t, double *x) {
  size_t h = r->c->hidden, d = h / r->c->heads;
  double q[CK_PLACES * 64], k[CK_PLACES * 64], v[CK_PLACES * 64], mixed[CK_PLACES * 64] = {0}, y[CK_PLACES * 64];
  naive_linear(r, t, h, h, x, q), naive_linear(r, t, h, h, x, k), naive_linear(r, t, h, h, x, v);
  for (size_t head = 0; head < r->c->heads; head++)
    for (size_t i = 0; i < t; i++) {
      double p[CK_PLACES], sum = 0;
      for (size_t j = 0; j < t; j++) {
        p[j] = 0;
        for (size_t e = head * d; e < head * d + d; e++) p[j] += q[i * h + e] * k[j * h + e] / sqrt((double)d);
        sum += p[j] = exp(p[j]);
      }
      for (size_t j = 0; j < t; j++)
        for (size_t e = head * d; e < head * d + d; e++) mixed[i * h + e] += p[j] / sum * v[j * h + e];
    }
  naive_linear(r, t, h, h, mixed, y);
  for (size_t i = 0; i < t * h; i++) x[i] += y[i];
}

static double naive_act(const char *act, double x) {
  if (!strcmp(act, "relu")) return x > 0 ? x : 0;
  if (!strcmp(act, "gelu")) return x * erfc(-x / sqrt(2)) / 2;
  return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static void naive_feed(reference *r, size_t t, double *x) {
  size_t h = r->c->hidden;
  double middle[CK_PLACES * 128], y[CK_PLACES * 64];
  naive_linear(r, t, h, r->c->feed, x, middle);
  for (size_t i = 0; i < t * r->c->feed; i++) middle[i] = naive_act(r->c->act, middle[i]);
  naive_linear(r, t, r->c->feed, h, middle, y);
  for (size_t i = 0; i < t * h; i++) x[i] += y[i];
}

static void naive(const small_checkpoint *c, const uint32_t *ids, size_t t, const moon_encoder_options *how, double *out) {
  reference r = {c, 0};
  double x[CK_PLACES * 64], length = 0;
  size_t h = c->hidden;
  const float *words = take(&r), *places = take(&r), *types = c->distil ? NULL : take(&r);
  for (size_t i = 0; i < t; i++)
    for (size_t j = 0; j < h; j++) x[i * h + j] = (double)words[ids[i] * h + j] + (double)places[i * h + j] + (types ? (double)types[j] : 0);
  naive_norm(&r, t, h, x);
  for (size_t l = 0; l < c->layers; l++) naive_attention(&r, t, x), naive_norm(&r, t, h, x), naive_feed(&r, t, x), naive_norm(&r, t, h, x);
  for (size_t j = 0; j < h; j++) {
    out[j] = 0;
    for (size_t i = 0; i < t; i++) out[j] += how->pooling == MOON_POOL_MEAN ? x[i * h + j] / (double)t : i ? 0 : x[j];
    length += out[j] * out[j];
  }
  for (size_t j = 0; j < h && how->normalize; j++) out[j] /= sqrt(length);
}

/* ---- tests ------------------------------------------------------------------------------------------------------------------- */

enum { TEXTS = 40 };
typedef struct world {
  char room[TEXTS][64];
  moon_text texts[TEXTS];
} world;

/* Texts of words of the vocabulary and others; the first is NULL, the second empty, the third too long. */
static void make_texts(world *w, uint64_t seed) {
  static const char letters[] = "abcdefg, ,  x";
  moon_rng rng;
  moon_rng_seed(&rng, seed, 1);
  for (size_t i = 0; i < TEXTS; i++) {
    size_t n = i < 2 ? 0 : i == 2 ? 63 : moon_rng_below(&rng, 40);
    for (size_t k = 0; k < n; k++) w->room[i][k] = i == 2 && k % 2 ? ' ' : letters[moon_rng_below(&rng, sizeof letters - 1)];
    w->texts[i] = (moon_text){i ? w->room[i] : NULL, i ? n : 7};
  }
}

static void vectors_are_those_of_plain_loops(void **state) {
  (void)state;
  small_checkpoint shapes[] = {{.hidden = 8, .layers = 2, .heads = 2, .feed = 12, .act = "gelu"}, {.hidden = 64, .layers = 1, .heads = 2, .feed = 128, .act = "relu"},
                               {.hidden = 33, .layers = 2, .heads = 3, .feed = 65, .act = "gelu_new"},
                               {.hidden = 12, .layers = 3, .heads = 1, .feed = 7, .act = "gelu", .distil = true}};
  const moon_encoder_options hows[] = {{MOON_POOL_MEAN, false, 0}, {MOON_POOL_CLS, true, 0}, {MOON_POOL_MEAN, true, 9}};
  for (size_t s = 0; s < 4; s++) {
    small_checkpoint *c = &shapes[s];
    world w;
    make_texts(&w, s);
    ck_make(c, s);
    for (size_t k = 0; k < 3; k++) {
      moon_encoder *e;
      moon_wordpiece_options words;
      moon_wordpiece *cut;
      OK(moon_encoder_new(&c->files, &hows[k], &e));
      assert_int_equal(moon_encoder_dim(e), c->hidden);
      OK(moon_wordpiece_configure(NULL, 0, &words));
      OK(moon_wordpiece_new(ck_vocab, sizeof ck_vocab - 1, &words, &cut));
      float *got = moon_alloc(TEXTS * c->hidden * sizeof *got);
      OK(moon_encoder_run(e, w.texts, TEXTS, 50, 1, NULL, got));
      for (size_t i = 0; i < TEXTS; i++) {
        uint32_t ids[CK_PLACES];
        double want[64];
        size_t t = moon_wordpiece_encode(cut, w.room[i], w.texts[i].at ? w.texts[i].n : 0, ids, hows[k].max_length ? hows[k].max_length : CK_PLACES);
        naive(c, ids, t, &hows[k], want);
        for (size_t j = 0; j < c->hidden; j++) NEAR((double)got[i * c->hidden + j], want[j], 1e-5);
      }
      moon_free(got);
      moon_wordpiece_free(cut);
      moon_encoder_free(e);
    }
    ck_free(c);
  }
}

static void a_text_has_the_same_bits_in_any_company(void **state) {
  (void)state;
  small_checkpoint c = {.hidden = 33, .layers = 2, .heads = 3, .feed = 65, .act = "gelu"};
  const moon_encoder_options how = {0};
  world w;
  moon_encoder *e;
  float one[TEXTS * 33], other[TEXTS * 33];
  make_texts(&w, 8);
  ck_make(&c, 8);
  OK(moon_encoder_new(&c.files, &how, &e));
  for (size_t i = 0; i < TEXTS; i++) OK(moon_encoder_run(e, &w.texts[i], 1, 0, 1, NULL, one + i * 33));
  for (size_t tokens = 1; tokens < 300; tokens += 37)
    for (size_t threads = 1; threads < 4; threads++) {
      OK(moon_encoder_run(e, w.texts, TEXTS, tokens, threads, NULL, other));
      assert_memory_equal(one, other, sizeof one);
    }
  OK(moon_encoder_run(e, NULL, 0, 0, 2, NULL, NULL));
  REFUSED(MOON_EINVAL, "65 threads", moon_encoder_run(e, w.texts, 1, 0, 65, NULL, other));
  moon_encoder_free(e);
  ck_free(&c);
}

static bool refuse(void *self, const char *stage, double fraction, const char *note) {
  assert_string_equal(stage, "embed");
  assert_true(fraction > 0 && fraction <= 1 && strstr(note, "texts"));
  return ++*(int *)self < 3;
}

static void progress_can_cancel(void **state) {
  (void)state;
  small_checkpoint c = {.hidden = 8, .layers = 1, .heads = 2, .feed = 8, .act = "gelu"};
  const moon_encoder_options how = {0};
  int calls = 0;
  const moon_progress progress = {refuse, &calls};
  world w;
  moon_encoder *e;
  float out[TEXTS * 8];
  make_texts(&w, 2);
  ck_make(&c, 2);
  OK(moon_encoder_new(&c.files, &how, &e));
  REFUSED(MOON_ECANCELED, "", moon_encoder_run(e, w.texts, TEXTS, 1, 1, &progress, out));
  assert_int_equal(calls, 3);
  moon_encoder_free(e);
  ck_free(&c);
}

/* The checkpoint without its tensor `drop`, or with that in another shape or with a NaN. */
static void tensors_are_named_where_they_do_not_fit(void **state) {
  (void)state;
  small_checkpoint c = {.hidden = 8, .layers = 1, .heads = 2, .feed = 12, .act = "gelu"};
  const moon_encoder_options how = {0};
  ck_make(&c, 1);
  for (size_t i = 0; i < c.n; i++)
    for (int what = 0; what < 3; what++) {
      moon_named_tensor tensors[CK_MOST];
      moon_tensor *other = NULL;
      moon_buf bytes = {0};
      memcpy(tensors, c.tensors, sizeof tensors);
      const size_t *shape = moon_tensor_shape(tensors[i].tensor), wrong[] = {shape[0] + 1, 8};
      int dims = moon_tensor_dims(tensors[i].tensor);
      if (what == 0) tensors[i] = tensors[c.n - 1];
      if (what == 1) OK(moon_tensor_new(MOON_F32, dims, wrong, &other));
      if (what == 2) {
        OK(moon_tensor_from(MOON_F32, dims, shape, moon_tensor_data(tensors[i].tensor), &other));
        ((float *)moon_tensor_data(other))[moon_tensor_count(other) - 1] = NAN;
      }
      if (other) tensors[i].tensor = other;
      OK(moon_safetensors_write(tensors, c.n - (what == 0), &bytes));
      moon_checkpoint files = c.files;
      files.weights = (moon_text){bytes.data, bytes.n};
      moon_encoder *e = (moon_encoder *)&files;
      char name[128];
      snprintf(name, sizeof name, "\"%s\"", c.names[i]);
      REFUSED(what == 0 ? MOON_ENOTFOUND : what == 1 ? MOON_EINVAL : MOON_EFORMAT, name, moon_encoder_new(&files, &how, &e));
      assert_null(e);
      moon_buf_free(&bytes);
      moon_tensor_free(other);
    }
  ck_free(&c);
}

static moon_status make_and_run(void *self) {
  const small_checkpoint *c = self;
  const moon_encoder_options how = {0};
  const moon_text texts[] = {{"a b", 3}, {"c, de", 5}};
  float out[2 * 8];
  moon_encoder *e;
  moon_status status = moon_encoder_new(&c->files, &how, &e);
  if (!status.code) status = moon_encoder_run(e, texts, 2, 1, 2, NULL, out);
  moon_encoder_free(e);
  return status;
}

static void no_memory_is_said(void **state) {
  (void)state;
  small_checkpoint c = {.hidden = 8, .layers = 2, .heads = 2, .feed = 12, .act = "gelu"};
  ck_make(&c, 4);
  assert_true(exhaust(make_and_run, &c) > 40);
  ck_free(&c);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(vectors_are_those_of_plain_loops), cmocka_unit_test(a_text_has_the_same_bits_in_any_company),
      cmocka_unit_test(progress_can_cancel),              cmocka_unit_test(tensors_are_named_where_they_do_not_fit),
      cmocka_unit_test(no_memory_is_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
