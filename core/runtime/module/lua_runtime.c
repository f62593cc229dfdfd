/* lua_runtime.c - `require "moonshelf.runtime"` in a stock lua5.4: pages, rankings and events.
 *
 * Built on the public headers alone. A runtime here is a runtime and one worker: a Lua state is one thread's. Errors are raised with
 * their message. */
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <moonshelf.h>
#include <string.h>

#define TYPE "moonshelf.runtime"

typedef struct shop {
  moon_runtime *runtime;
  moon_worker *worker;
} shop;

LUAMOD_API int luaopen_moonshelf_runtime(lua_State *L);

static int check(lua_State *L, moon_status status) { return status.code ? luaL_error(L, "%s", status.message) : 0; }

static shop *self_of(lua_State *L) {
  shop *s = luaL_checkudata(L, 1, TYPE);
  luaL_argcheck(L, s->runtime, 1, "the runtime is closed");
  return s;
}

/* ---- from tables: what is put on the stack stays there for the length of the call */

/* A name that is not one of `names` (ends with NULL) is an error, so that a slip of the pen is not a field left out. */
static void check_names(lua_State *L, int table, const char *const *names) {
  luaL_checktype(L, table, LUA_TTABLE);
  luaL_checkstack(L, 30, NULL);
  for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    size_t i = 0;
    while (name && names[i] && strcmp(names[i], name)) i++;
    if (name && names[i]) continue;
    luaL_Buffer known;
    luaL_buffinit(L, &known);
    for (i = 0; names[i]; i++) {
      if (i) luaL_addstring(&known, ", ");
      luaL_addstring(&known, names[i]);
    }
    luaL_pushresult(&known);
    luaL_error(L, "there is no field '%s'; there are %s", name ? name : "(not a string)", lua_tostring(L, -1));
  }
}

static const char *text_field(lua_State *L, int table, const char *name) {
  if (lua_getfield(L, table, name) == LUA_TNIL) return NULL;
  if (lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'%s' must be a string, not a %s", name, luaL_typename(L, -1));
  return lua_tostring(L, -1);
}

static lua_Integer whole_field(lua_State *L, int table, const char *name) {
  int is;
  if (lua_getfield(L, table, name) == LUA_TNIL) return 0;
  lua_Integer value = lua_tointegerx(L, -1, &is);
  if (!is) luaL_error(L, "'%s' must be a whole number", name);
  return value;
}

/* { "a", "b" } -> [n] texts, in a userdata. */
static const char *const *list_field(lua_State *L, int table, const char *name, size_t *n) {
  *n = 0;
  if (lua_getfield(L, table, name) == LUA_TNIL) return NULL;
  if (!lua_istable(L, -1)) luaL_error(L, "'%s' must be a list of ids, not a %s", name, luaL_typename(L, -1));
  int list = lua_gettop(L);
  *n = lua_rawlen(L, list);
  const char **ids = lua_newuserdatauv(L, (*n + 1) * sizeof *ids, 0);
  for (size_t i = 0; i < *n; i++) {
    if (lua_rawgeti(L, list, (lua_Integer)i + 1) != LUA_TSTRING)
      luaL_error(L, "'%s' must hold ids: [%d] is a %s", name, (int)i + 1, luaL_typename(L, -1));
    ids[i] = lua_tostring(L, -1); /* the list keeps it */
    lua_pop(L, 1);
  }
  return ids;
}

/* { country = "NL" } -> pairs, in a userdata. The table keeps their texts. */
static const moon_pair *pairs_field(lua_State *L, int table, const char *name, size_t *n) {
  *n = 0;
  if (lua_getfield(L, table, name) == LUA_TNIL) return NULL;
  if (!lua_istable(L, -1)) luaL_error(L, "'%s' must be a table of strings, not a %s", name, luaL_typename(L, -1));
  int from = lua_gettop(L);
  size_t count = 0;
  for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) count++;
  moon_pair *pairs = lua_newuserdatauv(L, (count + 1) * sizeof *pairs, 0);
  for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
    if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING) luaL_error(L, "'%s' must be a table of strings", name);
    pairs[(*n)++] = (moon_pair){lua_tostring(L, -2), lua_tostring(L, -1)};
  }
  return pairs;
}

static moon_query query_of(lua_State *L, int table) {
  moon_query q = {.size = sizeof q};
  static const char *const names[] = {"surface", "user", "item", "cart", "params", "now", "seed", "explain", NULL};
  if (lua_isnoneornil(L, table)) return q;
  check_names(L, table, names);
  q.surface = text_field(L, table, "surface");
  q.user = text_field(L, table, "user");
  q.item = text_field(L, table, "item");
  q.cart = list_field(L, table, "cart", &q.cart_n);
  q.params = pairs_field(L, table, "params", &q.param_n);
  q.now = whole_field(L, table, "now");
  q.seed = (uint64_t)whole_field(L, table, "seed");
  lua_getfield(L, table, "explain");
  q.explain = lua_toboolean(L, -1);
  return q;
}

