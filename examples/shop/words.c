/* words.c - what the things are called. A title is "<series> <material> <noun>", read from the tables of its category. */
#include <stdio.h>

#include "shop.h"

static const char *const bed_sizes[] = {"80 x 200 cm", "140 x 200 cm", "160 x 200 cm", "180 x 200 cm", NULL};
static const char *const rug_sizes[] = {"60 x 90 cm", "80 x 150 cm", "160 x 230 cm", "200 x 300 cm", NULL};
static const char *const pot_sizes[] = {"small", "medium", "large", NULL};
static const char *const pan_sizes[] = {"20 cm", "24 cm", "28 cm", NULL};

/* peak: day of the year; 15 January is 14, 15 November 318. */
const shop_category shop_categories[SHOP_CATEGORIES] = {
  {"lighting", 0.11, 49, 0.55, 0.42, 0.35, 330,
   {{"Norrsken", 1.0}, {"Lumo", 0.75}, {"Brightwell", 0.9}, {"Halden", 1.3}, {"Petra Lux", 1.7}, {"Glim", 0.6}, {"Fenwick", 1.1}, {"Orbita", 2.1}},
   {"Oak", "Brass", "Linen", "Smoked Glass", "Paper", "Steel", "Ceramic", "Rattan"},
   {"Bedside Lamp", "Floor Lamp", "Pendant", "Wall Light", "Desk Lamp", "Table Lamp", "String Lights", "Reading Light", "Chandelier",
    "Spotlight", "Lantern", "Lampshade"}, NULL},
  {"seating", 0.09, 189, 0.60, 0.38, 0.10, 20,
   {{"Halden", 1.2}, {"Softline", 0.8}, {"Moss & Ember", 1.5}, {"Basis", 0.55}, {"Kilda", 1.0}, {"Villa Sol", 1.3}, {"Arno", 1.8}, {"Tove", 0.9}},
   {"Oak", "Velvet", "Leather", "Linen", "Beech", "Boucle", "Walnut", "Rattan"},
   {"Armchair", "Dining Chair", "Bar Stool", "Sofa", "Footstool", "Bench", "Rocking Chair", "Pouffe", "Daybed", "Desk Chair",
    "Folding Chair", "Lounge Chair"}, NULL},
  {"tables", 0.07, 169, 0.60, 0.36, 0.10, 270,
   {{"Halden", 1.2}, {"Basis", 0.5}, {"Kilda", 1.0}, {"Stem", 0.8}, {"Moss & Ember", 1.5}, {"Arno", 1.9}, {"Tove", 0.9}, {"Fjell", 1.1}},
   {"Oak", "Walnut", "Marble", "Pine", "Glass", "Ash", "Bamboo", "Steel"},
   {"Coffee Table", "Dining Table", "Bedside Table", "Side Table", "Console", "Desk", "Nesting Tables", "Trolley", "Bar Table",
    "Plant Stand", "Dressing Table", "Folding Table"}, NULL},
  {"kitchen", 0.14, 24, 0.65, 0.46, 0.20, 345,
   {{"Cook & Co", 0.8}, {"Basis", 0.55}, {"Grano", 1.2}, {"Sabatou", 1.8}, {"Brightwell", 0.9}, {"Hearth", 1.4}, {"Mira", 1.0}, {"Tinker", 0.7}},
   {"Cast Iron", "Steel", "Copper", "Beech", "Enamel", "Stoneware", "Bamboo", "Silicone"},
   {"Frying Pan", "Saucepan", "Chopping Board", "Mixing Bowl", "Kettle", "Teapot", "Baking Dish", "Utensil Set", "Storage Jar",
    "Salad Servers", "Pepper Mill", "Colander"}, pan_sizes},
  {"tableware", 0.10, 19, 0.55, 0.48, 0.20, 340,
   {{"Mira", 1.0}, {"Cook & Co", 0.8}, {"Blåvik", 1.3}, {"Terra Nova", 1.1}, {"Glim", 0.6}, {"Porto", 0.9}, {"Arno", 2.0}, {"Basis", 0.5}},
   {"Stoneware", "Porcelain", "Glass", "Olive Wood", "Bone China", "Speckled", "Ribbed", "Crystal"},
   {"Dinner Plate", "Cereal Bowl", "Mug", "Carafe", "Wine Glasses", "Serving Platter", "Espresso Cups", "Tumblers", "Cake Stand",
    "Butter Dish", "Side Plate", "Napkin Rings"}, NULL},
  {"bedding", 0.10, 69, 0.50, 0.44, 0.15, 15,
   {{"Dormir", 1.0}, {"Softline", 0.8}, {"Cotton Hall", 1.2}, {"Basis", 0.5}, {"Lin & Laine", 1.6}, {"Nuit", 1.3}, {"Tove", 0.9}, {"Eider", 2.2}},
   {"Linen", "Cotton Percale", "Sateen", "Flannel", "Bamboo", "Washed Cotton", "Wool", "Down"},
   {"Duvet Cover", "Fitted Sheet", "Pillowcase", "Duvet", "Blanket", "Bedspread", "Pillow", "Throw", "Mattress Topper", "Quilt",
    "Bed Set", "Mattress Protector"}, bed_sizes},
  {"bathroom", 0.07, 27, 0.55, 0.47, 0.05, 10,
   {{"Aqua Nord", 1.1}, {"Basis", 0.55}, {"Cotton Hall", 1.2}, {"Spa Lab", 1.5}, {"Mira", 1.0}, {"Lagoon", 0.8}, {"Terra Nova", 1.3}, {"Glim", 0.6}},
   {"Cotton", "Teak", "Terrazzo", "Bamboo", "Chrome", "Waffle", "Stone", "Glass"},
   {"Bath Towel", "Hand Towel", "Bath Mat", "Soap Dispenser", "Shower Curtain", "Mirror", "Toothbrush Holder", "Bath Caddy",
    "Laundry Basket", "Bathrobe", "Towel Rail", "Shelf"}, NULL},
  {"storage", 0.08, 39, 0.65, 0.40, 0.10, 12,
   {{"Stacker", 0.8}, {"Basis", 0.5}, {"Kilda", 1.1}, {"Fjell", 1.3}, {"Order", 1.0}, {"Stem", 0.9}, {"Halden", 1.6}, {"Tinker", 0.7}},
   {"Pine", "Felt", "Steel", "Seagrass", "Oak", "Canvas", "Wicker", "Plywood"},
   {"Basket", "Bookcase", "Shoe Rack", "Storage Box", "Coat Stand", "Wall Shelf", "Drawer Unit", "Magazine Rack", "Wardrobe",
    "Cabinet", "Hook Rail", "Chest"}, NULL},
  {"rugs", 0.05, 119, 0.60, 0.45, 0.20, 310,
   {{"Weave House", 1.1}, {"Softline", 0.8}, {"Kilim & Co", 1.4}, {"Basis", 0.5}, {"Lin & Laine", 1.3}, {"Atlas", 1.7}, {"Blåvik", 1.0}, {"Tove", 0.9}},
   {"Wool", "Jute", "Cotton", "Sisal", "Recycled", "Shaggy", "Flatweave", "Berber"},
   {"Rug", "Runner", "Round Rug", "Doormat", "Kilim", "Patterned Rug", "Striped Rug", "Hallway Runner", "Checked Rug", "Fringed Rug",
    "Outdoor Rug", "Sheepskin"}, rug_sizes},
  {"decor", 0.11, 22, 0.65, 0.52, 0.25, 345,
   {{"Glim", 0.6}, {"Terra Nova", 1.1}, {"Moss & Ember", 1.4}, {"Fenwick", 1.0}, {"Blåvik", 1.2}, {"Papier", 0.8}, {"Orbita", 1.8}, {"Villa Sol", 1.3}},
   {"Ceramic", "Brass", "Glass", "Linen", "Oak", "Dried", "Marble", "Papier-mache"},
   {"Vase", "Candle Holder", "Picture Frame", "Cushion", "Wall Clock", "Mirror", "Scented Candle", "Poster", "Ornament", "Tray",
    "Bookends", "Wreath"}, NULL},
  {"garden", 0.05, 34, 0.80, 0.43, 0.60, 135,
   {{"Hortus", 1.0}, {"Greenhand", 0.8}, {"Terra Nova", 1.2}, {"Basis", 0.5}, {"Villa Sol", 1.6}, {"Fern", 0.9}, {"Fjell", 1.3}, {"Rain & Co", 1.1}},
   {"Terracotta", "Zinc", "Teak", "Acacia", "Fibreclay", "Cedar", "Galvanised", "Rattan"},
   {"Planter", "Watering Can", "Garden Bench", "Bird Feeder", "Trellis", "Fire Bowl", "Parasol", "Herb Pot", "Lounger", "Garden Chair",
    "Raised Bed", "Hanging Basket"}, pot_sizes},
  {"kids", 0.03, 29, 0.60, 0.45, 0.30, 350,
   {{"Little Fox", 1.1}, {"Basis", 0.5}, {"Pip", 0.9}, {"Cloud Nine", 1.2}, {"Blåvik", 1.4}, {"Tinker", 0.7}, {"Oakling", 1.6}, {"Tove", 1.0}},
   {"Beech", "Cotton", "Felt", "Pine", "Rainbow", "Organic", "Wool", "Painted"},
   {"Stacking Toy", "Night Light", "Toy Chest", "Play Tent", "Stool", "Height Chart", "Bookshelf", "Mobile", "Play Mat", "Building Blocks",
    "Bunting", "Doll's House"}, NULL},
};

