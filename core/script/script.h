/* script.h - the door of core/script: the Lua host.
 *
 * A host is one Lua state with the `moonshelf` module, a sandbox and budgets. It turns a user's script into a plan (plain JSON)
 * plus numbered Lua functions, and lends those functions to core through moon_row_functions and moon_page_functions. Nothing else
 * of Lua leaves this room: no error of a script jumps out of a call, every failure is a MOON_ESCRIPT status that begins with
 * file:line. */
#ifndef MOON_SCRIPT_H
#define MOON_SCRIPT_H

#include <jansson.h>

#include "base/base.h"
#include "data/data.h"
#include "page/page.h"
#include "rank/rank.h"

struct lua_State;

typedef struct moon_host moon_host;
typedef struct moon_host_options {
  size_t memory_limit;       /* bytes of Lua memory, 0: 256 MiB */
  size_t tensor_limit;        /* bytes of tensors that the script made, 0: 256 MiB */
  uint64_t load_instructions; /* VM instructions for loading a script, 0: 50 million */
  uint64_t load_millis;       /* of time, 0: 60,000 */
  uint64_t call_instructions; /* per policy or gate call, 0: 1 million; row functions get this much per 1,000 rows */
  uint64_t call_millis;       /* of time, likewise, 0: 2000 */
  uint64_t page_millis;       /* for all policies and gates of one page together, 0: without end; see moon_host_begin_page */
  size_t call_memory;         /* bytes of Lua memory that a call may add, 0: as far as memory_limit goes */
  size_t call_tensors;        /* bytes of tensors, likewise */
  /* The same request gives the same bytes on every machine and in every process: pairs and next in an order of their own, the clock of the
   * request (1970 while loading), no addresses in texts. What a policy keeps in upvalues from one request to the next is still the script's
   * own to answer for. */
  bool deterministic;
  /* Where a script's print goes, line by line without the newline; NULL: nowhere (the library never prints). */
  void (*print)(void *self, const char *line, size_t n);
  void *print_self;
  /* To check a script: mistakes in the use of words do not end its loading but are told of here, as warnings are, and the plan has
   * what is left; see moon_host_load. NULL: the first mistake is the error. */
  const moon_findings *findings;
  /* The values that words of m.tune stand for, as a plan's "tune" has them: [{"where","pick"}, ...]; borrowed until the host is open. NULL,
   * and for words that are not in it: the first. */
  const json_t *tuned;
  /* Appends the text of a file that the script requires ("rules/winter.lua"); NULL: files beside the script. */
  moon_status (*read)(void *self, const char *file, moon_buf *out);
  void *read_self;
} moon_host_options;
moon_status moon_host_open(const moon_host_options *options, moon_host **out);
void moon_host_close(moon_host *host);

/* Runs a recipe (or site) script in the sandbox: text chunks only, allow-listed libraries, `require` of "moonshelf" and of files
 * beside the script only. It must return m.recipe {...} (m.site {...}). *plan is a new reference. Errors are Lua's with
 * file:line. A host loads one script in its life. */
moon_status moon_host_load_recipe(moon_host *host, const char *path, json_t **plan);
moon_status moon_host_load_recipe_source(moon_host *host, const char *chunk_name, const char *source, size_t n, json_t **plan);
moon_status moon_host_load_site(moon_host *host, const char *path, json_t **plan);
/* The files that the script has required so far, in that order; borrowed until the next call into the host. */
size_t moon_host_required(const moon_host *host, const moon_script **out);
/* Whichever of the two the script returns; *kind is "recipe" or "site" (static storage). For `moonshelf check`: with findings, the
 * plan lacks the parts that had errors, or is NULL (and *kind too) where there is nothing left of it. */
moon_status moon_host_load(moon_host *host, const char *path, const char **kind, json_t **plan);
/* A file of tests (m.test), loaded likewise; what it returns does not matter. Afterwards tests 0 .. *count - 1 can be run, each with
 * the budget of a call. A test that fails is MOON_ESCRIPT. Names and places live as long as the host. */
moon_status moon_host_load_tests(moon_host *host, const char *path, size_t *count);
moon_status moon_host_test(moon_host *host, size_t i, const char **name, const char **where);
moon_status moon_host_run_test(moon_host *host, size_t i);
moon_row_functions moon_host_row_functions(moon_host *host);
moon_page_functions moon_host_page_functions(moon_host *host);
/* From now on page_millis count. */
void moon_host_begin_page(moon_host *host);
/* Whether a call has passed a limit of memory, so that what the script holds may be in the way of the next: time for a new host. */
bool moon_host_worn(const moon_host *host);
/* The site that this host has loaded in a fresh host, by the texts that were read then. The two may be used by two threads. */
moon_status moon_host_reopen(const moon_host *host, moon_host **out, json_t **plan);
size_t moon_host_memory(const moon_host *host);  /* bytes that Lua holds */
size_t moon_host_tensors(const moon_host *host); /* bytes of tensors */
moon_fit_functions moon_host_fit_functions(moon_host *host);

/* ---- a bundle, a site and a host together (runtime.c): what the command `page`, the server and programs that embed us share;
 * the public part is include/moonshelf/runtime.h
 * ------------------------------------------------------------------------------------------ */

/* Lets the caller print and set limits (see moon_host_options); otherwise as moon_runtime_open. Where nothing is said, calls have the limits of
 * pages: 50 ms a page, a quarter of page_millis a call, 16 MiB of Lua memory and 32 MiB of tensors more than before the call. */
moon_status moon_runtime_open_with(const char *bundle, const char *site, const moon_host_options *options, moon_runtime **out);
/* A site as it is served: its script in a Lua state, and its plan checked against the bundle. prepare makes one from a file, or (path NULL)
 * once more from what the scene in use was read from; it may run beside pages, on another thread, one at a time. adopt puts it in the
 * place of the one in use, between two pages. */
typedef struct moon_scene moon_scene;
moon_status moon_runtime_prepare(const moon_runtime *runtime, const char *site, moon_scene **out);
void moon_runtime_adopt(moon_runtime *runtime, moon_scene *scene);
void moon_scene_free(moon_scene *scene);
/* The host in use. Worn (moon_host_worn), it should be replaced; moon_runtime_page does that itself. */
const moon_host *moon_runtime_host(const moon_runtime *runtime);
/* The page itself, resolved and assembled; it lives in the runtime's arena until the next call. `*request` is filled in for
 * rendering. */
moon_status moon_runtime_assemble(moon_runtime *runtime, const moon_query *query, moon_request *request, moon_page **page);
const moon_bundle *moon_runtime_bundle(const moon_runtime *runtime);
/* The live state: the bundle's, with the events since. */
moon_state *moon_runtime_state(moon_runtime *runtime);

/* The Lua module: pushes what `require "moonshelf"` returns. Used by our host and, through module/lua_module.c (which builds
 * moonshelf.so and exports luaopen_moonshelf), by a stock lua5.4. */
MOON_API int moon_lua_open(struct lua_State *L);

#endif
