/* feature.h - the door of core/feature: from events to model inputs, the same way in training and in serving.
 *
 * One idea: there is one state store and two verbs. `moon_state_apply` folds an event into the state; `moon_features_compute`
 * reads the state for (user, items, now). Training replays the log in time order - compute, then apply - so every feature is
 * point-in-time by construction; serving calls the same two functions on live traffic. There is no second implementation that
 * could differ. */
#ifndef MOON_FEATURE_H
#define MOON_FEATURE_H

#include "base/base.h"
#include "data/data.h"

typedef struct moon_vocab moon_vocab;

/* ---- the feature plan (plan*.c, steps.c, formula.c) ------------------------------------------------------------------------ */

/* A feature is a source, what happens to its number on the way (steps), and the kind of input it becomes. */
typedef enum moon_feature_op {
  MOON_FEATURE_ID,       /* the user's or item's id */
  MOON_FEATURE_FILE,     /* the user's or item's id among those that a file has vectors for, which are its table */
  MOON_FEATURE_CATEGORY, /* a string column of the item */
  MOON_FEATURE_CROSS,    /* several string columns of the item, and the user, as one: a hash of them all */
  MOON_FEATURE_TAGS,     /* the parts of a string column of the item: between separators, or its words */
  MOON_FEATURE_TFIDF,    /* the words of a string column, weighed by how rare they are, folded into a few numbers */
  MOON_FEATURE_NUMERIC,  /* a number column of the item; null is no number */
  MOON_FEATURE_RELATIVE, /* a number column of the item over its mean among items of the same value of another column */
  MOON_FEATURE_COUNT,    /* events of a kind over each window, for the user or the item: one slot a window */
  MOON_FEATURE_RATE,     /* (numerator + a) / (denominator + b) over a window */
  MOON_FEATURE_DECAY,    /* events, each worth half after a half-life */
  MOON_FEATURE_MEAN,     /* the mean of a number column over the items of events */
  MOON_FEATURE_RECENCY,  /* seconds since the last event */
  MOON_FEATURE_TOGETHER, /* the item-kNN score: how well the item goes with the user's last ones */
  MOON_FEATURE_AGE,      /* seconds since a time column of the item; null is no number */
  MOON_FEATURE_CLOCK,    /* hour 0..23 or weekday 1..7 (Monday is 1) in a zone */
  MOON_FEATURE_POSITION, /* a number of the event itself, such as where the item was shown; a constant in serving */
  MOON_FEATURE_FORMULA,  /* made of other numbers by arithmetic */
  MOON_FEATURE_HISTORY   /* the user's last N items: their ids in another feature's table, or how long ago they were */
} moon_feature_op;

enum { MOON_GAPS = 24 }; /* steps of how long ago: under 1 minute, under 3, 7, 15, ... */

typedef enum moon_feature_kind {
  MOON_KIND_NUMBER, /* dense slots; no number becomes 0 */
  MOON_KIND_ID,     /* an id slot: a row of an embedding table */
  MOON_KIND_BAG,    /* a bag slot: several rows of one */
  MOON_KIND_INSIDE  /* no slot: a number that only a formula sees; no number stays none */
} moon_feature_kind;

/* A step of a number, with the numbers it works by: from the recipe, or fitted to the training part (`fitted`). */
typedef enum moon_step_op {
  MOON_STEP_LOG,      /* log(1 + max(x, 0)) */
  MOON_STEP_CLIP,     /* [low, high] */
  MOON_STEP_STANDARD, /* [mean, deviation]: (x - mean) / deviation */
  MOON_STEP_MINMAX,   /* [min, max]: (x - min) / (max - min), in [0, 1] */
  MOON_STEP_QUANTILE, /* knots: the share of the training part below x, in [0, 1] */
  MOON_STEP_BUCKETIZE /* edges: the id 1 + how many are <= x, and 0 for no number; the last step */
} moon_step_op;
typedef struct moon_step {
  moon_step_op op;
  bool fitted;
  size_t n;
  double *numbers; /* [n] rising; NULL where fitted: then they lie in the feature's vocabulary */
} moon_step;

typedef struct moon_formula moon_formula; /* see formula.h */
enum { MOON_FORMULA_INPUTS = 16 };

