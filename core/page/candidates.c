/* candidates.c - what a slot may choose from: sources gathered into a slate, less what the page must not show (again). */
#include <string.h>

#include "page/assemble.h"

/* ---- exclusion */

uint32_t moon_visit_product(const moon_visit *visit, uint32_t item) {
  return visit->plan->product && item < visit->site->rows ? visit->plan->product[item] : MOON_NONE;
}

static bool marked(const moon_visit *visit, uint32_t mark) { return mark == visit->page_stamp || mark == visit->slot_stamp; }

static bool seen(const moon_visit *visit, uint32_t item) {
  for (size_t i = 0; i < visit->seen_n; i++)
    if (moon_state_seen(visit->state, visit->request->user_row, item, visit->seen_kinds[i])) return true;
  return false;
}

bool moon_visit_may_show(moon_visit *visit, uint32_t item) {
  moon_assembler *a = visit->assembler;
  if (item >= a->rows || a->bundle->catalogue->hidden[item] || marked(visit, a->item_mark[item])) return false;
  uint32_t product = moon_visit_product(visit, item);
  if (product != MOON_NONE && marked(visit, a->product_mark[product])) return false;
  if (!seen(visit, item)) return true;
  a->item_mark[item] = visit->page_stamp; /* need not be asked again */
  return false;
}

static void mark(moon_visit *visit, uint32_t item, uint32_t stamp) {
  if (item >= visit->assembler->rows) return;
  uint32_t product = moon_visit_product(visit, item);
  visit->assembler->item_mark[item] = stamp;
  if (product != MOON_NONE) visit->assembler->product_mark[product] = stamp;
}

void moon_visit_place(moon_visit *visit, uint32_t item) {
  mark(visit, item, visit->plan->dedupe == MOON_DEDUPE_NONE ? visit->slot_stamp : visit->page_stamp);
}

void moon_visit_unplace(moon_visit *visit, uint32_t item) { mark(visit, item, 0); }

/* ---- a visit's beginning */

void moon_visit_next_slot(moon_visit *visit) { visit->slot_stamp = ++visit->assembler->stamp; }

static void next_page(moon_visit *visit) {
  moon_assembler *a = visit->assembler;
  if (UINT32_MAX - a->stamp < visit->plan->slot_count + 2) { /* stamps begin anew; 0 marks nothing */
    memset(a->item_mark, 0, a->rows * sizeof *a->item_mark);
    memset(a->product_mark, 0, a->rows * sizeof *a->product_mark);
    a->stamp = 0;
  }
  visit->page_stamp = visit->slot_stamp = ++a->stamp;
}

/* The item shown and the cart's are out of the page, and so are their variants. */
static void exclude_known(moon_visit *visit) {
  const moon_request *request = visit->request;
  if (request->item_row != MOON_NONE) mark(visit, request->item_row, visit->page_stamp);
  for (size_t i = 0; i < request->cart_n; i++)
    if (request->cart_rows[i] != MOON_NONE) mark(visit, request->cart_rows[i], visit->page_stamp);
}

/* `similar` is to the item shown; else to the cart, what was put in last first; else to what the user looked at last. */
static void find_seeds(moon_visit *visit) {
  const moon_request *request = visit->request;
  size_t n = 0;
  if (request->item_row != MOON_NONE) visit->seeds[n++] = request->item_row;
  for (size_t i = request->cart_n; i > 0 && n < MOON_SEEDS && request->item_row == MOON_NONE; i--)
    if (request->cart_rows[i - 1] != MOON_NONE) visit->seeds[n++] = request->cart_rows[i - 1];
  if (!n && request->user_row != MOON_NONE) n = moon_state_recent(visit->state, request->user_row, visit->seeds, MOON_SEEDS);
  visit->seed_n = n;
}

/* A kind that the state has never met was done by nobody. */
static moon_status find_seen_kinds(moon_visit *visit) {
  const moon_site_page *plan = visit->plan;
  if (visit->request->user_row == MOON_NONE || !plan->exclude_count) return moon_ok();
  uint32_t *kinds = moon_arena_alloc(visit->arena, plan->exclude_count * sizeof *kinds);
  if (!kinds) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < plan->exclude_count; i++) {
    uint32_t code; /* without `add` the state is only read */
    MOON_TRY(moon_state_kind((moon_state *)visit->state, plan->exclude_seen[i], strlen(plan->exclude_seen[i]), false, &code));
    if (code != MOON_NONE) kinds[visit->seen_n++] = code;
  }
  visit->seen_kinds = kinds;
  return moon_ok();
}

