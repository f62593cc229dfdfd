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
  if (edition) moon_edition_clear(edition);
  moon_seats_free(r->left);
  moon_edition_free(edition);
  moon_eventlog_close(r->log);
  moon_event_batch_free(&r->batch);
  for (int i = 0; i < r->locks; i++) pthread_mutex_destroy(locks[i]);
  moon_free(r);
}

/* A page is waited for, so its scripts get less than those of a training. */
static moon_host_options host_options(const moon_runtime_options *o) {
  enum { PAGE_MILLIS = 50, CALL_MEMORY = 16 << 20, CALL_TENSORS = 32 << 20 };
  uint64_t millis = o->page_millis ? o->page_millis : PAGE_MILLIS;
  return (moon_host_options){.memory_limit = o->script_memory,
                             .call_instructions = o->call_instructions,
                             .page_millis = millis,
                             .call_millis = (millis - 1) / 4 + 1, /* so that no single one takes it all, nor twice, for the fallback */
                             .call_memory = CALL_MEMORY,
                             .call_tensors = CALL_TENSORS,
                             .deterministic = o->deterministic,
                             .print = o->print,
                             .print_self = o->print_self};
}

static moon_status open_parts(moon_runtime *r, const moon_runtime_options *o) {
  moon_stock *stock;
  moon_edition *edition;
  MOON_TRY(make_locks(r));
  r->open = true;
  r->host = host_options(o);
  r->state_memory = o->state_memory;
  MOON_TRY(moon_stock_open(o->bundle, o->state_memory, &stock));
  MOON_TRY(moon_edition_new(stock, o->site, NULL, 1, &r->host, 1, &edition));
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
  pthread_mutex_lock(&r->lock);
  size_t seats = r->worker_count ? r->worker_count : 1;
  pthread_mutex_unlock(&r->lock);
  if (bundle) MOON_TRY(moon_stock_open(bundle, r->state_memory, &stock));
  else stock = moon_stock_share(now->stock);
  MOON_TRY(moon_edition_new(stock, site ? site : now->site, site ? NULL : now->chunks, now->number + 1, &r->host, seats, &next));
  pthread_mutex_lock(&r->logging); /* no event comes between the last one replayed and the change */
  moon_status status = bundle ? moon_runtime_replay(r, next, NULL) : moon_ok();
  if (!status.code) publish(r, next);
  pthread_mutex_unlock(&r->logging);
  if (!status.code) return status;
  moon_edition_clear(next);
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

moon_status moon_runtime_lay(moon_runtime *r) {
  moon_seat *seat;
  pthread_mutex_lock(&r->reloading);
  moon_edition *edition = atomic_load(&r->current);
  moon_status status = moon_seat_new(edition, &r->host, &seat);
  if (!status.code) {
    pthread_mutex_lock(&r->lock);
    seat->next = edition->spare;
    edition->spare = seat;
    pthread_mutex_unlock(&r->lock);
  }
  pthread_mutex_unlock(&r->reloading);
  moon_runtime_sweep(r);
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
