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
#define MOON_HOOK_STEPS 200                 /* VM instructions between two looks at the budget, at most */
#define MOON_STEPS_PER_MICRO 40             /* of work in C, on a busy machine: how long a charge will take */

typedef enum moon_strike { MOON_STRIKE_NONE, MOON_STRIKE_STEPS, MOON_STRIKE_TIME, MOON_STRIKE_MEMORY } moon_strike;

typedef struct moon_slate_backup { /* a slate as it was before a policy, to put back where it fails */
  moon_slate slate;
  uint32_t *item, *members;
  float *score, *model_score, *source_score, *propensity;
  uint8_t *source;
  moon_reason **reason;
  void *memory;
  size_t bytes;
} moon_slate_backup;

/* What was read from files: a state that is made anew reads the same. */
typedef struct moon_chunk {
  struct moon_chunk *next;
  char *path;
  moon_buf bytes;
} moon_chunk;

struct moon_operator;
struct moon_host {
  lua_State *L;
  moon_host_options options; /* with the defaults filled in */
  moon_chunks *chunks;       /* of the script and what it required */
  char *file, *folder;       /* the script's base name; where `require` looks, NULL for a script from memory */
  bool loaded;
  size_t tests; /* of a file of tests */
  moon_script *required; /* [required_n] what `require` has read */
  size_t required_n, required_cap;
  moon_rng rng; /* math.random */

  /* memory.c */
  size_t memory;    /* bytes that Lua holds */
  size_t ceiling;   /* that it may hold in this call */
  size_t refused;   /* the size that was refused last: Lua collects, and asks again */
  size_t longest;   /* the longest block that one instruction may have to walk through, see moon_budget_steps */
  size_t long_live; /* long blocks that are there */
  moon_account *tensors; /* borrowed from the state's home of tensors */

  /* budget.c: `left` goes down by VM instructions, and by what library functions do in C; below zero the call is over */
  int64_t left;
  uint64_t granted, unlooked; /* charged since the clock was read */
  int64_t micros, deadline;   /* moon_monotonic() */
  int64_t page_deadline;      /* of all calls of a page; 0: none */
  moon_strike struck;         /* the first limit that was passed in this call */
  bool tensors_refused;       /* in this call */
  bool worn;                  /* a limit of memory was passed: what the script holds of it is in the way of the calls to come */
  char verdict[200];          /* the message of that strike, said again by every pcall that caught it */
  lua_State *running;         /* the thread that the hook has to stop */

  /* The call in progress. Userdata made for a call carry its number and die with it. */
  int64_t now; /* of the request; 0 while loading */
  uint64_t call;
  bool in_call;
  const moon_table *table; /* row functions */
  size_t row;
  moon_slate *slate; /* policies */
  uint64_t order;    /* goes up when the slate's positions change */
  const uint32_t *items; /* what masks made at items_order are over, in the slate's arena; NULL: none yet */
  uint64_t items_order;
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
/* For work about to be done in C: raises where the budget is spent, or would be before the work is done. */
void moon_budget_charge(lua_State *L, moon_host *host, uint64_t cost);
/* Whether so much work fits into what is left. */
bool moon_budget_allows(const moon_host *host, uint64_t cost);
/* The call is over, for this reason unless there was one before. Raises nothing: the next look at the budget does. */
void moon_budget_spend(moon_host *host, moon_strike why);
/* The hook of the thread that runs looks as often as its longest block wants. */
void moon_budget_tune(moon_host *host);
/* The message of the strike; place: "file:line: ". */
const char *moon_budget_verdict(moon_host *host, const char *place);
/* Puts the hook on the state and the budget-proof pcall, xpcall and coroutine functions into the table at the top. */
void moon_budget_install(lua_State *L);
int moon_budget_pcall(lua_State *L); /* Lua's pcall, but for spent budgets, which it does not catch */
/* Pushes "file:line: " of the innermost function of the user, or "". */
void moon_push_place(lua_State *L);

/* ---- metatables.c: the sandbox's getmetatable, setmetatable and rawset into the table at the top */
void moon_metatables_install(lua_State *L);

/* ---- deterministic.c: into the table at the top, which has the functions that these replace */
void moon_deterministic_base(lua_State *L);
void moon_deterministic_os(lua_State *L);
void moon_deterministic_string(lua_State *L);

/* ---- sort.c */
int moon_table_sort(lua_State *L);

/* ---- sandbox.c */
/* Opens the libraries and makes the sandbox's environment; moon_sandbox_push pushes it. */
void moon_sandbox_open(lua_State *L);
void moon_sandbox_push(lua_State *L);
/* From now on no global can be set. */
void moon_sandbox_freeze(lua_State *L);
/* Pushes a read-only face of the table at the top in its place. name: for messages, static. */
void moon_sandbox_protect(lua_State *L, const char *name);
/* Puts the functions that replace Lua's own, because those could work long or much within one instruction, into the table at the
 * top. */
void moon_guard_string(lua_State *L);
void moon_guard_table(lua_State *L);
void moon_guard_utf8(lua_State *L);
void moon_guard_math(lua_State *L);
void moon_guard_os(lua_State *L);
void moon_guard_json(lua_State *L); /* pushes the sandbox's "cjson" */
void moon_patterns_install(lua_State *L);

/* ---- chunks.c */
/* The text of a file, read at the first time; beside: the name by which the script requires it, or NULL. Lives as long as the host. */
moon_status moon_chunks_read(moon_host *host, const char *path, const char *beside, size_t limit, const moon_chunk **out);
const char *moon_chunks_first(const moon_chunks *chunks); /* the path that was read first */

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
/* The call's slate, of the face at 1; raises where the call is over. */
moon_slate *moon_lua_slate_check(lua_State *L);
/* Pushes a cell of the item at a position: "score", "position" or a column, which raises where it is unknown. */
void moon_lua_slate_cell(lua_State *L, moon_host *host, size_t at, const char *name);
void moon_lua_row_register(lua_State *L);
int moon_lua_slate_each(lua_State *L);
int moon_lua_slate_score(lua_State *L);
/* lua_policy.c: adds "operators", what m.policy makes its words of, or the operators as methods of a slate, to the table at the top. */
void moon_lua_operators_set(lua_State *L);
void moon_lua_operator_methods(lua_State *L);
bool moon_lua_is_method(const struct moon_operator *op);
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
