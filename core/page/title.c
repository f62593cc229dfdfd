/* title.c - a slot's title, filled in: "Because you looked at {seed.title}".
 *
 * A slot may have several; the first whose every blank has something to be filled with is taken, and without one the slot's name.
 * {item.C} is a column of the item that the page shows, {seed.C} of what `similar` starts from (the item shown, else what is in the cart, else what
 * the user did last), {top.C} the commonest value among the items of the slot; {param.N} came with the request; {user}, {count}. "{{" is a brace. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "page/assemble.h"
#include "page/slate.h"

typedef enum blank { TEXT, ITEM, SEED, TOP, PARAM, USER, COUNT, BLANKS } blank;
static const char *const blank_names[BLANKS] = {"", "item", "seed", "top", "param", "user", "count"};

typedef struct piece {
  blank kind;
  const char *text; /* of TEXT and PARAM */
  size_t column;    /* of ITEM, SEED, TOP */
} piece;

struct moon_title {
  piece *pieces;
  size_t n;
};

/* ---- reading */

static moon_status read_column(moon_site *site, const char *name, piece *out) {
  moon_table *table = site->bundle->catalogue->table;
  moon_column *column;
  MOON_TRY(moon_table_require(table, name, &column));
  out->column = (size_t)(column - table->columns);
  return moon_ok();
}

/* "seed.title" */
static moon_status read_blank(moon_site *site, const char *text, size_t n, piece *out) {
  char word[100];
  if (n >= sizeof word) return moon_fail(MOON_EINVAL, "{%.20s...} is too long", text);
  memcpy(word, text, n);
  word[n] = 0;
  char *dot = strchr(word, '.');
  if (dot) *dot = 0;
  for (unsigned kind = ITEM; kind < BLANKS; kind++) {
    if (strcmp(word, blank_names[kind])) continue;
    out->kind = (blank)kind;
    if (kind >= USER) return dot ? moon_fail(MOON_EINVAL, "{%s} stands alone, without '.%s'", word, dot + 1) : moon_ok();
    if (!dot || !dot[1]) return moon_fail(MOON_EINVAL, "{%s} wants a name: {%s.%s}", word, word, kind == PARAM ? "city" : "title");
    if (kind != PARAM) return read_column(site, dot + 1, out);
    out->text = moon_arena_strdup(&site->memory, dot + 1);
    return out->text ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for a site");
  }
  return moon_plan_unknown("blank in titles", word, blank_names + 1, BLANKS - 1);
}

static moon_status add_text(moon_site *site, moon_title *title, const char *text, size_t n) {
  if (!n) return moon_ok();
  char *copy = moon_arena_alloc(&site->memory, n + 1);
  if (!copy) return moon_fail(MOON_ENOMEM, "no memory for a site");
  memcpy(copy, text, n);
  copy[n] = 0;
  title->pieces[title->n++] = (piece){.kind = TEXT, .text = copy};
  return moon_ok();
}

static moon_status read_title(moon_site *site, const char *text, moon_title *out) {
  size_t most = 2; /* each brace may end a text and begin another */
  for (const char *c = text; *c; c++) most += 2 * (*c == '{');
  out->pieces = moon_arena_calloc(&site->memory, most * sizeof *out->pieces);
  if (!out->pieces) return moon_fail(MOON_ENOMEM, "no memory for a site");
  for (const char *open; (open = strchr(text, '{'));) {
    bool literal = open[1] == '{';
    const char *close = literal ? open + 1 : strchr(open, '}');
    if (!close) return moon_fail(MOON_EINVAL, "title: '%.40s' has no end; a brace itself is written {{", open);
    MOON_TRY(add_text(site, out, text, (size_t)(open - text) + literal));
    if (!literal) MOON_TRY(moon_wrap(read_blank(site, open + 1, (size_t)(close - open - 1), &out->pieces[out->n++]), "title"));
    text = close + 1;
  }
  return add_text(site, out, text, strlen(text));
}

