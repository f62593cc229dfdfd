/* choice.c - the truth of the shop: why a visitor looks, opens, takes and buys. Every probability of the simulation is in this
 * file, as a logistic function of a few named causes, and shop_truth_json writes the very constants used. */
#include <math.h>

#include "shop.h"

#define AFFINITY_SCALE 2.8284271247461903 /* sqrt(SHOP_DIMS): the product of two random unit vectors gets deviation 1 */

/* clang-format off */
/* Each cause is a slope on the log-odds. */
static const struct {
  double examine_power;                                            /* P(look at position k) = k^-power */
  double click, click_affinity, click_quality, click_price, click_new;
  double cart, cart_affinity, cart_quality, cart_price, cart_seen, cart_owned;
  double buy, buy_affinity, buy_quality, buy_price;
  int new_days;
} truth = {
    .examine_power = 0.55,
    .click = -1.9, .click_affinity = 0.75, .click_quality = 0.25, .click_price = 0.30, .click_new = 0.30,
    .cart = -4.55, .cart_affinity = 0.85, .cart_quality = 0.80, .cart_price = 0.95, .cart_seen = 0.70, .cart_owned = -2.50,
    .buy = -0.2, .buy_affinity = 0.30, .buy_quality = 0.50, .buy_price = 0.50,
    .new_days = 21,
};
/* clang-format on */

static double logistic(double log_odds) {
  return 1 / (1 + exp(-log_odds));
}

double shop_affinity(const shop_user *user, const shop_item *item) {
  double dot = 0;
  for (int d = 0; d < SHOP_DIMS; d++) dot += (double)user->taste[d] * item->vector[d];
  return dot * AFFINITY_SCALE;
}

double shop_examines(unsigned position) {
  static double table[SHOP_LIST_MAX + 1];
  if (table[1] == 0)
    for (int k = 1; k <= SHOP_LIST_MAX; k++) table[k] = pow(k, -truth.examine_power);
  return table[position];
}

double shop_clicks(const shop_user *user, const shop_item *item, int32_t day) {
  bool fresh = day - item->launched < truth.new_days;
  return logistic(truth.click + truth.click_affinity * shop_affinity(user, item) + truth.click_quality * item->quality -
                  truth.click_price * user->price_sensitivity * item->price_z + (fresh ? truth.click_new : 0));
}

double shop_carts(const shop_user *user, const shop_item *item, bool seen, bool owned) {
  return logistic(truth.cart + user->decisiveness + truth.cart_affinity * shop_affinity(user, item) +
                  truth.cart_quality * item->quality - truth.cart_price * user->price_sensitivity * item->price_z +
                  (seen ? truth.cart_seen : 0) + (owned ? truth.cart_owned : 0));
}

double shop_buys(const shop_user *user, const shop_item *item) {
  return logistic(truth.buy + user->decisiveness + truth.buy_affinity * shop_affinity(user, item) +
                  truth.buy_quality * item->quality - truth.buy_price * user->price_sensitivity * item->price_z);
}

double shop_season(const shop_category *category, int32_t day) {
  /* Day 0 of 1970 was the first of January; leap days shift the year by less than this model can show. */
  double year_day = fmod(day, 365.2425);
  return 1 + category->season * cos(2 * M_PI * (year_day - category->peak) / 365.2425);
}

void shop_truth_json(const shop_options *options, moon_buf *out) {
  moon_buf_printf(
      out, "{\n  \"about\": \"how examples/shop drew the events; the vectors are in truth_users.csv and truth_items.csv\",\n");
  moon_buf_printf(out, "  \"seed\": %llu, \"events_asked\": %llu, \"users\": %u, \"items\": %u, \"days\": %u, \"dims\": %d,\n",
                  (unsigned long long)options->seed, (unsigned long long)options->events, options->users, options->items,
                  options->days, SHOP_DIMS);
  moon_buf_puts(out,
                "  \"formulas\": {\n"
                "    \"affinity\": \"sqrt(dims) * dot(user.taste, item.vector)\",\n"
                "    \"price_z\": \"ln(price / the usual price of such a thing) / the category's spread; in truth_items.csv\",\n"
                "    \"examine\": \"position ^ -examine.power\",\n"
                "    \"click\": \"logistic(bias + affinity*A + quality*Q - price*price_sensitivity*price_z + new*[launched less "
                "than new_days ago])\",\n"
                "    \"cart\": \"logistic(bias + decisiveness + affinity*A + quality*Q - price*price_sensitivity*price_z + "
                "seen*[among the user's last 8 views] + owned*[product among the last 8 bought])\",\n"
                "    \"buy\": \"logistic(bias + decisiveness + affinity*A + quality*Q - price*price_sensitivity*price_z)\",\n"
                "    \"purchase_after_view\": \"cart * buy\"\n  },\n");
  moon_buf_printf(out, "  \"examine\": {\"power\": %g},\n", truth.examine_power);
  moon_buf_printf(
      out, "  \"click\": {\"bias\": %g, \"affinity\": %g, \"quality\": %g, \"price\": %g, \"new\": %g, \"new_days\": %d},\n",
      truth.click, truth.click_affinity, truth.click_quality, truth.click_price, truth.click_new, truth.new_days);
  moon_buf_printf(out,
                  "  \"cart\": {\"bias\": %g, \"affinity\": %g, \"quality\": %g, \"price\": %g, \"seen\": %g, \"owned\": %g},\n",
                  truth.cart, truth.cart_affinity, truth.cart_quality, truth.cart_price, truth.cart_seen, truth.cart_owned);
  moon_buf_printf(out, "  \"buy\": {\"bias\": %g, \"affinity\": %g, \"quality\": %g, \"price\": %g}\n}\n", truth.buy,
                  truth.buy_affinity, truth.buy_quality, truth.buy_price);
}
