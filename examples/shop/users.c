/* users.c - the visitors: what they like, how much a price hurts them, how often they come. */
#include <math.h>

#include "shop.h"

enum { STREAM_USERS = 2 };

/* A taste leans towards the centres of the favourite categories and is otherwise the user's own. */
static void make_taste(moon_rng *rng, const shop_catalogue *catalogue, shop_user *user) {
  static const double lean[3] = {0.50, 0.30, 0.20};
  double own[SHOP_DIMS], length = 0;
  for (int d = 0; d < SHOP_DIMS; d++) {
    own[d] = 0.42 * moon_rng_normal(rng);
    for (int f = 0; f < 3; f++) own[d] += lean[f] * catalogue->centre[user->favourite[f]][d];
    length += own[d] * own[d];
  }
  length = sqrt(length);
  for (int d = 0; d < SHOP_DIMS; d++) user->taste[d] = (float)(own[d] / length);
}

static void make_user(moon_rng *rng, const shop_options *options, const shop_catalogue *catalogue, shop_user *user) {
  int32_t today = (int32_t)(shop_end() / SHOP_DAY);
  for (int f = 0; f < 3; f++) user->favourite[f] = shop_draw_category(rng);
  make_taste(rng, catalogue, user);
  user->price_sensitivity = (float)(0.5 * exp(0.6 * moon_rng_normal(rng)));
  user->decisiveness = (float)(0.5 * moon_rng_normal(rng));
  /* A third of them come for the first time while we watch: those are the cold starts. */
  user->joined = today - (int32_t)options->days;
  if (moon_rng_uniform(rng) < 0.33) user->joined += (int32_t)moon_rng_below(rng, options->days);
  for (int i = 0; i < SHOP_MEMORY; i++) user->seen[i] = user->bought[i] = MOON_NONE;
}

moon_status shop_users_make(const shop_options *options, const shop_catalogue *catalogue, shop_users *users) {
  uint32_t n = options->users;
  *users =
      (shop_users){.n = n, .users = moon_calloc(n, sizeof *users->users), .activity = moon_calloc(n, sizeof *users->activity)};
  double *weight = moon_calloc(n, sizeof *weight);
  moon_status status;
  if (!users->users || !users->activity || !weight) {
    status = moon_fail(MOON_ENOMEM, "no memory for %u users", n);
  } else {
    moon_rng rng;
    moon_rng_seed(&rng, options->seed, STREAM_USERS);
    for (uint32_t u = 0; u < n; u++) {
      make_user(&rng, options, catalogue, &users->users[u]);
      if (u == 0)
        users->users[0].joined = (int32_t)(shop_end() / SHOP_DAY) - (int32_t)options->days; /* somebody is there on day one */
      double pareto =
          pow(1 - moon_rng_uniform(&rng), -1 / 1.6); /* the tail is cut: who comes 100 times as often as the least is a robot */
      weight[u] = users->activity[u] = (float)fmin(pareto, 100);
    }
    status = shop_sampler_new(&users->by_activity, weight, n);
  }
  moon_free(weight);
  return status;
}

void shop_users_free(shop_users *users) {
  moon_free(users->users);
  moon_free(users->activity);
  shop_sampler_free(&users->by_activity);
}
