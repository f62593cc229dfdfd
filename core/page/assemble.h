/* assemble.h - one request on its way through a page: what the files that assemble share. */
#ifndef MOON_PAGE_ASSEMBLE_H
#define MOON_PAGE_ASSEMBLE_H

#include "page/page.h"
#include "page/site.h"

/* Exclusion by stamps: a mark equals the visit's stamp where the row is out for the whole page, the slot's stamp where it is out
 * for the slot. A new stamp a slot and a request means that nothing has to be cleared in between. */
struct moon_assembler {
  const moon_bundle *bundle;
  size_t rows;            /* of the catalogue */
  uint32_t *item_mark;    /* [rows] */
  uint32_t *product_mark; /* [rows] by product number */
  uint32_t stamp;         /* the last one given out */
  float *scratch;         /* [rows] zeros, lent to moon_source_similar */
  moon_hnsw_scratch *near; /* for the bundle's index, made when it is first asked */
  moon_charts *charts;
  size_t chart_length;
  const moon_state *charts_of; /* whose charts they are, */
  int64_t charts_at;           /* and as of when */
};

enum { MOON_SEEDS = 20 };

typedef struct moon_visit {
  moon_assembler *assembler;
  const moon_site *site;
  const moon_site_page *plan;
  const moon_state *state;
  moon_request *request;
  const moon_page_functions *functions;
  moon_arena *arena;
  moon_page *page;
  uint32_t page_stamp, slot_stamp;
  uint32_t seeds[MOON_SEEDS]; /* [seed_n] what `similar` is similar to, the weightiest first */
  size_t seed_n;
  const uint32_t *seen_kinds; /* [seen_n] */
  size_t seen_n;
  uint64_t gathered;     /* slates, each with a stream of chance of its own */
  moon_candidates found; /* reused by source after source */
} moon_visit;

/* candidates.c */
/* Finds the seeds and the kinds of exclude_seen, refreshes the charts, and takes the item shown and the cart out of the page. */
moon_status moon_visit_begin(moon_visit *visit);
void moon_visit_next_slot(moon_visit *visit);
/* What the page's items are deduped by; MOON_NONE where it is not a column, or the item has no value in it. */
uint32_t moon_visit_product(const moon_visit *visit, uint32_t item);
/* Whether the item may be shown in this slot, as of now. */
bool moon_visit_may_show(moon_visit *visit, uint32_t item);
/* Marks an item as shown; moon_visit_unplace takes that back where its slot is dropped. */
void moon_visit_place(moon_visit *visit, uint32_t item);
void moon_visit_unplace(moon_visit *visit, uint32_t item);
/* A slate of what the sources give and the page may still show, in the order of the sources. */
moon_status moon_visit_gather(moon_visit *visit, const moon_site_source *sources, size_t count, moon_slate **out);

/* nearest.c */
/* Appends to `out`, as far as there is room. */
moon_status moon_visit_nearest(moon_visit *visit, const moon_site_source *source, moon_candidates *out);

/* policies.c */
/* Runs a slot's policies over a slate. A script that fails is skipped, and the page is degraded. */
moon_status moon_visit_rerank(moon_visit *visit, const moon_site_slot *slot, moon_slate *slate);
/* Whether the slot is there; where it is not, *why names the gate. One that fails is closed. */
moon_status moon_visit_gate(moon_visit *visit, const moon_site_slot *slot, bool *open, const char **why);

/* assemble.c */
/* Of these sources what may be shown, by the model where the slot is ranked, after the slot's policies. */
moon_status moon_visit_candidates(moon_visit *visit, const moon_site_slot *slot, const moon_site_source *sources, size_t count, moon_slate **out);
moon_status moon_visit_leave_out(moon_visit *visit, moon_page_absent absent);

/* joint.c */
moon_status moon_visit_fill_jointly(moon_visit *visit);

/* gate.c */
/* *which becomes the gate, of those below, that decided. */
moon_status moon_gate_ask(moon_visit *visit, const moon_site_gate *gate, bool *open, const moon_site_gate **which);
const char *moon_request_param(const moon_request *request, const char *name); /* NULL: it came without */

/* title.c */
const char *moon_title_write(const moon_visit *visit, const moon_site_slot *slot, const moon_slate *slate);

/* order.c */
moon_status moon_visit_order_slots(moon_visit *visit);

#endif
