/* rules_users.c - rules about who did what, and when: sessionize, k_core, bots.
 *
 * One idea: rows grouped by user (or item) in one counting sort, in the order of time where that matters. */
#include <string.h>

#include "data/rules.h"

static moon_status require(const moon_rule *rule, const char *name, moon_type type, moon_column **out) {
  MOON_TRY(moon_table_require(rule->table, name, out));
  if ((*out)->type == type) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s: column %s must be %s", rule->table->name, name, type == MOON_TIME ? "a time" : "a string");
}

static moon_status count_option(const moon_rule *rule, const char *key, bool needed, uint64_t *out) {
  const json_t *value = json_object_get(rule->spec, key);
  json_int_t number = json_integer_value(value);
  if (value ? !json_is_integer(value) || number < 1 : needed)
    return moon_fail(MOON_EINVAL, "%s must be a whole number, 1 or more", key);
  *out = (uint64_t)number;
  return moon_ok();
}

/* Times rise, so that the difference is exact without a sign. */
static uint64_t passed(int64_t from, int64_t to) {
  return (uint64_t)to - (uint64_t)from;
}

static const char *plural(size_t n) {
  return n == 1 ? "" : "s";
}

/* ---- sessions --------------------------------------------------------------------------------------------------------- */

typedef struct visit { /* of a user: the last event, and its session */
  int64_t time, session;
} visit;

static moon_status number_sessions(moon_rule *rule, const moon_column *user, const moon_column *time, uint64_t gap,
                                   moon_column *out) {
  size_t users = moon_dict_count(user->dict);
  int64_t sessions = 0;
  uint32_t *order = NULL;
  MOON_TRY(moon_column_order(time, &order));
  visit *last = moon_calloc(users, sizeof *last); /* session 0: none yet */
  for (size_t i = 0; i < time->n && last; i++) {
    uint32_t row = order[i], who = user->code[row];
    int64_t now = time->i64[row];
    if (who == MOON_NONE || now == MOON_NULL_INT) continue;
    if (!last[who].session || passed(last[who].time, now) > gap) last[who].session = ++sessions;
    last[who].time = now;
    out->i64[row] = last[who].session;
  }
  moon_status status = last ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
  moon_free(last);
  moon_free(order);
  moon_rule_say(rule, "%lld session%s", (long long)sessions, plural((size_t)sessions));
  return status;
}

moon_status moon_rule_sessionize(moon_rule *rule) {
  moon_column *user, *time, *session;
  uint64_t gap;
  moon_table *fresh = NULL;
  MOON_TRY(count_option(rule, "gap_us", true, &gap));
  MOON_TRY(require(rule, "user", MOON_STRING, &user));
  MOON_TRY(require(rule, "time", MOON_TIME, &time));
  if (moon_table_column(rule->table, "session"))
    return moon_fail(MOON_EINVAL, "%s has a column 'session' already; m.rename gives it another name", rule->table->name);
  MOON_TRY(moon_table_new(rule->table->name, &fresh));
  fresh->rows = rule->table->rows;
  moon_status status = moon_table_add_column(fresh, "session", MOON_INTEGER, &session);
  if (!status.code) status = number_sessions(rule, user, time, gap, session);
  if (!status.code) status = moon_table_adopt(rule->table, fresh);
  moon_table_free(fresh);
  return status;
}

/* ---- the core --------------------------------------------------------------------------------------------------------- */

/* Users, or items: how many rows each has left, and how many it needs. */
typedef struct side {
  const moon_column *column;
  moon_groups rows;
  uint32_t *left;
  uint64_t least; /* 0: any */
  size_t gone;
} side;

static moon_status side_init(side *s, const uint8_t *wanted) {
  MOON_TRY(moon_groups_new(s->column, NULL, wanted, &s->rows));
  s->left = moon_alloc(s->rows.n * sizeof *s->left);
  if (!s->left) return moon_fail(MOON_ENOMEM, "no memory to count %zu ids", s->rows.n);
  for (size_t c = 0; c < s->rows.n; c++) s->left[c] = s->rows.start[c + 1] - s->rows.start[c];
  return moon_ok();
}

/* Whoever has too few goes, with their rows; that may leave others with too few. `doomed` is a stack of code * 2 + side with room
 * for all, since each is put there once: when it has too few from the start, or falls below. */
