/* rules_run.h - what the tests of rules share: a rule over a table, and a table of random events. */
#ifndef TEST_RULES_RUN_H
#define TEST_RULES_RUN_H
#include "unit/tables.h"

/* One rule, written without its brackets; report may be NULL. */
static inline moon_status run_rule(const char *rule, const char *data_dir, moon_table *table, moon_rule_report *report) {
  char text[1500];
  snprintf(text, sizeof text, "[%s]", rule);
  json_t *rules = json_of(text);
  const moon_preprocess_options options = {.source = {.data_dir = data_dir}};
  moon_rule_report unused;
  moon_status status = moon_preprocess(rules, table, &options, report ? report : &unused);
  json_decref(rules);
  return status;
}

/* Columns of `words`, the rule, what is left, and what it says. */
static inline void becomes(const char *text, const char *words, const char *rule, const char *left, const char *why) {
  moon_table *table = table_of(text, words);
  moon_rule_report report;
  OK(run_rule(rule, NULL, table, &report));
  HOLDS(table, left);
  assert_string_equal(report.why, why);
  assert_int_equal(report.after, table->rows);
  moon_table_free(table);
}

/* The rule is refused, and the table is as it was. */
static inline void refuses(const char *text, const char *words, const char *rule, moon_code code, const char *message) {
  moon_table *table = table_of(text, words);
  moon_buf before = {0};
  dump(table, &before);
  REFUSED(code, message, run_rule(rule, NULL, table, NULL));
  HOLDS(table, before.data);
  moon_buf_free(&before);
  moon_table_free(table);
}

/* Rows as plain arrays, for naive answers: user, item 0 is nobody; time -1 is none. */
enum { MOST_PLAIN = 300 };
typedef struct plain {
  int user[MOST_PLAIN], item[MOST_PLAIN], time[MOST_PLAIN];
  size_t n;
} plain;

static inline moon_table *random_events(moon_rng *rng, plain *p, uint32_t users, uint32_t items, uint32_t span) {
  moon_buf text = {0};
  p->n = moon_rng_below(rng, MOST_PLAIN);
  moon_buf_puts(&text, "user,item,time\n");
  for (size_t i = 0; i < p->n; i++) {
    p->user[i] = (int)moon_rng_below(rng, users + 1), p->item[i] = (int)moon_rng_below(rng, items + 1);
    p->time[i] = moon_rng_below(rng, 20) ? (int)moon_rng_below(rng, span) : -1;
    if (p->user[i]) moon_buf_printf(&text, "u%d", p->user[i]);
    moon_buf_puts(&text, ",");
    if (p->item[i]) moon_buf_printf(&text, "i%d", p->item[i]);
    moon_buf_puts(&text, ",");
    if (p->time[i] >= 0) moon_buf_printf(&text, "%d", p->time[i]);
    moon_buf_puts(&text, "\n");
  }
  moon_table *table = table_of(text.data, "user,item,time:time_s");
  moon_buf_free(&text);
  return table;
}

/* The rows that a naive answer keeps, as dump writes them. */
static inline void dump_plain(const plain *p, const uint8_t *keep, moon_buf *out) {
  moon_buf_puts(out, "");
  size_t kept = 0;
  for (size_t i = 0; i < p->n; i++) {
    if (!keep[i]) continue;
    moon_buf_puts(out, kept++ ? ";" : "");
    p->user[i] ? moon_buf_printf(out, "u%d|", p->user[i]) : moon_buf_puts(out, "-|");
    p->item[i] ? moon_buf_printf(out, "i%d|", p->item[i]) : moon_buf_puts(out, "-|");
    p->time[i] >= 0 ? moon_buf_printf(out, "%lld", p->time[i] * (long long)MOON_SECOND) : moon_buf_puts(out, "-");
  }
}

#endif
