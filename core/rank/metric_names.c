/* metric_names.c - the names that a recipe's `evaluate` may list. */
#include <stdlib.h>
#include <string.h>

#include "rank/evaluate.h"

typedef enum at_k { WITHOUT, OPTIONAL, WITH } at_k;
static const struct {
  const char *name;
  moon_metric_kind kind;
  at_k k;
} known[] = {
    {"accuracy", MOON_METRIC_ACCURACY, WITHOUT},    {"precision", MOON_METRIC_PRECISION, WITHOUT},
    {"recall", MOON_METRIC_RECALL, WITHOUT},        {"f1", MOON_METRIC_F1, WITHOUT},
    {"auc", MOON_METRIC_AUC, WITHOUT},              {"gauc", MOON_METRIC_GAUC, WITHOUT},
    {"logloss", MOON_METRIC_LOGLOSS, WITHOUT},      {"calibration", MOON_METRIC_CALIBRATION, WITHOUT},
    {"recall", MOON_METRIC_RECALL_AT, WITH},        {"ndcg", MOON_METRIC_NDCG_AT, WITH},
    {"hit", MOON_METRIC_HIT_AT, WITH},              {"mrr", MOON_METRIC_MRR_AT, WITH},
    {"map", MOON_METRIC_MAP_AT, WITH},              {"coverage", MOON_METRIC_COVERAGE, OPTIONAL},
    {"gini", MOON_METRIC_GINI, OPTIONAL},           {"novelty", MOON_METRIC_NOVELTY, OPTIONAL},
    {"diversity", MOON_METRIC_DIVERSITY, OPTIONAL},
};
enum { KNOWN = sizeof known / sizeof *known };

static moon_status unknown(const char *name) {
  char texts[KNOWN][24];
  const char *names[KNOWN];
  for (size_t i = 0; i < KNOWN; i++) {
    size_t n = strlen(known[i].name);
    memcpy(texts[i], known[i].name, n);
    memcpy(texts[i] + n, known[i].k == WITH ? "@20" : "", known[i].k == WITH ? 4 : 1);
    names[i] = texts[i];
  }
  const char *near = moon_nearest(name, names, KNOWN);
  return moon_fail(MOON_EINVAL, "evaluate: there is no metric '%s'%s%s%s", name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* What follows the '@': 1 to MOON_MOST_K, or 0 where it is no such number. */
static size_t parse_k(const char *text) {
  char *end;
  unsigned long value = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
  return value >= 1 && value <= MOON_MOST_K && !*end ? value : 0;
}

static moon_status parse_metric(const char *name, moon_metric *out) {
  const char *at = strchr(name, '@');
  size_t n = at ? (size_t)(at - name) : strlen(name), k = at ? parse_k(at + 1) : 0;
  if (at && !k) return unknown(name);
  for (size_t i = 0; i < KNOWN; i++) {
    if (strlen(known[i].name) != n || strncmp(known[i].name, name, n) || known[i].k == (at ? WITHOUT : WITH)) continue;
    *out = (moon_metric){.name = name, .kind = known[i].kind, .k = k};
    return moon_ok();
  }
  return unknown(name);
}

/* What stands before a dot is a task; its head scores examples, and ranks nothing. */
static moon_status parse_of(const char *name, const char *const *tasks, size_t task_n, moon_metric *out) {
  const char *dot = strchr(name, '.'), *known_tasks[MOON_MOST_TASKS], *near;
  if (!dot) return parse_metric(name, out);
  size_t n = 0, length = (size_t)(dot - name);
  for (size_t t = 0; t < task_n && t < MOON_MOST_TASKS; t++) {
    if (!tasks[t]) continue;
    known_tasks[n++] = tasks[t];
    if (strlen(tasks[t]) != length || strncmp(tasks[t], name, length)) continue;
    MOON_TRY(parse_metric(dot + 1, out));
    out->name = name, out->of = 1 + t;
    if (out->kind < MOON_METRIC_RECALL_AT) return moon_ok();
    return moon_fail(MOON_EINVAL, "evaluate: %s: lists are ranked by the score, not by a task's head: write %s", name, dot + 1);
  }
  char task[64] = "";
  if (length < sizeof task) memcpy(task, name, length);
  near = moon_nearest(task, known_tasks, n);
  return moon_fail(MOON_EINVAL, "evaluate: %s: there is no task '%s'%s%s%s", name, task, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

moon_status moon_metrics_parse(const json_t *names, const char *const *tasks, size_t task_n, moon_metric *out, size_t *n, size_t *most_k) {
  *n = json_array_size(names);
  *most_k = 0;
  if (!*n || *n > MOON_MOST_METRICS) return moon_fail(MOON_EINVAL, "evaluate: 1 to %d metrics, not %zu", MOON_MOST_METRICS, *n);
  for (size_t i = 0; i < *n; i++) {
    const char *name = json_string_value(json_array_get(names, i));
    if (!name) return moon_fail(MOON_EINVAL, "evaluate: metric %zu is not a name", i + 1);
    MOON_TRY(parse_of(name, tasks, task_n, &out[i]));
    if (out[i].k > *most_k) *most_k = out[i].k;
  }
  if (!*most_k) *most_k = 20;
  for (size_t i = 0; i < *n; i++)
    if (!out[i].k) out[i].k = *most_k;
  return moon_ok();
}
