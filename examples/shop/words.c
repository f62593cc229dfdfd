/* words.c - what the things are called. A title is "<series> <material> <noun>", read from the tables of its category; a noun
 * brings its usual price, so that a wardrobe costs more than a storage box. */
#include <stdio.h>

#include "shop.h"

static const char *const bed_sizes[] = {"80 x 200 cm", "140 x 200 cm", "160 x 200 cm", "180 x 200 cm", NULL};
static const char *const rug_sizes[] = {"60 x 90 cm", "80 x 150 cm", "160 x 230 cm", "200 x 300 cm", NULL};
static const char *const pot_sizes[] = {"small", "medium", "large", NULL};
static const char *const pan_sizes[] = {"20 cm", "24 cm", "28 cm", NULL};

enum { SIZED = SHOP_SIZED, SECOND = SHOP_SECOND };

/* clang-format off */
/* peak: day of the year; 15 January is 14, 15 November 318. */
const shop_category shop_categories[SHOP_CATEGORIES] = {
  {"lighting", 0.11, 49, 0.55, 0.42, 0.35, 330,
   {{"Norrsken", 1.0}, {"Lumo", 0.75}, {"Brightwell", 0.9}, {"Halden", 1.3},
    {"Petra Lux", 1.7}, {"Glim", 0.6}, {"Fenwick", 1.1}, {"Orbita", 2.1}},
   {{"Linen", "Paper", "Rattan", "Ceramic"}, {"Brass", "Steel", "Smoked Glass", "Oak"}},
   {{"Bedside Lamp", 0.7}, {"Floor Lamp", 2.2, SECOND}, {"Pendant", 1.3}, {"Wall Light", 1, SECOND},
    {"Desk Lamp", 0.9, SECOND}, {"Table Lamp", 1}, {"String Lights", 0.35, SECOND}, {"Reading Light", 0.8, SECOND},
    {"Chandelier", 4, SECOND}, {"Spotlight", 0.6, SECOND}, {"Lantern", 0.5, SECOND}, {"Lampshade", 0.45}},
   NULL},
  {"seating", 0.09, 189, 0.60, 0.38, 0.10, 20,
   {{"Halden", 1.2}, {"Softline", 0.8}, {"Moss & Ember", 1.5}, {"Basis", 0.55},
    {"Kilda", 1.0}, {"Villa Sol", 1.3}, {"Arno", 1.8}, {"Tove", 0.9}},
   {{"Velvet", "Leather", "Linen", "Boucle"}, {"Oak", "Beech", "Walnut", "Rattan"}},
   {{"Armchair", 1.8}, {"Dining Chair", 0.6, SECOND}, {"Bar Stool", 0.7, SECOND}, {"Sofa", 4.5},
    {"Footstool", 0.5}, {"Bench", 0.9, SECOND}, {"Rocking Chair", 1.5, SECOND}, {"Pouffe", 0.45},
    {"Daybed", 3}, {"Desk Chair", 1, SECOND}, {"Folding Chair", 0.3, SECOND}, {"Lounge Chair", 1.9}},
   NULL},
  {"tables", 0.07, 169, 0.60, 0.36, 0.10, 270,
   {{"Halden", 1.2}, {"Basis", 0.5}, {"Kilda", 1.0}, {"Stem", 0.8},
    {"Moss & Ember", 1.5}, {"Arno", 1.9}, {"Tove", 0.9}, {"Fjell", 1.1}},
   {{"Marble", "Glass", "Steel", "Walnut"}, {"Oak", "Pine", "Ash", "Bamboo"}},
   {{"Coffee Table", 1.1}, {"Dining Table", 3.2, SECOND}, {"Bedside Table", 0.6, SECOND}, {"Side Table", 0.5},
    {"Console", 1.2}, {"Desk", 1.7, SECOND}, {"Nesting Tables", 1, SECOND}, {"Trolley", 0.7},
    {"Bar Table", 1.3}, {"Plant Stand", 0.25, SECOND}, {"Dressing Table", 1.6, SECOND}, {"Folding Table", 0.6, SECOND}},
   NULL},
  {"kitchen", 0.14, 24, 0.65, 0.46, 0.20, 345,
   {{"Cook & Co", 0.8}, {"Basis", 0.55}, {"Grano", 1.2}, {"Sabatou", 1.8},
    {"Brightwell", 0.9}, {"Hearth", 1.4}, {"Mira", 1.0}, {"Tinker", 0.7}},
   {{"Cast Iron", "Steel", "Copper", "Enamel"}, {"Beech", "Olive Wood", "Stoneware", "Marble"}},
   {{"Frying Pan", 1.4, SIZED}, {"Saucepan", 1.5, SIZED}, {"Chopping Board", 0.9, SECOND}, {"Mixing Bowl", 0.8, SECOND},
    {"Kettle", 1.8}, {"Teapot", 1.2}, {"Baking Dish", 0.9}, {"Utensil Set", 1, SECOND},
    {"Storage Jar", 0.45, SECOND}, {"Salad Servers", 0.6, SECOND}, {"Pepper Mill", 1, SECOND}, {"Colander", 0.8}},
   pan_sizes},
  {"tableware", 0.10, 19, 0.55, 0.48, 0.20, 340,
   {{"Mira", 1.0}, {"Cook & Co", 0.8}, {"Blåvik", 1.3}, {"Terra Nova", 1.1},
    {"Glim", 0.6}, {"Porto", 0.9}, {"Arno", 2.0}, {"Basis", 0.5}},
   {{"Stoneware", "Porcelain", "Bone China", "Speckled"}, {"Ribbed Glass", "Crystal", "Smoked Glass", "Recycled Glass"}},
   {{"Dinner Plate", 0.7}, {"Cereal Bowl", 0.5}, {"Mug", 0.5}, {"Carafe", 1.2, SECOND},
    {"Wine Glasses", 1.5, SECOND}, {"Serving Platter", 1.5}, {"Espresso Cups", 1.1}, {"Tumblers", 1, SECOND},
    {"Cake Stand", 1.7, SECOND}, {"Butter Dish", 0.9, SECOND}, {"Side Plate", 0.5}, {"Napkin Rings", 0.6}},
   NULL},
  {"bedding", 0.10, 69, 0.50, 0.44, 0.15, 15,
   {{"Dormir", 1.0}, {"Softline", 0.8}, {"Cotton Hall", 1.2}, {"Basis", 0.5},
    {"Lin & Laine", 1.6}, {"Nuit", 1.3}, {"Tove", 0.9}, {"Eider", 2.2}},
   {{"Linen", "Cotton Percale", "Sateen", "Flannel"}, {"Washed Cotton", "Bamboo", "Wool", "Down"}},
   {{"Duvet Cover", 1, SIZED}, {"Fitted Sheet", 0.6, SIZED}, {"Pillowcase", 0.25}, {"Duvet", 1.6, SIZED | SECOND},
    {"Blanket", 0.8, SECOND}, {"Bedspread", 1.1, SIZED}, {"Pillow", 0.5, SECOND}, {"Throw", 0.6, SECOND},
    {"Mattress Topper", 2.2, SIZED | SECOND}, {"Quilt", 1.3, SIZED | SECOND},
    {"Bed Set", 1.4, SIZED}, {"Mattress Protector", 0.6, SIZED}},
   bed_sizes},
  {"bathroom", 0.07, 27, 0.55, 0.47, 0.05, 10,
   {{"Aqua Nord", 1.1}, {"Basis", 0.55}, {"Cotton Hall", 1.2}, {"Spa Lab", 1.5},
    {"Mira", 1.0}, {"Lagoon", 0.8}, {"Terra Nova", 1.3}, {"Glim", 0.6}},
   {{"Cotton", "Waffle", "Linen", "Bamboo"}, {"Teak", "Terrazzo", "Chrome", "Stone"}},
   {{"Bath Towel", 0.8}, {"Hand Towel", 0.4}, {"Bath Mat", 0.8}, {"Soap Dispenser", 0.6, SECOND},
    {"Shower Curtain", 1}, {"Mirror", 2.4, SECOND}, {"Toothbrush Holder", 0.4, SECOND}, {"Bath Caddy", 1.1, SECOND},
    {"Laundry Basket", 1.7}, {"Bathrobe", 1.9}, {"Towel Rail", 1.3, SECOND}, {"Shelf", 1.4, SECOND}},
   NULL},
  {"storage", 0.08, 39, 0.65, 0.40, 0.10, 12,
   {{"Stacker", 0.8}, {"Basis", 0.5}, {"Kilda", 1.1}, {"Fjell", 1.3},
    {"Order", 1.0}, {"Stem", 0.9}, {"Halden", 1.6}, {"Tinker", 0.7}},
   {{"Felt", "Seagrass", "Canvas", "Wicker"}, {"Pine", "Steel", "Oak", "Plywood"}},
   {{"Basket", 0.5}, {"Bookcase", 3.2, SECOND}, {"Shoe Rack", 1.1, SECOND}, {"Storage Box", 0.4},
    {"Coat Stand", 1.6, SECOND}, {"Wall Shelf", 0.8, SECOND}, {"Drawer Unit", 2.6, SECOND}, {"Magazine Rack", 0.7},
    {"Wardrobe", 6, SECOND}, {"Cabinet", 3.6, SECOND}, {"Hook Rail", 0.5, SECOND}, {"Chest", 2.2, SECOND}},
   NULL},
  {"rugs", 0.05, 119, 0.60, 0.45, 0.20, 310,
   {{"Weave House", 1.1}, {"Softline", 0.8}, {"Kilim & Co", 1.4}, {"Basis", 0.5},
    {"Lin & Laine", 1.3}, {"Atlas", 1.7}, {"Blåvik", 1.0}, {"Tove", 0.9}},
   {{"Wool", "Jute", "Cotton", "Sisal"}, {"Recycled", "Shaggy", "Flatweave", "Berber"}},
   {{"Rug", 1.1, SIZED}, {"Runner", 0.6}, {"Round Rug", 1, SIZED | SECOND}, {"Doormat", 0.2},
    {"Kilim", 1.4, SIZED | SECOND}, {"Patterned Rug", 1.1, SIZED | SECOND},
    {"Striped Rug", 1, SIZED | SECOND}, {"Hallway Runner", 0.7},
    {"Checked Rug", 1, SIZED | SECOND}, {"Fringed Rug", 1.2, SIZED | SECOND}, {"Outdoor Rug", 0.7, SIZED}, {"Woven Rug", 0.6}},
   rug_sizes},
  {"decor", 0.11, 22, 0.65, 0.52, 0.25, 345,
   {{"Glim", 0.6}, {"Terra Nova", 1.1}, {"Moss & Ember", 1.4}, {"Fenwick", 1.0},
    {"Blåvik", 1.2}, {"Papier", 0.8}, {"Orbita", 1.8}, {"Villa Sol", 1.3}},
   {{"Ceramic", "Glass", "Porcelain", "Stone"}, {"Brass", "Oak", "Marble", "Walnut"}},
   {{"Vase", 1.2}, {"Candle Holder", 0.7, SECOND}, {"Picture Frame", 0.8, SECOND}, {"Bowl", 1.1},
    {"Wall Clock", 1.7, SECOND}, {"Mirror", 3, SECOND}, {"Scented Candle", 0.8}, {"Jar", 0.9},
    {"Ornament", 0.7}, {"Tray", 1.1, SECOND}, {"Bookends", 1.2, SECOND}, {"Sculpture", 1.3}},
   NULL},
  {"garden", 0.05, 34, 0.80, 0.43, 0.60, 135,
   {{"Hortus", 1.0}, {"Greenhand", 0.8}, {"Terra Nova", 1.2}, {"Basis", 0.5},
    {"Villa Sol", 1.6}, {"Fern", 0.9}, {"Fjell", 1.3}, {"Rain & Co", 1.1}},
   {{"Terracotta", "Zinc", "Fibreclay", "Galvanised"}, {"Teak", "Acacia", "Cedar", "Rattan"}},
   {{"Planter", 0.8, SIZED}, {"Watering Can", 0.7}, {"Garden Bench", 4.5, SECOND}, {"Bird Feeder", 0.6, SECOND},
    {"Trellis", 0.8, SECOND}, {"Fire Bowl", 2.5, SIZED}, {"Parasol", 2.8, SECOND}, {"Herb Pot", 0.3, SIZED},
    {"Lounger", 4.2, SECOND}, {"Garden Chair", 2, SECOND}, {"Raised Bed", 1.8, SECOND}, {"Hanging Basket", 0.5, SIZED | SECOND}},
   pot_sizes},
  {"kids", 0.03, 29, 0.60, 0.45, 0.30, 350,
   {{"Little Fox", 1.1}, {"Basis", 0.5}, {"Pip", 0.9}, {"Cloud Nine", 1.2},
    {"Blåvik", 1.4}, {"Tinker", 0.7}, {"Oakling", 1.6}, {"Tove", 1.0}},
   {{"Cotton", "Felt", "Wool", "Organic Cotton"}, {"Beech", "Pine", "Painted", "Rainbow"}},
   {{"Stacking Toy", 0.6, SECOND}, {"Night Light", 0.9, SECOND}, {"Toy Chest", 2.5, SECOND}, {"Play Tent", 2.4},
    {"Stool", 1.3, SECOND}, {"Height Chart", 0.6, SECOND}, {"Bookshelf", 2.8, SECOND}, {"Mobile", 0.9},
    {"Play Mat", 1.4}, {"Building Blocks", 0.8, SECOND}, {"Bunting", 0.4}, {"Doll's House", 3, SECOND}},
   NULL},
};
/* clang-format on */

