/* runtime.h - Moonshelf inside another program: pages, rankings and events, without a server.
 *
 * A *runtime* is a bundle and a site, opened, with what has happened since: the state, and where events are kept. A *worker* is
 * one thread's access to it; it makes pages and ranks lists.
 *
 *   moon_runtime *shop;
 *   moon_worker *worker;
 *   moon_runtime_options options = {.size = sizeof options, .bundle = "out/bundle", .site = "site.lua"};
 *   moon_status st = moon_runtime_open(&options, &shop);
 *   if (!st.code) st = moon_worker_open(shop, &worker);
 *   if (st.code) return report(st.message);
 *
 *   moon_query query = {.size = sizeof query, .surface = "home", .user = "u1"};
 *   const char *json;
 *   size_t n;
 *   st = moon_worker_page(worker, &query, &json, &n);        // json is good until the worker's next call
 *
 *   moon_event_record view = {.size = sizeof view, .user = "u1", .item = "i7", .kind = "view"};
 *   st = moon_runtime_event(shop, &view);                    // the next page knows of it
 *   moon_worker_close(worker);
 *   moon_runtime_close(shop);
 *
 * Threads. Every moon_runtime_* call may be made by any thread at any time (but for close, below); those that change something
 * wait for each other. A worker is one thread's at a time, so open one for each thread that makes pages. Workers do not wait
 * for each other, nor for a reload; an event is folded in between two pages. A page sees one moment: one bundle, one site, one
 * state.
 *
 * Many runtimes, of different bundles or the same one, live side by side in a process. The library has no global state, starts
 * no thread, installs no signal handler, and never prints, exits or aborts. (OpenBLAS, which it stands on, starts threads when
 * it is loaded; OPENBLAS_NUM_THREADS=1 in the environment keeps it from that.) After fork() only the parent may go on with what
 * was open.
 *
 * Memory. Texts that a call takes are read before it returns and never kept; `const` results are the worker's and stay until
 * its next call. Texts are UTF-8, zero-terminated; times are microseconds since 1970 UTC.
 *
 * Errors. Every call that can fail answers a moon_status, whose message names what is wrong. A NULL where something has to be,
 * and a struct with a wrong size, is MOON_EINVAL; what was asked for is then not done, and results are NULL or 0. Closing NULL
 * is fine.
 *
 * Structs grow. Each that the caller fills in begins with its size: a library with more fields takes those of an older program
 * as zero, and one with fewer refuses a newer program's fields (MOON_EINVAL) unless they are zero. Zero always means "as if
 * there were no such field". */
#ifndef MOONSHELF_RUNTIME_H
#define MOONSHELF_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "moonshelf/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- versions ------------------------------------------------------------------------------------------------------------- */

/* Goes up when a program built against older headers would no longer work; more calls and fields do not move it. */
#define MOON_ABI_VERSION 1
/* The library's; a program that loads it at run time compares it with MOON_ABI_VERSION of its headers. */
MOON_API uint32_t moon_abi_version(void);
/* "0.1.0"; static storage. */
MOON_API const char *moon_version(void);

/* ---- a runtime ------------------------------------------------------------------------------------------------------------ */

typedef struct moon_runtime moon_runtime;

typedef struct moon_runtime_options {
  size_t size;                /* sizeof(moon_runtime_options) */
  const char *bundle;         /* folder that `moonshelf train` wrote */
  const char *site;           /* site.lua; what it requires is looked for beside it */
  const char *event_log;      /* SQLite file in which events are kept, made where absent; NULL: events live in memory only */
  size_t state_memory;        /* bytes that the state may grow to; then users seen long ago go. 0: as it comes */
  size_t script_memory;       /* bytes of Lua memory of each worker, 0: 256 MiB */
  uint64_t call_instructions; /* VM instructions of a policy or gate before it is ended, 0: 1 million */
  uint64_t page_millis;       /* time of all policies and gates of a page together, one of them a quarter of it; 0: 50 */
  bool deterministic;         /* scripts see keys in order, the query's clock and no addresses */
  /* Where a script's print goes, a line without its newline (n bytes, not zero-terminated); NULL: nowhere. Called by the thread that
   * makes the page, or that loads the site. It may not call the runtime. */
  void (*print)(void *self, const char *line, size_t n);
  void *print_self;
} moon_runtime_options;

