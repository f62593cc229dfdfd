/* leaks.c - does a feature know what it cannot know?
 *
 * Counters and histories cannot: the replay computes before it applies. What can are rules and functions that see the whole table before
 * the replay begins, such as a sum over all of a user's rows that is put into a column. So the log is cut, and everything that the cut
 * cannot have changed is computed once more: a number that differs was made of what came later. A column that was written down after the
 * fact does not differ; that is what the second look is for, at how well a feature alone tells the label. */
#include <math.h>
#include <string.h>

#include "rank/dataset.h"

/* ---- findings ------------------------------------------------------------------------------------------------------------------- */

static moon_status note(json_t *findings, const char *level, const char *place, const char *feature, const char *message) {
  json_t *finding = json_pack("{s:s, s:s, s:s*, s:s}", "level", level, "place", place ? place : "recipe", "feature", feature, "message", message);
  return json_array_append_new(findings, finding) ? moon_fail(MOON_ENOMEM, "no memory for findings") : moon_ok();
}

/* Whether the example is an event as it was observed, not a sampled negative. */
static bool observed(const moon_dataset *d, size_t example) {
  return !d->examples.item || d->examples.item[example] == d->log->events[d->examples.event[example]].item;
}

/* ---- the log cut short ---------------------------------------------------------------------------------------------------------- */

typedef struct look {
  const json_t *plan;
  const moon_dataset *whole;
  const moon_look_options *options;
  json_t *findings;
  uint8_t *told; /* [features] of which a finding was made */
  bool rules_told;
} look;

static bool same_text(const moon_dict *a, uint32_t x, const moon_dict *b, uint32_t y) {
  size_t n = moon_dict_length(a, x);
  return n == moon_dict_length(b, y) && !memcmp(moon_dict_text(a, x), moon_dict_text(b, y), n);
}

static bool same_event(const moon_dataset *a, const moon_event *x, const moon_dataset *b, const moon_event *y) {
  return x->time == y->time && same_text(a->log->users, x->user, b->log->users, y->user) &&
         same_text(a->log->kinds, x->kind, b->log->kinds, y->kind) &&
         !strcmp(moon_catalogue_id(a->catalogue, x->item), moon_catalogue_id(b->catalogue, y->item));
}

static void word_text(const moon_feature *f, uint32_t word, char out[32]) {
  float x;
  memcpy(&x, &word, sizeof x);
  if (f->kind == MOON_KIND_NUMBER) moon_number_text((double)x, 7, out);
  else snprintf(out, 32, "id %u", word);
}

static moon_status tell(look *l, const moon_feature *f, size_t example, uint32_t whole, uint32_t cut, int64_t until) {
  const moon_dataset *d = l->whole;
  const moon_event *e = &d->log->events[d->examples.event[example]];
  char message[512], at[32], by[32], a[32], b[32];
  moon_time_format(e->time, at);
  moon_time_format(until, by);
  word_text(f, whole, a);
  word_text(f, cut, b);
  snprintf(message, sizeof message, "%s knows its future: in row %u of the events (user %.60s, item %.60s, %s) it is %s with the whole log, and %s with "
           "what had happened by %s", f->name, e->row + 1, moon_dict_text(d->log->users, e->user), moon_catalogue_id(d->catalogue, e->item), at, a, b, by);
  return note(l->findings, "error", f->where, f->name, message);
}

static moon_status compare(look *l, const moon_dataset *cut, size_t row, size_t example, int64_t until) {
  for (size_t i = 0; i < l->whole->plan->feature_count; i++) {
    const moon_feature *f = &l->whole->plan->features[i];
    size_t n, k = 0;
    const uint32_t *a = moon_input_words(l->whole->plan, f, &l->whole->inputs, example, &n),
                   *b = moon_input_words(cut->plan, f, &cut->inputs, row, &n);
    if (l->told[i] || !memcmp(a, b, n * sizeof *a)) continue;
    while (a[k] == b[k]) k++;
    l->told[i] = 1;
    MOON_TRY(tell(l, f, example, a[k], b[k], until));
  }
  return moon_ok();
}

/* Where a cut changes which rows are there, what is counted of them follows; so the rules that do so are named and not each feature.
 * Answers how many of preprocess do by their nature. */
