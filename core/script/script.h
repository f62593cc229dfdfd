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
  uint64_t call_instructions; /* per policy or gate call, 0: 1 million; row functions get this much per 1,000 rows */
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
moon_fit_functions moon_host_fit_functions(moon_host *host);

/* ---- a bundle, a site and a host together (runtime.c): what the command `page`, the server and programs that embed us share;
 * the public part is include/moonshelf/runtime.h
 * ------------------------------------------------------------------------------------------ */

/* Lets the caller print (see moon_host_options); otherwise as moon_runtime_open. */
moon_status moon_runtime_open_with(const char *bundle, const char *site, const moon_host_options *options, moon_runtime **out);
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
