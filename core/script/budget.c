/* budget.c - how long a script may run, and why it cannot talk its way out.
 *
 * A count hook looks at the budget every MOON_HOOK_STEPS instructions; coroutines inherit it, and pay for that many instructions
 * each time they are resumed, since the count starts again there. An instruction may have to walk through a block (compare a
 * string, copy the arguments, grow a table), so the longer the blocks, the more often the hook looks. Work that library functions
 * do in C is charged by them before it is done: a charge says how long the work will take, and what would end after the deadline
 * does not begin. When the budget is spent an error is raised; the sandbox's pcall, xpcall, coroutine.resume and coroutine.close raise it again when
 * they catch it, so it always reaches the host. Lua switches hooks off in three places, and each is closed to scripts: finalisers
 * (the sandbox's setmetatable refuses __gc), message handlers of an error that a hook raised, and to-be-closed variables of a
 * coroutine that a hook stopped: such a coroutine is buried, and neither this call nor a later one can close it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "script/internal.h"

void moon_push_place(lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline > 0 && strncmp(ar.source, "=moonshelf/", 11)) {
      lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
      return;
    }
  }
  lua_pushliteral(L, "");
}

enum { LOOK_EVERY = 500 }; /* instructions charged between two looks at the clock */

void moon_budget_start(moon_host *host, uint64_t instructions, int64_t micros) {
  if (instructions > INT64_MAX / 2) instructions = INT64_MAX / 2;
  host->granted = instructions;
  host->left = (int64_t)instructions;
  host->unlooked = 0;
  host->micros = micros;
  host->deadline = moon_monotonic() + micros;
  host->struck = MOON_STRIKE_NONE;
  host->verdict[0] = 0;
  if (!host->long_live) host->longest = 0;
  if (host->L) {
    host->running = host->L;
    moon_budget_tune(host);
  }
}

void moon_budget_spend(moon_host *host, moon_strike why) {
  if (!host->struck) host->struck = why;
  host->left = -1;
}

const char *moon_budget_verdict(moon_host *host, const char *place) {
  size_t n = sizeof host->verdict;
  if (host->verdict[0]) return host->verdict;
  switch (host->struck) {
    case MOON_STRIKE_TIME:
      snprintf(host->verdict, n, "%sthe script did not come to an end within its time budget of %lld ms", place,
               (long long)(host->micros / 1000));
      break;
    case MOON_STRIKE_MEMORY:
      snprintf(host->verdict, n, "%snot enough memory: the script's limit is %zu MiB", place, host->ceiling >> 20);
      break;
    default:
      snprintf(host->verdict, n, "%sthe script did not come to an end within its budget of %" PRIu64 " instructions", place,
               host->granted);
  }
  return host->verdict;
}

/* Raises the verdict; the first time it is written down. */
static int strike(lua_State *L, moon_host *host) {
  moon_budget_spend(host, MOON_STRIKE_STEPS);
  if (!host->verdict[0]) {
    moon_push_place(L);
    moon_budget_verdict(host, lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pushstring(L, host->verdict);
  return lua_error(L);
}

/* ---- the hook */

static void on_count(lua_State *L, lua_Debug *ar);

/* About as many instructions as would go through LOOK_BYTES each. */
static int steps_between_looks(const moon_host *host) {
  enum { LOOK_BYTES = 16 * 1024 };
  if (host->left < 0) return 1;
  if (host->longest <= LOOK_BYTES) return MOON_HOOK_STEPS;
  size_t steps = (size_t)MOON_HOOK_STEPS * LOOK_BYTES / host->longest;
  return steps ? (int)steps : 1;
}

void moon_budget_tune(moon_host *host) {
  int steps = steps_between_looks(host);
  if (lua_gethookcount(host->running) != steps) lua_sethook(host->running, on_count, LUA_MASKCOUNT, steps);
}

static void on_count(lua_State *L, lua_Debug *ar) {
  (void)ar;
  moon_host *host = moon_host_of(L);
  host->left -= lua_gethookcount(L);
  if (host->left >= 0 && moon_monotonic() > host->deadline) moon_budget_spend(host, MOON_STRIKE_TIME);
  if (host->left < 0) strike(L, host);
  moon_budget_tune(host);
}

/* ---- charges */

bool moon_budget_allows(const moon_host *host, uint64_t cost) {
  return host->left >= 0 && cost <= (uint64_t)host->left && moon_monotonic() + (int64_t)(cost / MOON_STEPS_PER_MICRO) <= host->deadline;
}

void moon_budget_charge(lua_State *L, moon_host *host, uint64_t cost) {
  if (host->left < 0 || cost > (uint64_t)host->left) strike(L, host);
  host->unlooked += cost;
  if (host->unlooked >= LOOK_EVERY) {
    host->unlooked = 0;
    if (!moon_budget_allows(host, cost)) moon_budget_spend(host, MOON_STRIKE_TIME);
  }
  host->left -= host->left < 0 ? 0 : (int64_t)cost;
  if (host->left < 0) strike(L, host);
}

/* After an error was caught: goes on only where the budget is not what failed. */
static void pass_on(lua_State *L) {
  moon_host *host = moon_host_of(L);
  if (host->left < 0) strike(L, host);
}

/* ---- pcall and xpcall: as lbaselib.c has them, with pass_on */

static int after_call(lua_State *L, int status, lua_KContext extra) {
  if (status != LUA_OK && status != LUA_YIELD) {
    pass_on(L);
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)extra;
}

int moon_budget_pcall(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, after_call);
  return after_call(L, status, 0);
}

/* The user's handler is upvalue 1. For the hook's error it would run inside the hook, where hooks are off: it is left out then.
 */
static int safe_handler(lua_State *L) {
  lua_settop(L, 1);
  if (moon_host_of(L)->left < 0) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 1, 1);
  return 1;
}