typedef struct moon_feature {
  moon_feature_op op;
  moon_feature_kind kind;
  char *name, *where; /* "price", "recipe.lua:17" */
  bool of_user;       /* ID and what is counted: the entity (else item) */
  char *column;       /* CATEGORY, TAGS, TFIDF, NUMERIC, RELATIVE, MEAN, AGE; POSITION: of the events */
  char *by;           /* RELATIVE: the string column whose values the items are compared within */
  char **columns;     /* CROSS */
  size_t column_count;
  char *separator;    /* TAGS: NULL: words */
  moon_step *steps;
  size_t step_count;
  size_t dim;         /* of its embedding table; 0: it has none */
  bool texts;         /* its table's rows are the texts that the training part has, listed in a vocabulary */
  size_t rows;        /* of a table without a vocabulary: hash buckets, buckets */
  uint32_t min_count; /* ids and categories rarer than this in the training part share id 0 */
  uint32_t hash;      /* 0, or the number of buckets: id = 1 + hash(text) % (hash - 1) and no vocabulary is kept */
  size_t counter, counter2; /* COUNT, RATE, DECAY, MEAN, RECENCY: index into plan->counters (numerator, denominator) */
  size_t together;    /* TOGETHER: index into plan->together */
  size_t window_count;
  int64_t windows[8]; /* microseconds; 0 = all time */
  double prior[2];
  int64_t span;       /* RECENCY: what never counts as; CLOCK: the zone's offset, where it has no */
  moon_zone *zone;    /* CLOCK */
  bool weekday;       /* CLOCK: (else hour) */
  size_t position;    /* POSITION: which of the plan's */
  double serving;     /* POSITION: what it is in serving, and where an event has none */
  char *file, *ids, *tensor; /* FILE: of the vectors, of their ids (one a line); the name in a safetensors file */
  char *text;         /* FILE: the string column whose texts the checkpoint in the folder `file` makes vectors of; NULL: they are in the file */
  bool cls, normalize; /* ... by the first token, else the mean; to length 1 */
  size_t max_length;  /* ... tokens; 0: as many as the checkpoint allows */
  bool freeze;        /* FILE: the vectors stay as they are */
  moon_formula *formula;
  size_t inputs[MOON_FORMULA_INPUTS], input_count; /* FORMULA: which of the plan's features go into it */
  size_t last;        /* HISTORY: N; TAGS: the most of an item */
  char *of;           /* HISTORY: "item", "gap" or the column of a category */
  size_t shares;      /* HISTORY: the feature whose ids and table it takes; SIZE_MAX: it has its own, of gaps */
  char **kinds;       /* HISTORY: event kinds that count, NULL = all */
  size_t kind_count;
  size_t slot, width; /* the first of its slots among those of its kind, and how many */
} moon_feature;
/* Rows of the feature's embedding table; 0: it has none. */
size_t moon_feature_rows(const moon_feature *feature, const moon_vocab *vocab);
/* Numbers fitted to the training part, for all of its slots. */
size_t moon_feature_fitted(const moon_feature *feature);
/* Whether something is learned of it from the training part and kept in a vocabulary: texts or numbers. */
static inline bool moon_feature_learns(const moon_feature *feature) {
  return feature->texts || moon_feature_fitted(feature) > 0;
}

/* Events by what their items are: for a user and a value of a column, for everybody and a value, or for a user and an item. */
typedef struct moon_group_spec {
  bool of_user; /* of one user (else of everybody) */
  char *column; /* a string column of the items; NULL: the item itself */
  uint32_t *value; /* [items] the number of the item's value, in order of first sight, MOON_NONE: none; NULL: the item's row */
  size_t items, values;
} moon_group_spec;

typedef enum moon_measure {
  MOON_MEASURE_EVENTS, /* how many, exact over windows up to max_window (0: only all-time totals) */
  MOON_MEASURE_LAST,   /* when the last was */
  MOON_MEASURE_DECAY,  /* how many, each halved every half_life */
  MOON_MEASURE_MEAN    /* the mean of their items' values, each weighing half after every half_life (0: all weigh the same) */
} moon_measure;

/* What is known of events of some kinds, per user, per item or per pair of a group. */
typedef struct moon_counter_spec {
  moon_measure measure;
  bool of_user;
  size_t group; /* index into plan->groups; SIZE_MAX: none */
  char **kinds; /* NULL-free, kind_count of them; 0 = every kind */
  size_t kind_count;
  int64_t max_window, half_life;
  char *column;  /* MEAN: a number column of the items */
  double *value; /* MEAN: [items], NaN: none */
  size_t items;
} moon_counter_spec;

/* Items that follow each other in users' last items. */
enum { MOON_MOST_TOGETHER = 100 };
typedef struct moon_together_spec {
  char **kinds; /* 0: every kind */
  size_t kind_count;
  size_t last; /* of a user's items an event is counted with, up to MOON_MOST_TOGETHER */
  size_t most; /* pairs that are kept */
} moon_together_spec;