/* Opens the bundle (checked whole), runs the site script in its sandbox, and folds the event log's events in. Nothing else is read or
 * written, now or later. The caller closes.
 * Errors: MOON_ENOTFOUND (no such file; a column or source that the bundle does not have), MOON_EIO (a file cannot be read, or the event log is
 * another process's), MOON_EFORMAT (bundle or event log is damaged), MOON_ESCRIPT (site, with file:line), MOON_ENOMEM. */
MOON_API moon_status moon_runtime_open(const moon_runtime_options *options, moon_runtime **out);
/* Lets go. Workers that are still open go on, and the last of them to close takes the rest along. No other call on the runtime itself may
 * follow, or be under way. */
MOON_API void moon_runtime_close(moon_runtime *runtime);

/* Opens bundle, site, or both anew, under workers that go on; each uses the new ones from its next call on. NULL: that part stays what
 * it is, whatever its files are now. On any failure all stays as it was.
 * A new bundle brings its own state. Events that it has not seen are folded in again from the event log; a runtime without one forgets
 * them. It takes as long as opening did, in the caller's thread; events that come meanwhile wait only for the last step of it, folding
 * in. Old parts are freed once no worker holds them, by the next event, reload or metrics.
 * Errors: as moon_runtime_open; MOON_EINVAL where both are NULL. */
MOON_API moon_status moon_runtime_reload(moon_runtime *runtime, const char *bundle, const char *site);

/* ---- events --------------------------------------------------------------------------------------------------------------- */

typedef struct moon_event_record {
  size_t size;      /* sizeof(moon_event_record) */
  const char *user; /* id, 1 to 256 bytes; a new one is a new user */
  const char *item; /* id of an item of the bundle */
  const char *kind; /* "view", "purchase", ..: 1 to 64 bytes; the bundle's kinds are those that features count */
  const char *id;   /* of the event itself, up to 256 bytes, so that it counts once however often it is sent; NULL: none */
  int64_t time;     /* when it happened; 0: as new as the newest */
} moon_event_record;

/* Folds an event into the state, so that pages begun after this know of it. With an event log it is on disk, synced, when this returns.
 * The bundle stays as it is. An id that came before is no error and changes nothing; without an event log ids are remembered as long as
 * the runtime has its bundle.
 * Errors: MOON_EINVAL (a text that is missing, empty, too long or not UTF-8; a time before 1990 or after 2200: another unit),
 * MOON_ENOTFOUND (no such item), MOON_EIO (the event log), MOON_ENOMEM. */
MOON_API moon_status moon_runtime_event(moon_runtime *runtime, const moon_event_record *event);
/* The same for n of them, at one sync's cost: all of `events` [n] are taken, or none, and the message names the first that is wrong
 * ("event 3: ..", from 0). *duplicates: how many had an id that came before; may be NULL. Only where memory ends in the middle of folding
 * in (MOON_ENOMEM) some are in the state and some are not; with an event log all are after the next open. */
MOON_API moon_status moon_runtime_events(moon_runtime *runtime, const moon_event_record *events, size_t n, size_t *duplicates);

/* ---- metrics -------------------------------------------------------------------------------------------------------------- */

typedef struct moon_counters {
  size_t size; /* sizeof(moon_counters) */
  /* since opening */
  uint64_t pages, pages_degraded, pages_failed; /* made; made without a policy that failed; not made */
  uint64_t policy_errors;                       /* policies and gates that failed */
  uint64_t page_micros, page_micros_most;       /* time of all pages, and of the slowest: without their text */
  uint64_t rankings, ranked_items;
  uint64_t events, events_duplicate, events_refused; /* taken, duplicates among them; refused, by events of a call */
  uint64_t reloads, reloads_failed;
  /* of the event log, at opening or the last new bundle: folded in; seen by the bundle; of items that it does not have */
  uint64_t replayed, covered, unknown;
  /* now */
  uint64_t edition; /* of bundle and site: 1, and one more with each reload */
  uint64_t workers; /* open */
  uint64_t items, users, users_dropped, state_bytes, state_events; /* state_events: training included */
  int64_t clock;    /* time of the newest event */
} moon_counters;
/* Fills in `out`, whose size the caller has set. Counts of pages that are being made may be a little late. */
MOON_API moon_status moon_runtime_metrics(moon_runtime *runtime, moon_counters *out);