static const char *const heads[] = {"Al", "Bru", "Cal", "Dor", "El", "Fin", "Gre", "Hav", "Il", "Jo", "Kar", "Lin", "Mal", "Nor", "Os", "Per",
                                    "Ro", "Sol", "Til", "Ul", "Vik", "Wil", "Ys", "Zel"};
static const char *const tails[] = {"va", "no", "da", "mar", "sten", "by", "ra", "lund", "tta", "vin", "dal", "na", "ry", "berg", "lo", "sa"};
static const char *const colours[] = {"white", "black", "sand", "forest green", "rust", "navy", "natural", "light grey", "mustard",
                                      "dusty pink", "terracotta", "sage", "charcoal", "sky blue", "ivory", "plum"};
#define COUNT(array) (uint32_t)(sizeof(array) / sizeof *(array))

uint8_t shop_draw_category(moon_rng *rng) {
  double left = moon_rng_uniform(rng);
  for (int c = 0; c < SHOP_CATEGORIES - 1; c++)
    if ((left -= shop_categories[c].share) < 0) return (uint8_t)c;
  return SHOP_CATEGORIES - 1;
}

void shop_title(moon_rng *rng, const shop_category *category, char out[SHOP_PRODUCT_TITLE]) {
  const char *head = heads[moon_rng_below(rng, COUNT(heads))], *tail = tails[moon_rng_below(rng, COUNT(tails))];
  const char *material = category->materials[moon_rng_below(rng, COUNT(category->materials))];
  const char *noun = category->nouns[moon_rng_below(rng, COUNT(category->nouns))];
  snprintf(out, SHOP_PRODUCT_TITLE, "%s%s %s %s", head, tail, material, noun);
}

const char *shop_colour(moon_rng *rng) { return colours[moon_rng_below(rng, COUNT(colours))]; }