static const char *const heads[] = {"Al",  "Bru", "Cal", "Dor", "El", "Fin", "Gre", "Hav", "Il",  "Jo",  "Kar", "Lin",
                                    "Mal", "Nor", "Os",  "Per", "Ro", "Sol", "Til", "Ul",  "Vik", "Wil", "Ys",  "Zel"};
static const char *const tails[] = {"va",  "no",  "da",  "mar", "sten", "by",   "ra", "lund",
                                    "tta", "vin", "dal", "na",  "ry",   "berg", "lo", "sa"};
static const char *const colours[] = {"white",    "black",      "sand",    "forest green", "rust",       "navy",
                                      "natural",  "light grey", "mustard", "dusty pink",   "terracotta", "sage",
                                      "charcoal", "sky blue",   "ivory",   "plum"};
#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

uint8_t shop_draw_category(moon_rng *rng) {
  double left = moon_rng_uniform(rng);
  for (int c = 0; c < SHOP_CATEGORIES - 1; c++)
    if ((left -= shop_categories[c].share) < 0) return (uint8_t)c;
  return SHOP_CATEGORIES - 1;
}

const shop_noun *shop_title(moon_rng *rng, const shop_category *category, char out[SHOP_PRODUCT_TITLE]) {
  const char *head = heads[moon_rng_below(rng, COUNT(heads))], *tail = tails[moon_rng_below(rng, COUNT(tails))];
  const shop_noun *noun = &category->nouns[moon_rng_below(rng, COUNT(category->nouns))];
  const char *const *materials = category->materials[noun->kind & SHOP_SECOND ? 1 : 0];
  const char *material = materials[moon_rng_below(rng, COUNT(category->materials[0]))];
  snprintf(out, SHOP_PRODUCT_TITLE, "%s%s %s %s", head, tail, material, noun->name);
  return noun;
}

uint32_t shop_sizes(const shop_category *category) {
  uint32_t n = 0;
  while (category->sizes && category->sizes[n]) n++;
  return n;
}

const char *shop_colour(uint32_t number) {
  return colours[number % COUNT(colours)];
}
