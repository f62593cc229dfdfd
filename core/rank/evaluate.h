/* evaluate.h - what the files behind an evaluation share.
 *
 * The road: examples grouped by user and scored, and for each user the first of the whole catalogue in order (ranking.c); from both, for any
 * slice, estimates: the metrics with what they are made of, user by user (estimate.c); from those, samples of users (resample.c). */
#ifndef MOON_RANK_EVALUATE_H
#define MOON_RANK_EVALUATE_H
#include "rank/rank.h"

enum { MOON_MOST_METRICS = 32, MOON_MOST_K = 1000, MOON_CURVE_K = 20, MOON_RESAMPLES = 1000, MOON_MOST_SLICES = 12 };

/* ---- metrics by name (metric_names.c) --------------------------------------------------------------------------------------- */

typedef enum moon_metric_kind {
  MOON_METRIC_ACCURACY, MOON_METRIC_PRECISION, MOON_METRIC_RECALL, MOON_METRIC_F1, MOON_METRIC_LOGLOSS, MOON_METRIC_CALIBRATION, /* of a probability */
  MOON_METRIC_AUC, MOON_METRIC_GAUC,                                                                                    /* of any score */
  MOON_METRIC_RECALL_AT, MOON_METRIC_NDCG_AT, MOON_METRIC_HIT_AT, MOON_METRIC_MRR_AT, MOON_METRIC_MAP_AT,               /* of a list's hits */
  MOON_METRIC_NOVELTY, MOON_METRIC_DIVERSITY,                                                                           /* of a list's items */
  MOON_METRIC_COVERAGE, MOON_METRIC_GINI                                                                                /* of all lists */
} moon_metric_kind;
typedef struct moon_metric {
  const char *name;
  moon_metric_kind kind;
  size_t k;  /* of lists */
  size_t of; /* what is judged: 0 the score, 1 + t the head of task t: "purchase.auc" */
} moon_metric;
/* names borrowed from the list; tasks: [task_n], NULL in it for one without a name; *most_k: the largest k, 20 where there is none. */
moon_status moon_metrics_parse(const json_t *names, const char *const *tasks, size_t task_n, moon_metric *out, size_t *n, size_t *most_k);

/* A metric as a fraction whose two parts add up over groups of examples. */
typedef struct moon_fraction { double over, under; } moon_fraction;
double moon_fraction_value(moon_fraction fraction); /* NaN where under is 0 */
/* Kinds over examples but CALIBRATION and AUC; nothing of GAUC is {0, 0}, of a score that is none {NaN, 1}. */
moon_fraction moon_fraction_of(moon_metric_kind kind, const float *score, const float *label, size_t n);

/* ---- an evaluation (evaluate.c) --------------------------------------------------------------------------------------------- */

enum { MOON_BY_MODEL, MOON_BY_POPULARITY, MOON_BY_CHANCE, MOON_BY_NEIGHBOURS, MOON_RANKERS };
enum { MOON_SCORERS = MOON_BY_NEIGHBOURS }; /* neighbours rank, but do not score examples */
extern const char *const moon_ranker_names[MOON_RANKERS];

/* Examples grouped by user: those of user u are [start[u], start[u + 1]). */
typedef struct moon_judged {
  float *score[MOON_SCORERS], *label; /* [n] */
  uint32_t *item;                     /* [n] */
  size_t *start;                      /* [users + 1] */
  size_t n;
  bool probability;                   /* the model's scores are some */
} moon_judged;

/* The first `depth` of the catalogue for each user who is ranked. */
typedef struct moon_lists {
  uint32_t *user;                 /* [n] */
  size_t *shown;                  /* [n] how many there are: fewer than depth in a small catalogue */
  uint32_t *items[MOON_RANKERS];  /* [n, depth] */
  uint8_t *hit[MOON_RANKERS];     /* [n, depth] */
  size_t *wanted_start;           /* [n + 1] */
  uint32_t *wanted;               /* what each user went for, and could be found */
  size_t n, depth;
} moon_lists;