static int safe_xpcall(lua_State *L) {
  int n = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, safe_handler, 1);
  lua_replace(L, 2);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2);
  int status = lua_pcallk(L, n - 2, LUA_MULTRET, 2, 2, after_call);
  return after_call(L, status, 2);
}

/* ---- coroutines: Lua's own function is the upvalue */

/* The thread that runs from now on; answers the one that did. */
static lua_State *enter(moon_host *host, lua_State *co) {
  lua_State *before = host->running;
  host->running = co;
  moon_budget_tune(host);
  return before;
}

/* A coroutine that the hook stopped keeps hooks off, so its to-be-closed variables could run for ever. Nothing runs in it again,
 * and its extra space, which nobody else reads now, is where that is written down. */
static void bury(lua_State *co) { *(moon_host **)lua_getextraspace(co) = NULL; }
static bool is_buried(lua_State *co) { return !moon_host_of(co); }

/* resume and close: false as the first answer is a caught error */
static int catching_call(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  if (co && is_buried(co)) {
    lua_pushboolean(L, 0);
    lua_pushliteral(L, "cannot resume or close a coroutine that the budget stopped");
    return 2;
  }
  moon_host *host = moon_host_of(L);
  moon_budget_charge(L, host, MOON_HOOK_STEPS);
  lua_State *before = enter(host, co ? co : L);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  enter(host, before);
  if (status != LUA_OK) return lua_error(L); /* of its arguments */
  int n = lua_gettop(L);
  if (n == 0 || !lua_isboolean(L, 1) || lua_toboolean(L, 1)) return n;
  if (co && host->left < 0) bury(co);
  pass_on(L);
  return n;
}

/* Upvalue 1: the thread. As Lua's own, but one that the hook stopped is buried instead of closed. */
static int wrapped_call(lua_State *L) {
  moon_host *host = moon_host_of(L);
  lua_State *co = lua_tothread(L, lua_upvalueindex(1));
  int n = lua_gettop(L), answers = 0;
  if (is_buried(co)) return luaL_error(L, "cannot resume a coroutine that the budget stopped");
  moon_budget_charge(L, host, MOON_HOOK_STEPS);
  if (!lua_checkstack(co, n)) return luaL_error(L, "too many arguments to resume");
  lua_xmove(L, co, n);
  lua_State *before = enter(host, co);
  int status = lua_resume(co, L, n, &answers);
  enter(host, before);
  if (status == LUA_OK || status == LUA_YIELD) {
    if (!lua_checkstack(L, answers + 1)) return luaL_error(L, "too many results to resume");
    lua_xmove(co, L, answers);
    return answers;
  }
  if (host->left < 0) {
    bury(co);
    strike(L, host);
  }
  int state = lua_status(co);
  if (state != LUA_OK && state != LUA_YIELD) { /* its to-be-closed variables run now */
    before = enter(host, co);
    status = lua_resetthread(co);
    enter(host, before);
  }
  if (host->left < 0) strike(L, host);
  lua_xmove(co, L, 1);
  if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int safe_wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  lua_pushcclosure(L, wrapped_call, 1);
  return 1;
}

static void replace(lua_State *L, const char *name, lua_CFunction with) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, with, 1);
  lua_setfield(L, -2, name);
}

void moon_budget_install(lua_State *L) {
  moon_budget_tune(moon_host_of(L));
  lua_pushcfunction(L, moon_budget_pcall);
  lua_setfield(L, -2, "pcall");
  lua_pushcfunction(L, safe_xpcall);
  lua_setfield(L, -2, "xpcall");
  lua_getfield(L, -1, "coroutine");
  replace(L, "resume", catching_call);
  replace(L, "close", catching_call);
  lua_pushcfunction(L, safe_wrap);
  lua_setfield(L, -2, "wrap");
  lua_pop(L, 1);
}
