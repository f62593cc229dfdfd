/* assemble.c - a page put together slot by slot.
 *
 * A slot's road: gate, sources, exclusion, the model's scores, policies, and the cut. The cut asks once more whether each item
 * may be shown, so a hidden one cannot come back by any policy. A slot that is short takes the same road again with the page's
 * fallback sources, policies and all: what a merchandiser filtered out does not return as a filler. */
#include <string.h>

#include "page/assemble.h"
#include "page/slate.h"

/* ---- the assembler */

moon_status moon_assembler_new(const moon_bundle *bundle, moon_assembler **out) {
  moon_assembler *a = moon_calloc(1, sizeof *a);
  if (!a) return moon_fail(MOON_ENOMEM, "no memory for an assembler");
  a->bundle = bundle;
  a->rows = moon_catalogue_rows(bundle->catalogue);
  a->item_mark = moon_calloc(a->rows, sizeof *a->item_mark);
  a->product_mark = moon_calloc(a->rows, sizeof *a->product_mark);
  a->scratch = moon_calloc(a->rows, sizeof *a->scratch);
  if (!a->item_mark || !a->product_mark || !a->scratch) {
    moon_assembler_free(a);
    return moon_fail(MOON_ENOMEM, "no memory for an assembler");
  }
  *out = a;
  return moon_ok();
}

void moon_assembler_free(moon_assembler *assembler) {
  if (!assembler) return;
  moon_charts_free(assembler->charts);
  moon_hnsw_scratch_free(assembler->near);
  moon_free(assembler->item_mark);
  moon_free(assembler->product_mark);
  moon_free(assembler->scratch);
  moon_free(assembler);
}

/* ---- ranking */

/* The model's scores, best first. Nobody's policy moved anything yet, so this leaves no notes. */
static moon_status rank(const moon_visit *visit, moon_slate *slate) {
  const moon_bundle *bundle = visit->assembler->bundle;
  const moon_request *request = visit->request;
  moon_inputs inputs;
  if (!slate->n) return moon_ok();
  MOON_TRY(moon_inputs_alloc(bundle->feature_plan, visit->arena, slate->n, &inputs));
  moon_features_compute(bundle->features, visit->state, request->user_row, request->user, slate->item, slate->n, request->now,
                        &inputs);
  MOON_TRY(moon_model_score(bundle->model, &inputs, slate->n, visit->arena, slate->model_score));
  memcpy(slate->score, slate->model_score, slate->n * sizeof *slate->score);
  moon_slate_sort(slate, NULL);
  return moon_ok();
}

/* ---- the cut */

/* Whether one more such item keeps within the slot's caps. Policies saw to that within a slate; this is for what fallback adds
 * to it. */
static bool within_caps(const moon_site_slot *slot, const moon_slate *shown, uint32_t item) {
  for (size_t p = 0; p < slot->policy_count; p++)
    if (slot->policies[p].op == &moon_op_cap && !moon_cap_allows(&slot->policies[p], shown, item)) return false;
  return true;
}

/* What the sources of a slate may and are to have of the places that are left, by kind. */
typedef struct quotas {
  size_t least[MOON_SOURCE_KINDS], most[MOON_SOURCE_KINDS], had[MOON_SOURCE_KINDS];
} quotas;

static quotas quotas_of(const moon_site_source *sources, size_t count, const moon_slate *slate) {
  quotas q = {0};
  size_t has[MOON_SOURCE_KINDS] = {0};
  for (size_t i = 0; i < slate->n; i++) has[slate->source[i]]++;
  q.most[MOON_SOURCE_PINNED] = SIZE_MAX;
  for (size_t i = 0; i < count; i++) {
    moon_source_kind kind = sources[i].kind;
    q.most[kind] = sources[i].at_most;
    q.least[kind] = sources[i].at_least < has[kind] ? sources[i].at_least : has[kind];
  }
  return q;
}

static size_t owed(const quotas *q) {
  size_t places = 0;
  for (int kind = 0; kind < MOON_SOURCE_KINDS; kind++) places += q->least[kind] > q->had[kind] ? q->least[kind] - q->had[kind] : 0;
  return places;
}

/* The best that may be shown are added to `shown` until it is full. Places that are owed to other sources are kept for them; where
 * those turn out to have nothing to show, as variants of what is there already, a second round gives their places away. */
static void cut(moon_visit *visit, const moon_site_slot *slot, quotas q, const moon_slate *slate, moon_slate *shown) {
  bool more = shown->n > 0, waits = true;
  for (int round = 0; round < 2 && waits; round++) {
    waits = false;
    for (size_t i = 0; i < slate->n && shown->n < shown->cap; i++) {
      uint32_t item = slate->item[i];
      uint8_t kind = slate->source[i];
      bool due = q.had[kind] < q.least[kind];
      if (q.had[kind] >= q.most[kind] || !moon_visit_may_show(visit, item) || (more && !within_caps(slot, shown, item))) continue;
      if (!round && !due && shown->cap - shown->n <= owed(&q)) {
        waits = true;
        continue;
      }
      moon_slate_take(shown, slate, i);
      moon_visit_place(visit, item);
      q.had[kind]++;
      if (waits && due) moon_slate_note(shown, shown->n - 1, "at_least", NULL, 0, (uint32_t)i, (uint32_t)(shown->n - 1));
    }
  }
}

moon_status moon_visit_candidates(moon_visit *visit, const moon_site_slot *slot, const moon_site_source *sources, size_t count,
                                  moon_slate **out) {
  MOON_TRY(moon_visit_gather(visit, sources, count, out));
  if (slot->rank) MOON_TRY(rank(visit, *out));
  return moon_visit_rerank(visit, slot, *out);
}

