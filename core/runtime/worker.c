/* worker.c - one thread's access: from a query to a page, from a list to its scores.
 *
 * Everything of an answer lives in one arena that the next call empties, and its text in one buffer that it overwrites: after the first few
 * pages nothing is allocated any more. */
#include "page/render.h"
#include "runtime/internal.h"

/* ---- opening and closing */

/* A seat laid out by a reload, or none. Under the lock. */
static moon_seat *pick_seat(moon_edition *edition) {
  moon_seat *seat = edition->spare;
  if (seat) {
    edition->spare = seat->next;
    seat->next = NULL;
  }
  return seat;
}

/* A seat at the current edition; where none is laid out, one is made, or with `wait` there is none. */
static moon_status take_seat(moon_runtime *r, bool wait, moon_seat **out) {
  pthread_mutex_lock(&r->lock);
  moon_edition *edition = moon_edition_share(atomic_load(&r->current));
  *out = pick_seat(edition);
  pthread_mutex_unlock(&r->lock);
  moon_status status = *out || wait ? moon_ok() : moon_seat_new(edition, &r->host, out);
  moon_edition_free(edition);
  return status;
}

moon_status moon_worker_open(moon_runtime *r, moon_worker **out) {
  MOON_TRY(moon_check_given(out, "out"));
  *out = NULL;
  MOON_TRY(moon_check_given(r, "runtime"));
  moon_worker *w = moon_calloc(1, sizeof *w);
  if (!w) return moon_fail(MOON_ENOMEM, "no memory for a worker");
  w->runtime = r;
  moon_status status = take_seat(r, false, &w->seat);
  if (status.code) {
    moon_free(w);
    return status;
  }
  pthread_mutex_lock(&r->lock);
  w->next = r->workers;
  if (w->next) w->next->previous = w;
  r->workers = w;
  r->worker_count++;
  pthread_mutex_unlock(&r->lock);
  *out = w;
  return status;
}

void moon_worker_close(moon_worker *w) {
  if (!w) return;
  moon_runtime *r = w->runtime;
  pthread_mutex_lock(&r->lock);
  *(w->previous ? &w->previous->next : &r->workers) = w->next;
  if (w->next) w->next->previous = w->previous;
  moon_worker_count(w, &r->counts);
  bool last = !--r->worker_count && !r->open;
  pthread_mutex_unlock(&r->lock);
  moon_seats_free(w->seat);
  moon_arena_free(&w->arena);
  moon_arena_free(&w->scratch);
  moon_buf_free(&w->out);
  moon_free(w);
  if (last) moon_runtime_free(r);
}

/* ---- counting */

