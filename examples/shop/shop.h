/* shop.h - a shop that never was: catalogue, visitors and their clicks, with every cause on record.
 *
 * The point of an invented shop is that its truth is known. Items and users have latent vectors in one space of SHOP_DIMS
 * dimensions; what a visitor opens, puts in the cart and buys is drawn from the probabilities in choice.c and from nothing else.
 * Both the vectors and the constants are written beside the events (truth*), so a recommender trained on events.csv can be
 * judged against the real probabilities.
 *
 * Nothing is kept of the past except a short memory for each user, so the time simulated is bounded by the disk and not by the
 * memory. */
#ifndef MOON_EXAMPLE_SHOP_H
#define MOON_EXAMPLE_SHOP_H

#include "base/base.h"

enum {
  SHOP_DIMS = 8,         /* of the latent space */
  SHOP_CATEGORIES = 12,
  SHOP_BRANDS = 8,       /* for each category */
  SHOP_MEMORY = 8,       /* items viewed, and products bought, that a user remembers */
  SHOP_LIST_MIN = 10, SHOP_LIST_MAX = 20
};
#define SHOP_DAY INT64_C(86400) /* times here are whole seconds since 1970 UTC */

/* ---- words (words.c) ------------------------------------------------------------------------------------------------------ */

typedef struct shop_brand {
  const char *name;
  double level; /* price relative to the category's median */
} shop_brand;

enum { SHOP_SIZED = 1, SHOP_SECOND = 2 };
typedef struct shop_noun {
  const char *name;
  double level; /* what such a thing costs relative to the category's median */
  unsigned kind; /* SHOP_SIZED: its variants are sizes, else colours; SHOP_SECOND: made of the second group of materials */
} shop_noun;

typedef struct shop_category {
  const char *name;
  double share;           /* of the catalogue and of the demand */
  double price, spread;   /* median price, deviation of its logarithm */
  double margin;
  double season;          /* demand swings by this fraction over a year ... */
  int peak;               /* ... and is highest on this day of the year */
  shop_brand brands[SHOP_BRANDS];
  const char *materials[2][4];
  shop_noun nouns[12];
  const char *const *sizes; /* NULL-terminated, from small to large; NULL where no noun is sized */
} shop_category;

extern const shop_category shop_categories[SHOP_CATEGORIES];
enum { SHOP_PRODUCT_TITLE = 72, SHOP_TITLE = 112 }; /* bytes: of a product's title, and with the variant's words */
uint8_t shop_draw_category(moon_rng *rng); /* by share */
const shop_noun *shop_title(moon_rng *rng, const shop_category *category, char out[SHOP_PRODUCT_TITLE]); /* what the thing is */
uint32_t shop_sizes(const shop_category *category); /* how many there are */
const char *shop_colour(uint32_t number);           /* any number; numbers next to each other are different colours */

/* ---- drawing from a fixed discrete distribution in constant time (sampler.c) ----------------------------------------------- */

/* Walker's alias method: one uniform picks a cell, a second keeps the cell or takes its alias. */
typedef struct shop_sampler {
  uint32_t n, *alias;
  float *keep;
} shop_sampler;
/* weight: [n] all >= 0 with a sum > 0. */
moon_status shop_sampler_new(shop_sampler *sampler, const double *weight, uint32_t n);
void shop_sampler_free(shop_sampler *sampler);
uint32_t shop_sampler_draw(const shop_sampler *sampler, moon_rng *rng);

/* ---- options -------------------------------------------------------------------------------------------------------------- */

typedef struct shop_options {
  const char *out;
  uint64_t events, seed;
  uint32_t users, items, days; /* 0 users or items: follows the number of events */
  bool gzip;
} shop_options;
int64_t shop_end(void); /* midnight of 2026-11-01: the first second that is not simulated */

/* ---- catalogue (catalogue.c) ---------------------------------------------------------------------------------------------- */

typedef struct shop_item {
  float vector[SHOP_DIMS]; /* unit length: around the centres of category and brand */
  float quality;           /* N(0, 1), shared by a product's variants */
  float price, price_z;    /* price_z: logarithm relative to what such a thing costs, in deviations */
  float margin, popularity;
  uint32_t product, stock;
  int32_t launched;        /* day since 1970 */
  uint8_t category, brand;
} shop_item;