/* Sources to slate to model to policies to what is shown. */
static moon_status serve(moon_visit *visit, const moon_site_slot *slot, const moon_site_source *sources, size_t count,
                         moon_slate *shown) {
  moon_slate *slate;
  MOON_TRY(moon_visit_candidates(visit, slot, sources, count, &slate));
  cut(visit, slot, quotas_of(sources, count, slate), slate, shown);
  return moon_ok();
}

moon_status moon_visit_leave_out(moon_visit *visit, moon_page_absent absent) {
  moon_page *page = visit->page;
  page->absent[page->absent_count++] = absent;
  return moon_ok();
}

/* *kept is false where the slot is closed, or has too little to show and leaves the page. */
static moon_status fill(moon_visit *visit, const moon_site_slot *slot, moon_page_slot *out, bool *kept) {
  moon_page_absent absent = {.name = slot->name, .min = slot->min, .take = slot->take};
  MOON_TRY(moon_visit_gate(visit, slot, kept, &absent.gate));
  if (!*kept) return moon_visit_leave_out(visit, absent);
  moon_visit_next_slot(visit);
  *out = (moon_page_slot){.name = slot->name, .fixed = slot->fixed};
  MOON_TRY(moon_slate_new(visit->assembler->bundle, visit->arena, slot->take, &out->slate));
  out->slate->explain = visit->request->explain;
  out->slate->request = visit->request;
  MOON_TRY(serve(visit, slot, slot->sources, slot->source_count, out->slate));
  size_t own = out->slate->n;
  for (size_t i = 0; i < slot->fallback_count && out->slate->n < slot->take; i++)
    MOON_TRY(serve(visit, slot, slot->fallback[i].sources, slot->fallback[i].source_count, out->slate));
  out->fallback = out->slate->n > own;
  out->title = moon_title_write(visit, slot, out->slate);
  *kept = out->slate->n >= slot->min;
  if (*kept) return moon_ok();
  absent.gate = NULL;
  absent.had = out->slate->n;
  for (size_t i = 0; i < out->slate->n; i++) moon_visit_unplace(visit, out->slate->item[i]);
  return moon_visit_leave_out(visit, absent);
}

/* ---- the request */

static moon_status find_page(const moon_site *site, const char *surface, moon_arena *arena, const moon_site_page **out) {
  for (size_t i = 0; i < site->page_count; i++) {
    *out = &site->pages[i];
    if (!strcmp(surface, site->pages[i].name)) return moon_ok();
  }
  const char **names = moon_arena_alloc(arena, site->page_count * sizeof *names);
  if (!names) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < site->page_count; i++) names[i] = site->pages[i].name;
  return moon_plan_unknown("surface", surface, names, site->page_count);
}

/* Ids to rows. An unknown user is a new visitor, an unknown item in the cart is passed over; the item shown has to exist. */
static moon_status resolve(moon_request *request, const moon_state *state, moon_catalogue *catalogue, moon_arena *arena) {
  request->user_row = request->item_row = MOON_NONE;
  request->cart_rows = moon_arena_alloc(arena, request->cart_n * sizeof *request->cart_rows);
  if (!request->cart_rows) return moon_fail(MOON_ENOMEM, "no memory for a page");
  /* Neither call adds, so state and catalogue are only read. */
  if (request->user)
    MOON_TRY(moon_state_user((moon_state *)state, request->user, strlen(request->user), false, &request->user_row));
  for (size_t i = 0; i < request->cart_n; i++)
    MOON_TRY(moon_catalogue_row(catalogue, request->cart[i], strlen(request->cart[i]), false, &request->cart_rows[i]));
  if (!request->item) return moon_ok();
  MOON_TRY(moon_catalogue_row(catalogue, request->item, strlen(request->item), false, &request->item_row));
  return request->item_row == MOON_NONE ? moon_fail(MOON_ENOTFOUND, "there is no item '%.100s'", request->item) : moon_ok();
}

static moon_status fill_slots(moon_visit *visit) {
  const moon_site_page *plan = visit->plan;
  moon_page *page = visit->page;
  page->slots = moon_arena_calloc(visit->arena, plan->slot_count * sizeof *page->slots);
  page->absent = moon_arena_calloc(visit->arena, plan->slot_count * sizeof *page->absent);
  if (!page->slots || !page->absent) return moon_fail(MOON_ENOMEM, "no memory for a page");
  if (plan->joint) MOON_TRY(moon_visit_fill_jointly(visit));
  for (size_t i = 0; i < plan->slot_count && !plan->joint; i++) {
    bool kept = false;
    MOON_TRY(fill(visit, &plan->slots[i], &page->slots[page->slot_count], &kept));
    page->slot_count += kept;
  }
  return plan->order == MOON_ORDER_WRITTEN ? moon_ok() : moon_visit_order_slots(visit);
}

moon_status moon_page_assemble(moon_assembler *assembler, const moon_site *site, const moon_state *state, moon_request *request,
                               const moon_page_functions *functions, moon_arena *arena, moon_page **out) {
  int64_t start = moon_monotonic();
  moon_visit visit = {
      .assembler = assembler, .site = site, .state = state, .request = request, .functions = functions, .arena = arena};
  MOON_TRY(find_page(site, request->surface, arena, &visit.plan));
  MOON_TRY(resolve(request, state, assembler->bundle->catalogue, arena));
  moon_page *page = visit.page = moon_arena_calloc(arena, sizeof *page);
  if (!page) return moon_fail(MOON_ENOMEM, "no memory for a page");
  page->surface = visit.plan->name;
  page->cold = request->user_row == MOON_NONE;
  MOON_TRY(moon_visit_begin(&visit));
  MOON_TRY(fill_slots(&visit));
  page->micros = moon_monotonic() - start;
  *out = page;
  return moon_ok();
}
