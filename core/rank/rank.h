/* rank.h - the door of core/rank: models over features, fitting, metrics, evaluation, bundles.
 *
 * The road: plan (JSON made by a recipe) + data -> moon_dataset -> moon_fit -> moon_evaluate -> bundle folder; and back from a bundle
 * folder to a moon_bundle that scores. */
#ifndef MOON_RANK_H
#define MOON_RANK_H

#include <jansson.h>

#include "base/base.h"
#include "data/data.h"
#include "feature/feature.h"
#include "nn/nn.h"
#include "retrieve/hnsw.h"
#include "retrieve/retrieve.h"

/* ---- the model (model.c) -------------------------------------------------------------------------------------------------- */

/* Inputs -> [standardised dense | embeddings of ids | mean embeddings of bags] -> layers -> probability. */
typedef struct moon_model moon_model;
/* model: {"layers":[{"type":"dense","units":64,"activation":"relu","where"},...]} of the kinds of nn/module.h, one after the other; the
 * last gives one number, by a sigmoid (or linear with loss "mse"). It may be "heads", whose layers give one number each and end alike; the
 * score of a row is then the sum of "score", {"cart":0.3,"purchase":1}, times what the heads give; without it, the last head. A layer's "input" may be "x" (the above), "numbers", "fields", "history",
 * the name of an id or category, or that and ".id": see lua/README.md. vocab_sizes: [feature_count] rows of each embedding table (0:
 * none); the plan is borrowed for the model's life. */
moon_status moon_model_new(const json_t *model, const moon_feature_plan *plan, const size_t *vocab_sizes, uint64_t seed, moon_model **out);
void moon_model_free(moon_model *model);
size_t moon_model_params(const moon_model *model); /* number of trainable numbers, or of those computed in closed form */
/* Whether a plan's model is fitted in closed form (m.nn.ease and the like; fit_closed.c): nothing of it is trained. */
bool moon_plan_is_closed(const json_t *model);
moon_status moon_model_summary(const moon_model *model, moon_buf *out); /* tables and layers, a line each; appends */
/* The same for programs (summary.c). New reference:
 *   {"tables":[{"table","feature","rows","dim","parameters","frozen"}], "layers": as moon_module_describe has them, "inputs","numbers","output",
 *    "parameters","trained","in_tables","bytes","score"?: {head: weight} of a model with heads,
 *    "scoring":{"compiled","precision","layer_bytes": null where they do not compile}} */
moon_status moon_model_describe(const moon_model *model, json_t **out);
/* Tables start from the data set's vectors; those that the recipe freezes stay so. Before fitting. */
struct moon_dataset;
void moon_model_take_vectors(moon_model *model, const struct moon_dataset *dataset);
/* Mean and deviation of each dense slot; before fitting. [dense_slots] each. */
void moon_model_normalise(moon_model *model, const float *mean, const float *deviation);
moon_status moon_model_save(const moon_model *model, moon_buf *safetensors);
moon_status moon_model_load(moon_model *model, const char *bytes, size_t n); /* all or nothing; recompiles the scorer */
/* After fitting or loading: compile for scoring. */
moon_status moon_model_compile(moon_model *model);
/* In which numbers it scores from now on; f32 unless told otherwise. MOON_EINVAL where that is not f32 and the model does not compile, with
 * the line of the layer that does not, or where a layer cannot be had in that precision; the model is then as it was. */
moon_status moon_model_set_precision(moon_model *model, moon_precision precision);
/* The "precision" of a plan's training options; f32 where there is none. */
moon_status moon_train_precision(const json_t *train, moon_precision *out);
/* Whether a score is a probability: the last layer is a sigmoid, and the score no blend. */
bool moon_model_gives_probability(const moon_model *model);
/* How many heads there are, and which of them is that of a task: MOON_EINVAL with the nearest where there is none. A model without heads has
 * one, for a task without a name (NULL). */