typedef struct shop_catalogue {
  uint32_t n, products;
  shop_item *items;
  char *titles;       /* [n * SHOP_TITLE] */
  uint32_t *shelf;    /* item numbers sorted by category, then brand */
  uint32_t start[SHOP_CATEGORIES * SHOP_BRANDS + 1]; /* of each (category, brand) in shelf */
  shop_sampler popular[SHOP_CATEGORIES];             /* draws an index into the category's part of shelf */
  float centre[SHOP_CATEGORIES][SHOP_DIMS];
} shop_catalogue;
moon_status shop_catalogue_make(const shop_options *options, shop_catalogue *catalogue);
void shop_catalogue_free(shop_catalogue *catalogue);

/* ---- users (users.c) ------------------------------------------------------------------------------------------------------ */

typedef struct shop_user {
  float taste[SHOP_DIMS];  /* unit length */
  float price_sensitivity; /* log-normal around 0.5 */
  float decisiveness;      /* N(0, 0.5): how readily this user buys at all */
  int32_t joined;          /* day since 1970 */
  uint32_t seen[SHOP_MEMORY], bought[SHOP_MEMORY]; /* item and product numbers, newest overwrites oldest; MOON_NONE where empty */
  uint8_t seen_at, bought_at;
  uint8_t favourite[3];    /* categories, most liked first */
} shop_user;

typedef struct shop_users {
  uint32_t n;
  shop_user *users;
  float *activity; /* [n] relative number of sessions: Pareto, so a few visitors make many of them */
  shop_sampler by_activity;
} shop_users;
moon_status shop_users_make(const shop_options *options, const shop_catalogue *catalogue, shop_users *users);
void shop_users_free(shop_users *users);

/* ---- the truth (choice.c) -------------------------------------------------------------------------------------------------- */

double shop_affinity(const shop_user *user, const shop_item *item); /* about N(0, 1) over random pairs */
double shop_examines(unsigned position);                            /* whether a visitor looks at a 1-based position of a list */
double shop_clicks(const shop_user *user, const shop_item *item, int32_t day);
double shop_carts(const shop_user *user, const shop_item *item, bool seen, bool owned);
double shop_buys(const shop_user *user, const shop_item *item); /* given that it is in the cart */
double shop_season(const shop_category *category, int32_t day); /* factor around 1 */
/* The constants and formulas as JSON. */
void shop_truth_json(const shop_options *options, moon_buf *out);

/* ---- writing (writer.c) --------------------------------------------------------------------------------------------------- */

typedef enum shop_kind { SHOP_CLICK, SHOP_VIEW, SHOP_CART, SHOP_PURCHASE, SHOP_KINDS } shop_kind;
typedef struct shop_event {
  int64_t time;
  uint32_t user, item, session;
  uint8_t kind, position; /* position 0: not opened from a list */
} shop_event;

/* A file that appears under its name only when it is whole. */
typedef struct shop_writer shop_writer;
moon_status shop_writer_open(const char *folder, const char *name, bool gzip, shop_writer **out);
void shop_writer_text(shop_writer *writer, const char *text);
void shop_writer_event(shop_writer *writer, const shop_event *event);
moon_status shop_writer_error(const shop_writer *writer);  /* the first failure so far: what was written after it is lost */
moon_status shop_writer_commit(shop_writer **writer);      /* flush, close, rename; frees in any case */
void shop_writer_abandon(shop_writer **writer);            /* close and remove; NULL is fine */
moon_status shop_write_items(const char *folder, const shop_catalogue *catalogue);
moon_status shop_write_truth(const shop_options *options, const shop_catalogue *catalogue, const shop_users *users);

/* ---- sessions (sessions.c) ------------------------------------------------------------------------------------------------ */

typedef struct shop_count {
  uint64_t events[SHOP_KINDS], sessions, total;
} shop_count;
/* Simulates all days and writes their events in time order. */
moon_status shop_simulate(const shop_options *options, const shop_catalogue *catalogue, shop_users *users, shop_writer *writer,
                          const moon_progress *progress, shop_count *count);

#endif
