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
#include "moonshelf/lua.h"
#include "page/page.h"
#include "rank/rank.h"

typedef struct moon_host moon_host;

/* Files as they were first read (chunks.c); counted, and shared by hosts on any threads. */
typedef struct moon_chunks moon_chunks;
moon_status moon_chunks_new(moon_chunks **out);
moon_chunks *moon_chunks_hold(moon_chunks *chunks);
void moon_chunks_release(moon_chunks *chunks);

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
  /* The files that other hosts have read, so that this one runs the same texts whatever the files are now, and what it reads beside; the host
   * holds it. NULL: a list of its own. */
  moon_chunks *chunks;
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

#endif