size_t moon_model_heads(const moon_model *model);
moon_status moon_model_head(const moon_model *model, const char *task, size_t *head);
/* Probability, or whatever the last layer gives, for n rows of inputs; scratch from arena. Thread-safe on a compiled model. */
moon_status moon_model_score(const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena, float *scores);
/* The same of each head, [n, heads]; and the score of that. */
moon_status moon_model_score_heads(const moon_model *model, const moon_inputs *inputs, size_t n, moon_arena *arena, float *heads);
void moon_model_blend(const moon_model *model, const float *heads, size_t n, float *scores);
/* The embedding at length one into out [dim]; false where there is none, or one of zeros. */
bool moon_model_item_unit(const moon_model *model, const moon_features *features, uint32_t item, size_t dim, float *out);
/* The width of items' embeddings, 0: there are none. */
size_t moon_model_item_dim(const moon_model *model);
/* The embedding of an item's id (for MMR by "embedding"); NULL where there is none, also for an item the vocabulary does not know.
 * [*dim] floats, borrowed. */
const float *moon_model_item_embedding(const moon_model *model, const moon_features *features, uint32_t item, size_t *dim);

/* ---- data set (dataset.c) ------------------------------------------------------------------------------------------------- */

/* What a recipe's plan makes of its data: log, examples with point-in-time inputs, split. */
typedef enum moon_part { MOON_TRAIN, MOON_VALIDATION, MOON_TEST, MOON_PARTS } moon_part;
const char *moon_part_name(moon_part part); /* "train", "validation", "test" */
typedef struct moon_dataset {
  moon_catalogue *catalogue;
  moon_log *log;
  moon_examples examples;
  const char **tasks;       /* [examples.tasks] their names, NULL of a label alone */
  uint8_t *part;            /* [examples.n] a moon_part */
  uint32_t *row;            /* [examples.n] its row in the inputs, MOON_NONE: it has none; NULL: example i is row i */
  uint8_t *event_part;      /* [log->n] likewise, of what is nobody's example too: see split.c */
  size_t part_n[MOON_PARTS];
  size_t negatives;         /* how many training examples were sampled (label's "negatives") */
  size_t each;              /* so many for each success, right behind it; 0: none */
  double *drawn;            /* [catalogue rows] the probability that an item is drawn as one, where train's "log_q" wants to know; NULL */
  size_t validation_negatives; /* sampled likewise to validate on, for losses that compare (moon_loss_compares) */
  moon_part judged;         /* the part that evaluation looks at: test, or validation where there is no test, or train */
  moon_feature_plan *plan;
  moon_vocab **vocabs;      /* [plan->feature_count] from the training part, or the bundle's */
  bool vocabs_borrowed;
  moon_tensor **vectors;    /* [plan->feature_count] of embedding files, which a new model starts from; NULL with a bundle's vocabularies */
  moon_features *features;
  moon_inputs inputs;       /* [examples.n] rows; with `row`, those of the judged part */
  float *popularity;        /* [examples.n] the item's all-time event count just before the example: the baseline's score */
  moon_state *state;        /* after the whole log */
  /* What could be known when the judged part began: by time, everything before it; otherwise everything that does not belong to it. */
  moon_event *known;        /* [known_n] */
  size_t known_n;
  moon_event *known_own;    /* where they are not the log's first */
  moon_state *state_then;   /* after those */
  int64_t judged_from;      /* the time of the first example to judge */
  moon_rule_report *rules;
  size_t rule_count;
  moon_read_report events_report, items_report;
  moon_arena arena;
} moon_dataset;
typedef struct moon_dataset_options {
  const char *data_dir;
  size_t max_bad_rows;
  moon_rejects *rejects; /* where the rows that are left out are told of; may be NULL */
  const moon_row_functions *functions;
  const moon_progress *progress;
  moon_vocab **vocabs; /* [features of the plan] use these (a bundle's) instead of making new ones; NULL when training; borrowed */
  bool spare_test;     /* judge on the validation part, with what was known when it began, where there is a test part, too */
  bool judged_only;    /* of a model in closed form: lay out inputs of the judged part alone, since no others are read */
  const int64_t *until; /* with vocabs: the inputs of what happened up to this time, and nothing else; NULL: everything */
} moon_dataset_options;
moon_status moon_dataset_new(const json_t *plan, const moon_dataset_options *options, moon_dataset **out);
void moon_dataset_free(moon_dataset *dataset);
/* {"items":{"rows","malformed"},"events":{..},"rules":[{"rule","why","before","after","dropped"?:["user=u1, .."]}]}: what was read and
 * what each rule made of it, with the first rows that went where `samples`. New reference. */