/* ---- pages */

static void push_item(lua_State *L, const moon_slot_view *slot, size_t i) {
  lua_createtable(L, 0, 5);
  lua_pushstring(L, slot->items[i]), lua_setfield(L, -2, "id");
  lua_pushnumber(L, slot->scores[i]), lua_setfield(L, -2, "score");
  if (!isnan(slot->model_scores[i])) lua_pushnumber(L, slot->model_scores[i]), lua_setfield(L, -2, "model_score");
  lua_pushstring(L, slot->sources[i]), lua_setfield(L, -2, "source");
  if (slot->why) lua_pushstring(L, slot->why[i]), lua_setfield(L, -2, "why");
}

static void push_slot(lua_State *L, const moon_slot_view *slot) {
  lua_createtable(L, 0, 4);
  lua_pushstring(L, slot->name), lua_setfield(L, -2, "name");
  lua_pushstring(L, slot->title), lua_setfield(L, -2, "title"); /* NULL: nil */
  lua_pushboolean(L, slot->fallback), lua_setfield(L, -2, "fallback");
  lua_createtable(L, (int)slot->n, 0);
  for (size_t i = 0; i < slot->n; i++) {
    push_item(L, slot, i);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "items");
}

/* shop:page { surface = "home", user = "u1" }
 *   -> { surface, cold, degraded, edition, slots = { { name, title, items = { { id, score, model_score, source, why }, .. } }, .. } } */
