/* test_rank_metrics.c - metrics against hand-worked values and against the definitions written out naively. */
#include "numeric.h"

#include "rank/rank.h"

static double naive_auc(const float *score, const float *label, size_t n) {
  double won = 0, pairs = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t j = 0; j < n; j++) {
      if (!(label[i] == 1 && label[j] == 0)) continue;
      won += score[i] > score[j] ? 1 : score[i] == score[j] ? 0.5 : 0;
      pairs++;
    }
  return pairs > 0 ? won / pairs : NAN;
}

static double naive_logloss(const float *score, const float *label, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double p = fmin(fmax((double)score[i], 1e-7), 1 - 1e-7);
    sum += -((double)label[i] * log(p) + (1 - (double)label[i]) * log(1 - p));
  }
  return sum / (double)n;
}

static void auc_counts_pairs_and_half_ties(void **state) {
  (void)state;
  const float label[] = {0, 0, 1, 1};
  NEAR(moon_auc((const float[]){0.1f, 0.4f, 0.35f, 0.8f}, label, 4), 0.75, 0);
  NEAR(moon_auc((const float[]){0.1f, 0.2f, 0.3f, 0.4f}, label, 4), 1, 0);
  NEAR(moon_auc((const float[]){0.4f, 0.3f, 0.2f, 0.1f}, label, 4), 0, 0);
  NEAR(moon_auc((const float[]){5, 5, 5, 5}, label, 4), 0.5, 0);
  NEAR(moon_auc((const float[]){0.1f, 0.5f, 0.5f, 0.9f}, label, 4), 0.875, 0); /* 3 wins and a tie of 4 pairs */
}

static void auc_agrees_with_every_pair(void **state) {
  (void)state;
  static float score[400], label[400];
  moon_rng rng;
  moon_rng_seed(&rng, 3, 0);
  for (int round = 0; round < 300; round++) {
    size_t n = 2 + moon_rng_below(&rng, 398);
    uint32_t distinct = round % 3 == 0 ? 4 : 100000, positives = 1 + moon_rng_below(&rng, 9);
    for (size_t i = 0; i < n; i++) {
      score[i] = ((float)moon_rng_below(&rng, distinct) - (float)distinct / 2) * (round % 2 ? 1e-6f : 1e30f);
      label[i] = moon_rng_below(&rng, 10) < positives;
    }
    double want = naive_auc(score, label, n), got = moon_auc(score, label, n);
    if (isnan(want)) assert_true(isnan(got));
    else NEAR(got, want, 1e-12);
  }
}

static void auc_orders_every_kind_of_float(void **state) {
  (void)state;
  const float rising[] = {-INFINITY, -1e38f, -2, -1e-45f, 0, 1e-45f, 0.5f, 2, 1e38f, INFINITY};
  for (size_t i = 0; i < 10; i++)
    for (size_t j = 0; j < 10; j++) {
      const float score[] = {rising[i], rising[j]}, label[] = {1, 0};
      NEAR(moon_auc(score, label, 2), i > j ? 1 : i == j ? 0.5 : 0, 0);
    }
  NEAR(moon_auc((const float[]){0.0f, -0.0f}, (const float[]){1, 0}, 2), 0.5, 0);
}

static void auc_is_unmoved_by_the_order_of_examples(void **state) {
  (void)state;
  enum { N = 257 };
  float score[N], label[N], mixed[N], mixed_label[N];
  uint32_t order[N];
  moon_rng rng;
  moon_rng_seed(&rng, 4, 0);
  for (uint32_t i = 0; i < N; i++) {
    order[i] = i;
    score[i] = (float)moon_rng_below(&rng, 60);
    label[i] = moon_rng_below(&rng, 3) == 0;
  }
  moon_rng_shuffle(&rng, order, N);
  for (size_t i = 0; i < N; i++) mixed[i] = score[order[i]], mixed_label[i] = label[order[i]];
  assert_true(moon_auc(score, label, N) == moon_auc(mixed, mixed_label, N));
}

static void one_class_or_no_memory_has_no_auc(void **state) {
  (void)state;
  const float score[] = {0.2f, 0.9f, 0.5f}, ones[] = {1, 1, 1}, zeros[] = {0, 0, 0}, both[] = {0, 1, 1};
  assert_true(isnan(moon_auc(score, ones, 3)));
  assert_true(isnan(moon_auc(score, zeros, 3)));
  assert_true(isnan(moon_auc(score, both, 0)));
  moon_alloc_fail_at(1);
  double starved = moon_auc(score, both, 3);
  moon_alloc_fail_at(0);
  assert_true(isnan(starved));
  NEAR(moon_auc(score, both, 3), 1, 0);
}