static moon_status tell_rules(look *l, size_t apart, int64_t until, size_t *named) {
  static const char *const by_all[] = {"k_core", "bots"};
  const json_t *rule;
  size_t i;
  char message[512], by[32];
  moon_time_format(until, by);
  *named = 0;
  json_array_foreach(json_object_get(l->plan, "preprocess"), i, rule) {
    const char *op = json_string_value(json_object_get(rule, "op"));
    bool known = false;
    for (size_t k = 0; op && k < sizeof by_all / sizeof *by_all; k++) known |= !strcmp(op, by_all[k]);
    if (!known) continue;
    ++*named;
    snprintf(message, sizeof message, "m.%s chooses rows by what comes later: with the log cut at %s, %zu of the events up to then are chosen otherwise. "
             "What is counted of them was not compared", op, by, apart);
    if (!l->rules_told) MOON_TRY(note(l->findings, "warning", json_string_value(json_object_get(rule, "where")), NULL, message));
  }
  l->rules_told = *named > 0;
  return moon_ok();
}

static moon_status tell_choice(look *l, size_t apart, int64_t until) {
  size_t named;
  char message[512], by[32];
  bool told = l->rules_told;
  moon_time_format(until, by);
  MOON_TRY(tell_rules(l, apart, until, &named));
  if (named || told) return moon_ok();
  l->rules_told = true;
  snprintf(message, sizeof message, "a rule of preprocess knows the future: with the log cut at %s, %zu of the events up to then are chosen otherwise",
           by, apart);
  return note(l->findings, "error", json_string_value(json_object_get(l->plan, "where")), NULL, message);
}

/* The cut log cannot be prepared: a rule left nothing of it, or it has no times to be cut by. */
static moon_status tell_failure(look *l, moon_status why, int64_t until) {
  size_t named, before = 0;
  if (why.code != MOON_EFORMAT && why.code != MOON_ENOTFOUND) return why;
  while (before < l->whole->log->n && l->whole->log->events[before].time <= until) before++;
  MOON_TRY(tell_rules(l, before, until, &named));
  return named ? moon_ok() : note(l->findings, "warning", NULL, NULL, why.message);
}

/* The place in the whole log of each event of the cut one, MOON_NONE where it is not; answers how many are in one of them only. */
static size_t match(const moon_dataset *whole, const moon_dataset *cut, int64_t until, uint32_t *place) {
  size_t j = 0, apart = 0;
  for (size_t i = 0; i < cut->log->n; i++) {
    const moon_event *e = &cut->log->events[i];
    size_t k = j;
    while (k < whole->log->n && whole->log->events[k].time <= e->time && !same_event(whole, &whole->log->events[k], cut, e)) k++;
    bool found = k < whole->log->n && whole->log->events[k].time <= e->time;
    place[i] = found ? (uint32_t)k : MOON_NONE;
    apart += found ? k - j : 1;
    if (found) j = k + 1;
  }
  for (; j < whole->log->n && whole->log->events[j].time <= until; j++) apart++;
  return apart;
}

static moon_status compare_logs(look *l, const moon_dataset *cut, int64_t until) {
  const moon_dataset *d = l->whole;
  uint32_t *place = moon_alloc(cut->log->n * sizeof *place);
  if (!place) return moon_fail(MOON_ENOMEM, "no memory to match %zu events", cut->log->n);
  moon_status status = moon_ok();
  size_t apart = match(d, cut, until, place);
  if (apart) status = tell_choice(l, apart, until);
  for (size_t i = 0, next = 0; i < cut->log->n && !apart && !status.code; i++) {
    while (next < d->examples.n && (d->examples.event[next] < place[i] || !observed(d, next))) next++;
    if (next < d->examples.n && d->examples.event[next] == place[i]) status = compare(l, cut, i, next, until);
  }
  moon_free(place);
  return status;
}

static moon_status look_at(look *l, int64_t until) {
  moon_dataset *cut = NULL;
  moon_dataset_options options = *l->options->dataset;
  moon_row_functions functions;
  if (l->options->renew) {
    MOON_TRY(l->options->renew(l->options->self, &functions));
    options.functions = &functions;
  }
  options.vocabs = l->whole->vocabs, options.until = &until, options.rejects = NULL;
  moon_status status = moon_dataset_new(l->plan, &options, &cut);
  status = status.code ? tell_failure(l, status, until) : compare_logs(l, cut, until);
  moon_dataset_free(cut);
  return status;
}

moon_status moon_look_ahead(const json_t *plan, const moon_dataset *dataset, const moon_look_options *options, json_t **out) {
  size_t cuts = options->cuts;
  look l = {.plan = plan, .whole = dataset, .options = options, .findings = json_array()};
  l.told = moon_calloc(dataset->plan->feature_count, 1);
  moon_status status = l.told && l.findings ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to look for leaks");
  for (size_t i = 1; i <= cuts && !status.code; i++) {
    if (!moon_progress_step(options->dataset->progress, "look ahead", (double)(i - 1) / (double)cuts, NULL))
      status = moon_fail(MOON_ECANCELED, "interrupted while looking for leaks");
    else status = look_at(&l, dataset->log->events[dataset->log->n * i / (cuts + 1)].time);
  }
  moon_free(l.told);
  if (status.code) json_decref(l.findings);
  else *out = l.findings;
  return status;
}