static void count(_Atomic uint64_t *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static uint64_t counted(const _Atomic uint64_t *counter) { return atomic_load_explicit((_Atomic uint64_t *)counter, memory_order_relaxed); }

void moon_worker_count(const moon_worker *w, moon_counters *out) {
  const moon_page_counts *c = &w->counts;
  uint64_t most = counted(&c->micros_most);
  out->pages += counted(&c->pages);
  out->pages_degraded += counted(&c->degraded);
  out->pages_failed += counted(&c->failed);
  out->policy_errors += counted(&c->policy_errors);
  out->page_micros += counted(&c->micros);
  if (most > out->page_micros_most) out->page_micros_most = most;
  out->rankings += counted(&c->rankings);
  out->ranked_items += counted(&c->ranked_items);
}

void moon_worker_count_ranking(moon_worker *w, size_t items) {
  count(&w->counts.rankings, 1);
  count(&w->counts.ranked_items, items);
}

static void count_page(moon_page_counts *c, moon_status status, const moon_page *page) {
  count(status.code ? &c->failed : &c->pages, 1);
  if (status.code) return;
  if (page->degraded) count(&c->degraded, 1);
  count(&c->policy_errors, page->policy_errors);
  count(&c->micros, (uint64_t)page->micros);
  if ((uint64_t)page->micros > counted(&c->micros_most))
    atomic_store_explicit(&c->micros_most, (uint64_t)page->micros, memory_order_relaxed);
}

/* ---- pages */

/* Where there is no seat to be had, the one there is is as good as before. */
static void move(moon_worker *w, bool wait) {
  moon_runtime *r = w->runtime;
  moon_seat *seat;
  if (take_seat(r, wait, &seat).code || !seat) return;
  pthread_mutex_lock(&r->lock);
  w->seat->next = r->left;
  r->left = w->seat;
  pthread_mutex_unlock(&r->lock);
  w->seat = seat;
}

void moon_worker_begin(moon_worker *w) {
  bool late = atomic_load_explicit(&w->runtime->current, memory_order_acquire) != w->seat->edition;
  if (late || moon_worker_is_worn(w)) move(w, !late && w->patient);
  moon_arena_reset(&w->arena);
  moon_buf_reset(&w->out);
}

void moon_worker_be_patient(moon_worker *w) { w->patient = true; }
bool moon_worker_is_worn(const moon_worker *w) { return moon_host_worn(w->seat->host); }
const moon_host *moon_worker_host(const moon_worker *w) { return w->seat->host; }
const moon_bundle *moon_worker_bundle(const moon_worker *w) { return w->seat->edition->stock->bundle; }
moon_state *moon_worker_state(const moon_worker *w) { return moon_worker_bundle(w)->state; }

/* A page sees the state of one moment, whoever adds to it meanwhile. */
moon_status moon_worker_assemble(moon_worker *w, const moon_query *query, moon_request *request, moon_page **page) {
  moon_worker_begin(w);
  moon_seat *seat = w->seat;
  moon_state *state = moon_worker_state(w);
  moon_state_read_begin(state);
  *request = (moon_request){.surface = query->surface ? query->surface : "home",
                            .user = query->user && *query->user ? query->user : NULL,
                            .item = query->item,
                            .cart = query->cart,
                            .cart_n = query->cart_n,
                            .now = query->now ? query->now : moon_state_clock(state),
                            .seed = query->seed,
                            .params = query->params,
                            .param_n = query->param_n,
                            .explain = query->explain};
  moon_host_begin_page(seat->host);
  moon_status status = moon_page_assemble(seat->assembler, seat->site, state, request, &seat->functions, &w->arena, page);
  moon_state_read_end(state);
  count_page(&w->counts, status, *page);
  return status;
}

typedef moon_status (*renderer)(const moon_page *page, const moon_request *request, moon_buf *out);

static moon_status render(moon_worker *w, const moon_query *theirs, renderer how, const char **text, size_t *n) {
  moon_query query;
  moon_request request;
  moon_page *page;
  if (text) *text = NULL;
  if (n) *n = 0;
  MOON_TRY(moon_check_given(w, "worker"));
  MOON_TRY(moon_check_given(text, "text"));
  MOON_TRY(moon_check_given(n, "n"));
  MOON_TRY(moon_check_query(theirs, &query));
  MOON_TRY(moon_worker_assemble(w, &query, &request, &page));
  MOON_TRY(how(page, &request, &w->out));
  *text = w->out.data;
  *n = w->out.n;
  return moon_ok();
}

moon_status moon_worker_page(moon_worker *w, const moon_query *query, const char **json, size_t *n) {
  return render(w, query, moon_page_json, json, n);
}

moon_status moon_worker_page_text(moon_worker *w, const moon_query *query, const char **text, size_t *n) {
  return render(w, query, moon_page_text, text, n);
}

/* ---- pages as structs: arrays in the arena, over texts of catalogue and site */

static moon_status explain(const moon_slate *slate, const moon_request *request, moon_arena *arena, const char **why) {
  char text[MOON_WHY_SIZE];
  for (size_t i = 0; i < slate->n; i++) {
    moon_explain_why(slate, i, request, text);
    why[i] = moon_arena_strdup(arena, text);
    if (!why[i]) return moon_fail(MOON_ENOMEM, "no memory for a page");
  }
  return moon_ok();
}

static moon_status view_slot(const moon_page_slot *slot, const moon_request *request, moon_arena *arena, moon_slot_view *out) {
  const moon_slate *slate = slot->slate;
  const moon_catalogue *catalogue = slate->bundle->catalogue;
  const char **texts = moon_arena_alloc(arena, (slate->n + 1) * sizeof *texts);
  const char **sources = moon_arena_alloc(arena, (slate->n + 1) * sizeof *sources);
  const char **why = moon_arena_alloc(arena, (slate->n + 1) * sizeof *why);
  if (!texts || !sources || !why) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < slate->n; i++) {
    texts[i] = moon_catalogue_id(catalogue, slate->item[i]);
    sources[i] = moon_source_name((moon_source_kind)slate->source[i]);
  }
  *out = (moon_slot_view){.name = slot->name,
                          .title = slot->title,
                          .n = slate->n,
                          .items = texts,
                          .scores = slate->score,
                          .model_scores = slate->model_score,
                          .sources = sources,
                          .why = request->explain ? why : NULL,
                          .fallback = slot->fallback};
  return request->explain ? explain(slate, request, arena, why) : moon_ok();
}

static moon_status view_page(moon_worker *w, const moon_page *page, const moon_request *request, const moon_page_view **out) {
  moon_page_view *view = moon_arena_alloc(&w->arena, sizeof *view);
  const moon_slot_view **slots = moon_arena_alloc(&w->arena, (page->slot_count + 1) * sizeof *slots);
  moon_slot_view *all = moon_arena_alloc(&w->arena, (page->slot_count + 1) * sizeof *all);
  if (!view || !slots || !all) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < page->slot_count; i++) {
    MOON_TRY(view_slot(&page->slots[i], request, &w->arena, &all[i]));
    slots[i] = &all[i];
  }
  *view = (moon_page_view){.surface = page->surface,
                           .slot_count = page->slot_count,
                           .slots = slots,
                           .cold = page->cold,
                           .degraded = page->degraded,
                           .edition = w->seat->edition->number,
                           .micros = page->micros};
  *out = view;
  return moon_ok();
}

moon_status moon_worker_view(moon_worker *w, const moon_query *theirs, const moon_page_view **out) {
  moon_query query;
  moon_request request;
  moon_page *page;
  MOON_TRY(moon_check_given(out, "out"));
  *out = NULL;
  MOON_TRY(moon_check_given(w, "worker"));
  MOON_TRY(moon_check_query(theirs, &query));
  MOON_TRY(moon_worker_assemble(w, &query, &request, &page));
  return view_page(w, page, &request, out);
}
