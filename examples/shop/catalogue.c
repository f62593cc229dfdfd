/* catalogue.c - the things for sale. A product has a category, a brand, a quality and a place in the latent space; its one to
 * four variants (colour, size) are the items that are sold, and share all of it but the last decimals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shop.h"

enum { STREAM_CATALOGUE = 1, MOST_VARIANTS = 4 };

typedef struct maker { /* what making the catalogue needs beside it */
  moon_rng rng;
  float brand_offset[SHOP_CATEGORIES][SHOP_BRANDS][SHOP_DIMS];
  int32_t today, first_day;
  shop_catalogue *catalogue;
} maker;

static void unit_vector(float *vector) {
  double length = 0;
  for (int d = 0; d < SHOP_DIMS; d++) length += (double)vector[d] * vector[d];
  length = sqrt(length);
  for (int d = 0; d < SHOP_DIMS; d++) vector[d] = (float)(vector[d] / length);
}

static void make_centres(maker *make) {
  for (int c = 0; c < SHOP_CATEGORIES; c++) {
    for (int d = 0; d < SHOP_DIMS; d++) make->catalogue->centre[c][d] = (float)moon_rng_normal(&make->rng);
    unit_vector(make->catalogue->centre[c]);
    for (int b = 0; b < SHOP_BRANDS; b++)
      for (int d = 0; d < SHOP_DIMS; d++) make->brand_offset[c][b][d] = (float)(0.18 * moon_rng_normal(&make->rng));
  }
}

/* Prices as shops write them: 4.49, 24.95, 349.00. */
static float shelf_price(double price) {
  if (price < 10) return (float)(floor(price * 2) / 2 + 0.49);
  if (price < 100) return (float)(floor(price) + 0.95);
  if (price < 500) return (float)(floor(price / 5) * 5 + 4);
  return (float)(floor(price / 10) * 10 + 9);
}

static uint32_t draw_stock(moon_rng *rng) {
  if (moon_rng_uniform(rng) < 0.03) return 0;
  return 1 + (uint32_t)fmin(exp(2.8 + 1.2 * moon_rng_normal(rng)), 5000);
}

typedef struct product { /* what the variants share */
  shop_item item;
  double price; /* of the smallest size */
  const shop_noun *noun;
  char title[SHOP_PRODUCT_TITLE];
} product;

static product make_product(maker *make, uint32_t number) {
  moon_rng *rng = &make->rng;
  product made = {.item = {.product = number, .category = shop_draw_category(rng)}};
  shop_item *item = &made.item;
  const shop_category *category = &shop_categories[item->category];
  /* The smaller of two draws: the first brands of a category have more of its products. */
  uint32_t one = moon_rng_below(rng, SHOP_BRANDS), two = moon_rng_below(rng, SHOP_BRANDS);
  item->brand = (uint8_t)(one < two ? one : two);
  for (int d = 0; d < SHOP_DIMS; d++)
    item->vector[d] = make->catalogue->centre[item->category][d] + make->brand_offset[item->category][item->brand][d] +
                      (float)(0.28 * moon_rng_normal(rng));
  item->quality = (float)moon_rng_normal(rng);
  made.noun = shop_title(rng, category, made.title);
  double level = category->brands[item->brand].level;
  made.price = category->price * made.noun->level * level * exp(category->spread * moon_rng_normal(rng) + 0.08 * item->quality);
  item->margin = (float)fmin(0.75, fmax(0.05, category->margin + 0.08 * (level - 1) + 0.06 * moon_rng_normal(rng)));
  bool fresh = moon_rng_uniform(rng) < 0.18; /* launched while we watch */
  item->launched = make->first_day + (fresh ? (int32_t)moon_rng_below(rng, (uint32_t)(make->today - make->first_day))
                                            : -1 - (int32_t)moon_rng_below(rng, 900));
  /* Zipf-like: the share of a product falls as the power of a random rank, and good ones are helped. */
  item->popularity = (float)(pow(1 - moon_rng_uniform(rng), -0.75) * exp(0.35 * item->quality));
  return made;
}