/* ---- how well one feature alone tells the label ----------------------------------------------------------------------------------- */

enum { MOST = 100000, LEAST_OF_A_CLASS = 30 };
#define SUSPICIOUS 0.95

typedef struct sample { /* of the observed examples */
  uint32_t *row;
  float *label, *score;
  size_t n;
} sample;

static bool shown(const moon_dataset *d, size_t example) { return observed(d, example) && moon_dataset_row(d, example) != MOON_NONE; }

static moon_status draw(const moon_dataset *d, sample *s) {
  size_t all = 0, seen = 0;
  for (size_t i = 0; i < d->examples.n; i++) all += shown(d, i);
  size_t each = all / MOST + 1, room = all / each + 1;
  s->row = moon_alloc(room * sizeof *s->row);
  s->label = moon_alloc(room * sizeof *s->label);
  s->score = moon_alloc(room * sizeof *s->score);
  if (!s->row || !s->label || !s->score) return moon_fail(MOON_ENOMEM, "no memory to look at %zu examples", room);
  for (size_t i = 0; i < d->examples.n; i++) {
    if (!shown(d, i) || seen++ % each) continue;
    s->row[s->n] = (uint32_t)i;
    s->label[s->n++] = d->examples.label[i];
  }
  return moon_ok();
}

static void score_number(const moon_dataset *d, sample *s, size_t slot) {
  for (size_t i = 0; i < s->n; i++) s->score[i] = d->inputs.dense[moon_dataset_row(d, s->row[i]) * d->plan->dense_slots + slot];
}

/* Each id is worth the share of positives that it has among the other half of the examples, even and odd. */
static moon_status score_id(const moon_dataset *d, sample *s, size_t slot, size_t rows) {
  float *won = moon_calloc(rows * 4, sizeof *won), *all = won + rows * 2; /* [2, rows] each */
  if (!won) return moon_fail(MOON_ENOMEM, "no memory to look at %zu ids", rows);
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < s->n; i++) {
      uint32_t id = d->inputs.ids[moon_dataset_row(d, s->row[i]) * d->plan->id_slots + slot];
      size_t own = (i & 1) * rows + id, other = (~i & 1) * rows + id;
      if (pass) s->score[i] = (won[other] + 0.5f) / (all[other] + 1);
      else won[own] += s->label[i] > 0.5f, all[own]++;
    }
  }
  moon_free(won);
  return moon_ok();
}

static moon_status judge(const sample *s, const moon_feature *f, const char *name, json_t *findings) {
  double auc = moon_auc(s->score, s->label, s->n);
  char message[512];
  if (isnan(auc) || (auc < SUSPICIOUS && auc > 1 - SUSPICIOUS)) return moon_ok();
  snprintf(message, sizeof message, "%s alone has an AUC of %.3f on %zu examples: does it know the label?", name, auc, s->n);
  return note(findings, "warning", f->where, f->name, message);
}

static moon_status look_at_feature(const moon_dataset *d, sample *s, size_t i, json_t *findings) {
  const moon_feature *f = &d->plan->features[i];
  for (size_t w = 0; w < f->width && f->kind == MOON_KIND_NUMBER; w++) {
    score_number(d, s, f->slot + w);
    MOON_TRY(judge(s, f, d->plan->dense_names[f->slot + w], findings));
  }
  if (f->kind != MOON_KIND_ID) return moon_ok();
  MOON_TRY(score_id(d, s, f->slot, moon_feature_rows(f, d->vocabs[i])));
  return judge(s, f, f->name, findings);
}

moon_status moon_suspects(const moon_dataset *d, json_t **out) {
  sample s = {0};
  size_t positives = 0;
  json_t *findings = json_array();
  moon_status status = findings ? draw(d, &s) : moon_fail(MOON_ENOMEM, "no memory for findings");
  for (size_t i = 0; i < s.n; i++) positives += s.label[i] > 0.5f;
  bool enough = positives >= LEAST_OF_A_CLASS && s.n - positives >= LEAST_OF_A_CLASS;
  for (size_t i = 0; i < d->plan->feature_count && enough && !status.code; i++) status = look_at_feature(d, &s, i, findings);
  moon_free(s.row);
  moon_free(s.label);
  moon_free(s.score);
  if (status.code) json_decref(findings);
  else *out = findings;
  return status;
}
