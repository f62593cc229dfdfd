/* host.c - a host's life: open, load one script, call its functions, close.
 *
 * The one rule: no Lua call that can raise runs outside moon_host_protect. Its body runs under lua_pcall, and what comes back is
 * a status whose message begins with the place in the user's file. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "script/internal.h"

enum { SCRIPT_LIMIT = 4 * 1024 * 1024 };
enum { LOAD_MILLIS = 60000, CALL_MILLIS = 2000 };

static const char functions_key = 0; /* registry: the plan's functions */

/* ---- protected calls */

static bool has_place(const char *text) {
  for (const char *p = strchr(text, ':'); p && p > text; p = strchr(p + 1, ':')) {
    const char *q = p + 1;
    while (isdigit((unsigned char)*q)) q++;
    if (q > p + 1 && q[0] == ':' && q[1] == ' ') return true;
  }
  return false;
}

/* lua_pcall's message handler: makes a string of any error value, and gives it a place where it has none. */
static int on_error(lua_State *L) {
  if (lua_type(L, 1) != LUA_TSTRING && !luaL_callmeta(L, 1, "__tostring"))
    lua_pushfstring(L, "(error value: a %s)", luaL_typename(L, 1));
  const char *text = lua_tostring(L, -1);
  if (!text) text = "(error value without text)";
  if (has_place(text)) {
    lua_pushstring(L, text);
    return 1;
  }
  moon_push_place(L);
  lua_pushstring(L, text);
  lua_concat(L, 2);
  return 1;
}

static moon_status explain(moon_host *host, int status) {
  lua_State *L = host->L;
  const char *name = host->file ? host->file : "script";
  if (host->left < 0 || status == LUA_ERRMEM) {
    char place[160];
    snprintf(place, sizeof place, "%s: ", name);
    moon_budget_spend(host, status == LUA_ERRMEM ? MOON_STRIKE_MEMORY : MOON_STRIKE_STEPS);
    return moon_fail(MOON_ESCRIPT, "%s", moon_budget_verdict(host, place));
  }
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  return text ? moon_fail(MOON_ESCRIPT, "%s", text) : moon_fail(MOON_ESCRIPT, "%s: the script failed without a message", name);
}

moon_status moon_host_protect(moon_host *host, lua_CFunction body, void *args) {
  lua_State *L = host->L;
  int top = lua_gettop(L);
  if (!lua_checkstack(L, 8)) return moon_fail(MOON_ENOMEM, "no memory for a call into Lua");
  lua_pushcfunction(L, on_error);
  lua_pushcfunction(L, body);
  lua_pushlightuserdata(L, args);
  int status = lua_pcall(L, 1, 0, top + 1);
  moon_status st = status == LUA_OK ? moon_ok() : explain(host, status);
  lua_settop(L, top);
  return st;
}

static size_t least(size_t limit, size_t used, size_t more) { return used < limit && more && more < limit - used ? used + more : limit; }

void moon_host_begin(moon_host *host) {
  const moon_host_options *o = &host->options;
  host->call++;
  host->in_call = true;
  host->tensors_refused = false;
  host->ceiling = least(o->memory_limit, host->memory, o->call_memory);
  if (host->tensors) moon_account_set_limit(host->tensors, least(o->tensor_limit, moon_account_used(host->tensors), o->call_tensors));
  moon_budget_start(host, o->call_instructions, (int64_t)o->call_millis * 1000);
}

void moon_host_end(moon_host *host) {
  host->call++; /* what the script kept from this call is dead now */
  host->in_call = false;
  host->ceiling = host->options.memory_limit;
  if (host->tensors) moon_account_set_limit(host->tensors, host->options.tensor_limit);
  bool full = host->tensors && moon_account_used(host->tensors) > host->options.tensor_limit / 2;
  if (host->struck == MOON_STRIKE_MEMORY || (host->tensors_refused && full)) host->worn = true;
  host->table = NULL;
  host->slate = NULL;
  host->label = NULL;
}

void moon_host_push_function(lua_State *L, moon_host *host, uint32_t fn) {
  (void)host;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &functions_key) != LUA_TTABLE || lua_rawgeti(L, -1, fn) != LUA_TFUNCTION)
    luaL_error(L, "the plan's function %d is not in this script", (int)fn);
  lua_remove(L, -2);
}

void moon_host_take_functions(lua_State *L) {
  lua_getiuservalue(L, -1, 2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &functions_key);
  lua_pop(L, 1);
}

/* ---- open and close */

/* Lua: ("error" or "warning", text) */
static int note(lua_State *L) {
  bool error = !strcmp(luaL_checkstring(L, 1), "error");
  moon_tell(moon_host_of(L)->options.findings, error, luaL_checkstring(L, 2));
  return 0;
}