static int shop_page(lua_State *L) {
  shop *s = self_of(L);
  const moon_query query = query_of(L, 2);
  const moon_page_view *page;
  check(L, moon_worker_view(s->worker, &query, &page));
  lua_createtable(L, 0, 5);
  lua_pushstring(L, page->surface), lua_setfield(L, -2, "surface");
  lua_pushboolean(L, page->cold), lua_setfield(L, -2, "cold");
  lua_pushstring(L, page->degraded), lua_setfield(L, -2, "degraded");
  lua_pushinteger(L, (lua_Integer)page->edition), lua_setfield(L, -2, "edition");
  lua_createtable(L, (int)page->slot_count, 0);
  for (size_t i = 0; i < page->slot_count; i++) {
    push_slot(L, page->slots[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_setfield(L, -2, "slots");
  return 1;
}

static int push_text(lua_State *L, moon_status (*make)(moon_worker *, const moon_query *, const char **, size_t *)) {
  shop *s = self_of(L);
  const moon_query query = query_of(L, 2);
  const char *text;
  size_t n;
  check(L, make(s->worker, &query, &text, &n));
  lua_pushlstring(L, text, n);
  return 1;
}

static int shop_json(lua_State *L) { return push_text(L, moon_worker_page); }
static int shop_text(lua_State *L) { return push_text(L, moon_worker_page_text); }

/* shop:rank { user = "u1", items = { "a", "b" } } -> { { id, score }, .. }, best first; no score: the bundle does not have the item */
static int shop_rank(lua_State *L) {
  shop *s = self_of(L);
  static const char *const names[] = {"user", "items", "now", NULL};
  moon_rank_query q = {.size = sizeof q};
  check_names(L, 2, names);
  q.user = text_field(L, 2, "user");
  q.items = list_field(L, 2, "items", &q.n);
  q.now = whole_field(L, 2, "now");
  float *scores = lua_newuserdatauv(L, (q.n + 1) * sizeof *scores, 0);
  uint32_t *order = lua_newuserdatauv(L, (q.n + 1) * sizeof *order, 0);
  check(L, moon_worker_rank(s->worker, &q, scores, order));
  lua_createtable(L, (int)q.n, 0);
  for (size_t i = 0; i < q.n; i++) {
    lua_createtable(L, 0, 2);
    lua_pushstring(L, q.items[order[i]]), lua_setfield(L, -2, "id");
    if (!isnan(scores[order[i]])) lua_pushnumber(L, scores[order[i]]), lua_setfield(L, -2, "score");
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

/* ---- events */

static moon_event_record event_of(lua_State *L, int table) {
  static const char *const names[] = {"user", "item", "event", "time", "id", NULL};
  moon_event_record e = {.size = sizeof e};
  check_names(L, table, names);
  e.user = text_field(L, table, "user");
  e.item = text_field(L, table, "item");
  e.kind = text_field(L, table, "event");
  e.id = text_field(L, table, "id");
  e.time = whole_field(L, table, "time");
  return e;
}

/* shop:event { user = "u1", item = "i7", event = "view", time = ?, id = ? } */
static int shop_event(lua_State *L) {
  shop *s = self_of(L);
  const moon_event_record event = event_of(L, 2);
  return check(L, moon_runtime_event(s->runtime, &event));
}

/* shop:events { {..}, {..} } -> how many had an id that came before. All are taken or none. */
static int shop_events(lua_State *L) {
  shop *s = self_of(L);
  size_t twice;
  luaL_checktype(L, 2, LUA_TTABLE);
  size_t n = lua_rawlen(L, 2);
  moon_event_record *events = lua_newuserdatauv(L, (n + 1) * sizeof *events, 0);
  for (size_t i = 0; i < n; i++) {
    if (lua_rawgeti(L, 2, (lua_Integer)i + 1) != LUA_TTABLE)
      return luaL_error(L, "event %d is a %s, not a table", (int)i + 1, luaL_typename(L, -1));
    int top = lua_gettop(L);
    events[i] = event_of(L, top); /* the tables keep the texts */
    lua_settop(L, top - 1);
  }
  check(L, moon_runtime_events(s->runtime, events, n, &twice));
  lua_pushinteger(L, (lua_Integer)twice);
  return 1;
}

/* ---- the runtime */

/* shop:reload { bundle = ?, site = ? } */
static int shop_reload(lua_State *L) {
  static const char *const names[] = {"bundle", "site", NULL};
  shop *s = self_of(L);
  check_names(L, 2, names);
  const char *bundle = text_field(L, 2, "bundle"), *site = text_field(L, 2, "site");
  return check(L, moon_runtime_reload(s->runtime, bundle, site));
}

static int shop_metrics(lua_State *L) {
  shop *s = self_of(L);
  moon_counters c = {.size = sizeof c};
  check(L, moon_runtime_metrics(s->runtime, &c));
  const struct {
    const char *name;
    uint64_t value;
  } all[] = {{"pages", c.pages},
             {"pages_degraded", c.pages_degraded},
             {"pages_failed", c.pages_failed},
             {"policy_errors", c.policy_errors},
             {"page_micros", c.page_micros},
             {"page_micros_most", c.page_micros_most},
             {"rankings", c.rankings},
             {"ranked_items", c.ranked_items},
             {"events", c.events},
             {"events_duplicate", c.events_duplicate},
             {"events_refused", c.events_refused},
             {"reloads", c.reloads},
             {"reloads_failed", c.reloads_failed},
             {"replayed", c.replayed},
             {"covered", c.covered},
             {"unknown", c.unknown},
             {"edition", c.edition},
             {"workers", c.workers},
             {"items", c.items},
             {"users", c.users},
             {"users_dropped", c.users_dropped},
             {"state_bytes", c.state_bytes},
             {"state_events", c.state_events},
             {"clock", (uint64_t)c.clock}};
  lua_createtable(L, 0, sizeof all / sizeof *all);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) lua_pushinteger(L, (lua_Integer)all[i].value), lua_setfield(L, -2, all[i].name);
  return 1;
}

/* Also __gc and __close; twice is fine. */
static int shop_close(lua_State *L) {
  shop *s = luaL_checkudata(L, 1, TYPE);
  moon_worker_close(s->worker);
  moon_runtime_close(s->runtime);
  *s = (shop){0};
  return 0;
}

/* runtime.open { bundle = "out/bundle", site = "site.lua", event_log = ?, state_memory = ?, script_memory = ?, .. } */
static int open_shop(lua_State *L) {
  static const char *const names[] = {"bundle", "site", "event_log", "state_memory", "script_memory", "call_instructions", "page_millis", "deterministic", NULL};
  moon_runtime_options o = {.size = sizeof o};
  check_names(L, 1, names);
  o.bundle = text_field(L, 1, "bundle");
  o.site = text_field(L, 1, "site");
  o.event_log = text_field(L, 1, "event_log");
  o.state_memory = (size_t)whole_field(L, 1, "state_memory");
  o.script_memory = (size_t)whole_field(L, 1, "script_memory");
  o.call_instructions = (uint64_t)whole_field(L, 1, "call_instructions");
  o.page_millis = (uint64_t)whole_field(L, 1, "page_millis");
  lua_getfield(L, 1, "deterministic");
  o.deterministic = lua_toboolean(L, -1);
  shop *s = lua_newuserdatauv(L, sizeof *s, 0);
  *s = (shop){0};
  luaL_setmetatable(L, TYPE);
  check(L, moon_runtime_open(&o, &s->runtime));
  check(L, moon_worker_open(s->runtime, &s->worker));
  return 1;
}

static const luaL_Reg methods[] = {
    {"page", shop_page},     {"json", shop_json},     {"text", shop_text},       {"rank", shop_rank},   {"event", shop_event},
    {"events", shop_events}, {"reload", shop_reload}, {"metrics", shop_metrics}, {"close", shop_close}, {NULL, NULL}};
static const luaL_Reg functions[] = {{"open", open_shop}, {NULL, NULL}};

__attribute__((visibility("default"))) int luaopen_moonshelf_runtime(lua_State *L) {
  if (luaL_newmetatable(L, TYPE)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, shop_close), lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, shop_close), lua_setfield(L, -2, "__close");
  }
  lua_pop(L, 1);
  luaL_newlib(L, functions);
  lua_pushstring(L, moon_version()), lua_setfield(L, -2, "version");
  return 1;
}