json_t *moon_dataset_report(const moon_dataset *dataset, bool samples);

/* ---- a recipe before its training (describe.c, check.c) ------------------------------------------------------------------- */

/* What the plan is and takes, without its data, for people and programs. Fails where features or layers do not fit each other, with the
 * line. New reference:
 *   {"tree":{"text","where","children":[..]}, "features", "counters": as moon_feature_plan_describe has them,
 *    "cost": its, and {"weights": of the layers, "candidates":500, "features_us", "model_us": of a request for so many; without the last
 *    where the layers do not compile}} */
moon_status moon_recipe_describe(const json_t *plan, json_t **out);
/* Tells of every layer that does not fit (check_layers.c), of those that do not lean on another one told of. Fails where the features do not
 * fit the columns, or without memory. */
moon_status moon_layers_check(const json_t *plan, const moon_findings *findings);
/* The model as moon_model_describe has it, before it has seen data: null stands for what depends on how many rows the tables of texts get, which
 * is what differs between two models drawn with different ones. New reference. */
moon_status moon_recipe_summary(const json_t *plan, json_t **out);
/* The parent's new child, borrowed, or without a parent a root; takes the text. *failed is set where there was no memory. */
json_t *moon_tree_add(json_t *parent, moon_buf *text, const char *where, bool *failed);
/* Reads the plan's files and runs its rules, and tells of everything that does not fit; parts may be missing from the plan. What does
 * not fit the columns as they are declared is left to the script's own check and to moon_recipe_describe.
 * Fails only where it had to stop: without memory, or interrupted. */
moon_status moon_recipe_check(const json_t *plan, const moon_dataset_options *options, const moon_findings *findings);

/* ---- no skew, no leak (parity.c, leaks.c) ------------------------------------------------------------------------------------- */

/* An event as it comes in while serving: texts and a time. */
typedef struct moon_live_event {
  const char *user, *item, *kind;
  int64_t time;
} moon_live_event;
typedef struct moon_parity_options {
  const moon_progress *progress;
  /* How events come in while serving: takes n of them, and answers them as they are read there, good until the next call. NULL: as they
   * are. */
  moon_status (*road)(void *self, const moon_catalogue *catalogue, const moon_live_event *in, size_t n, moon_live_event *out);
  void *self;
  size_t candidates; /* in a request, the example's item among them; 0: 50 */
} moon_parity_options;
/* Every feature of every example computed three ways, and compared bit by bit: "log", the replay that made the data set; "stream", live
 * counters that events are folded into one by one, by way of everything a bundle keeps and of `road`, with a snapshot saved and restored on
 * the way; "request", the call that serving makes, for many candidates at once. What an event says of itself (positions) is a constant in a
 * request by design and not compared there. Answers (new reference)
 *   {"events":N,"examples":N,"features":N,"stream":{"values":N,"differing_bits":0,"state":true},"request":{"values":..,"differing_bits":0},
 *    "mismatches":[{"executor","feature","where","example","event","log","got"}, the first few]}
 * where "state" is whether the counters were the same at the end. */