/* ---- a worker ------------------------------------------------------------------------------------------------------------- */

typedef struct moon_worker moon_worker;
/* A Lua state with the site's functions, and scratch memory: some hundred KiB, and what the site's pages need. Errors: MOON_ENOMEM. */
MOON_API moon_status moon_worker_open(moon_runtime *runtime, moon_worker **out);
MOON_API void moon_worker_close(moon_worker *worker);

typedef struct moon_pair { const char *name, *value; } moon_pair;

typedef struct moon_query {
  size_t size;                /* sizeof(moon_query) */
  const char *surface;        /* "home", "product", "cart" or any other surface of the site; NULL: "home" */
  const char *user;           /* id, or NULL for a new visitor; an unknown id is a new visitor too */
  const char *item;           /* the item that a product page shows, or NULL */
  const char *const *cart;    /* [cart_n] item ids */
  size_t cart_n;              /* up to 10,000 */
  const moon_pair *params;    /* [param_n] what else came with the request; policies read it as ctx.params */
  size_t param_n;             /* up to 10,000 */
  int64_t now;                /* 0: the time of the newest event */
  uint64_t seed;              /* of everything random on the page */
  bool explain;               /* every item says why it is where it is */
} moon_query;

/* One page as JSON (the format of GET /v1/page, see README.md); *json [n] is zero-terminated. A script that breaks or does not come to
 * an end costs its own effect on the page, which is then "degraded", and nothing else.
 * MOON_ENOTFOUND: no such surface (names the nearest), or no such item on a product page. */
MOON_API moon_status moon_worker_page(moon_worker *worker, const moon_query *query, const char **json, size_t *n);
/* The same as text for a terminal. */
MOON_API moon_status moon_worker_page_text(moon_worker *worker, const moon_query *query, const char **text, size_t *n);

/* The same as structs. More fields may come at their ends. */
typedef struct moon_slot_view {
  const char *name, *title;     /* title: NULL where the site gives none */
  size_t n;
  const char *const *items;     /* [n] ids, in order */
  const float *scores;          /* [n] what they were ordered by */
  const float *model_scores;    /* [n] the model's probability; NaN where the slot is not ranked */
  const char *const *sources;   /* [n] "similar", "popular", ..: what brought the item first */
  const char *const *why;       /* [n] a sentence each where the query asked to explain, else NULL */
  bool fallback;                /* whether the page's fallback filled it up */
} moon_slot_view;
typedef struct moon_page_view {
  const char *surface;
  size_t slot_count;
  const moon_slot_view *const *slots; /* [slot_count] */
  bool cold;                    /* the user was unknown */
  const char *degraded;         /* NULL, or what failed and was left out */
  uint64_t edition;             /* of bundle and site, as in moon_counters */
  int64_t micros;               /* time it took */
} moon_page_view;
MOON_API moon_status moon_worker_view(moon_worker *worker, const moon_query *query, const moon_page_view **out);

/* A list of the caller's own: what the model thinks of each item for this user, now. No site, no policy, no exclusion is asked. */
typedef struct moon_rank_query {
  size_t size;              /* sizeof(moon_rank_query) */
  const char *user;         /* id; NULL or unknown: a new visitor */
  const char *const *items; /* [n] ids */
  size_t n;                 /* up to 1,000,000 */
  int64_t now;              /* 0: the time of the newest event */
} moon_rank_query;
/* scores [n]: of items[i], a probability where the model gives one; NaN for an item that the bundle does not have. order [n] (may be NULL):
 * positions in `items`, best first; equal scores as they came, NaN last. Both are the caller's memory. n 0 is fine. */
MOON_API moon_status moon_worker_rank(moon_worker *worker, const moon_rank_query *query, float *scores, uint32_t *order);

#ifdef __cplusplus
}
#endif
#endif