typedef struct moon_feature_plan {
  moon_feature *features; /* the recipe's, then what goes into its formulas */
  size_t feature_count;
  moon_counter_spec *counters; /* shared between features */
  size_t counter_count;
  moon_group_spec *groups;
  size_t group_count;
  moon_together_spec *together;
  size_t together_count;
  size_t dense_slots, id_slots, bag_slots; /* widths of a row of inputs */
  size_t bag_length;  /* the longest history */
  size_t position_count; /* numbers that an event brings with it */
  char **dense_names; /* [dense_slots] "count(item,view,1h)" for explain and messages */
  int64_t ttl; /* microseconds after the last event after which a user is forgotten; 0: never */
} moon_feature_plan;
/* Numbers, ids or places of a bag that a row of inputs has of the feature; 0 for what is inside a formula. */
static inline size_t moon_feature_words(const moon_feature_plan *plan, const moon_feature *feature) {
  if (feature->kind == MOON_KIND_INSIDE) return 0;
  return feature->kind == MOON_KIND_BAG ? plan->bag_length : feature->width;
}
/* Whether something of the event itself is in it. */
static inline bool moon_feature_has_position(const moon_feature_plan *plan, const moon_feature *feature) {
  bool has = feature->op == MOON_FEATURE_POSITION;
  for (size_t i = 0; i < feature->input_count; i++) has |= plan->features[feature->inputs[i]].op == MOON_FEATURE_POSITION;
  return has;
}
/* features: the recipe plan's array, see lua/README.md "The plan". Errors carry "where". History needs an id feature of the item
 * (it shares that embedding table); category/numeric/log columns must exist in `catalogue` with the right type. */
moon_status moon_feature_plan_new(const json_t *features, const moon_catalogue *catalogue, moon_feature_plan **out);
/* The same of a recipe's whole plan: its "features", and what it says of the state, {"ttl_us":N,"where"}, where it does. */
moon_status moon_feature_plan_of(const json_t *recipe, const moon_catalogue *catalogue, moon_feature_plan **out);
void moon_feature_plan_free(moon_feature_plan *plan);
/* What the plan takes (describe.c). New reference:
 *   {"features":[{"name","text","type":"number"|"id"|"bag"|"inside" (a formula),"where","slots","dim","counters":[1,..],"ns"}],
 *    "counters":[{"text","features":["price",..],"bytes","event_bytes"}],
 *    "cost":{"row_bytes","numbers","ids","bags": of a row of inputs; "user_bytes","item_bytes","pair_bytes": of the state, without what
 *            grows with events; "event_bytes": an event within all windows; "together_bytes": all pairs of m.cooccurrence, at most; "candidate_ns"}} */
moon_status moon_feature_plan_describe(const moon_feature_plan *plan, json_t **out);

/* ---- parts of a text (pieces.c) ------------------------------------------------------------------------------------------- */

/* The parts of a text that a TAGS feature sees, one after the other, without blanks around them and never empty; words are runs of
 * letters and digits, small where they are ASCII, the first 64 bytes of each. */
typedef struct moon_pieces {
  const char *separator, *left; /* NULL: words; what is left of the text */
  const char *text;             /* the part, n bytes */
  size_t n;
  char word[64];
} moon_pieces;
moon_pieces moon_pieces_of(const moon_feature *feature, const char *text);
bool moon_pieces_next(moon_pieces *pieces);

/* ---- vocabularies (vocab.c) ----------------------------------------------------------------------------------------------- */

/* What a feature learned from the training part. Texts: text -> embedding id 1..n; 0 is everything else. Numbers: what its steps
 * are fitted to, step by step, slot by slot; or of TFIDF the weight of each text. */
moon_status moon_vocab_new(moon_vocab **out);
void moon_vocab_free(moon_vocab *vocab);
moon_status moon_vocab_add(moon_vocab *vocab, const char *text, size_t n);
uint32_t moon_vocab_find(const moon_vocab *vocab, const char *text, size_t n);
size_t moon_vocab_size(const moon_vocab *vocab); /* ids, with the unknown: the rows of the embedding table */
moon_status moon_vocab_add_number(moon_vocab *vocab, double number); /* finite */
const double *moon_vocab_numbers(const moon_vocab *vocab, size_t *n);
/* New reference: an array, the texts in id order and then the numbers; NULL without memory. */
json_t *moon_vocab_json(const moon_vocab *vocab);
moon_status moon_vocab_parse(const json_t *array, moon_vocab **out);

