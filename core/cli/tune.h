/* tune.h - what the files of `moonshelf tune` share: the space that a recipe opens with m.tune, trials in it, and their files.
 *
 * A trial is a file, FOLDER/trials/003.json, that is the question first and then the answer, too:
 *
 *   {"trial":3, "metric":"auc", "tune":[{"name","where","pick","value"}, ...],
 *    "runs":[{"until":2,"value":0.71,"epochs":2,"seconds":0.4}, {"until":0,"error":"the loss is nan in epoch 3, .."}]}
 *
 * It is replaced in one step by the process that ran it, so that whatever dies, each trial is done or not done. "until" is the epoch
 * after which a run stopped, 0 for the end. */
#ifndef MOON_CLI_TUNE_H
#define MOON_CLI_TUNE_H
#include "cli/report.h"

/* ---- the space (tune_space.c) --------------------------------------------------------------------------------------------- */

typedef enum tune_kind { TUNE_CHOICE, TUNE_RANGE, TUNE_LOG } tune_kind;
typedef struct tune_param {
  const char *name, *where; /* borrowed from the plan, as `values` is */
  tune_kind kind;
  const json_t *values;     /* CHOICE */
  double low, high, step;   /* RANGE, LOG */
  bool whole;
  size_t count;             /* values in a grid */
  const json_t *first;      /* the pick without a search */
} tune_param;
typedef struct tune_space {
  tune_param *params;
  size_t n;
} tune_space;
/* From the plan of the recipe as it is without a search. MOON_EINVAL where there is nothing to search. */
moon_status tune_space_new(const json_t *plan, tune_space *out);
void tune_space_free(tune_space *space);
/* How many trials a grid has; SIZE_MAX where more. */
size_t tune_grid_size(const tune_space *space);
/* The "tune" of trial i from 0; the last parameter changes fastest. New reference, or NULL for want of memory. */
json_t *tune_grid_trial(const tune_space *space, size_t i);
/* The first n trials at random, or as many as there are different ones: the first is the recipe as it is. A list of fewer is the
 * beginning of one of more. New reference, or NULL. */
json_t *tune_random_trials(const tune_space *space, uint64_t seed, size_t n);

/* ---- a trial's file (tune_trial.c) ------------------------------------------------------------------------------------------ */

/* The "tune" of a trial's file, or of the best trial in a search's tune.json. New reference. */
moon_status tune_read_values(const char *path, json_t **out);
moon_status tune_read_trial(const char *path, json_t **out);
moon_status tune_write_json(const char *path, const json_t *json);
/* The run that stopped after epoch `until`, borrowed; NULL: there is none. */
json_t *tune_trial_run(const json_t *trial, size_t until);
/* Puts a run in the place of the one with its "until"; takes the reference. */
moon_status tune_trial_answer(const char *path, json_t *run);
bool tune_lower_is_better(const char *metric);

/* ---- workers (tune_run.c) --------------------------------------------------------------------------------------------------- */

typedef struct tune_job {
  const char *recipe_path, *data_dir, *out, *metric, *search_name, *seed_text;
  size_t trials_wanted, workers, threads, max_bad_rows;
  uint64_t seed;
  bool resume;
  json_t *plan;
  char recipe_hash[65];
  tune_space space;
  json_t *trials;  /* each as its file has it */
  size_t best;     /* a trial, while there is one */
  bool has_best;
  size_t done, due; /* runs */
  bool interrupted;
  json_t *metrics; /* of the best bundle */
  cli_progress bar;
} tune_job;

char *tune_trial_path(const tune_job *job, size_t trial); /* owned */
/* Runs those of `trials` [n] that have not run until that epoch, on job->workers processes. */
moon_status tune_run_trials(tune_job *job, const size_t *trials, size_t n, size_t until);
/* Runs `moonshelf ARGV..` and waits for it; what it says goes to the file `log`. *code: its exit code, or 128 and more. */
moon_status tune_run_command(tune_job *job, char *const *argv, const char *log, int *code);
/* Whether trial a is better than b: further, then better by the metric, then earlier. */
bool tune_is_better(const tune_job *job, size_t a, size_t b);
/* The last run of a trial where that has a value, else NULL. */
const json_t *tune_last_run(const json_t *trial);

/* ---- results (tune_report.c, tune_page.c) ------------------------------------------------------------------------------------- */

json_t *tune_result(const tune_job *job); /* what tune.json holds; NULL for want of memory */
void tune_print(const json_t *result);    /* stdout: a table, best first */
moon_status tune_page(const json_t *result, moon_buf *out); /* HTML, whole in itself */

#endif