/* One item of a product: number `v` of `variants`, whose look or size is `look`. */
static void add_variant(maker *make, const product *made, uint32_t v, uint32_t variants, uint32_t look) {
  shop_catalogue *catalogue = make->catalogue;
  moon_rng *rng = &make->rng;
  shop_item item = made->item;
  const shop_category *category = &shop_categories[item.category];
  const char *kind = made->noun->kind & SHOP_SIZED ? category->sizes[look] : shop_colour(look);
  snprintf(catalogue->titles + (size_t)catalogue->n * SHOP_TITLE, SHOP_TITLE, "%s%s%s", made->title, variants > 1 ? ", " : "",
           variants > 1 ? kind : "");
  for (int d = 0; d < SHOP_DIMS; d++) item.vector[d] += (float)(0.05 * moon_rng_normal(rng));
  unit_vector(item.vector);
  double bigger = made->noun->kind & SHOP_SIZED ? 1 + 0.18 * look : 1;
  item.price = shelf_price(made->price * bigger);
  item.price_z = (float)(log(item.price / (category->price * made->noun->level * bigger)) / category->spread);
  item.popularity *= v == 0 ? 1 : (float)(0.2 + 0.6 * moon_rng_uniform(rng));
  item.stock = draw_stock(rng);
  catalogue->items[catalogue->n++] = item;
}

static void add_product(maker *make, uint32_t items) {
  shop_catalogue *catalogue = make->catalogue;
  product made = make_product(make, ++catalogue->products);
  uint32_t variants = moon_rng_uniform(&make->rng) < 0.45 ? 1 : 2 + moon_rng_below(&make->rng, MOST_VARIANTS - 1), first;
  if (made.noun->kind & SHOP_SIZED) {
    uint32_t sizes = shop_sizes(&shop_categories[made.item.category]);
    if (variants > sizes) variants = sizes;
    first = moon_rng_below(&make->rng, sizes - variants + 1);
  } else {
    first = moon_rng_u32(&make->rng) >> 8;
  }
  for (uint32_t v = 0; v < variants && catalogue->n < items; v++) add_variant(make, &made, v, variants, first + v);
}

/* Counting sort of the item numbers by (category, brand), and a sampler by popularity over each category. */
static moon_status fill_shelves(shop_catalogue *catalogue) {
  uint32_t at[SHOP_CATEGORIES * SHOP_BRANDS] = {0};
  for (uint32_t i = 0; i < catalogue->n; i++)
    catalogue->start[catalogue->items[i].category * SHOP_BRANDS + catalogue->items[i].brand + 1]++;
  for (int s = 0; s < SHOP_CATEGORIES * SHOP_BRANDS; s++) {
    catalogue->start[s + 1] += catalogue->start[s];
    at[s] = catalogue->start[s];
  }
  for (uint32_t i = 0; i < catalogue->n; i++)
    catalogue->shelf[at[catalogue->items[i].category * SHOP_BRANDS + catalogue->items[i].brand]++] = i;
  double *weight = moon_calloc(catalogue->n, sizeof *weight);
  if (!weight) return moon_fail(MOON_ENOMEM, "no memory for %u items", catalogue->n);
  moon_status status = moon_ok();
  for (int c = 0; c < SHOP_CATEGORIES && !status.code; c++) {
    uint32_t from = catalogue->start[c * SHOP_BRANDS], n = catalogue->start[(c + 1) * SHOP_BRANDS] - from;
    for (uint32_t i = 0; i < n; i++) weight[i] = catalogue->items[catalogue->shelf[from + i]].popularity;
    if (n) status = shop_sampler_new(&catalogue->popular[c], weight, n);
  }
  moon_free(weight);
  return status;
}

moon_status shop_catalogue_make(const shop_options *options, shop_catalogue *catalogue) {
  uint32_t n = options->items;
  *catalogue = (shop_catalogue){.items = moon_calloc(n, sizeof *catalogue->items),
                                .titles = moon_calloc(n, SHOP_TITLE),
                                .shelf = moon_calloc(n, sizeof *catalogue->shelf)};
  if (!catalogue->items || !catalogue->titles || !catalogue->shelf) return moon_fail(MOON_ENOMEM, "no memory for %u items", n);
  maker make = {.today = (int32_t)(shop_end() / SHOP_DAY), .catalogue = catalogue};
  make.first_day = make.today - (int32_t)options->days;
  moon_rng_seed(&make.rng, options->seed, STREAM_CATALOGUE);
  make_centres(&make);
  while (catalogue->n < n) add_product(&make, n);
  return fill_shelves(catalogue);
}

void shop_catalogue_free(shop_catalogue *catalogue) {
  moon_free(catalogue->items);
  moon_free(catalogue->titles);
  moon_free(catalogue->shelf);
  for (int c = 0; c < SHOP_CATEGORIES; c++) shop_sampler_free(&catalogue->popular[c]);
}