/* Lists as long as the site asks for, at most a second old by the request's clock; anew where that clock goes back. */
static moon_status refresh_charts(moon_visit *visit) {
  moon_assembler *a = visit->assembler;
  size_t length = visit->site->chart_length;
  if (!length) return moon_ok();
  if (length > a->chart_length) {
    moon_charts *longer;
    MOON_TRY(moon_charts_new(length, &longer));
    moon_charts_free(a->charts);
    a->charts = longer;
    a->chart_length = length;
    a->charts_of = NULL;
  }
  int64_t now = visit->request->now;
  bool anew = a->charts_of != visit->state || now < a->charts_at;
  MOON_TRY(moon_charts_refresh(a->charts, visit->state, a->bundle->catalogue, now, anew ? 0 : MOON_SECOND));
  a->charts_of = visit->state;
  a->charts_at = now;
  return moon_ok();
}

moon_status moon_visit_begin(moon_visit *visit) {
  next_page(visit);
  exclude_known(visit);
  find_seeds(visit);
  MOON_TRY(find_seen_kinds(visit));
  return refresh_charts(visit);
}

/* ---- gathering */

static moon_status ask(moon_visit *visit, const moon_site_source *source, moon_candidates *out) {
  moon_source_kind kind = source->kind;
  const moon_assembler *a = visit->assembler;
  const moon_bundle *bundle = a->bundle;
  out->n = 0;
  if (kind == MOON_SOURCE_POPULAR) moon_source_popular(a->charts, out);
  if (kind == MOON_SOURCE_TRENDING) moon_source_trending(a->charts, out);
  if (kind == MOON_SOURCE_RECENT && visit->request->user_row != MOON_NONE)
    moon_source_recent(visit->state, bundle->catalogue, visit->request->user_row, out);
  if (kind == MOON_SOURCE_SIMILAR && visit->seed_n && bundle->similar)
    MOON_TRY(moon_source_similar(bundle->similar, bundle->catalogue, visit->seeds, visit->seed_n, a->scratch, out));
  if (kind == MOON_SOURCE_NEAREST && visit->seed_n) MOON_TRY(moon_visit_nearest(visit, source, out));
  return moon_ok();
}

/* Room for `n` candidates of one source. */
static moon_status make_room(moon_visit *visit, size_t n) {
  moon_candidates *found = &visit->found;
  if (n <= found->cap) return moon_ok();
  found->item = moon_arena_alloc(visit->arena, n * sizeof *found->item);
  found->score = moon_arena_alloc(visit->arena, n * sizeof *found->score);
  if (!found->item || !found->score) return moon_fail(MOON_ENOMEM, "no memory for %zu candidates", n);
  found->cap = n;
  return moon_ok();
}

moon_status moon_visit_gather(moon_visit *visit, const moon_site_source *sources, size_t count, moon_slate **out) {
  size_t rows = visit->assembler->rows, total = 0, most = 1;
  for (size_t i = 0; i < count; i++) {
    size_t n = sources[i].n < rows ? sources[i].n : rows;
    if (n > most) most = n;
    total = total + n < rows ? total + n : rows; /* items are in a slate once */
  }
  MOON_TRY(make_room(visit, most));
  MOON_TRY(moon_slate_new(visit->assembler->bundle, visit->arena, total, out));
  (*out)->explain = visit->request->explain;
  (*out)->request = visit->request;
  (*out)->state = visit->state;
  (*out)->stream = ++visit->gathered << 32;
  for (size_t i = 0; i < count; i++) {
    moon_candidates found = visit->found;
    if (sources[i].n < found.cap) found.cap = sources[i].n;
    MOON_TRY(ask(visit, &sources[i], &found));
    for (size_t c = 0; c < found.n; c++)
      if (moon_visit_may_show(visit, found.item[c])) moon_slate_add(*out, found.item[c], found.score[c], sources[i].kind);
  }
  return moon_ok();
}