typedef enum moon_slice_kind { MOON_SLICE_ALL, MOON_SLICE_NEW_USERS, MOON_SLICE_NEW_ITEMS, MOON_SLICE_CATEGORY } moon_slice_kind;
typedef struct moon_slice {
  moon_slice_kind kind;
  uint32_t code; /* CATEGORY */
  const char *name;
} moon_slice;

struct moon_evaluation {
  moon_metric metrics[MOON_MOST_METRICS];
  size_t metric_n, most_k;
  moon_judged judged[1 + MOON_MOST_TASKS]; /* [judged_n] the score by the first task's label, and each named task's head by its own */
  size_t judged_n;
  moon_lists lists;
  size_t users;        /* with an example in the judged part */
  uint64_t *user_key;  /* [users] a number of the seed and the id */
  uint8_t *user_new;   /* [users] */
  size_t rows, items;  /* of the catalogue; those that are recommended are the first */
  uint8_t *item_new;   /* [rows] */
  double *information; /* [rows] bits: -log2 of the item's share of the known events, each item having one more */
  uint32_t *group;     /* [rows] code in the column to slice by, MOON_NONE where it is null; NULL where there is no such column */
  moon_slice slices[MOON_MOST_SLICES];
  size_t slice_n;
  uint64_t examples_print, lists_print; /* of what was judged, whatever the order: the same for the same examples, users and items */
  json_t *about;                        /* {"part","examples"} */
  moon_arena arena;                     /* all of the above */
};

/* ranking.c: fills e->lists. `number`: [users of the log] the number of each among e's, MOON_NONE where there is none. */
moon_status moon_rank_users(const moon_model *model, const moon_dataset *dataset, uint64_t seed, const moon_evaluate_options *options,
                            const uint32_t *number, moon_evaluation *e);
/* Scores the examples `rows` [n] of the data set, a chunk at a time. heads: [n, heads of the model], or NULL. */
moon_status moon_score_examples(const moon_model *model, const moon_dataset *dataset, const uint32_t *rows, size_t n, float *scores, float *heads);
/* slices.c: what is new, the column and the slices; after the examples. */
moon_status moon_slices_find(const moon_dataset *dataset, const char *column, const uint32_t *number, moon_evaluation *e);
bool moon_slice_has(const moon_evaluation *e, const moon_slice *slice, uint32_t user, uint32_t item);

/* ---- estimates (estimate.c, resample.c) ------------------------------------------------------------------------------------- */

typedef struct moon_ordered_example {
  uint32_t user;
  float score;
  bool positive;
} moon_ordered_example;
typedef struct moon_estimate {
  double value;                  /* NaN: it says nothing */
  moon_fraction *part;           /* [n] of users; or */
  uint32_t *user;                /* [n] */
  moon_ordered_example *ordered; /* [n] by rising score, for AUC */
  size_t n;                      /* 0: it is not resampled */
  double *sample;                /* [MOON_RESAMPLES], by moon_resample; NULL: none */
} moon_estimate;
typedef struct moon_estimates {
  moon_estimate of[MOON_RANKERS][MOON_MOST_METRICS];
  size_t examples, users; /* users: ranked */
} moon_estimates;
/* Both put all that they make into the arena. */
moon_status moon_estimate_slice(const moon_evaluation *e, const moon_slice *slice, moon_arena *arena, moon_estimates *out);
moon_status moon_resample(const moon_evaluation *e, moon_estimates *estimates, moon_arena *arena);
/* Sorts the samples; false where too few say anything. */
bool moon_sample_interval(double *sample, double *low, double *high);
/* The mean over users of a list metric at k = 1 to MOON_CURVE_K; NaN without users. */
void moon_curve(const moon_evaluation *e, moon_metric_kind kind, int ranker, double *out);

#endif
