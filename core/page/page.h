/* page.h - the door of core/page: slates, the policies' operators, slots, and a page put together from them.
 *
 * A slate is a struct of arrays: item rows, scores, sources, and for every item the list of what happened to it. Retrieval makes
 * it, the model scores it, policies reorder it, a slot cuts it. Every operator writes down what it did to an item, where the
 * slate is to be explained. Everything of a request lives in the request's arena. Exclusions (hidden, out of stock) are enforced
 * once more, last, when a slot is cut: no policy can bring an item back. */
#ifndef MOON_PAGE_H
#define MOON_PAGE_H

#include <jansson.h>

#include "base/base.h"
#include "data/data.h"
#include "feature/feature.h"
#include "moonshelf/runtime.h"
#include "rank/rank.h"
#include "retrieve/retrieve.h"

/* ---- the request ---------------------------------------------------------------------------------------------------------- */

typedef struct moon_request {
  const char *surface;      /* "home", "product", "cart", or any other surface of the site */
  const char *user;         /* id or NULL */
  const char *item;         /* product page: the item shown, or NULL */
  const char *const *cart;  /* cart page: item ids */
  size_t cart_n;
  int64_t now;              /* microseconds UTC */
  uint64_t seed;
  const moon_pair *params;  /* [param_n] other query parameters: country = NL */
  size_t param_n;
  bool explain;
  /* resolved by moon_page_assemble: */
  uint32_t user_row, item_row;
  uint32_t *cart_rows;
} moon_request;

/* ---- slates (slate.c) ----------------------------------------------------------------------------------------------------- */

typedef enum moon_source_kind {
  MOON_SOURCE_POPULAR,
  MOON_SOURCE_TRENDING,
  MOON_SOURCE_SIMILAR,
  MOON_SOURCE_RECENT,
  MOON_SOURCE_NEAREST,
  MOON_SOURCE_PINNED, /* none of a plan's sources: a pin brought it in */
  MOON_SOURCE_KINDS
} moon_source_kind;
const char *moon_source_name(moon_source_kind kind);

typedef struct moon_reason { /* one effect on one item; newest first in the list */
  struct moon_reason *next;
  const char *policy;  /* "boost(brand)", borrowed from the site */
  const char *text;    /* "new this month (merchandising)" or NULL, borrowed */
  float factor;        /* boost: the factor; else 0 */
  uint32_t from, to;   /* position before and after, from 0; MOON_NONE where it does not apply */
} moon_reason;

typedef struct moon_slate {
  size_t n, cap;
  uint32_t *item;       /* [n] catalogue rows, each once */
  float *score;         /* [n] what policies order by */
  float *model_score;   /* [n] the model's probability, NaN where the slot is not ranked */
  uint8_t *source;      /* [n] moon_source_kind that brought it first */
  float *source_score;  /* [n] */
  float *propensity;    /* [n] how likely it was to get its place, given those above; NaN where chance had no say */
  moon_reason **reason; /* [n] */
  bool explain;         /* whether notes are kept; true at first, and assembly sets it to what the request wants */
  moon_arena *arena;    /* the request's */
  const moon_bundle *bundle;
  const moon_request *request; /* who asks, and when; NULL: nobody */
  const moon_state *state;     /* the live state; NULL: nothing is known of anybody */
  uint64_t stream;      /* of random numbers, for the next operator that draws some */
  size_t relaxed;       /* how often an operator could not keep a promise in full; explain says where */
  uint32_t *order;      /* [cap] the operators' own: the permutation they are making */
  uint64_t *scratch;    /* [2 * cap] the operators' own */
  uint32_t *members;    /* [member_mask + 1] hash set of all items ever added */
  size_t member_mask, member_count;
  const struct moon_barred *barred; /* what no pin may bring in */
} moon_slate;

moon_status moon_slate_new(const moon_bundle *bundle, moon_arena *arena, size_t cap, moon_slate **out);
/* Room for so many items in all; the slate's arrays may move. */
moon_status moon_slate_room(moon_slate *slate, size_t cap);
/* Adds an item at the end unless it is or was there; full slates and duplicates are ignored. The model score is NaN. */
void moon_slate_add(moon_slate *slate, uint32_t item, float score, moon_source_kind source);
/* Writes down what happened to the item at `position`, where slate->explain is set. A note that finds no memory is left out. */
void moon_slate_note(moon_slate *slate, size_t position, const char *policy, const char *text, float factor, uint32_t from,
                     uint32_t to);

