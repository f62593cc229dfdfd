/* functions.c - a plan's numbered Lua functions, lent to core/data (filter, map), core/rank (on_epoch, on_step) and core/page
 * (policy, gate).
 *
 * Each call gets a fresh budget and a call number; when it is over, everything the script kept of it is dead. A policy that fails
 * leaves the slate as it found it, so that "skipped" is the truth. */
#include <math.h>
#include <string.h>

#include "script/internal.h"

enum { ROWS_PER_BUDGET = 1000 };

/* ---- row functions */

/* A failure inside a user's function, with the row that it was looking at. */
static moon_status at_row(const moon_host *host, moon_status st) {
  if (st.code != MOON_ESCRIPT) return st;
  return moon_fail(st.code, "%s (row %zu of %s)", st.message, host->row + 1, host->table->name);
}

typedef struct row_args {
  moon_host *host;
  uint32_t fn;
  const moon_table *table;
  uint8_t *keep;       /* filter */
  moon_column *column; /* map: the values go here */
  bool typed;          /* map: the first value has set the column's type */
  const char *name;
  moon_status status;  /* a failure in core, said instead of Lua's */
} row_args;

/* Pushes function and cursor, and calls them for one row; the answer is on the stack. */
static void call_row(lua_State *L, row_args *args, int fn, size_t row) {
  moon_host *host = args->host;
  if (row % ROWS_PER_BUDGET == 0 && row) moon_budget_start(host, host->options.call_instructions, (int64_t)host->options.call_millis * 1000);
  host->row = row;
  lua_pushvalue(L, fn);
  lua_pushvalue(L, fn + 1);
  lua_call(L, 1, 1);
}

static int filter_body(lua_State *L) {
  row_args *args = lua_touserdata(L, 1);
  moon_host_push_function(L, args->host, args->fn);
  moon_lua_cursor_push(L, args->host);
  for (size_t row = 0; row < args->table->rows; row++) {
    call_row(L, args, 2, row);
    if (!lua_toboolean(L, -1)) args->keep[row] = 0;
    lua_pop(L, 1);
  }
  return 0;
}

static moon_status filter(void *self, uint32_t fn, const moon_table *table, uint8_t *keep) {
  moon_host *host = self;
  row_args args = {.host = host, .fn = fn, .table = table, .keep = keep, .status = moon_ok()};
  moon_host_begin(host);
  host->table = table;
  moon_status st = at_row(host, moon_host_protect(host, filter_body, &args));
  moon_host_end(host);
  return st;
}

/* Brings the column to `row` values by nulls: those before the first value, or one more. */
static moon_status pad(moon_column *column, size_t rows) {
  while (column->n < rows) MOON_TRY(moon_column_push_null(column));
  return moon_ok();
}

/* The type follows the first value; a column of times stays one where numbers are put in. */
static moon_type type_of(int lua_type, const moon_column *before) {
  if (lua_type == LUA_TSTRING) return MOON_STRING;
  return before && before->type == MOON_TIME ? MOON_TIME : MOON_NUMBER;
}

static moon_status push_answer(lua_State *L, row_args *args, size_t row) {
  int type = lua_type(L, -1);
  moon_column *column = args->column;
  if (type == LUA_TNIL) return args->typed ? moon_column_push_null(column) : moon_ok();
  MOON_TRY(pad(column, row));
  if (type == LUA_TSTRING) {
    size_t n;
    const char *text = lua_tolstring(L, -1, &n);
    return moon_column_push_string(column, text, n);
  }
  if (type == LUA_TBOOLEAN) return moon_column_push_number(column, lua_toboolean(L, -1));
  if (lua_isinteger(L, -1) && column->type == MOON_TIME) return moon_column_push_integer(column, lua_tointeger(L, -1));
  return moon_column_push_number(column, lua_tonumber(L, -1));
}

/* Where the function at 2 begins, for messages about what it answers. */
static const char *place_of(lua_State *L) {
  lua_Debug ar;
  lua_pushvalue(L, 2);
  lua_getinfo(L, ">S", &ar);
  return lua_pushfstring(L, "%s:%d", ar.short_src, ar.linedefined);
}

/* Makes the column of `fresh` at the first value; later values have to be of its type. */
static void check_type(lua_State *L, row_args *args, moon_table *fresh) {
  int type = lua_type(L, -1);
  if (type == LUA_TNIL) return;
  if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN)
    luaL_error(L, "%s: the function of '%s' must answer a number, a string, a boolean or nil, got a %s", place_of(L), args->name,
               lua_typename(L, type));
  if (!args->typed) {
    args->status =
        moon_table_add_column(fresh, args->name, type_of(type, moon_table_column(args->table, args->name)), &args->column);
    args->typed = !args->status.code;
    return;
  }
  if ((type == LUA_TSTRING) != (args->column->type == MOON_STRING))
    luaL_error(L, "%s: the function of '%s' answered a %s, and before that a %s", place_of(L), args->name, lua_typename(L, type),
               type == LUA_TSTRING ? "number" : "string");
}

