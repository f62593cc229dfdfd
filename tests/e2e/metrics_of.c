/* metrics_of.c - the metrics of examples on stdin, "group score label" a line with groups together, as JSON: for tests that hold them against
 * another library's. NDCG and average precision are those of the examples' labels, in their order, at 10. */
#include <math.h>
#include <stdio.h>

#include "rank/rank.h"

enum { MOST = 100000 };
static float score[MOST], label[MOST];
static size_t start[MOST + 1];
static uint8_t hit[MOST];

static void print(const char *name, double value) {
  if (isnan(value)) printf("\"%s\": null, ", name);
  else printf("\"%s\": %.17g, ", name, value);
}

int main(void) {
  size_t n = 0, groups = 0, relevant = 0;
  long group, last = -1;
  while (n < MOST && scanf("%ld %f %f", &group, &score[n], &label[n]) == 3) {
    if (group != last) start[groups++] = n;
    last = group;
    relevant += hit[n] = label[n] > 0.5f;
    n++;
  }
  start[groups] = n;
  moon_calibration_bin bins[MOON_CALIBRATION_BINS];
  printf("{");
  print("accuracy", moon_accuracy(score, label, n));
  print("precision", moon_precision_of(score, label, n));
  print("recall", moon_recall_of(score, label, n));
  print("f1", moon_f1(score, label, n));
  print("auc", moon_auc(score, label, n));
  print("gauc", moon_grouped_auc(score, label, start, groups));
  print("logloss", moon_logloss(score, label, n));
  print("calibration", moon_calibration(score, label, n, bins));
  print("ndcg", moon_ndcg_at(hit, n, 10, relevant));
  print("map", moon_map_at(hit, n, n, relevant));
  printf("\"bins\": [");
  for (int b = 0; b < MOON_CALIBRATION_BINS; b++) printf("%s[%zu, %.17g, %.17g]", b ? ", " : "", bins[b].n, bins[b].score, bins[b].rate);
  printf("]}\n");
  return 0;
}