/* Operators. Each keeps order stable where it does not say otherwise, and costs at most n log n but for MMR. policy/text: names
 * for the reasons, borrowed; notes are written for items that an operator moved (boost: for those that it boosted). */
void moon_slate_sort(moon_slate *slate, const char *policy);  /* by score, best first; ties and NaN keep order, NaN last */
void moon_slate_keep(moon_slate *slate, const uint8_t *keep); /* filter: [n] */
/* score *= factor (score / factor where negative), then sort. factor > 0; one below 1 buries. */
void moon_slate_boost(moon_slate *slate, const uint8_t *mask, float factor, const char *policy, const char *text);
/* At most `limit` items per value of a column, best (first) kept, the rest dropped. Nulls are equal to nothing and stay. */
moon_status moon_slate_cap(moon_slate *slate, const char *column, size_t limit, const char *policy);
/* Maximal marginal relevance (Carbonell & Goldstein 1998): picks `k` by lambda * score' - (1 - lambda) * max similarity to the
 * picked; score' is min-max scaled over the slate; the rest follows in its order. by: "embedding" (cosine of the model's item
 * embeddings; 0 for an item without one) or a string column (1 where equal, else 0). O(k n). The other operators are in op.h. */
moon_status moon_slate_mmr(moon_slate *slate, float lambda, const char *by, size_t k, const char *policy);

/* ---- functions written by users -------------------------------------------------------------------------------------------- */

typedef enum moon_script_failure { MOON_SCRIPT_ERROR, MOON_SCRIPT_BUDGET, MOON_SCRIPT_MEMORY, MOON_SCRIPT_FAILURES } moon_script_failure;
const char *moon_script_failure_name(moon_script_failure failure); /* "error", "budget", "memory" */

typedef struct moon_page_functions { /* filled in by core/script; fn numbers come from the site plan */
  void *self;
  moon_status (*policy)(void *self, uint32_t fn, moon_slate *slate, const moon_request *request);
  moon_status (*gate)(void *self, uint32_t fn, const moon_request *request, bool *open);
  moon_script_failure (*failure)(void *self); /* why the last of these calls failed; NULL: an error */
} moon_page_functions;

/* ---- conditions (condition.c): [{"column":"price","op":"lt","value":20}, ...], all must hold ------------------------------- */
/* ops: lt le gt ge (numbers) eq ne in (value: array) has (strings: "NL|BE" has NL) truthy (number != 0, or string not empty, "false",
 * "no" or "0"). A null is equal to nothing and compares as false; ne is not eq. In the place of "value" may stand {"param":"country",
 * "default":..?,"optional":true?}, what the request says (condition_ask.c). Errors: MOON_ENOTFOUND (column; names the nearest),
 * MOON_EINVAL (an op or a value that does not fit the column), MOON_EFORMAT (not a list of conditions). */
typedef struct moon_condition moon_condition;
moon_status moon_condition_parse(const json_t *json, const moon_catalogue *catalogue, moon_condition **out);
void moon_condition_free(moon_condition *condition);
/* The condition as the request asks it: itself where it has no parameters, else in the arena. Where the request lacks one it is the
 * default; without that a value that nothing is equal to or compares with, or of an optional one nothing is asked. */
moon_status moon_condition_ask(const moon_condition *condition, const moon_catalogue *catalogue, const moon_request *request, moon_arena *arena,
                               const moon_condition **out);
bool moon_condition_holds(const moon_condition *condition, const moon_catalogue *catalogue, uint32_t item);
/* out[i] &= whether it holds for items[i]. */
void moon_condition_mask(const moon_condition *condition, const moon_catalogue *catalogue, const uint32_t *items, size_t n, uint8_t *out);

/* ---- the site (site.c): a plan made by site.lua, checked against a bundle -------------------------------------------------- */

/* {"surfaces":{"home":{"slots":[{"name","title": text or texts,"take":12,"min":1,"gate":{see gate.c}?,"fixed":true?,"fallback"?: as the page's,"sources":[{"type":"similar","n":100,"at_least":2?,"at_most":5?,"when":[cond]?}],"rank":true|false,
 *   "policies":[{"op":"boost","when":[cond],"factor":1.2,"label", and of each "owner","reason","starts_us","ends_us"}, ...
 *               the operators and their fields are in op*.c],"where":"site.lua:7"}],
 *   "dedupe":"item" or a column|null,"fallback":[[sources], ...],"exclude_seen":["purchase"]?,
 *   "solve":{"caps":[{"column","n"}],"floors":[{"when":[cond],"at_least":3,"label"}],"steps":2000,"within_us":5000}?,
 *   "order":{"by":"score"|"affinity","column"?,"first":4}?}}, "where"} */