static void peel(side sides[2], uint8_t *keep, uint64_t *doomed) {
  size_t top = 0;
  for (size_t s = 0; s < 2; s++)
    for (size_t c = 0; c < sides[s].rows.n; c++)
      if (sides[s].left[c] && sides[s].left[c] < sides[s].least) doomed[top++] = c * 2 + s, sides[s].gone++;
  while (top) {
    uint64_t entry = doomed[--top];
    const moon_groups *rows = &sides[entry & 1].rows;
    side *other = &sides[!(entry & 1)];
    for (uint32_t i = rows->start[entry / 2]; i < rows->start[entry / 2 + 1]; i++) {
      uint32_t row = rows->row[i], code = other->column->code[row];
      if (!keep[row]) continue;
      keep[row] = 0;
      if (other->left[code]-- == other->least) doomed[top++] = (uint64_t)code * 2 + !(entry & 1), other->gone++;
    }
  }
}

moon_status moon_rule_k_core(moon_rule *rule) {
  moon_column *columns[2];
  side sides[2] = {{0}, {0}};
  static const char *const names[2] = {"user", "item"};
  for (int s = 0; s < 2; s++) {
    MOON_TRY(count_option(rule, names[s], false, &sides[s].least));
    MOON_TRY(require(rule, names[s], MOON_STRING, &columns[s]));
    sides[s].column = columns[s];
  }
  size_t nameless = 0;
  for (size_t row = 0; row < rule->table->rows; row++)
    if (columns[0]->code[row] == MOON_NONE || columns[1]->code[row] == MOON_NONE) rule->keep[row] = 0, nameless++;
  moon_status status = side_init(&sides[0], rule->keep);
  if (!status.code) status = side_init(&sides[1], rule->keep);
  uint64_t *doomed = status.code ? NULL : moon_alloc((sides[0].rows.n + sides[1].rows.n) * sizeof *doomed);
  if (!status.code && !doomed) status = moon_fail(MOON_ENOMEM, "no memory to thin out %zu rows", rule->table->rows);
  if (!status.code) peel(sides, rule->keep, doomed);
  moon_rule_say(rule, "%zu user%s and %zu item%s had too few", sides[0].gone, plural(sides[0].gone), sides[1].gone,
                plural(sides[1].gone));
  if (nameless) moon_rule_say(rule, ", %zu row%s had no user or item", nameless, plural(nameless));
  for (int s = 0; s < 2; s++) {
    moon_groups_free(&sides[s].rows);
    moon_free(sides[s].left);
  }
  moon_free(doomed);
  return status;
}

/* ---- bots ------------------------------------------------------------------------------------------------------------- */

/* Whether most + 1 of the rows, which come in the order of time, are within less than `over`. */
static bool rushes(const moon_groups *rows, size_t user, const moon_column *time, uint64_t over, uint64_t most) {
  for (uint64_t i = rows->start[user] + most; i < rows->start[user + 1]; i++)
    if (passed(time->i64[rows->row[i - most]], time->i64[rows->row[i]]) < over) return true;
  return false;
}

static moon_status drop_bots(moon_rule *rule, const moon_column *user, const moon_groups *rows, const moon_column *time,
                             uint64_t over, uint64_t most) {
  size_t bots = 0;
  uint8_t *bot = moon_calloc(rows->n, 1);
  if (!bot) return moon_fail(MOON_ENOMEM, "no memory for %zu users", rows->n);
  for (size_t u = 0; u < rows->n; u++) bots += bot[u] = rushes(rows, u, time, over, most);
  for (size_t row = 0; row < user->n; row++) rule->keep[row] = user->code[row] == MOON_NONE || !bot[user->code[row]];
  moon_free(bot);
  moon_rule_say(rule, "%zu user%s did more", bots, plural(bots));
  return moon_ok();
}

/* A bot's slow hours are no better than its fast ones: all rows of a user go who was too fast once. */
moon_status moon_rule_bots(moon_rule *rule) {
  moon_column *user, *time;
  uint64_t over, most;
  MOON_TRY(count_option(rule, "over_us", true, &over));
  MOON_TRY(count_option(rule, "most", true, &most));
  MOON_TRY(require(rule, "user", MOON_STRING, &user));
  MOON_TRY(require(rule, "time", MOON_TIME, &time));
  uint32_t *order = NULL;
  moon_groups rows = {0};
  MOON_TRY(moon_column_order(time, &order));
  for (size_t row = 0; row < time->n; row++)
    rule->keep[row] = time->i64[row] != MOON_NULL_INT; /* for now: those that have a time */
  moon_status status = moon_groups_new(user, order, rule->keep, &rows);
  if (!status.code) status = drop_bots(rule, user, &rows, time, over, most);
  moon_groups_free(&rows);
  moon_free(order);
  return status;
}
