/* internal.h - what the files of core/script share: the host's inside, and how a C function finds its host.
 *
 * Every thread of a Lua state carries the host's pointer in its extra space (Lua copies it to new coroutines), so no global is
 * needed and many hosts live side by side. */
#ifndef MOON_SCRIPT_INTERNAL_H
#define MOON_SCRIPT_INTERNAL_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "script/script.h"

#define MOON_RESULT_TYPE "moonshelf.result" /* what m.recipe and m.site return; user values: plan, functions */
#define MOON_NOTE_KEY "moonshelf.note"      /* registry: (level, text), there while a script is checked */
#define MOON_PCALL_KEY "moonshelf.pcall"    /* registry: beside it, a pcall that budgets go through */
#define MOON_PICKS_KEY "moonshelf.picks"    /* registry: place of a word of m.tune -> what was chosen for it */
#define MOON_STAND_IN "moonshelf.stand_in"  /* the __name of what stands for a word that failed then (words.lua) */
#define MOON_HOOK_STEPS 200                 /* VM instructions between two looks at the budget */

typedef struct moon_slate_backup { /* a slate as it was before a policy, to put back where it fails */
  uint32_t *item;
  float *score, *model_score, *source_score;
  uint8_t *source;
  moon_reason **reason;
  void *memory;
  size_t cap, n;
} moon_slate_backup;

struct moon_host {
  lua_State *L;
  moon_host_options options; /* with the defaults filled in */
  char *file, *folder;       /* the script's base name; where `require` looks, NULL for a script from memory */
  bool loaded;
  size_t tests; /* of a file of tests */
  moon_script *required; /* [required_n] what `require` has read */
  size_t required_n, required_cap;
  moon_rng rng; /* math.random */

  /* memory.c */
  size_t memory;      /* bytes that Lua holds */
  bool memory_struck; /* the limit was hit in this call */

  /* budget.c: `left` goes down by VM instructions, and by what library functions do in C; below zero the call is over */
  int64_t left;
  uint64_t granted;
  int64_t deadline; /* moon_monotonic() */
  char verdict[200]; /* the message of the first strike, said again by every pcall that caught it */

  /* The call in progress. Userdata made for a call carry its number and die with it. */
  uint64_t call;
  const moon_table *table; /* row functions */
  size_t row;
  moon_slate *slate; /* policies */
  uint64_t order;    /* goes up when the slate's positions change */
  const char *label; /* in the slate's arena: "lua(site.lua:14)" */
  moon_slate_backup backup;
};

static inline moon_host *moon_host_of(lua_State *L) { return *(moon_host **)lua_getextraspace(L); }

/* ---- host.c */
/* Runs body(args as light userdata) under pcall; whatever happens inside comes back as a status. `name` is used where a message
 * has no place. */
moon_status moon_host_protect(moon_host *host, lua_CFunction body, void *args);
/* Pushes function `fn` of the plan; raises where there is none. */
void moon_host_push_function(lua_State *L, moon_host *host, uint32_t fn);
/* Takes the functions of the recipe or site at the top, which is popped, for those that push_function knows. */
void moon_host_take_functions(lua_State *L);
/* Starts a call: a new call number and a fresh budget. moon_host_end takes the table and slate away again. */
void moon_host_begin(moon_host *host);
void moon_host_end(moon_host *host);

/* ---- memory.c */
void *moon_host_allocate(void *host, void *block, size_t old_size, size_t new_size);

/* ---- budget.c */
void moon_budget_start(moon_host *host, uint64_t instructions, int64_t micros);
/* For work done in C: raises where the budget is spent. */
void moon_budget_charge(lua_State *L, moon_host *host, uint64_t cost);
/* Puts the hook on the state and the budget-proof pcall, xpcall and coroutine functions into the table at the top. */
void moon_budget_install(lua_State *L);
int moon_budget_pcall(lua_State *L); /* Lua's pcall, but for spent budgets, which it does not catch */
/* Pushes "file:line: " of the innermost function of the user, or "". */
void moon_push_place(lua_State *L);