moon_status moon_parity(const json_t *plan, const moon_dataset *dataset, const moon_parity_options *options, json_t **out);

/* Whether a feature knows what happened after it: the log is cut at `cuts` moments, each time prepared anew from the files by the rules, and
 * whatever the features were before the cut has to come out bit for bit. Answers (new reference) a list of findings
 *   {"level":"error"|"warning","place":"recipe.lua:17","feature":..,"message":"..."}
 * Rules that choose by what a user or an item does in all (k_core, bots) choose otherwise once the log is cut: a warning. */
typedef struct moon_look_options {
  const moon_dataset_options *dataset; /* those that made the data set */
  size_t cuts;
  /* Answers the recipe's functions as they are in the beginning, before each time that the rules run: functions may remember what they
   * have seen. They may go with the next call. NULL: the data set's own. */
  moon_status (*renew)(void *self, moon_row_functions *out);
  void *self;
} moon_look_options;
moon_status moon_look_ahead(const json_t *plan, const moon_dataset *dataset, const moon_look_options *options, json_t **out);
/* Features that alone tell the label nearly always, as warnings in the same form: AUC of 0.95 and more (or 0.05 and less) over the observed
 * examples. Rarely is the world so simple; more often the number was written down after the fact. */
moon_status moon_suspects(const moon_dataset *dataset, json_t **out);

/* ---- fitting (fit*.c) ----------------------------------------------------------------------------------------------------- */

typedef struct moon_fit_report {
  size_t epochs_run, best_epoch, steps;
  size_t checkpoints; /* written */
  bool resumed;
  double seconds, examples_per_second; /* not written into the bundle: they are not reproducible */
  double train_loss[512], valid_loss[512]; /* per epoch; NaN where there is no validation part */
} moon_fit_report;

/* What functions of the recipe are told. */
typedef struct moon_fit_info {
  size_t epoch, epochs, step;   /* step: of the whole training */
  double loss, validation_loss; /* of the epoch, so far in a step; NaN where there is none */
  double lr, examples_per_second;
} moon_fit_info;
typedef struct moon_fit_functions { /* numbered functions of a script, as moon_row_functions */
  void *self;
  moon_status (*call)(void *self, uint32_t fn, const moon_fit_info *info, bool *stop);
} moon_fit_functions;

typedef struct moon_fit_options {
  const moon_progress *progress;
  const moon_fit_functions *functions;
  size_t threads;          /* 0: the plan's; without one there, as many as there are cores and shards to a batch */
  const char *checkpoint;  /* a file; NULL: none */
  size_t checkpoint_every; /* steps; 0: the plan's, and without one there none but at an interruption */
  bool resume;             /* go on from the file; where there is none, begin */
  size_t until;            /* stop after this epoch, with a checkpoint to go on from; 0: at the end */
  const json_t *plan;      /* the whole plan, by which a checkpoint knows its recipe; may be NULL */
} moon_fit_options;
/* What is made small: of each example by itself "bce" (a probability) or "mse"; of a success beside the label's sampled negatives "bpr" (each
 * pair) or "softmax" (all together); or "softmax" without negatives, over every item. */
typedef enum moon_loss { MOON_LOSS_BCE, MOON_LOSS_MSE, MOON_LOSS_BPR, MOON_LOSS_SOFTMAX, MOON_LOSSES } moon_loss;
moon_status moon_loss_parse(const json_t *train, moon_loss *out);
/* Whether it compares scores: successes are its examples, what was seen to fail is left out, and a score is no probability. */
static inline bool moon_loss_compares(moon_loss loss) { return loss >= MOON_LOSS_BPR; }
/* train: {"loss":"bce","optimizer":{...},"epochs":10,"batch":32,"seed":42,"patience":0} and, all optional, "positive_weight" (bce), "weight"
 * (a column of the events: what each example counts for), "standardise" (false: numbers go to the layers as they are), "threads", "ahead" (blocks of batches laid out ahead: 2), "checkpoint" (steps),
 * "on_epoch": fn, "on_step": {"fn":..,"every":..}. options may be NULL.
 *
 * The weights are a function of the plan, the data and the seed; not of threads, of `ahead`, or of how often the fit was broken off and resumed.
 * patience > 0: stops after that many epochs without a better validation loss and restores the best weights. A loss that is not finite
 * is an error that names epoch, step, and what in the step is broken. A function that asks to stop ends the fit as if the epochs were over. */