typedef struct map_args {
  row_args rows;
  moon_table *fresh;
} map_args;

static int map_body(lua_State *L) {
  map_args *args = lua_touserdata(L, 1);
  moon_host_push_function(L, args->rows.host, args->rows.fn);
  moon_lua_cursor_push(L, args->rows.host);
  for (size_t row = 0; row < args->rows.table->rows; row++) {
    call_row(L, &args->rows, 2, row);
    check_type(L, &args->rows, args->fresh);
    if (!args->rows.status.code) args->rows.status = push_answer(L, &args->rows, row);
    if (args->rows.status.code) return 0;
    lua_pop(L, 1);
  }
  return 0;
}

static moon_status map(void *self, uint32_t fn, moon_table *table, const char *name) {
  moon_host *host = self;
  map_args args = {.rows = {.host = host, .fn = fn, .table = table, .name = name, .status = moon_ok()}};
  MOON_TRY(moon_table_new(table->name, &args.fresh));
  moon_host_begin(host);
  host->table = table;
  moon_status st = at_row(host, moon_host_protect(host, map_body, &args));
  moon_host_end(host);
  if (!st.code) st = args.rows.status;
  if (!st.code && !args.rows.typed) st = moon_table_add_column(args.fresh, name, MOON_NUMBER, &args.rows.column);
  if (!st.code) st = pad(args.rows.column, table->rows);
  if (!st.code) st = moon_table_adopt(table, args.fresh);
  moon_table_free(args.fresh);
  return st;
}

moon_row_functions moon_host_row_functions(moon_host *host) {
  moon_row_functions functions = {host, filter, map};
  return functions;
}

/* ---- page functions */

typedef struct page_args {
  moon_host *host;
  uint32_t fn;
  const moon_request *request;
  bool open;
} page_args;

/* One block of memory for all arrays of a slate, grown when a longer slate comes. */
static moon_status backup_save(moon_slate_backup *b, const moon_slate *slate) {
  enum { EACH = sizeof(moon_reason *) + 4 * sizeof(float) + sizeof(uint32_t) + 1 };
  size_t n = slate->n, members = slate->member_mask + 1, bytes = n * EACH + members * sizeof *b->members;
  if (!b->memory || b->bytes < bytes) {
    size_t room = bytes < 4096 ? 4096 : bytes;
    void *memory = moon_alloc(room);
    if (!memory) return moon_fail(MOON_ENOMEM, "no memory to call a policy");
    moon_free(b->memory);
    b->memory = memory;
    b->bytes = room;
  }
  b->slate = *slate;
  b->reason = b->memory;
  b->score = (float *)(b->reason + n);
  b->model_score = b->score + n;
  b->source_score = b->model_score + n;
  b->propensity = b->source_score + n;
  b->item = (uint32_t *)(b->propensity + n);
  b->members = b->item + n;
  b->source = (uint8_t *)(b->members + members);
  memcpy(b->members, slate->members, members * sizeof *b->members);
  if (!n) return moon_ok();
  memcpy(b->reason, slate->reason, n * sizeof *b->reason);
  memcpy(b->score, slate->score, n * sizeof *b->score);
  memcpy(b->model_score, slate->model_score, n * sizeof *b->model_score);
  memcpy(b->source_score, slate->source_score, n * sizeof *b->source_score);
  memcpy(b->propensity, slate->propensity, n * sizeof *b->propensity);
  memcpy(b->item, slate->item, n * sizeof *b->item);
  memcpy(b->source, slate->source, n);
  return moon_ok();
}

/* The arrays are those of before, too: what the slate grew into is the arena's. */
static void backup_restore(const moon_slate_backup *b, moon_slate *slate) {
  *slate = b->slate;
  size_t n = slate->n;
  memcpy(slate->members, b->members, (slate->member_mask + 1) * sizeof *slate->members);
  if (!n) return;
  memcpy(slate->reason, b->reason, n * sizeof *b->reason);
  memcpy(slate->score, b->score, n * sizeof *b->score);
  memcpy(slate->model_score, b->model_score, n * sizeof *b->model_score);
  memcpy(slate->source_score, b->source_score, n * sizeof *b->source_score);
  memcpy(slate->propensity, b->propensity, n * sizeof *b->propensity);
  memcpy(slate->item, b->item, n * sizeof *b->item);
  memcpy(slate->source, b->source, n);
}

/* The name under which explain shows what a function did. */
static const char *label_of(lua_State *L, moon_slate *slate) {
  lua_Debug ar;
  lua_pushvalue(L, -1);
  lua_getinfo(L, ">S", &ar);
  const char *label = moon_arena_printf(slate->arena, "lua(%s:%d)", ar.short_src, ar.linedefined);
  return label ? label : "lua";
}