/* ---- the state store (state.c, counters.c, history.c, evict.c, snapshot.c) --------------------------------------------------------- */

/* Per user and per item: counters (with exact windows), the user's last items, all-time totals. Entities are dense rows; the
 * store owns the user dictionary (grows at run time); item rows are the catalogue's, and may pass the rows that were bound.
 *
 * Time. "In the last hour as of now" is now - 1h < time <= now: an event of this very moment counts once it is folded in, so
 * among events of the same time the order of folding decides what each sees of the others. `now` is meant to be no earlier than
 * the newest event; earlier ones are answered too: windows leave out what came after `now` (and what the store had let go by
 * then), all-time totals and histories do not.
 *
 * Forgetting. Where the plan has a ttl, a user whose newest event is longer ago has no past any more: features are those of somebody
 * unknown, and the next event begins a new life. That is part of what features mean, so training and serving agree on it. A limit of memory
 * (moon_state_limit) is not, and only for serving: where it is reached, users are let go before their time.
 *
 * Threads. One writer at a time; readers beside it between moon_state_read_begin and _end, for as long as one page takes: they see the
 * state of one moment. The writer needs no lock: the verbs that change something take it.
 *
 * Memory. A user: 24 bytes, some 30 for finding it, the id in a block of 16, 32, ..; and 16 for each (item, kind) touched; an item: 24. Each
 * counter adds 4 bytes an entity, or with windows 20, 4 for each window, and 8 for each event in the widest; 12 for a last time, 20 for a
 * decayed count, 28 for a mean. Items that go together: 8 an item, and 16 to 32 for each pair (12 in a table between three eighths and three
 * quarters full). A pair of a group is an entity of some 50 bytes. Arrays that grow have up to twice that. Measured (tests/bench/bench_state.c):
 * a million users with 20 features of their own (9 counts in windows, 2 rates, 3 decayed counts, 3 last times, 3 histories) and 10 events
 * each take 617 MiB, 647 bytes a user; their snapshot 330 MiB. */
typedef struct moon_state moon_state;
/* Empty. The plan's event kinds are known to it from the start; nothing of the plan is borrowed. */
moon_status moon_state_new(const moon_feature_plan *plan, moon_state **out);
void moon_state_free(moon_state *state);
/* Finds or adds. kind and user codes are the state's own dictionaries. */
/* MOON_NONE if absent and !add */
moon_status moon_state_user(moon_state *state, const char *id, size_t n, bool add, uint32_t *row);
moon_status moon_state_kind(moon_state *state, const char *kind, size_t n, bool add, uint32_t *code);
const char *moon_state_user_id(const moon_state *state, uint32_t user); /* NULL where the user was let go */
size_t moon_state_users(const moon_state *state); /* rows, [0, n) */
/* For threads that read while another writes. Not to be nested, and not for the writer. */
void moon_state_read_begin(const moon_state *state);
void moon_state_read_end(const moon_state *state);
/* From now on the state does not grow past so many bytes (SIZE_MAX: as far as it may; 0: and no user is ever let go, as at first): where an
 * event wants more, users go, of some drawn by chance the one that was seen longest ago, until it fits. One that the plan's ttl has
 * forgotten goes anyway, in its turn. A user's row may then become another user's, so find it anew for every event. What is known of items
 * stays: where nothing else is left, the limit is passed. What has been taken is reused and not given back; saving and loading does that. */
void moon_state_limit(moon_state *state, size_t bytes);
typedef struct moon_state_memory {
  size_t bytes, limit;
  size_t users, pairs;    /* that are there; pairs of users that are not, until they are met */
  uint64_t users_dropped; /* because of the limit, or forgotten */
} moon_state_memory;
moon_state_memory moon_state_memory_now(const moon_state *state);
/* Fold one event in. Events should come in time order; one older than a counter's newest is folded where it belongs (exact
 * still), unless older than its window. */
moon_status moon_state_apply(moon_state *state, uint32_t user, uint32_t item, uint32_t kind, int64_t time);
int64_t moon_state_clock(const moon_state *state);   /* time of the newest event */
uint64_t moon_state_events(const moon_state *state); /* events folded in */
/* Events of any kind ever seen for the item; 0 for rows not seen. */
uint64_t moon_state_item_total(const moon_state *state, uint32_t item);
/* Exponentially decayed count with a half-life of 3 days, as of `now`: trending. */
double moon_state_item_trend(const moon_state *state, uint32_t item, int64_t now);
/* The user's last items, newest first, each once, into items [limit]; returns how many.
 * A user keeps the newest event of each (item, kind), up to 256 of them or four times the plan's longest history. Where that is
 * full, the oldest of the user's most frequent kind goes: many views do not push out a purchase. So with up to four kinds of
 * events, the histories that the plan asks for are exact. */