/* A model in closed form is computed from the events of the training part; epochs_run is then 0, and of train only "split" counts. */
moon_status moon_fit(moon_model *model, const moon_dataset *dataset, const json_t *train, const moon_fit_options *options, moon_fit_report *report);
void moon_checkpoint_remove(const char *path); /* also what a kill in the middle of writing one left */

/* ---- metrics (metrics.c): pure functions over arrays ---------------------------------------------------------------------- */

/* score, label: [n]; a label above 0.5 is positive. NaN where n is 0 or any score or label is NaN: a model that diverged must not
 * look like a number. Predicted positive: score >= 0.5. */
double moon_accuracy(const float *score, const float *label, size_t n);
double moon_precision_of(const float *score, const float *label, size_t n); /* true / predicted positives; NaN without predicted ones */
double moon_recall_of(const float *score, const float *label, size_t n);    /* true positives / positives; NaN without any */
double moon_f1(const float *score, const float *label, size_t n);           /* harmonic mean of both: 2 TP / (2 TP + FP + FN) */
/* Ties count half (Mann-Whitney). NaN also with one class only, or no memory (two numbers an example). */
double moon_auc(const float *score, const float *label, size_t n);
/* Mean of the groups' AUC, each weighted by its examples; groups of one class say nothing (Zhu et al. 2017, "Optimized cost per click in
 * Taobao display advertising"). Group g is examples [start[g], start[g + 1]). NaN where no group says anything. */
double moon_grouped_auc(const float *score, const float *label, const size_t *start, size_t groups);
double moon_logloss(const float *score, const float *label, size_t n); /* natural log, scores clipped to [1e-7, 1 - 1e-7] */
/* Expected calibration error (Naeini, Cooper, Hauskrecht 2015): over ten equal ranges of the score, the mean distance of mean score and
 * share of positives, each range weighted by its examples. bins: what they are, or NULL; scores beyond [0, 1] fall into the outer ones. */
enum { MOON_CALIBRATION_BINS = 10 };
typedef struct moon_calibration_bin {
  size_t n;
  double score, rate; /* mean score, share of positives; 0 where n is */
} moon_calibration_bin;
double moon_calibration(const float *score, const float *label, size_t n, moon_calibration_bin bins[MOON_CALIBRATION_BINS]);

/* One ranked list: hit[i] = 1 where the i-th item is relevant; relevant = how many there are in all, NaN where there are none. A
 * list shorter than k misses at its end. Recall is hits in the first k / relevant (not / min(k, relevant)), as RecBole has it. */
double moon_recall_at(const uint8_t *hit, size_t n, size_t k, size_t relevant);
/* Binary gains, discount 1 / log2(1 + rank), over that of min(k, relevant) hits on top (Jarvelin & Kekalainen 2002); NaN at k 0. */
double moon_ndcg_at(const uint8_t *hit, size_t n, size_t k, size_t relevant);
double moon_hit_at(const uint8_t *hit, size_t n, size_t k, size_t relevant); /* 1 where one of the first k is relevant, else 0 */
double moon_mrr_at(const uint8_t *hit, size_t n, size_t k, size_t relevant); /* 1 / rank of the first hit (Voorhees 1999); 0 without */
/* Average precision: the sum over hits of (hits so far / rank), over min(k, relevant), as RecBole has it; NaN at k 0. */
double moon_map_at(const uint8_t *hit, size_t n, size_t k, size_t relevant);

