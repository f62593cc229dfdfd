/* runtime.c - a runtime's life: open, reload, count, close.
 *
 * `current` is the one pointer that a reload exchanges. A worker looks at it before each page, and that look is all that a page pays for being
 * reloadable. */
#include <string.h>

#include "runtime/internal.h"

uint32_t moon_abi_version(void) { return MOON_ABI_VERSION; }
const char *moon_version(void) { return MOON_VERSION; }

/* ---- opening and closing */

static moon_status make_locks(moon_runtime *r) {
  pthread_mutex_t *const locks[] = {&r->reloading, &r->logging, &r->folding, &r->lock};
  for (; r->locks < 4; r->locks++)
    if (pthread_mutex_init(locks[r->locks], NULL)) return moon_fail(MOON_ENOMEM, "no locks for a runtime");
  return moon_ok();
}

void moon_runtime_free(moon_runtime *r) {
  pthread_mutex_t *const locks[] = {&r->reloading, &r->logging, &r->folding, &r->lock};
  moon_edition *edition = atomic_load(&r->current);
  if (edition) {
    moon_seat *spare = edition->spare;
    edition->spare = NULL;
    moon_seats_free(spare);
  }
  moon_seats_free(r->left);
  moon_edition_free(edition);
  moon_eventlog_close(r->log);
  moon_event_batch_free(&r->batch);
  for (int i = 0; i < r->locks; i++) pthread_mutex_destroy(locks[i]);
  moon_free(r);
}

static moon_status open_parts(moon_runtime *r, const moon_runtime_options *o) {
  moon_sources *sources;
  moon_stock *stock;
  moon_edition *edition;
  MOON_TRY(make_locks(r));
  r->open = true;
  r->host = (moon_host_options){
      .memory_limit = o->script_memory, .call_instructions = o->call_instructions, .print = o->print, .print_self = o->print_self};
  r->state_memory = o->state_memory;
  MOON_TRY(moon_stock_open(o->bundle, o->state_memory, &stock));
  moon_status status = moon_sources_new(o->site, &sources);
  if (status.code) {
    moon_stock_free(stock);
    return status;
  }
  MOON_TRY(moon_edition_new(stock, sources, 1, &r->host, 1, &edition));
  atomic_store(&r->current, edition);
  return moon_runtime_replay(r, edition, o->event_log);
}

moon_status moon_runtime_open(const moon_runtime_options *theirs, moon_runtime **out) {
  moon_runtime_options options;
  MOON_TRY(moon_check_given(out, "out"));
  *out = NULL;
  MOON_TRY(moon_take_struct(theirs, "moon_runtime_options", sizeof options, sizeof options, &options));
  MOON_TRY(moon_check_given(options.bundle, "moon_runtime_options.bundle"));
  MOON_TRY(moon_check_given(options.site, "moon_runtime_options.site"));
  moon_runtime *r = moon_calloc(1, sizeof *r);
  if (!r) return moon_fail(MOON_ENOMEM, "no memory for a runtime");
  moon_status status = open_parts(r, &options);
  if (status.code) moon_runtime_free(r);
  else *out = r;
  return status;
}

void moon_runtime_close(moon_runtime *r) {
  if (!r) return;
  pthread_mutex_lock(&r->lock);
  r->open = false;
  bool last = !r->worker_count;
  pthread_mutex_unlock(&r->lock);
  if (last) moon_runtime_free(r);
}

void moon_runtime_sweep(moon_runtime *r) {
  pthread_mutex_lock(&r->lock);
  moon_seat *left = r->left;
  r->left = NULL;
  pthread_mutex_unlock(&r->lock);
  moon_seats_free(left);
}

/* ---- reloading */

/* Stock and sources of the next edition: opened anew, or shared with this one. */
static moon_status gather(moon_runtime *r, const moon_edition *now, const char *bundle, const char *site, moon_stock **stock,
                          moon_sources **sources) {
  if (bundle) MOON_TRY(moon_stock_open(bundle, r->state_memory, stock));
  else *stock = moon_stock_share(now->stock);
  if (!site) *sources = moon_sources_share(now->sources);
  else {
    moon_status status = moon_sources_new(site, sources);
    if (status.code) moon_stock_free(*stock);
    return status;
  }
  return moon_ok();
}