/* The chosen values by the places of their words, for tune.lua. */
static void set_picks(lua_State *L, const json_t *chosen) {
  const json_t *entry;
  size_t i;
  lua_newtable(L);
  json_array_foreach(chosen, i, entry) {
    const char *where = json_string_value(json_object_get(entry, "where"));
    const json_t *pick = json_object_get(entry, "pick");
    if (!where || !json_is_number(pick)) continue;
    if (json_is_integer(pick)) lua_pushinteger(L, (lua_Integer)json_integer_value(pick));
    else lua_pushnumber(L, json_real_value(pick));
    lua_setfield(L, -2, where);
  }
  lua_setfield(L, LUA_REGISTRYINDEX, MOON_PICKS_KEY);
}

static int open_body(lua_State *L) {
  if (moon_host_of(L)->options.tuned) set_picks(L, moon_host_of(L)->options.tuned);
  if (moon_host_of(L)->options.findings) {
    lua_pushcfunction(L, note);
    lua_setfield(L, LUA_REGISTRYINDEX, MOON_NOTE_KEY);
    lua_pushcfunction(L, moon_budget_pcall);
    lua_setfield(L, LUA_REGISTRYINDEX, MOON_PCALL_KEY);
  }
  moon_sandbox_open(L);
  moon_lua_cursor_register(L);
  moon_lua_slate_register(L);
  moon_lua_mask_register(L);
  moon_lua_column_register(L);
  moon_lua_ctx_register(L);
  moon_lua_tensor_register(L, moon_host_of(L));
  return 0;
}

moon_status moon_host_open(const moon_host_options *options, moon_host **out) {
  *out = NULL;
  moon_host *host = moon_calloc(1, sizeof *host);
  if (!host) return moon_fail(MOON_ENOMEM, "no memory for a Lua host");
  if (options) host->options = *options;
  if (host->options.chunks) host->chunks = moon_chunks_hold(host->options.chunks);
  if (!host->options.memory_limit) host->options.memory_limit = (size_t)256 << 20;
  if (!host->options.tensor_limit) host->options.tensor_limit = (size_t)256 << 20;
  if (!host->options.load_instructions) host->options.load_instructions = 50000000;
  if (!host->options.call_instructions) host->options.call_instructions = 1000000;
  if (!host->options.load_millis) host->options.load_millis = LOAD_MILLIS;
  if (!host->options.call_millis) host->options.call_millis = CALL_MILLIS;
  host->ceiling = host->options.memory_limit;
  moon_budget_start(host, UINT64_MAX, (int64_t)LOAD_MILLIS * 1000);
  moon_rng_seed(&host->rng, 0, 0);
  host->L = lua_newstate(moon_host_allocate, host);
  if (!host->L) {
    moon_host_close(host);
    return moon_fail(MOON_ENOMEM, "no memory for a Lua state");
  }
  *(moon_host **)lua_getextraspace(host->L) = host;
  host->running = host->L;
  moon_status st = moon_host_protect(host, open_body, NULL);
  if (st.code) {
    moon_host_close(host);
    return st;
  }
  *out = host;
  return st;
}

void moon_host_close(moon_host *host) {
  if (!host) return;
  if (host->L) lua_close(host->L);
  moon_required_free(host);
  moon_free(host->file);
  moon_free(host->folder);
  moon_free(host->backup.memory);
  moon_chunks_release(host->chunks);
  moon_free(host);
}

bool moon_host_worn(const moon_host *host) { return host->worn; }
size_t moon_host_memory(const moon_host *host) { return host->memory; }
size_t moon_host_tensors(const moon_host *host) { return moon_account_used(host->tensors); }

/* ---- loading */

typedef struct load_args {
  const char *kind; /* "recipe", "site", "tests", or NULL for whichever of the first two it is; then what it was */
  const char *source;
  size_t n;
  moon_host *host;
  json_t *plan;
} load_args;

static const char *expected_of(const char *kind) {
  if (!kind) return "m.recipe \"name\" { ... } or m.site { ... }";
  return strcmp(kind, "site") ? "m.recipe \"name\" { ... }" : "m.site { ... }";
}

/* Whether what the script gave back only stands for it: its errors were told of. */
static bool is_stand_in(lua_State *L) {
  if (!lua_istable(L, -1) || luaL_getmetafield(L, -1, "__name") == LUA_TNIL) return false;
  bool is = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), MOON_STAND_IN);
  lua_pop(L, 1);
  return is;
}

