/* joint.c - a page whose slots are filled all at once.
 *
 * Slot by slot, the first slot takes what it likes and the last one starves. Here every slot first says what it would show, in its order, as if it were
 * alone; then one choice is made for all places under what the site asks of the page: each item (or product) once, caps and floors of the page and of
 * slots, quotas of sources, the least that a slot needs. An item at rank r of a slot's wishes is worth 1 / log2(r + 2) there, the discount of DCG
 * (Jarvelin & Kekalainen 2002): ranks compare where scores of different slots do not. A slot that cannot have its least goes, the last one first, and
 * the others choose anew. For whatever a slot wished and did not get, and for each place that stays empty, the page names the rule. */
#include <math.h>
#include <string.h>

#include "page/assemble.h"
#include "page/slate.h"
#include "page/solve.h"

typedef enum group_kind { PLACES, ONCE, SLOT_CAP, PAGE_CAP, FLOOR, QUOTA, GROUP_KINDS } group_kind;

typedef struct group {
  group_kind kind;
  uint32_t of;      /* the slot, the cap, the floor */
  uint32_t which;   /* the policy, the source */
  uint64_t key;
  const char *name; /* for people */
} group;

typedef struct wish { /* a slot's */
  const moon_site_slot *slot;
  moon_slate *pool; /* its own candidates, then those of fallbacks */
  size_t own, first; /* how many are its own; where they begin among all */
  uint8_t **floors;  /* [floor_count] [pool->n] which of the pool a floor of the page asks for */
} wish;

typedef struct joint {
  moon_visit *visit;
  wish *wishes;
  size_t wish_count;
  moon_choice choice;
  group *groups;
  uint32_t *most, *least, *table; /* table: open addressing of group numbers + 1 */
  size_t mask;
  uint32_t *links;
  size_t link_count, link_cap;
} joint;

/* ---- wishes */

/* What sources give after policies is added to the pool. */
static moon_status wish_from(moon_visit *visit, const moon_site_slot *slot, const moon_site_source *sources, size_t count, moon_slate *pool) {
  moon_slate *slate;
  MOON_TRY(moon_visit_candidates(visit, slot, sources, count, &slate));
  for (size_t i = 0; i < slate->n && pool->n < pool->cap; i++)
    if (moon_visit_may_show(visit, slate->item[i])) moon_slate_take(pool, slate, i);
  return moon_ok();
}

enum { ROOM = 24 }; /* for others to take from: what is behind three times a slot's places is hardly ever shown */

static moon_status make_wish(moon_visit *visit, const moon_site_slot *slot, wish *out) {
  *out = (wish){.slot = slot};
  moon_visit_next_slot(visit);
  MOON_TRY(moon_slate_new(visit->assembler->bundle, visit->arena, 3 * slot->take + ROOM, &out->pool));
  out->pool->explain = visit->request->explain;
  out->pool->request = visit->request;
  MOON_TRY(wish_from(visit, slot, slot->sources, slot->source_count, out->pool));
  out->own = out->pool->n;
  for (size_t i = 0; i < slot->fallback_count && out->pool->n < out->pool->cap && out->own < 2 * slot->take; i++)
    MOON_TRY(wish_from(visit, slot, slot->fallback[i].sources, slot->fallback[i].source_count, out->pool));
  const moon_site_page *plan = visit->plan;
  out->floors = moon_arena_alloc(visit->arena, plan->floor_count * sizeof *out->floors);
  if (!out->floors) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t f = 0; f < plan->floor_count; f++)
    MOON_TRY(moon_match_mask(&((const moon_filter_args *)plan->floors[f].when.args)->when, out->pool, &out->floors[f]));
  return moon_ok();
}

/* ---- groups */

/* The number of a group, which is made where it is new. */
static uint32_t intern(joint *j, group g, size_t most, size_t least) {
  uint64_t hash = (g.key ^ (uint64_t)g.kind << 60 ^ (uint64_t)g.of << 40 ^ (uint64_t)g.which << 20) * UINT64_C(0x9e3779b97f4a7c15);
  for (size_t at = (hash >> 32) & j->mask;; at = (at + 1) & j->mask) {
    if (j->table[at]) {
      const group *there = &j->groups[j->table[at] - 1];
      if (there->kind == g.kind && there->of == g.of && there->which == g.which && there->key == g.key) return j->table[at] - 1;
      continue;
    }
    uint32_t number = (uint32_t)j->choice.group_count++;
    j->table[at] = number + 1;
    j->groups[number] = g;
    j->most[number] = most < UINT32_MAX ? (uint32_t)most : UINT32_MAX;
    j->least[number] = (uint32_t)least;
    return number;
  }
}

