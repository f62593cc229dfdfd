/* runtime.h - the door of core/runtime: a bundle, a site and what has happened since, as one thing that pages come from.
 *
 * The public half is include/moonshelf/runtime.h, and all of it is here: the command `page`, the server and programs that embed
 * the library go the same way. An *edition* is a bundle and a site that belong together. It never changes; a reload makes a new
 * one and exchanges one pointer. What a page needs for itself, a Lua state with the site's functions and scratch memory, is a
 * *seat* at an edition; a worker holds one, and takes its seat at the new edition when it is next called. Reloading lays the
 * seats out, and what was left is cleared away by whoever changes something next, so a page neither loads nor frees.
 *
 * Below is what the server asks for beside the public calls: it stores events in a thread of its own and folds them in on its
 * loop. */
#ifndef MOON_RUNTIME_H
#define MOON_RUNTIME_H

#include "moonshelf/runtime.h"
#include "page/page.h"
#include "runtime/eventlog.h"
#include "script/script.h"

/* The page itself, resolved and assembled; it lives in the worker's arena until its next call. `*request` is filled in for rendering.
 * The query is believed. */
moon_status moon_worker_assemble(moon_worker *worker, const moon_query *query, moon_request *request, moon_page **page);
/* Of the edition that the worker's last page was of. */
const moon_bundle *moon_worker_bundle(const moon_worker *worker);
/* The live state: the bundle's, with the events since. */
moon_state *moon_worker_state(const moon_worker *worker);

/* The Lua state in use. Worn (a policy passed a limit of memory), a worker takes a fresh one of the same site before its next page, and makes it
 * itself where none is laid out; a patient one goes on until somebody else has laid one out. moon_runtime_lay does, on any thread. */
const moon_host *moon_worker_host(const moon_worker *worker);
bool moon_worker_is_worn(const moon_worker *worker);
void moon_worker_be_patient(moon_worker *worker);
moon_status moon_runtime_lay(moon_runtime *runtime);

/* moon_runtime_events in three steps. Admit kinds first, so that nothing is stored that the state has no room for; then store, from any
 * thread; then fold in what is no duplicate. Items are found by their ids: MOON_ENOTFOUND where a new bundle has let one go. */
moon_status moon_runtime_admit(moon_runtime *runtime, const char *kind);
moon_status moon_runtime_store(moon_runtime *runtime, moon_event_batch *batch);
moon_status moon_runtime_fold(moon_runtime *runtime, const moon_log_event *event);

#endif