/* What is recommended. Gini coefficient of how often each item is, count: [n]: 0 where all are alike, (n - 1) / n where one has all:
 * sum over i of (2 i - n - 1) count_i / (n sum of counts), rising, i from 1. NaN without any, or no memory. */
double moon_gini(const uint32_t *count, size_t n);
/* Mean of an information in bits over the first k of a list (mean self-information: Zhou et al. 2010); NaN of nothing. */
double moon_novelty_at(const double *information, size_t n, size_t k);
/* The share of pairs among the first k whose groups differ (Ziegler et al. 2005, with the distance 0 or 1); NaN without a pair. */
double moon_diversity_at(const uint32_t *group, size_t n, size_t k);

/* ---- evaluation (evaluate.c) ---------------------------------------------------------------------------------------------- */

/* How good a model is on the judged part, beside popularity, chance and item-kNN. Over its examples: accuracy, precision, recall, f1, auc,
 * gauc (by user), logloss, calibration. By full-catalogue ranking recall@k, ndcg@k, hit@k, mrr@k, map@k, and of what is recommended
 * coverage, gini, novelty, diversity (also @k; else the largest k asked for, or 20): for each user with a positive in the judged part (at
 * most max_users, chosen by hash), rank all listed items that the user had not touched before it, with the features as they were when it
 * began.
 *
 * Intervals hold 95 % of the metric's values over 1000 bootstrap samples of users, each with all their examples and their list; those of
 * calibration, coverage and Gini, which change with the size of a sample, are not given. A user's weight in a sample depends on the seed and
 * their id alone, so two models are resampled alike. Memory is a few numbers an example, and the lists. */
typedef struct moon_evaluation moon_evaluation;
typedef struct moon_evaluate_options {
  size_t max_users;  /* 0: 2000 */
  const char *slice; /* the items' text column to slice by and to see diversity in; NULL: of the first m.category, else "category" */
  const moon_progress *progress;
} moon_evaluate_options;
/* metrics: the plan's list of names (k up to 1000); unknown names are errors with the nearest. Borrows nothing. */
moon_status moon_evaluation_new(const moon_model *model, const moon_dataset *dataset, const json_t *metrics, uint64_t seed,
                                const moon_evaluate_options *options, moon_evaluation **out);
void moon_evaluation_free(moon_evaluation *evaluation);
/* As JSON (new reference); null for what has no value:
 * {"part":"test","examples":{"train":..,"validation":..,"test":..,"positive_rate":..,"sampled_negatives"?:..}, "users":N,
 *  "model":{"accuracy":..,"auc":..,"recall@20":..,"coverage":..}, "baselines":{"popular":{"auc":..,"recall@20":..},"random":..,"item-knn":..},
 *  "intervals":{"model":{"auc":[low,high],..},"popular":..,"random":..,"item-knn":..},
 *  "calibration":[{"examples":N,"score":..,"rate":..}, ten], "by_k":{"recall":{"model":[of k = 1 to 20],"popular":..,..},"ndcg":..,..},
 *  "slices":[{"name":"new users"|"new items"|"category = shoes","examples":N,"users":N,"model":..,"baselines":..,"intervals":..}]}
 * A slice has the examples of its users or items; of a list the hits among them. New is what has no event in the training part. */
moon_status moon_evaluation_report(const moon_evaluation *evaluation, json_t **out);
/* The first against the second, over the same examples and users (MOON_EINVAL where they differ), by a paired bootstrap (Efron & Tibshirani
 * 1993). JSON (new reference):
 *   {"auc":{"this":..,"other":..,"difference":..,"interval":[low,high],"p":..}, ..}
 * p: two-sided, twice the share of samples on the other side of 0. */