static void link_to(joint *j, uint32_t number) { j->links[j->link_count++] = number; }

/* Caps of the first places alone are the order's, and so are those of columns with many values to a cell. */
static bool counts(const moon_policy *policy, int64_t now) {
  const moon_cap_args *args = policy->args;
  return policy->op == &moon_op_cap && !args->first && !args->split && now >= policy->starts && now < policy->ends;
}

static void link_cap(joint *j, group_kind kind, uint32_t of, uint32_t which, const moon_policy *cap, uint32_t item) {
  const moon_weights *limits = &((const moon_cap_args *)cap->args)->limits;
  for (size_t l = 0; l < limits->n; l++) {
    const moon_column *column = limits->at[l].column;
    uint64_t key;
    if (moon_cell_key(column, item, &key))
      link_to(j, intern(j, (group){kind, of, which + (uint32_t)l, key, column->name}, (size_t)limits->at[l].n, 0));
  }
}

static void link_slot(joint *j, uint32_t w, size_t i, uint32_t item) {
  const wish *own = &j->wishes[w];
  const moon_site_slot *slot = own->slot;
  link_to(j, intern(j, (group){PLACES, w, 0, 0, slot->name}, slot->take, slot->min));
  for (size_t p = 0; p < slot->policy_count; p++)
    if (counts(&slot->policies[p], j->visit->request->now)) link_cap(j, SLOT_CAP, w, (uint32_t)(1000 * p), &slot->policies[p], item);
  for (size_t s = 0; s < slot->source_count && i < own->own; s++) {
    const moon_site_source *source = &slot->sources[s];
    if (source->kind != own->pool->source[i] || (!source->at_least && source->at_most >= 1000)) continue;
    link_to(j, intern(j, (group){QUOTA, w, (uint32_t)s, 0, moon_source_name(source->kind)}, source->at_most, source->at_least));
  }
}

static void link_page(joint *j, const wish *own, size_t i) {
  const moon_site_page *plan = j->visit->plan;
  uint32_t item = own->pool->item[i];
  uint32_t product = moon_visit_product(j->visit, item);
  if (plan->dedupe != MOON_DEDUPE_NONE)
    link_to(j, intern(j, (group){ONCE, product != MOON_NONE, 0, product != MOON_NONE ? product : item, "dedupe"}, 1, 0));
  if (plan->caps) link_cap(j, PAGE_CAP, 0, 0, plan->caps, item);
  for (size_t f = 0; f < plan->floor_count; f++)
    if (own->floors[f][i])
      link_to(j, intern(j, (group){FLOOR, (uint32_t)f, 0, 0, plan->floors[f].when.label}, UINT32_MAX, plan->floors[f].n));
}

/* ---- the problem */

static size_t links_of(const joint *j, const moon_site_slot *slot) {
  const moon_site_page *plan = j->visit->plan;
  size_t n = 2 + plan->floor_count + slot->source_count;
  if (plan->caps) n += ((const moon_cap_args *)plan->caps->args)->limits.n;
  for (size_t p = 0; p < slot->policy_count; p++)
    if (counts(&slot->policies[p], j->visit->request->now)) n += ((const moon_cap_args *)slot->policies[p].args)->limits.n;
  return n;
}

static moon_status make_room(joint *j, size_t n, size_t links) {
  moon_arena *arena = j->visit->arena;
  size_t slots = 16;
  while (slots < 2 * links) slots *= 2;
  j->mask = slots - 1;
  float *value = moon_arena_alloc(arena, n * sizeof *value);
  uint32_t *first = moon_arena_alloc(arena, (n + 1) * sizeof *first);
  j->links = moon_arena_alloc(arena, links * sizeof *j->links);
  j->groups = moon_arena_alloc(arena, links * sizeof *j->groups);
  j->most = moon_arena_alloc(arena, links * sizeof *j->most);
  j->least = moon_arena_alloc(arena, links * sizeof *j->least);
  j->table = moon_arena_calloc(arena, slots * sizeof *j->table);
  uint8_t *chosen = moon_arena_alloc(arena, n + 1);
  uint32_t *count = moon_arena_alloc(arena, links * sizeof *count);
  if (!value || !first || !j->links || !j->groups || !j->most || !j->least || !j->table || !chosen || !count)
    return moon_fail(MOON_ENOMEM, "no memory for a page of %zu candidates", n);
  j->choice = (moon_choice){.n = n, .value = value, .first = first, .group = j->links, .most = j->most, .least = j->least, .chosen = chosen,
                            .count = count, .steps = j->visit->plan->solve_steps,
                            .deadline = moon_monotonic() + j->visit->plan->solve_within};
  size_t at = 0;
  for (size_t w = 0; w < j->wish_count; w++)
    for (size_t i = 0; i < j->wishes[w].pool->n; i++) value[at++] = 1 / log2f((float)i + 2);
  return moon_ok();
}