typedef struct moon_site moon_site;
/* Parses the plan against the bundle's catalogue: unknown columns and source types are errors with "where" and the nearest name.
 * The bundle is borrowed for the site's life. */
moon_status moon_site_new(const json_t *plan, const moon_bundle *bundle, moon_site **out);
void moon_site_free(moon_site *site);
/* Tells of everything in the plan that does not fit the bundle; parts may be missing from it. Fails only without memory. */
moon_status moon_site_check(const json_t *plan, const moon_bundle *bundle, const moon_findings *findings);
/* {"tree":{"text","where","children":[..]}} for people. New reference. */
moon_status moon_site_describe(const json_t *plan, json_t **out);

/* ---- pages (assemble.c and around it, render_json.c, render_text.c) -------------------------------------------------------- */

typedef struct moon_page_slot {
  const char *name, *title;
  moon_slate *slate; /* cut to what is shown, in order */
  bool fallback;     /* whether fallback items filled it up */
  bool fixed;        /* keeps its place */
} moon_page_slot;
typedef struct moon_page_absent { /* a slot that the site has and the page has not */
  const char *name;
  const char *gate;      /* the one that was closed; NULL: */
  size_t had, min, take; /* it had too few items to show */
} moon_page_absent;
/* On a page whose slots are filled all at once, where it is explained: an item that a slot wished among its first, or an empty place. */
typedef struct moon_page_cell {
  const char *slot;
  uint32_t position;       /* from 0 */
  const char *id;          /* the item; NULL: the place is empty */
  const char *rule;        /* "dedupe", "cap", "at_most", "floor", "at_least", "other slots", "no more candidates" */
  const char *name;        /* the slot that has it, the cap's column or label, the floor, the source; or NULL */
} moon_page_cell;
typedef struct moon_page {
  const char *surface;
  size_t slot_count, absent_count;
  moon_page_slot *slots;
  moon_page_absent *absent; /* [absent_count] as the site wrote them */
  moon_page_cell *cells;    /* [cell_count] or NULL */
  size_t cell_count;
  bool late; /* filling all slots at once took as long as it may: there may be a better page */
  bool cold;            /* unknown user */
  const char *degraded; /* NULL, or why: a policy that failed is skipped and named here */
  uint32_t policy_errors, policy_failures[MOON_SCRIPT_FAILURES]; /* in all, and by kind */
  int64_t micros;       /* time taken */
} moon_page;

/* One per worker: scratch that outlives requests. */
typedef struct moon_assembler moon_assembler;
moon_status moon_assembler_new(const moon_bundle *bundle, moon_assembler **out);
void moon_assembler_free(moon_assembler *assembler);
/* Slot by slot: gate, sources, exclusion (hidden, the item shown, the cart, exclude_seen, on the page already), the model's
 * scores where the slot is ranked (else the source's), policies, exclusion once more, cut to `take` by the sources' quotas. A slot that is short goes
 * the same way again with the page's fallback sources, so its filters and caps hold for those too; with less than `min` it is
 * left out. Then slots are put in order, where the page wants that. Everything in *out lives in arena, names in site. `state` is the live state (usually bundle->state). A surface that
 * the site does not have: MOON_ENOTFOUND with the nearest. An unknown user gets the cold-start page, unknown items of a cart are
 * passed over, an unknown item shown is MOON_ENOTFOUND. */
moon_status moon_page_assemble(moon_assembler *assembler, const moon_site *site, const moon_state *state, moon_request *request,
                               const moon_page_functions *functions, moon_arena *arena, moon_page **out);
/* Appends {"surface","user","cold","slots":[{"name","title","fallback":true?,"items":[{"id","score","source", <the catalogue's
 * other columns, null where empty>, "propensity"? where chance chose, and with request->explain "why":"...", "explain":{"position","source","source_score",
 * "model_score","effects":[{"policy","text"?,"factor"?,"from"?,"to"?}]}}]}],"degraded"?}. Positions count from 1. The same page
 * gives the same bytes; time taken is not among them. On MOON_ENOMEM *out is as before. */
moon_status moon_page_json(const moon_page *page, const moon_request *request, moon_buf *out);
/* For terminals: slot titles and numbered items with price, score and source; with request->explain each item's reasons. */
moon_status moon_page_text(const moon_page *page, const moon_request *request, moon_buf *out);

#endif