size_t moon_state_recent(const moon_state *state, uint32_t user, uint32_t *items, size_t limit);
/* Whether the user ever did an event of `kind` (MOON_NONE: any) on the item, as far as the history kept reaches. */
bool moon_state_seen(const moon_state *state, uint32_t user, uint32_t item, uint32_t kind);
/* What is kept of the user's past: the newest event of each (item, kind), oldest first, as above. Borrowed until the next event; answers
 * how many. */
typedef struct moon_touch {
  int64_t time;
  uint32_t item, kind;
} moon_touch;
size_t moon_state_touches(const moon_state *state, uint32_t user, const moon_touch **touches);
/* Counts that the plan's features keep (ask.c). A counter of events of this kind alone, of items or of a user and an item, within `window`
 * (0: of all time); SIZE_MAX where the plan has none. */
typedef enum moon_counts { MOON_COUNTS_ITEMS, MOON_COUNTS_PAIRS } moon_counts;
size_t moon_plan_counts(const moon_feature_plan *plan, moon_counts of, const char *kind, int64_t window);
/* Its count as of `now` in a state of the plan; user: of pairs. */
uint32_t moon_state_count(const moon_state *state, size_t counter, uint32_t user, uint32_t item, int64_t now, int64_t window);
/* Deterministic binary snapshot and its checked reverse (items by row: pair with the catalogue of the same bundle). Damaged, cut
 * off or made by another plan: MOON_EFORMAT. */
moon_status moon_state_save(const moon_state *state, moon_buf *out);
moon_status moon_state_load(const char *bytes, size_t n, const moon_feature_plan *plan, moon_state **out);

/* ---- computing (compute.c) ------------------------------------------------------------------------------------------------ */

typedef struct moon_inputs { /* row-major, caller's memory (arena) */
  float *dense;   /* [n, dense_slots] */
  uint32_t *ids;  /* [n, id_slots] embedding ids */
  uint32_t *bags; /* [n, bag_slots, bag_length] embedding ids, 0 = padding */
} moon_inputs;
moon_status moon_inputs_alloc(const moon_feature_plan *plan, moon_arena *arena, size_t n, moon_inputs *out);

/* Everything that computing needs; built once per bundle. Item-side ids and static numbers are looked up per row from tables made
 * by moon_features_bind, so that a request does no string work. */
typedef struct moon_features moon_features;
/* vocabs: [feature_count], NULL for features that learn nothing; borrowed for the life of the result, as plan and catalogue are. A
 * feature whose vocabulary lacks the numbers of its steps is not fitted yet: its number stops before the first of those. */
moon_status moon_features_bind(const moon_feature_plan *plan, const moon_catalogue *catalogue, moon_vocab *const *vocabs,
                               moon_features **out);
void moon_features_free(moon_features *features);
/* Fits the steps that want it to the rows of `inputs` where use[row] != 0, puts what they learned into the vocabularies, and takes
 * all n rows of inputs, computed before by the same features, through those steps. Features that are fitted are as they were. */
moon_status moon_features_fit(moon_features *features, const moon_inputs *inputs, const uint8_t *use, size_t n);
/* The item's row in the embedding table of the item's id; 0 for unknown items, and where no feature is the item's id. */
uint32_t moon_features_item_id(const moon_features *features, uint32_t item);
/* Inputs of n (user, items[i]) pairs as of `now`; state is one of the same plan. user may be MOON_NONE (cold start); `user_text`
 * is its id, or NULL: as the state knows it. An item row beyond the bound catalogue counts as unknown, its counters excepted.
 * Every cell of the n rows is written. A history's bag holds the ids of the last N items by its kinds, newest first, each item
 * once; items without an id of their own are left out. No allocation; threads may compute at once while none applies. */
void moon_features_compute(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                           const uint32_t *items, size_t n, int64_t now, moon_inputs *out);
/* One row at `row` of out: what the log executor uses. positions: [position_count] what the event says of itself, NaN where it does
 * not; NULL: as in serving. */
void moon_features_compute_at(const moon_features *features, const moon_state *state, uint32_t user, const char *user_text,
                              uint32_t item, int64_t now, const float *positions, moon_inputs *out, size_t row);

#endif