static void accuracy_splits_at_a_half(void **state) {
  (void)state;
  const float score[] = {0.5f, 0.49f, 0.9f, 0.1f}, label[] = {1, 1, 0, 0};
  NEAR(moon_accuracy(score, label, 4), 0.5, 0);
  NEAR(moon_accuracy(score, label, 1), 1, 0);
  assert_true(isnan(moon_accuracy(score, label, 0)));
}

static void logloss_is_the_mean_surprise(void **state) {
  (void)state;
  const float label[] = {1, 0, 1};
  NEAR(moon_logloss((const float[]){0.5f, 0.5f, 0.5f}, label, 3), log(2), 1e-12);
  NEAR(moon_logloss((const float[]){0.8f, 0.25f, 0.5f}, label, 3), -(log(0.8) + log(0.75) + log(0.5)) / 3, 1e-7);
  NEAR(moon_logloss((const float[]){0, 1, 0}, label, 3), -log(1e-7), 1e-9); /* certain and wrong: clipped, not infinite */
  NEAR(moon_logloss((const float[]){1, 0, 1}, label, 3), -log(1 - 1e-7), 1e-15);
  NEAR(moon_logloss((const float[]){7, -3, INFINITY}, label, 3), -log(1 - 1e-7), 1e-15);
  assert_true(isnan(moon_logloss(label, label, 0)));
}

static void logloss_agrees_with_its_formula(void **state) {
  (void)state;
  float score[200], label[200];
  moon_rng rng;
  moon_rng_seed(&rng, 8, 0);
  for (int round = 0; round < 50; round++) {
    size_t n = 1 + moon_rng_below(&rng, 199);
    for (size_t i = 0; i < n; i++) score[i] = (float)moon_rng_uniform(&rng), label[i] = (float)moon_rng_below(&rng, 2);
    NEAR(moon_logloss(score, label, n), naive_logloss(score, label, n), 1e-12);
  }
}

static void nan_anywhere_makes_the_metric_nan(void **state) {
  (void)state;
  double (*const metrics[])(const float *, const float *, size_t) = {moon_accuracy, moon_auc, moon_logloss, moon_precision_of, moon_recall_of, moon_f1};
  for (size_t m = 0; m < 6; m++)
    for (size_t at = 0; at < 4; at++)
      for (int in_label = 0; in_label < 2; in_label++) {
        float score[] = {0.1f, 0.7f, 0.4f, 0.8f}, label[] = {0, 1, 0, 1};
        assert_false(isnan(metrics[m](score, label, 4)));
        (in_label ? label : score)[at] = NAN;
        assert_true(isnan(metrics[m](score, label, 4)));
      }
}

static void recall_divides_by_all_relevant(void **state) {
  (void)state;
  const uint8_t hit[] = {1, 0, 1, 0, 1};
  NEAR(moon_recall_at(hit, 5, 1, 3), 1 / 3.0, 1e-15);
  NEAR(moon_recall_at(hit, 5, 3, 3), 2 / 3.0, 1e-15);
  NEAR(moon_recall_at(hit, 5, 5, 3), 1, 0);
  NEAR(moon_recall_at(hit, 5, 1, 10), 0.1, 1e-15); /* not 1 / min(k, relevant) */
  NEAR(moon_recall_at(hit, 5, 50, 3), 1, 0);       /* a list shorter than k */
  NEAR(moon_recall_at(hit, 5, 0, 3), 0, 0);
  NEAR(moon_recall_at(NULL, 0, 5, 3), 0, 0);
  assert_true(isnan(moon_recall_at(hit, 5, 5, 0)));
}

static void ndcg_weighs_hits_by_place(void **state) {
  (void)state;
  const uint8_t hit[] = {0, 1, 0, 1, 0}, perfect[] = {1, 1, 1, 0, 0};
  double second = 1 / log2(3), fourth = 1 / log2(5), ideal2 = 1 + 1 / log2(3), ideal3 = ideal2 + 0.5;
  NEAR(moon_ndcg_at(hit, 5, 5, 2), (second + fourth) / ideal2, 1e-15);
  NEAR(moon_ndcg_at(hit, 5, 3, 2), second / ideal2, 1e-15);
  NEAR(moon_ndcg_at(hit, 5, 1, 2), 0, 0);
  NEAR(moon_ndcg_at(hit, 5, 3, 9), second / ideal3, 1e-15); /* the ideal list is k long */
  NEAR(moon_ndcg_at(hit, 2, 3, 3), second / ideal3, 1e-15); /* a list shorter than k misses at its end */
  assert_true(moon_ndcg_at(perfect, 5, 5, 3) == 1);
  assert_true(moon_ndcg_at(perfect, 5, 2, 3) == 1);
  assert_true(isnan(moon_ndcg_at(hit, 5, 5, 0)));
  assert_true(isnan(moon_ndcg_at(hit, 5, 0, 2)));
}