static moon_status pose(joint *j) {
  size_t n = 0, links = 1;
  for (size_t w = 0; w < j->wish_count; w++) {
    j->wishes[w].first = n;
    n += j->wishes[w].pool->n;
    links += j->wishes[w].pool->n * links_of(j, j->wishes[w].slot);
  }
  MOON_TRY(make_room(j, n, links));
  uint32_t *first = (uint32_t *)j->choice.first;
  size_t at = 0;
  for (uint32_t w = 0; w < j->wish_count; w++) {
    const moon_slate *pool = j->wishes[w].pool;
    for (size_t i = 0; i < pool->n; i++) {
      first[at++] = (uint32_t)j->link_count;
      link_slot(j, w, i, pool->item[i]);
      link_page(j, &j->wishes[w], i);
    }
  }
  first[at] = (uint32_t)j->link_count;
  return moon_ok();
}

/* ---- the answer */

static size_t shown_of(const joint *j, size_t w) {
  size_t shown = 0;
  for (size_t i = 0; i < j->wishes[w].pool->n; i++) shown += j->choice.chosen[j->wishes[w].first + i];
  return shown;
}

/* Until every slot that is left has its least. */
static moon_status choose(joint *j, bool *gone) {
  for (;;) {
    MOON_TRY(moon_choose(&j->choice, j->visit->arena));
    size_t w = j->wish_count;
    while (w > 0 && (gone[w - 1] || shown_of(j, w - 1) >= j->wishes[w - 1].slot->min)) w--;
    if (!w--) return moon_ok();
    const moon_site_slot *slot = j->wishes[w].slot;
    gone[w] = true;
    MOON_TRY(moon_visit_leave_out(j->visit, (moon_page_absent){.name = slot->name, .had = shown_of(j, w), .min = slot->min, .take = slot->take}));
    if (!j->wishes[w].pool->n) continue;
    uint32_t places = intern(j, (group){PLACES, (uint32_t)w, 0, 0, slot->name}, 0, 0);
    j->most[places] = j->least[places] = 0;
    for (uint32_t g = 0; g < j->choice.group_count; g++)
      if (j->groups[g].kind == QUOTA && j->groups[g].of == w) j->least[g] = 0;
  }
}

static moon_status show(joint *j, size_t w, moon_page_slot *out) {
  moon_visit *visit = j->visit;
  const wish *own = &j->wishes[w];
  *out = (moon_page_slot){.name = own->slot->name, .fixed = own->slot->fixed};
  MOON_TRY(moon_slate_new(visit->assembler->bundle, visit->arena, own->slot->take, &out->slate));
  out->slate->explain = visit->request->explain;
  for (size_t i = 0; i < own->pool->n; i++) {
    if (!j->choice.chosen[own->first + i]) continue;
    moon_slate_take(out->slate, own->pool, i);
    out->fallback |= i >= own->own;
  }
  out->title = moon_title_write(visit, own->slot, out->slate);
  return moon_ok();
}

/* ---- why not */

/* The slot that shows what shares a group with a candidate. */
static const char *holder(const joint *j, uint32_t g) {
  for (size_t w = 0; w < j->wish_count; w++)
    for (size_t i = 0; i < j->wishes[w].pool->n; i++) {
      size_t at = j->wishes[w].first + i;
      for (uint32_t k = j->choice.first[at]; j->choice.chosen[at] && k < j->choice.first[at + 1]; k++)
        if (j->links[k] == g) return j->wishes[w].slot->name;
    }
  return NULL;
}

