/* evaluate.h - what the two halves of evaluation share: metrics by kind, and the full-catalogue ranking. */
#ifndef MOON_RANK_EVALUATE_H
#define MOON_RANK_EVALUATE_H
#include "rank/rank.h"

enum { MOON_MOST_METRICS = 32, MOON_MOST_K = 1000 };

typedef enum moon_metric_kind {
  MOON_METRIC_ACCURACY, MOON_METRIC_AUC, MOON_METRIC_LOGLOSS, /* over examples */
  MOON_METRIC_RECALL, MOON_METRIC_NDCG, MOON_METRIC_COVERAGE  /* over rankings */
} moon_metric_kind;
typedef struct moon_metric {
  const char *name;
  moon_metric_kind kind;
  size_t k; /* RECALL, NDCG */
} moon_metric;

enum { MOON_BY_MODEL, MOON_BY_POPULARITY, MOON_BY_CHANCE, MOON_BY_NEIGHBOURS, MOON_RANKERS };
typedef struct moon_ranking { double value[MOON_MOST_METRICS]; } moon_ranking; /* NaN for metrics over examples, and without users */

/* Means over users of the ranking metrics, for each way of ranking; *users is how many were ranked. */
moon_status moon_rank_users(const moon_model *model, const moon_dataset *dataset, const moon_metric *metrics, size_t n, uint64_t seed,
                            const moon_evaluate_options *options, moon_ranking rankings[MOON_RANKERS], size_t *users);

/* Scores the examples `rows` [n] of the data set, a chunk at a time. */
moon_status moon_score_examples(const moon_model *model, const moon_dataset *dataset, const uint32_t *rows, size_t n, float *scores);

#endif