static void list_metrics_stay_within_zero_and_one(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 11, 0);
  uint8_t hit[60];
  for (int round = 0; round < 500; round++) {
    size_t n = 1 + moon_rng_below(&rng, 59), k = 1 + moon_rng_below(&rng, 70), hits = 0, early = 0;
    for (size_t i = 0; i < n; i++) {
      hit[i] = moon_rng_below(&rng, 4) == 0;
      hits += hit[i];
      early += i < k && hit[i];
    }
    size_t relevant = hits + moon_rng_below(&rng, 3) + (hits == 0);
    double gain = 0, ideal = 0;
    for (size_t i = 0; i < k; i++) {
      gain += (i < n && hit[i]) / log2((double)i + 2);
      ideal += (i < relevant) / log2((double)i + 2);
    }
    double ndcg = moon_ndcg_at(hit, n, k, relevant);
    NEAR(ndcg, gain / ideal, 1e-12);
    assert_true(ndcg >= 0 && ndcg <= 1);
    NEAR(moon_recall_at(hit, n, k, relevant), (double)early / (double)relevant, 1e-15);
  }
}

static void confusion_metrics_are_their_quotients(void **state) {
  (void)state;
  float score[100], label[100];
  moon_rng rng;
  moon_rng_seed(&rng, 21, 0);
  for (int round = 0; round < 200; round++) {
    size_t n = 1 + moon_rng_below(&rng, 99);
    double tp = 0, fp = 0, fn = 0;
    for (size_t i = 0; i < n; i++) {
      score[i] = (float)moon_rng_below(&rng, 11) / 10;
      label[i] = (float)(moon_rng_below(&rng, 4) == 0);
      tp += score[i] >= 0.5f && label[i] == 1, fp += score[i] >= 0.5f && label[i] == 0, fn += score[i] < 0.5f && label[i] == 1;
    }
    double precision = moon_precision_of(score, label, n), recall = moon_recall_of(score, label, n);
    if (tp + fp > 0) NEAR(precision, tp / (tp + fp), 1e-15);
    else assert_true(isnan(precision));
    if (tp + fn > 0) NEAR(recall, tp / (tp + fn), 1e-15);
    else assert_true(isnan(recall));
    if (tp > 0) NEAR(moon_f1(score, label, n), 2 * precision * recall / (precision + recall), 1e-12);
  }
}

static void grouped_auc_weighs_groups_that_have_both_classes(void **state) {
  (void)state;
  float score[300], label[300];
  size_t start[21] = {0};
  moon_rng rng;
  moon_rng_seed(&rng, 22, 0);
  for (int round = 0; round < 100; round++) {
    double sum = 0, weight = 0;
    for (size_t g = 0; g < 20; g++) {
      size_t n = moon_rng_below(&rng, 15), at = start[g];
      start[g + 1] = at + n;
      for (size_t i = at; i < at + n; i++) score[i] = (float)moon_rng_below(&rng, 6), label[i] = (float)moon_rng_below(&rng, 2);
      double auc = naive_auc(score + at, label + at, n);
      if (!isnan(auc)) sum += auc * (double)n, weight += (double)n;
    }
    NEAR(moon_grouped_auc(score, label, start, 20), sum / weight, 1e-12);
  }
  assert_true(isnan(moon_grouped_auc((const float[]){1, 2}, (const float[]){1, 1}, (const size_t[]){0, 2}, 1)));
}

static void calibration_is_the_distance_of_score_and_rate(void **state) {
  (void)state;
  moon_calibration_bin bins[MOON_CALIBRATION_BINS];
  const float score[] = {0.05f, 0.05f, 0.95f, 1.0f, 0.1f}, label[] = {0, 1, 1, 1, 0};
  NEAR(moon_calibration(score, label, 5, bins), (2 * 0.45 + 2 * 0.025 + 0.1) / 5, 1e-7);
  assert_int_equal(bins[0].n, 2);
  assert_int_equal(bins[1].n, 1);
  assert_int_equal(bins[9].n, 2);
  NEAR(bins[0].rate, 0.5, 0);
  NEAR(bins[9].score, 0.975, 1e-7);
  assert_true(isnan(moon_calibration(score, label, 0, NULL)));
  NEAR(moon_calibration((const float[]){-3, 7}, (const float[]){0, 1}, 2, bins), (3 + 6) / 2.0, 0); /* outside: the outer ranges */
}