moon_status moon_evaluation_compare(const moon_evaluation *one, const moon_evaluation *other, json_t **out);
/* All of it at once: the report of a new evaluation. */
moon_status moon_evaluate(const moon_model *model, const moon_dataset *dataset, const json_t *metrics, uint64_t seed,
                          const moon_evaluate_options *options, json_t **out);

/* What the model's precision changes, against f32, over the examples of the judged part (new reference):
 * {"name":"int8","bytes":{"f32":..,"int8":..},"difference":{"most":..,"mean":..},"auc":{"f32":..,"int8":..},"logloss":{"f32":..,"int8":..}}
 * bytes are those of the compiled layers, without tables of embeddings; the difference is that of the scores. *out is NULL for f32. */
moon_status moon_precision_report(moon_model *model, const moon_dataset *dataset, json_t **out);

/* ---- bundles (bundle.c) --------------------------------------------------------------------------------------------------- */

/* A folder: manifest.json (format, name, sha256 and size of every other file, recipe hash, the kernels that fitted, what became of
 * the data's rows), recipe.lua and below lua/ the files that it required, plan.json,
 * vocab.json, catalogue.bin, state.bin, similar.bin, model.safetensors, metrics.json.
 * Same seed, data and kernels: the same bytes. */
typedef struct moon_bundle {
  char *name, *path;
  json_t *plan, *manifest, *metrics;
  moon_catalogue *catalogue;
  moon_feature_plan *feature_plan;
  moon_vocab **vocabs;
  moon_features *features;
  moon_state *state;
  moon_model *model;
  moon_precision precision; /* the plan's, in which the model scores */
  moon_similar *similar;
  moon_hnsw *index; /* of the items' embeddings by catalogue row, or NULL: moonshelf index made none */
} moon_bundle;
/* Whether a bundle may be written there: the path is free, or holds a bundle or an empty folder. Anything else is MOON_EINVAL, so that no
 * folder of the user's is ever replaced by a bundle. */
moon_status moon_bundle_may_write(const char *path);
typedef struct moon_script { /* a file that a script required: "rules/winter.lua" */
  char *name, *text;
  size_t n; /* bytes of text */
} moon_script;
typedef struct moon_recipe_source { /* borrowed */
  const char *text;
  size_t n;
  const moon_script *required;
  size_t required_n;
} moon_recipe_source;
/* Written beside `path` and swapped in when whole; a failure leaves what was at `path` untouched. */
moon_status moon_bundle_write(const char *path, const moon_recipe_source *source, const json_t *plan,
                              const moon_dataset *dataset, const moon_model *model, const moon_similar *similar, const json_t *metrics);
/* Every file is checked against the manifest; errors say which file and what is wrong. */
moon_status moon_bundle_open(const char *path, moon_bundle **out);
/* Appends the text of the recipe (file NULL), or of a file that it required. MOON_ENOTFOUND where the bundle keeps no such file. */
moon_status moon_bundle_script(const moon_bundle *bundle, const char *file, moon_buf *out);
void moon_bundle_close(moon_bundle *bundle);

/* ---- the index of a bundle (index.c) -------------------------------------------------------------------------------------- */

typedef struct moon_index_options {
  size_t m, ef_construction; /* as moon_hnsw_options; 0: its defaults */
  size_t least;              /* with fewer items no index is written, and what the bundle had goes: looking at all is as quick */
  size_t queries;            /* of the report, 0: 500 */
  const moon_progress *progress;
} moon_index_options;
/* Builds a graph of the items' embeddings, and puts it into the bundle's folder as nearest.bin, for whoever opens it next. At no
 * moment does the folder fail to open. MOON_EINVAL where the model has no embedding of items. What it finds of the ten nearest
 * to items' embeddings, against looking at all, is the report (new reference):
 * {"items","dim","written","bytes","memory_bytes","build_seconds","exact_us","recall":[{"ef","recall@10","us"}, ..]} */
moon_status moon_bundle_index(moon_bundle *bundle, const moon_index_options *options, json_t **report);

#endif
