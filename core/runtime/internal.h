/* internal.h - what the files of core/runtime share: editions, seats, the runtime and its locks. */
#ifndef MOON_RUNTIME_INTERNAL_H
#define MOON_RUNTIME_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "runtime/runtime.h"

/* ---- arguments (arguments.c) ---------------------------------------------------------------------------------------------- */

/* Copies a caller's struct, which begins with its size, to `mine` [known]; what it does not have is zero. `least`: the size of its first
 * version. MOON_EINVAL where it is NULL, of no such size, or has fields set that are not known here. */
moon_status moon_check_size(size_t size, const char *type, size_t least);
moon_status moon_take_struct(const void *theirs, const char *type, size_t least, size_t known, void *mine);
/* MOON_EINVAL for a query that is not whole: a NULL among ids or parameters. */
moon_status moon_check_query(const moon_query *theirs, moon_query *query);
moon_status moon_check_event(const moon_event_record *event);
/* One who asks for a pointer back has to give a place for it. */
moon_status moon_check_given(const void *given, const char *name);

/* ---- editions (edition.c): counted, and freed by the last who lets go --------------------------------------------------------- */

typedef struct moon_stock { /* a bundle, which editions share while only the site changes */
  moon_bundle *bundle;
  atomic_size_t holders;
} moon_stock;
moon_status moon_stock_open(const char *path, size_t state_memory, moon_stock **out);
moon_stock *moon_stock_share(moon_stock *stock);
void moon_stock_free(moon_stock *stock);

typedef struct moon_seat {
  struct moon_edition *edition; /* held */
  moon_host *host;
  json_t *plan;
  moon_site *site;
  moon_assembler *assembler;
  moon_page_functions functions;
  struct moon_seat *next;
} moon_seat;

typedef struct moon_edition {
  atomic_size_t holders;
  uint64_t number;
  moon_stock *stock;
  char *site;          /* the script's path */
  moon_chunks *chunks; /* its text and what it required, as first read, so that all seats of an edition run the same */
  moon_seat *spare; /* laid out for workers; under the runtime's lock once it is published */
} moon_edition;
/* With so many spare seats. The stock is taken over, also where this fails; chunks are shared, NULL: of files to be read. */
moon_status moon_edition_new(moon_stock *stock, const char *site, moon_chunks *chunks, uint64_t number, const moon_host_options *options,
                             size_t seats, moon_edition **out);
moon_edition *moon_edition_share(moon_edition *edition);
void moon_edition_free(moon_edition *edition);
moon_status moon_seat_new(moon_edition *edition, const moon_host_options *options, moon_seat **out);
void moon_seats_free(moon_seat *first); /* the whole list */
void moon_edition_clear(moon_edition *edition); /* frees its spare seats, which hold it */

/* ---- the runtime (runtime.c, events.c) ---------------------------------------------------------------------------------------- */

typedef struct moon_page_counts { /* one writer: the worker's thread */
  _Atomic uint64_t pages, degraded, failed, policy_errors, micros, micros_most, rankings, ranked_items;
} moon_page_counts;

/* Locks are taken in this order, and none twice. */
struct moon_runtime {
  pthread_mutex_t reloading; /* one reload at a time */
  pthread_mutex_t logging;   /* the event log, and `batch` */
  pthread_mutex_t folding;   /* the state's one writer */
  pthread_mutex_t lock;      /* everything below; held for a moment only */
  int locks;                 /* how many of these there are */
  moon_host_options host;
  size_t state_memory;
  moon_eventlog *log;
  moon_event_batch batch;
  _Atomic(moon_edition *) current; /* changes only under all of the locks */
  moon_worker *workers;
  size_t worker_count;
  bool open;            /* the caller has not closed it */
  moon_seat *left;      /* by workers that moved on, to be freed */
  moon_counters counts; /* without those of the workers that are open */
};

/* Frees what workers have left behind. */
void moon_runtime_sweep(moon_runtime *runtime);
void moon_runtime_free(moon_runtime *runtime);
/* Opens the event log for the edition's bundle and folds its events in; with a log already, turns it over to that bundle, or leaves all
 * as it is. */
moon_status moon_runtime_replay(moon_runtime *runtime, const moon_edition *edition, const char *path);
moon_status moon_fold_event(const moon_bundle *bundle, const moon_log_event *event);

struct moon_worker {
  moon_runtime *runtime;
  moon_seat *seat;
  bool patient;       /* see moon_worker_be_patient */
  moon_arena arena;   /* of the page */
  moon_arena scratch; /* of a part of a ranking */
  moon_buf out;
  moon_page_counts counts;
  moon_worker *next, *previous;
};
/* The beginning of every call: the newest edition, and what the last call answered is gone. */
void moon_worker_begin(moon_worker *worker);
void moon_worker_count_ranking(moon_worker *worker, size_t items);
/* Adds the worker's counts to `out`. */
void moon_worker_count(const moon_worker *worker, moon_counters *out);

#endif