/* Hit, MRR and MAP as sums over the positions of hits, written down by their definitions. */
static void ranked_metrics_agree_with_their_definitions(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 23, 0);
  uint8_t hit[40];
  for (int round = 0; round < 500; round++) {
    size_t n = 1 + moon_rng_below(&rng, 39), k = 1 + moon_rng_below(&rng, 50), hits = 0;
    for (size_t i = 0; i < n; i++) hits += hit[i] = moon_rng_below(&rng, 5) == 0;
    size_t relevant = hits + 1 + moon_rng_below(&rng, 3);
    double any = 0, reciprocal = 0, precisions = 0;
    for (size_t i = n < k ? n : k; i--;) {
      if (!hit[i]) continue;
      double before = 0;
      for (size_t j = 0; j <= i; j++) before += hit[j];
      any = 1, reciprocal = 1 / (double)(i + 1), precisions += before / (double)(i + 1);
    }
    NEAR(moon_hit_at(hit, n, k, relevant), any, 0);
    NEAR(moon_mrr_at(hit, n, k, relevant), reciprocal, 1e-15);
    NEAR(moon_map_at(hit, n, k, relevant), precisions / (double)(k < relevant ? k : relevant), 1e-12);
  }
  assert_true(isnan(moon_hit_at(hit, 3, 3, 0)) && isnan(moon_mrr_at(hit, 3, 3, 0)) && isnan(moon_map_at(hit, 3, 3, 0)));
}

static void gini_is_half_the_mean_difference_over_the_mean(void **state) {
  (void)state;
  NEAR(moon_gini((const uint32_t[]){4, 4, 4}, 3), 0, 0);
  NEAR(moon_gini((const uint32_t[]){0, 0, 9, 0}, 4), 0.75, 1e-15);
  assert_true(isnan(moon_gini((const uint32_t[]){0, 0}, 2)) && isnan(moon_gini(NULL, 0)));
  moon_rng rng;
  moon_rng_seed(&rng, 24, 0);
  uint32_t count[30];
  for (int round = 0; round < 100; round++) {
    size_t n = 2 + moon_rng_below(&rng, 28);
    double apart = 0, sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)(count[i] = moon_rng_below(&rng, 70000));
    for (size_t i = 0; i < n; i++)
      for (size_t j = 0; j < n; j++) apart += fabs((double)count[i] - (double)count[j]);
    NEAR(moon_gini(count, n), apart / (2 * (double)n * sum), 1e-12);
  }
}

static void novelty_and_diversity_look_at_the_first_k(void **state) {
  (void)state;
  const double bits[] = {1, 2, 6};
  const uint32_t group[] = {7, 7, 3, MOON_NONE};
  NEAR(moon_novelty_at(bits, 3, 2), 1.5, 0);
  NEAR(moon_novelty_at(bits, 3, 9), 3, 0);
  assert_true(isnan(moon_novelty_at(bits, 0, 3)));
  NEAR(moon_diversity_at(group, 4, 2), 0, 0);
  NEAR(moon_diversity_at(group, 4, 3), 2 / 3.0, 1e-15);
  NEAR(moon_diversity_at(group, 4, 9), 5 / 6.0, 1e-15);
  assert_true(isnan(moon_diversity_at(group, 1, 5)) && isnan(moon_diversity_at(group, 4, 1)));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(auc_counts_pairs_and_half_ties),
      cmocka_unit_test(auc_agrees_with_every_pair),
      cmocka_unit_test(auc_orders_every_kind_of_float),
      cmocka_unit_test(auc_is_unmoved_by_the_order_of_examples),
      cmocka_unit_test(one_class_or_no_memory_has_no_auc),
      cmocka_unit_test(accuracy_splits_at_a_half),
      cmocka_unit_test(logloss_is_the_mean_surprise),
      cmocka_unit_test(logloss_agrees_with_its_formula),
      cmocka_unit_test(nan_anywhere_makes_the_metric_nan),
      cmocka_unit_test(recall_divides_by_all_relevant),
      cmocka_unit_test(ndcg_weighs_hits_by_place),
      cmocka_unit_test(list_metrics_stay_within_zero_and_one),
      cmocka_unit_test(confusion_metrics_are_their_quotients),
      cmocka_unit_test(grouped_auc_weighs_groups_that_have_both_classes),
      cmocka_unit_test(calibration_is_the_distance_of_score_and_rate),
      cmocka_unit_test(ranked_metrics_agree_with_their_definitions),
      cmocka_unit_test(gini_is_half_the_mean_difference_over_the_mean),
      cmocka_unit_test(novelty_and_diversity_look_at_the_first_k),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