moon_status moon_site_read_titles(moon_site *site, const json_t *slot, moon_site_slot *out) {
  const json_t *title = json_object_get(slot, "title");
  if (!title || json_is_null(title)) return moon_ok();
  bool list = json_is_array(title);
  size_t n = list ? json_array_size(title) : 1;
  out->titles = moon_arena_calloc(&site->memory, n * sizeof *out->titles);
  if (!out->titles) return moon_fail(MOON_ENOMEM, "no memory for a site");
  for (size_t i = 0; i < n; i++) {
    const char *text = json_string_value(list ? json_array_get(title, i) : title);
    if (!text) return moon_fail(MOON_EFORMAT, "title must be a text or a list of texts");
    MOON_TRY(read_title(site, text, &out->titles[i]));
  }
  out->title_count = n;
  return moon_ok();
}

/* ---- filling in */

static const moon_column *column_of(const moon_visit *visit, const piece *p) {
  return &visit->assembler->bundle->catalogue->table->columns[p->column];
}

/* NULL where the cell is empty, or there is no such row. */
static const char *cell(const moon_visit *visit, const piece *p, uint32_t row) {
  const moon_column *column = column_of(visit, p);
  char text[32];
  if (row >= column->n || moon_column_is_null(column, row)) return NULL;
  if (column->type == MOON_STRING) return moon_column_text(column, row);
  if (column->type == MOON_NUMBER) moon_number_text(column->f64[row], 10, text);
  if (column->type == MOON_INTEGER) snprintf(text, sizeof text, "%" PRId64, column->i64[row]);
  if (column->type == MOON_TIME) moon_time_format(column->i64[row], text), text[10] = 0; /* the date */
  return moon_arena_strdup(visit->arena, text);
}

enum { TOP_OF = 100 };

/* An item with the value that most have; of values as common as each other the one that comes first. */
static uint32_t commonest(const moon_visit *visit, const piece *p, const moon_slate *slate) {
  const moon_column *column = column_of(visit, p);
  uint64_t key[TOP_OF];
  size_t n = slate->n < TOP_OF ? slate->n : TOP_OF, most = 0;
  uint32_t found = MOON_NONE;
  for (size_t i = 0; i < n; i++)
    if (!moon_cell_key(column, slate->item[i], &key[i])) key[i] = UINT64_MAX;
  for (size_t i = 0; i < n; i++) {
    size_t same = 0;
    for (size_t j = i; j < n && key[i] != UINT64_MAX; j++) same += key[i] == key[j];
    if (same > most) most = same, found = slate->item[i];
  }
  return found;
}

/* NULL where there is nothing to fill in. */
static const char *fill(const moon_visit *visit, const piece *p, const moon_slate *slate) {
  switch (p->kind) {
    case TEXT: return p->text;
    case ITEM: return cell(visit, p, visit->request->item_row);
    case SEED: return cell(visit, p, visit->seed_n ? visit->seeds[0] : MOON_NONE);
    case TOP: return cell(visit, p, commonest(visit, p, slate));
    case PARAM: return moon_request_param(visit->request, p->text);
    case USER: return visit->request->user;
    case COUNT: return moon_arena_printf(visit->arena, "%zu", slate->n);
    default: return NULL;
  }
}

/* NULL where a blank stays empty. */
static const char *write(const moon_visit *visit, const moon_title *title, const moon_slate *slate) {
  const char *out = "";
  for (size_t i = 0; i < title->n && out; i++) {
    const char *text = fill(visit, &title->pieces[i], slate);
    if (!text || !*text) return NULL;
    out = i ? moon_arena_printf(visit->arena, "%s%s", out, text) : text;
  }
  return out;
}

const char *moon_title_write(const moon_visit *visit, const moon_site_slot *slot, const moon_slate *slate) {
  for (size_t i = 0; i < slot->title_count; i++) {
    const char *text = write(visit, &slot->titles[i], slate);
    if (text) return text;
  }
  return slot->name;
}
