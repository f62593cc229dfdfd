/* condition_ask.c - a condition as one request asks it: what its parameters say put in the place of m.request, in the request's arena.
 *
 * All lookups were made ready when the site was loaded, by the dictionary of the column, or for parts of texts by one of the parts. */
#include <math.h>
#include <string.h>

#include "data/value.h"
#include "page/condition.h"

/* ---- parts of texts */

static moon_pieces pieces_of(const char *text) { return (moon_pieces){.separator = "|", .left = text}; }

bool moon_has_part(const char *text, const char *part, size_t n) {
  moon_pieces pieces = pieces_of(text);
  while (moon_pieces_next(&pieces))
    if (pieces.n == n && !memcmp(pieces.text, part, n)) return true;
  return false;
}

static moon_status name_parts(moon_parts *parts, const moon_dict *texts, size_t *all) {
  uint32_t part;
  for (uint32_t code = 0; code < moon_dict_count(texts); code++) {
    moon_pieces pieces = pieces_of(moon_dict_text(texts, code));
    for (; moon_pieces_next(&pieces); ++*all) MOON_TRY(moon_dict_add(parts->names, pieces.text, pieces.n, &part));
  }
  return moon_ok();
}

/* start[p] counts up from where part p begins to where the next one does; `at` is 2 to count, 1 to put the codes in. */
static void walk(moon_parts *parts, const moon_dict *texts, size_t at) {
  for (uint32_t code = 0; code < moon_dict_count(texts); code++) {
    moon_pieces pieces = pieces_of(moon_dict_text(texts, code));
    while (moon_pieces_next(&pieces)) {
      size_t *next = &parts->start[moon_dict_find(parts->names, pieces.text, pieces.n) + at];
      if (at == 1) parts->codes[*next] = code;
      ++*next;
    }
  }
}

moon_status moon_parts_new(const moon_dict *texts, moon_parts **out) {
  moon_parts *parts = moon_calloc(1, sizeof *parts);
  size_t all = 0, n = 0;
  moon_status status = parts ? moon_dict_new(&parts->names) : moon_fail(MOON_ENOMEM, "no memory for a condition");
  if (!status.code) status = name_parts(parts, texts, &all);
  if (!status.code) {
    n = moon_dict_count(parts->names);
    parts->start = moon_calloc(n + 2, sizeof *parts->start);
    parts->codes = moon_alloc(all * sizeof *parts->codes);
    if (!parts->start || !parts->codes) status = moon_fail(MOON_ENOMEM, "no memory for a condition");
  }
  if (status.code) {
    moon_parts_free(parts);
    return status;
  }
  walk(parts, texts, 2);
  for (size_t p = 2; p <= n; p++) parts->start[p] += parts->start[p - 1];
  walk(parts, texts, 1);
  *out = parts;
  return status;
}

void moon_parts_free(moon_parts *parts) {
  if (!parts) return;
  moon_dict_free(parts->names);
  moon_free(parts->start);
  moon_free(parts->codes);
  moon_free(parts);
}

/* ---- the request */

/* The last of that name, as ctx.params has it; NULL where there is none, or nothing in it. */
static const char *param_of(const moon_request *request, const char *name) {
  for (size_t i = request->param_n; i > 0; i--)
    if (!strcmp(request->params[i - 1].name, name)) return *request->params[i - 1].value ? request->params[i - 1].value : NULL;
  return NULL;
}

/* A text that no item has, or that is no number, is a value that nothing compares with. */
static void put_text(moon_clause *term, const moon_dict *dict, const char *value, uint32_t *room) {
  size_t n = strlen(value);
  uint32_t found = moon_dict_find(term->parts ? term->parts->names : dict, value, n);
  term->count = 0, term->codes = room;
  if (found == MOON_NONE) return;
  if (term->parts) {
    term->codes = term->parts->codes + term->parts->start[found];
    term->count = term->parts->start[found + 1] - term->parts->start[found];
  } else {
    *room = found;
    term->count = 1;
  }
}

static void put_number(moon_clause *term, const char *value, double *room) {
  term->numbers = room;
  term->count = moon_value_number(value, strlen(value), room) && isfinite(*room);
  if (!term->count) *room = NAN;
}

moon_status moon_condition_ask(const moon_condition *condition, const moon_catalogue *catalogue, const moon_request *request, moon_arena *arena,
                               const moon_condition **out) {
  bool asks = false;
  for (size_t i = 0; i < condition->n; i++) asks = asks || condition->terms[i].param;
  *out = condition;
  if (!asks) return moon_ok();
  moon_condition *asked = moon_arena_alloc(arena, sizeof *asked + condition->n * (sizeof *asked->terms + sizeof(double)));
  if (!asked) return moon_fail(MOON_ENOMEM, "no memory for a condition");
  double *room = (double *)(void *)&asked->terms[condition->n];
  asked->n = 0;
  for (size_t i = 0; i < condition->n; i++) {
    moon_clause *term = &asked->terms[asked->n];
    *term = condition->terms[i];
    const moon_column *column = &catalogue->table->columns[term->column];
    const char *value = term->param ? param_of(request, term->param) : NULL;
    if (term->param && !value && term->optional) continue;
    if (value && column->type == MOON_STRING) put_text(term, column->dict, value, (uint32_t *)(void *)&room[i]);
    else if (value) put_number(term, value, &room[i]);
    asked->n++;
  }
  *out = asked;
  return moon_ok();
}