/* Seats that nobody took go the way of those that workers leave. */
static void publish(moon_runtime *r, moon_edition *next) {
  pthread_mutex_lock(&r->folding);
  pthread_mutex_lock(&r->lock);
  moon_edition *before = atomic_load(&r->current);
  for (moon_seat *seat = before->spare, *after; seat; seat = after) {
    after = seat->next;
    seat->next = r->left;
    r->left = seat;
  }
  before->spare = NULL;
  atomic_store_explicit(&r->current, next, memory_order_release);
  pthread_mutex_unlock(&r->lock);
  pthread_mutex_unlock(&r->folding);
  moon_edition_free(before);
}

/* Only a reload changes `current`, so it stays what it is from here to publish. */
static moon_status reload(moon_runtime *r, const char *bundle, const char *site) {
  moon_edition *now = atomic_load(&r->current), *next;
  moon_stock *stock;
  moon_sources *sources;
  pthread_mutex_lock(&r->lock);
  size_t seats = r->worker_count ? r->worker_count : 1;
  pthread_mutex_unlock(&r->lock);
  MOON_TRY(gather(r, now, bundle, site, &stock, &sources));
  MOON_TRY(moon_edition_new(stock, sources, now->number + 1, &r->host, seats, &next));
  pthread_mutex_lock(&r->logging); /* no event comes between the last one replayed and the change */
  moon_status status = bundle ? moon_runtime_replay(r, next, NULL) : moon_ok();
  if (!status.code) publish(r, next);
  pthread_mutex_unlock(&r->logging);
  if (!status.code) return status;
  moon_seat *spare = next->spare;
  next->spare = NULL;
  moon_seats_free(spare);
  moon_edition_free(next);
  return status;
}

moon_status moon_runtime_reload(moon_runtime *r, const char *bundle, const char *site) {
  MOON_TRY(moon_check_given(r, "runtime"));
  if (!bundle && !site) return moon_fail(MOON_EINVAL, "a reload wants a bundle, a site or both");
  pthread_mutex_lock(&r->reloading);
  moon_status status = reload(r, bundle, site);
  pthread_mutex_lock(&r->lock);
  ++*(status.code ? &r->counts.reloads_failed : &r->counts.reloads);
  pthread_mutex_unlock(&r->lock);
  moon_runtime_sweep(r);
  pthread_mutex_unlock(&r->reloading);
  return status;
}

/* ---- counting */

static void look(moon_edition *edition, moon_counters *out) {
  const moon_state *state = edition->stock->bundle->state;
  moon_state_read_begin(state);
  const moon_state_memory memory = moon_state_memory_now(state);
  out->clock = moon_state_clock(state);
  out->state_events = moon_state_events(state);
  moon_state_read_end(state);
  out->edition = edition->number;
  out->items = moon_catalogue_rows(edition->stock->bundle->catalogue);
  out->users = memory.users;
  out->users_dropped = memory.users_dropped;
  out->state_bytes = memory.bytes;
}

moon_status moon_runtime_metrics(moon_runtime *r, moon_counters *out) {
  moon_counters mine;
  MOON_TRY(moon_check_given(r, "runtime"));
  MOON_TRY(moon_check_given(out, "out"));
  size_t size = out->size;
  MOON_TRY(moon_check_size(size, "moon_counters", sizeof mine));
  pthread_mutex_lock(&r->lock);
  moon_edition *edition = moon_edition_share(atomic_load(&r->current));
  mine = r->counts;
  mine.workers = r->worker_count;
  for (const moon_worker *w = r->workers; w; w = w->next) moon_worker_count(w, &mine);
  pthread_mutex_unlock(&r->lock);
  look(edition, &mine);
  moon_edition_free(edition);
  moon_runtime_sweep(r);
  mine.size = size;
  memcpy(out, &mine, size < sizeof mine ? size : sizeof mine);
  if (size > sizeof mine) memset((char *)out + sizeof mine, 0, size - sizeof mine);
  return moon_ok();
}