/* What the script gave back has to be the result userdata of this kind. */
static void check_result(lua_State *L, load_args *args) {
  const char *file = args->host->file;
  if (!luaL_testudata(L, -1, MOON_RESULT_TYPE))
    luaL_error(L, "%s: the script must return %s, it returned %s", file, expected_of(args->kind),
               lua_isnil(L, -1) ? "nothing" : lua_istable(L, -1) ? "a table that is not one" : luaL_typename(L, -1));
  lua_getiuservalue(L, -1, 3);
  const char *kind = strcmp(lua_tostring(L, -1), "site") ? "recipe" : "site";
  if (args->kind && strcmp(kind, args->kind))
    luaL_error(L, "%s: the script returned a %s where a %s is wanted (%s)", file, kind, args->kind, expected_of(args->kind));
  args->kind = kind;
  lua_pop(L, 1);
}

static int load_body(lua_State *L) {
  load_args *args = lua_touserdata(L, 1);
  moon_load_chunk(L, args->host->file, args->source, args->n);
  lua_call(L, 0, 1);
  if (args->kind && !strcmp(args->kind, "tests")) {
    args->host->tests = moon_tests_take(L);
    return 0;
  }
  if (args->host->options.findings && is_stand_in(L)) return 0;
  check_result(L, args);
  if (!strcmp(args->kind, "site")) moon_sandbox_freeze(L);
  lua_pushvalue(L, -1);
  moon_host_take_functions(L);
  lua_getiuservalue(L, -1, 1);
  char why[160];
  if (!moon_plan_json(L, -1, &args->plan, why))
    luaL_error(L, "%s: the plan cannot be written as JSON: %s", args->host->file, why);
  return 0;
}

/* *kind: as in load_args. */
static moon_status load(moon_host *host, const char **kind, const char *name, const char *source, size_t n, json_t **plan) {
  *plan = NULL;
  if (host->loaded) return moon_fail(MOON_EINVAL, "a Lua host loads one script in its life");
  host->loaded = true;
  const char *slash = strrchr(name, '/');
  moon_free(host->file);
  host->file = moon_strdup(slash ? slash + 1 : name);
  if (!host->file) return moon_fail(MOON_ENOMEM, "no memory to load %s", name);
  moon_budget_start(host, host->options.load_instructions, (int64_t)host->options.load_millis * 1000);
  load_args args = {.kind = *kind, .source = source, .n = n, .host = host};
  moon_status st = moon_host_protect(host, load_body, &args);
  if (st.code)
    json_decref(args.plan);
  else
    *plan = args.plan;
  *kind = args.kind;
  return st;
}

static moon_status load_file(moon_host *host, const char **kind, const char *path, json_t **plan) {
  *plan = NULL;
  if (host->loaded) return moon_fail(MOON_EINVAL, "a Lua host loads one script in its life");
  const moon_chunk *chunk;
  MOON_TRY(moon_chunks_read(host, path, NULL, SCRIPT_LIMIT, &chunk));
  const char *slash = strrchr(path, '/');
  char *folder = slash ? moon_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : moon_strdup(".");
  moon_free(host->folder);
  host->folder = folder;
  return folder ? load(host, kind, path, chunk->bytes.data ? chunk->bytes.data : "", chunk->bytes.n, plan)
                : moon_fail(MOON_ENOMEM, "no memory to load %s", path);
}

moon_status moon_host_reopen(const moon_host *host, moon_host **out, json_t **plan) {
  *out = NULL;
  *plan = NULL;
  if (!host->chunks || !moon_chunks_first(host->chunks)) return moon_fail(MOON_EINVAL, "the script of this host was not read from a file");
  moon_host_options options = host->options;
  options.chunks = host->chunks;
  MOON_TRY(moon_host_open(&options, out));
  moon_status status = moon_host_load_site(*out, moon_chunks_first(host->chunks), plan);
  if (status.code) moon_host_close(*out);
  if (status.code) *out = NULL;
  return status;
}

moon_status moon_host_load_recipe(moon_host *host, const char *path, json_t **plan) {
  return load_file(host, &(const char *){"recipe"}, path, plan);
}

moon_status moon_host_load_site(moon_host *host, const char *path, json_t **plan) {
  return load_file(host, &(const char *){"site"}, path, plan);
}

moon_status moon_host_load_recipe_source(moon_host *host, const char *chunk_name, const char *source, size_t n, json_t **plan) {
  return load(host, &(const char *){"recipe"}, chunk_name, source, n, plan);
}

moon_status moon_host_load(moon_host *host, const char *path, const char **kind, json_t **plan) {
  *kind = NULL;
  return load_file(host, kind, path, plan);
}

moon_status moon_host_load_tests(moon_host *host, const char *path, size_t *count) {
  json_t *none;
  moon_status status = load_file(host, &(const char *){"tests"}, path, &none);
  *count = host->tests;
  return status;
}