/* Where only places are short, somebody further down has one: for the sake of a floor or a quota, or of other slots. */
static moon_page_cell outdone(const joint *j, size_t w, size_t rank) {
  for (size_t i = rank + 1; i < j->wishes[w].pool->n; i++) {
    size_t at = j->wishes[w].first + i;
    for (uint32_t k = j->choice.first[at]; j->choice.chosen[at] && k < j->choice.first[at + 1]; k++) {
      const group *g = &j->groups[j->links[k]];
      bool needed = j->least[j->links[k]] && j->choice.count[j->links[k]] <= j->least[j->links[k]];
      if (needed && (g->kind == FLOOR || g->kind == QUOTA)) return (moon_page_cell){.rule = g->kind == FLOOR ? "floor" : "at_least", .name = g->name};
    }
  }
  return (moon_page_cell){.rule = "other slots", .name = j->wishes[w].slot->name};
}

static moon_page_cell reason(const joint *j, size_t w, size_t rank) {
  static const char *const rules[GROUP_KINDS] = {"places", "dedupe", "cap", "cap", "floor", "at_most"};
  uint32_t places = MOON_NONE;
  size_t at = j->wishes[w].first + rank;
  for (uint32_t k = j->choice.first[at]; k < j->choice.first[at + 1]; k++) {
    uint32_t number = j->links[k];
    if (j->choice.count[number] < j->most[number]) continue;
    const group *g = &j->groups[number];
    if (g->kind == PLACES) places = number;
    else return (moon_page_cell){.rule = rules[g->kind], .name = g->kind == ONCE ? holder(j, number) : g->name};
  }
  return places == MOON_NONE ? (moon_page_cell){.rule = "none"} : outdone(j, w, rank);
}

/* For what is not shown of a slot's first wishes; and for its empty places what kept out the best of what is left. */
static void tell(joint *j, size_t w, size_t shown) {
  const wish *own = &j->wishes[w];
  moon_page *page = j->visit->page;
  const moon_catalogue *catalogue = j->visit->assembler->bundle->catalogue;
  moon_page_cell empty = {.rule = NULL};
  for (size_t i = 0; i < own->pool->n; i++) {
    if (j->choice.chosen[own->first + i]) continue;
    moon_page_cell cell = reason(j, w, i);
    if (i >= own->slot->take && shown >= own->slot->take) return;
    if (!empty.rule) empty = cell;
    cell.slot = own->slot->name, cell.position = (uint32_t)i, cell.id = moon_catalogue_id(catalogue, own->pool->item[i]);
    if (i < own->slot->take) page->cells[page->cell_count++] = cell;
  }
  if (!empty.rule) empty.rule = "no more candidates";
  for (size_t at = shown; at < own->slot->take; at++) {
    empty.slot = own->slot->name, empty.position = (uint32_t)at;
    page->cells[page->cell_count++] = empty;
  }
}

static moon_status answer(joint *j, const bool *gone) {
  moon_page *page = j->visit->page;
  size_t cells = 0;
  for (size_t w = 0; w < j->wish_count; w++) cells += 2 * j->wishes[w].slot->take;
  if (j->visit->request->explain && !(page->cells = moon_arena_alloc(j->visit->arena, cells * sizeof *page->cells)))
    return moon_fail(MOON_ENOMEM, "no memory for a page");
  page->late = j->choice.late;
  for (size_t w = 0; w < j->wish_count; w++) {
    if (gone[w]) continue;
    MOON_TRY(show(j, w, &page->slots[page->slot_count]));
    if (page->cells) tell(j, w, page->slots[page->slot_count].slate->n);
    page->slot_count++;
  }
  return moon_ok();
}

moon_status moon_visit_fill_jointly(moon_visit *visit) {
  const moon_site_page *plan = visit->plan;
  joint j = {.visit = visit, .wishes = moon_arena_alloc(visit->arena, plan->slot_count * sizeof *j.wishes)};
  bool *gone = moon_arena_calloc(visit->arena, plan->slot_count);
  if (!j.wishes || !gone) return moon_fail(MOON_ENOMEM, "no memory for a page");
  for (size_t i = 0; i < plan->slot_count; i++) {
    moon_page_absent absent = {.name = plan->slots[i].name};
    bool open;
    MOON_TRY(moon_visit_gate(visit, &plan->slots[i], &open, &absent.gate));
    if (open) MOON_TRY(make_wish(visit, &plan->slots[i], &j.wishes[j.wish_count++]));
    else MOON_TRY(moon_visit_leave_out(visit, absent));
  }
  MOON_TRY(pose(&j));
  MOON_TRY(choose(&j, gone));
  return answer(&j, gone);
}