void moon_host_begin_page(moon_host *host) {
  if (host->options.page_millis) host->page_deadline = moon_monotonic() + (int64_t)host->options.page_millis * 1000;
}

/* Starts a call that belongs to a page: what is left of the page's time is all that it has. */
static moon_status begin(moon_host *host, const moon_request *request, uint32_t fn) {
  moon_host_begin(host);
  moon_rng_seed(&host->rng, request->seed, fn);
  host->now = request->now;
  if (!host->page_deadline) return moon_ok();
  if (host->deadline > host->page_deadline) host->deadline = host->page_deadline;
  if (moon_monotonic() < host->page_deadline) return moon_ok();
  moon_budget_spend(host, MOON_STRIKE_TIME);
  return moon_fail(MOON_ESCRIPT, "%s: the page's %llu ms for policies and gates are spent", host->file ? host->file : "script",
                   (unsigned long long)host->options.page_millis);
}

static int policy_body(lua_State *L) {
  page_args *args = lua_touserdata(L, 1);
  moon_host_push_function(L, args->host, args->fn);
  args->host->label = label_of(L, args->host->slate);
  moon_lua_slate_push(L, args->host);
  moon_lua_ctx_push(L, args->request);
  lua_call(L, 2, 0);
  return 0;
}

static moon_status policy(void *self, uint32_t fn, moon_slate *slate, const moon_request *request) {
  moon_host *host = self;
  page_args args = {.host = host, .fn = fn, .request = request};
  MOON_TRY(backup_save(&host->backup, slate));
  slate->request = request;
  moon_status st = begin(host, request, fn);
  host->slate = slate;
  host->items = NULL;
  if (!st.code) st = moon_host_protect(host, policy_body, &args);
  if (st.code) backup_restore(&host->backup, slate);
  moon_host_end(host);
  return st;
}

static int gate_body(lua_State *L) {
  page_args *args = lua_touserdata(L, 1);
  moon_host_push_function(L, args->host, args->fn);
  moon_lua_ctx_push(L, args->request);
  lua_call(L, 1, 1);
  args->open = lua_toboolean(L, -1);
  return 0;
}

static moon_status gate(void *self, uint32_t fn, const moon_request *request, bool *open) {
  moon_host *host = self;
  page_args args = {.host = host, .fn = fn, .request = request};
  *open = false;
  moon_status st = begin(host, request, fn);
  if (!st.code) st = moon_host_protect(host, gate_body, &args);
  moon_host_end(host);
  *open = !st.code && args.open;
  return st;
}

static moon_script_failure failure(void *self) {
  const moon_host *host = self;
  if (host->struck == MOON_STRIKE_MEMORY || (!host->struck && host->tensors_refused)) return MOON_SCRIPT_MEMORY;
  return host->struck ? MOON_SCRIPT_BUDGET : MOON_SCRIPT_ERROR;
}

moon_page_functions moon_host_page_functions(moon_host *host) {
  moon_page_functions functions = {host, policy, gate, failure};
  return functions;
}

/* ---- functions that watch a training */

typedef struct fit_args {
  moon_host *host;
  uint32_t fn;
  const moon_fit_info *info;
  bool stop;
} fit_args;

static void set_number(lua_State *L, const char *key, double value) {
  if (isnan(value)) return; /* nil */
  lua_pushnumber(L, value);
  lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, size_t value) {
  lua_pushinteger(L, (lua_Integer)value);
  lua_setfield(L, -2, key);
}

static int fit_body(lua_State *L) {
  fit_args *args = lua_touserdata(L, 1);
  const moon_fit_info *info = args->info;
  moon_host_push_function(L, args->host, args->fn);
  lua_createtable(L, 0, 7);
  set_count(L, "epoch", info->epoch);
  set_count(L, "epochs", info->epochs);
  set_count(L, "step", info->step);
  set_number(L, "loss", info->loss);
  set_number(L, "validation_loss", info->validation_loss);
  set_number(L, "lr", info->lr);
  set_number(L, "examples_per_second", info->examples_per_second);
  lua_call(L, 1, 1);
  const char *word = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (word && strcmp(word, "stop"))
    luaL_error(L, "a function that watches the training answers false or \"stop\" to end it, not \"%s\"", word);
  args->stop = word || (lua_isboolean(L, -1) && !lua_toboolean(L, -1));
  return 0;
}

static moon_status watch(void *self, uint32_t fn, const moon_fit_info *info, bool *stop) {
  moon_host *host = self;
  fit_args args = {.host = host, .fn = fn, .info = info};
  moon_host_begin(host);
  moon_status st = moon_host_protect(host, fit_body, &args);
  moon_host_end(host);
  *stop = !st.code && args.stop;
  return st;
}

moon_fit_functions moon_host_fit_functions(moon_host *host) {
  moon_fit_functions functions = {host, watch};
  return functions;
}
