/* rules_cells.c - rules that change what stands in a column: fill, cast, rename, clip, time_zone.
 *
 * Everything that can go wrong is looked at before the first cell changes; a cast fills a new column and swaps it in. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/rules.h"
#include "data/value.h"

static const char *text_of(const json_t *entry, const char *key) {
  return json_string_value(json_object_get(entry, key));
}

static moon_status need_numbers(const moon_column *column) {
  if (column->type == MOON_NUMBER || column->type == MOON_INTEGER) return moon_ok();
  return moon_fail(MOON_EINVAL, "column %s holds %s, not numbers", column->name,
                   column->type == MOON_STRING ? "strings" : "times");
}

/* ---- fill ------------------------------------------------------------------------------------------------------------- */

typedef struct filling {
  double number; /* or, for strings, */
  uint32_t code;
  char text[48]; /* for the report */
} filling;

static moon_status mean_of(const moon_column *column, double *out) {
  double sum = 0;
  size_t n = 0;
  for (size_t row = 0; row < column->n; row++) {
    if (moon_column_is_null(column, row)) continue;
    sum += moon_column_number(column, row);
    n++;
  }
  if (!n) return moon_fail(MOON_EINVAL, "column %s has no value to take the mean of", column->name);
  *out = sum / (double)n;
  return moon_ok();
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static moon_status median_of(const moon_column *column, double *out) {
  double *values = moon_alloc(column->n * sizeof *values);
  if (!values) return moon_fail(MOON_ENOMEM, "no memory for %zu numbers", column->n);
  size_t n = 0;
  for (size_t row = 0; row < column->n; row++)
    if (!moon_column_is_null(column, row)) values[n++] = moon_column_number(column, row);
  qsort(values, n, sizeof *values, by_size);
  if (n) *out = n % 2 ? values[n / 2] : values[n / 2 - 1] / 2 + values[n / 2] / 2;
  moon_free(values);
  return n ? moon_ok() : moon_fail(MOON_EINVAL, "column %s has no value to take the median of", column->name);
}

static moon_status number_for(const moon_column *column, const json_t *value, double *out) {
  static const char *const names[] = {"mean", "median"};
  const char *name = json_string_value(value);
  MOON_TRY(need_numbers(column));
  if (json_is_number(value)) {
    *out = json_number_value(value);
    if (column->type == MOON_INTEGER && (*out != trunc(*out) || fabs(*out) > 0x1p53))
      return moon_fail(MOON_EINVAL, "column %s holds whole numbers; %g is none", column->name, *out);
    return moon_ok();
  }
  bool mean = name && !strcmp(name, names[0]);
  if (!name || (!mean && strcmp(name, names[1]))) {
    const char *near = name ? moon_nearest(name, names, 2) : NULL;
    return moon_fail(MOON_EINVAL, "column %s is filled with a number, \"mean\" or \"median\"%s%s%s%s%s", column->name,
                     name ? ", not '" : "", name ? name : "", name ? "'" : "", near ? "; did you mean " : "", near ? near : "");
  }
  MOON_TRY(mean ? mean_of(column, out) : median_of(column, out));
  if (column->type == MOON_INTEGER) *out = nearbyint(*out);
  return moon_ok();
}

static moon_status filling_for(const moon_column *column, const json_t *value, filling *out) {
  if (column->type == MOON_STRING) {
    const char *text = json_string_value(value);
    if (!text || !*text) return moon_fail(MOON_EINVAL, "column %s holds strings: it is filled with a text", column->name);
    snprintf(out->text, sizeof out->text, "'%.40s'", text);
    return moon_dict_add(column->dict, text, strlen(text), &out->code);
  }
  MOON_TRY(number_for(column, value, &out->number));
  moon_number_text(out->number, 6, out->text);
  return moon_ok();
}

moon_status moon_rule_fill(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  filling with[MOON_RULE_COLUMNS];
  const json_t *list;
  size_t n;
  MOON_TRY(moon_rule_columns(rule, "values", &list, columns, &n));
  for (size_t i = 0; i < n; i++) MOON_TRY(filling_for(columns[i], json_object_get(json_array_get(list, i), "value"), &with[i]));
  for (size_t i = 0; i < n; i++) {
    moon_column *column = columns[i];
    size_t filled = 0;
    for (size_t row = 0; row < column->n; row++) {
      if (!moon_column_is_null(column, row)) continue;
      if (column->type == MOON_STRING)
        column->code[row] = with[i].code;
      else if (column->type == MOON_NUMBER)
        column->f64[row] = with[i].number;
      else
        column->i64[row] = (int64_t)with[i].number;
      filled++;
    }
    moon_rule_say(rule, "%s%s = %s in %zu", i ? ", " : "", column->name, with[i].text, filled);
  }
  return moon_ok();
}

/* ---- cast ------------------------------------------------------------------------------------------------------------- */

typedef struct target {
  moon_type type;
  moon_time_unit unit; /* of times that are numbers; AUTO is settled by the first */
} target;

static moon_status target_of(const json_t *entry, target *out) {
  static const char *const names[] = {"string", "number", "integer", "time", "time_s", "time_ms", "time_us"};
  static const target targets[] = {{MOON_STRING, MOON_UNIT_AUTO}, {MOON_NUMBER, MOON_UNIT_AUTO}, {MOON_INTEGER, MOON_UNIT_AUTO},
                                   {MOON_TIME, MOON_UNIT_AUTO},   {MOON_TIME, MOON_UNIT_S},      {MOON_TIME, MOON_UNIT_MS},
                                   {MOON_TIME, MOON_UNIT_US}};
  const char *name = text_of(entry, "type");
  for (size_t i = 0; i < sizeof names / sizeof *names && name; i++)
    if (!strcmp(name, names[i])) {
      *out = targets[i];
      return moon_ok();
    }
  const char *near = name ? moon_nearest(name, names, sizeof names / sizeof *names) : NULL;
  return moon_fail(MOON_EINVAL, "there is no type '%s'%s%s%s", name ? name : "?", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* A cell as a file would have written it; a time is a date as a text, microseconds as a number. */
static void cell_text(const moon_column *column, size_t row, moon_type to, moon_buf *out) {
  char time[32];
  moon_buf_reset(out);
  if (column->type == MOON_STRING) {
    moon_buf_add(out, moon_column_text(column, row), moon_dict_length(column->dict, column->code[row]));
  } else if (column->type == MOON_NUMBER) {
    moon_json_number(out, column->f64[row]);
  } else if (column->type == MOON_TIME && to == MOON_STRING) {
    moon_time_format(column->i64[row], time);
    moon_buf_puts(out, time);
  } else {
    moon_json_integer(out, column->i64[row]);
  }
}

/* Whole numbers are texts such as "3" and, of a column of numbers, "3.0". */
static bool read_integer(const char *text, size_t n, int64_t *out) {
  double number;
  if (moon_value_integer(text, n, out)) return true;
  if (!moon_value_number(text, n, &number) || number != trunc(number) || fabs(number) >= 0x1p63) return false;
  *out = (int64_t)number;
  return true;
}

/* false: the text is no such value */
static bool read_cell(const moon_buf *text, target *to, double *number, int64_t *integer) {
  if (to->type == MOON_NUMBER) return moon_value_number(text->data, text->n, number);
  if (to->type == MOON_INTEGER) return read_integer(text->data, text->n, integer);
  return moon_value_time(text->data, text->n, &to->unit, integer);
}

typedef struct casting {
  const moon_column *from;
  target to;
  size_t lost; /* values that are none of the type */
  char first[48];
} casting;

static moon_status cast_cell(casting *c, size_t row, moon_buf *text, moon_column *out) {
  double number = 0;
  int64_t integer = 0;
  if (moon_column_is_null(c->from, row)) return moon_column_push_null(out);
  cell_text(c->from, row, c->to.type, text);
  if (text->failed) return moon_fail(MOON_ENOMEM, "no memory for a value");
  if (c->to.type == MOON_STRING) return moon_column_push_string(out, text->data, text->n);
  if (!read_cell(text, &c->to, &number, &integer)) {
    if (!c->lost++) snprintf(c->first, sizeof c->first, "'%.40s'", text->data);
    return moon_column_push_null(out);
  }
  return c->to.type == MOON_NUMBER ? moon_column_push_number(out, number) : moon_column_push_integer(out, integer);
}

static moon_status cast_column(casting *c, moon_table *fresh) {
  moon_column *out;
  moon_buf text = {0};
  moon_status status = moon_table_add_column(fresh, c->from->name, c->to.type, &out);
  for (size_t row = 0; row < c->from->n && !status.code; row++) status = cast_cell(c, row, &text, out);
  moon_buf_free(&text);
  if (status.code || !c->lost) return status;
  for (size_t row = 0; row < out->n; row++)
    if (!moon_column_is_null(out, row)) return status;
  return moon_fail(MOON_EFORMAT, "not one value of column %s can be cast: the first is %s", c->from->name, c->first);
}

moon_status moon_rule_cast(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  const json_t *list;
  size_t n, told = 0;
  moon_table *fresh = NULL;
  MOON_TRY(moon_rule_columns(rule, "types", &list, columns, &n));
  MOON_TRY(moon_table_new(rule->table->name, &fresh));
  moon_status status = moon_ok();
  for (size_t i = 0; i < n && !status.code; i++) {
    casting c = {.from = columns[i]};
    status = target_of(json_array_get(list, i), &c.to);
    if (!status.code && c.to.type != c.from->type) status = cast_column(&c, fresh);
    if (c.lost) moon_rule_say(rule, "%s%s: %zu emptied, the first %s", told++ ? ", " : "", c.from->name, c.lost, c.first);
  }
  fresh->rows = rule->table->rows;
  if (!status.code) status = moon_table_adopt(rule->table, fresh);
  moon_table_free(fresh);
  return status;
}

/* ---- rename ----------------------------------------------------------------------------------------------------------- */

/* Whether two columns would have one name after the renaming. */
static moon_status check_names(const moon_rule *rule, moon_column *const *columns, char *const *names, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const moon_column *there = moon_table_column(rule->table, names[i]);
    bool moves = false, taken = false;
    for (size_t k = 0; k < n; k++) {
      moves |= columns[k] == there;
      taken |= k != i && !strcmp(names[k], names[i]);
    }
    if (taken || (there && !moves))
      return moon_fail(MOON_EINVAL, "%s would have two columns called %s", rule->table->name, names[i]);
  }
  return moon_ok();
}

moon_status moon_rule_rename(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  char *names[MOON_RULE_COLUMNS] = {0};
  const json_t *list;
  size_t n;
  MOON_TRY(moon_rule_columns(rule, "names", &list, columns, &n));
  moon_status status = moon_ok();
  for (size_t i = 0; i < n && !status.code; i++) {
    const char *to = text_of(json_array_get(list, i), "to");
    if (!to || !*to)
      status = moon_fail(MOON_EINVAL, "column %s needs a new name", columns[i]->name);
    else if (!(names[i] = moon_strdup(to)))
      status = moon_fail(MOON_ENOMEM, "no memory for a name");
  }
  if (!status.code) status = check_names(rule, columns, names, n);
  for (size_t i = 0; i < n; i++) {
    if (!status.code) {
      moon_rule_say(rule, "%s%s is now %s", i ? ", " : "", columns[i]->name, names[i]);
      char *old = columns[i]->name;
      columns[i]->name = names[i], names[i] = old;
    }
    moon_free(names[i]);
  }
  return status;
}

/* ---- clip ------------------------------------------------------------------------------------------------------------- */

static moon_status bound(const moon_rule *rule, const char *key, double otherwise, double *out) {
  const json_t *value = json_object_get(rule->spec, key);
  *out = json_is_number(value) ? json_number_value(value) : otherwise;
  return !value || json_is_number(value) ? moon_ok() : moon_fail(MOON_EINVAL, "%s must be a number", key);
}

/* A whole number beyond a bound becomes the next whole one within. */
static int64_t nearest_whole(double value, bool up) {
  value = up ? ceil(value) : floor(value);
  return value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN + 1 : (int64_t)value;
}

moon_status moon_rule_clip(moon_rule *rule) {
  moon_column *column;
  double low, high;
  const char *name = text_of(rule->spec, "column");
  size_t raised = 0, lowered = 0;
  if (!name) return moon_fail(MOON_EINVAL, "clip names no column");
  MOON_TRY(moon_table_require(rule->table, name, &column));
  MOON_TRY(need_numbers(column));
  MOON_TRY(bound(rule, "min", -INFINITY, &low));
  MOON_TRY(bound(rule, "max", INFINITY, &high));
  if (low > high) return moon_fail(MOON_EINVAL, "min %g is above max %g", low, high);
  int64_t least = nearest_whole(low, true), most = nearest_whole(high, false);
  if (column->type == MOON_INTEGER && least > most) return moon_fail(MOON_EINVAL, "no whole number is from %g to %g", low, high);
  for (size_t row = 0; row < column->n; row++) {
    if (moon_column_is_null(column, row)) continue;
    if (column->type == MOON_NUMBER) {
      double *cell = &column->f64[row];
      if (*cell < low)
        *cell = low, raised++;
      else if (*cell > high)
        *cell = high, lowered++;
    } else {
      int64_t *cell = &column->i64[row];
      if (*cell < least)
        *cell = least, raised++;
      else if (*cell > most)
        *cell = most, lowered++;
    }
  }
  moon_rule_say(rule, "%s: %zu raised, %zu lowered", name, raised, lowered);
  return moon_ok();
}

/* ---- time zones ------------------------------------------------------------------------------------------------------- */

moon_status moon_rule_time_zone(moon_rule *rule) {
  moon_column *columns[MOON_RULE_COLUMNS];
  moon_zone *zones[MOON_RULE_COLUMNS] = {0};
  const json_t *list;
  size_t n;
  MOON_TRY(moon_rule_columns(rule, "zones", &list, columns, &n));
  moon_status status = moon_ok();
  for (size_t i = 0; i < n && !status.code; i++) {
    const char *name = text_of(json_array_get(list, i), "zone");
    if (columns[i]->type != MOON_TIME)
      status = moon_fail(MOON_EINVAL, "column %s does not hold times", columns[i]->name);
    else if (!name)
      status = moon_fail(MOON_EINVAL, "column %s needs a zone", columns[i]->name);
    else
      status = moon_zone_new(name, &zones[i]);
    if (!status.code) moon_rule_say(rule, "%s%s from %s", i ? ", " : "", columns[i]->name, name);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t row = 0; row < columns[i]->n && !status.code; row++)
      if (!moon_column_is_null(columns[i], row)) columns[i]->i64[row] = moon_zone_utc(zones[i], columns[i]->i64[row]);
    moon_zone_free(zones[i]);
  }
  return status;
}