/* ---- sandbox.c */
/* Opens the libraries and makes the sandbox's environment; moon_sandbox_push pushes it. */
void moon_sandbox_open(lua_State *L);
void moon_sandbox_push(lua_State *L);
/* Pushes a read-only face of the table at the top in its place. name: for messages, static. */
void moon_sandbox_protect(lua_State *L, const char *name);
/* Puts the functions that replace Lua's own, because those could work long or much within one instruction, into the table at the
 * top. */
void moon_guard_string(lua_State *L);
void moon_guard_table(lua_State *L);
void moon_guard_utf8(lua_State *L);
void moon_guard_math(lua_State *L);
void moon_guard_json(lua_State *L); /* pushes the sandbox's "cjson" */
void moon_patterns_install(lua_State *L);

/* ---- require.c: the sandbox's require, and how a chunk of the user is loaded */
int moon_sandbox_require(lua_State *L);
void moon_required_free(moon_host *host);
void moon_load_chunk(lua_State *L, const char *name, const char *source, size_t n);
/* Lua: (file, option, line) -> the line at or after `line` on which `option =` stands, or nothing. */
int moon_option_line(lua_State *L);
/* Lua: (file, line) -> the text of the line, or nothing. */
int moon_source_line(lua_State *L);

/* ---- plan.c */
/* The Lua value at `index` as JSON. Never raises: on failure *out holds what was made so far (or NULL) and the text of the
 * problem is in `why`. */
bool moon_plan_json(lua_State *L, int index, json_t **out, char why[160]);
/* The same, pushed in a userdata that frees it; raises with the text of the problem after `what`. */
json_t *moon_json_push(lua_State *L, int index, const char *what);
/* Pushes a userdata that frees what is put into it; it holds NULL. */
json_t **moon_json_room(lua_State *L);
/* Adds array, result and plan to the table at the top. */
void moon_plan_install(lua_State *L);

/* ---- tests.c */
/* Lua: (name, where, function) adds a test to the running file's. */
int moon_tests_add(lua_State *L);
/* The file has run: how many it has; none is added from now on. */
size_t moon_tests_take(lua_State *L);

/* ---- lua_lab.c: adds what m.test stands on to the table at the top */
void moon_lua_lab_set(lua_State *L);

/* ---- bindings: each registers its metatables once per state; push makes the object of the call in progress */
void moon_lua_cursor_register(lua_State *L);
void moon_lua_cursor_push(lua_State *L, moon_host *host);
void moon_lua_slate_register(lua_State *L);
void moon_lua_slate_push(lua_State *L, moon_host *host);
void moon_lua_mask_register(lua_State *L);
/* A new mask of the slate's items, all zero; its bits [slate->n] in today's order. */
uint8_t *moon_lua_mask_new(lua_State *L, moon_host *host);
/* The mask at `index` in today's order, [slate->n]; may push a userdata that keeps the bits alive. */
const uint8_t *moon_lua_mask_bits(lua_State *L, moon_host *host, int index);
void moon_lua_column_register(lua_State *L);
/* The view of a column; raises on an unknown one. */
void moon_lua_column_push(lua_State *L, moon_host *host, const char *name);
void moon_lua_ctx_register(lua_State *L);
void moon_lua_ctx_push(lua_State *L, const moon_request *request);
/* The state's home of tensors; host NULL: a stock lua5.4. push makes one where none was registered, and pushes what m.tensor is.
 */
void moon_lua_tensor_register(lua_State *L, moon_host *host);
void moon_lua_tensor_push(lua_State *L);
/* Raises "<place>there is no <what> '<name>'; did you mean '...'?" */
int moon_lua_unknown(lua_State *L, const char *what, const char *name, const char *const *names, size_t count);

#endif
