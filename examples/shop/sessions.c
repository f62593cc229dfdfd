/* sessions.c - visitors come, look through lists, open, take and buy.
 *
 * Time advances hour by hour. Sessions that begin in an hour are played to their end at once; their events wait in `pending`
 * until the hour they belong to is written. So the file is in time order although a purchase may follow its session by days, and
 * memory holds one hour of sessions and the purchases still under way, whatever the number of events. How many sessions an hour
 * gets is whatever it takes to reach the hour's share of the events asked for. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "shop.h"

enum { STREAM_SESSIONS = 3, HOUR = 3600, MOST_CART = 16 };

typedef struct play { /* the running simulation */
  const shop_catalogue *catalogue;
  shop_users *users;
  moon_rng rng;
  shop_event *pending, *sorted;
  size_t pending_n, pending_cap, sorted_cap;
  uint64_t made; /* events put into pending so far */
  uint32_t sessions;
  double season[SHOP_CATEGORIES], season_top; /* of today */
  int32_t day;
  moon_status status;
} play;

typedef struct visit { /* one session */
  shop_user *user;
  uint32_t user_number, session;
  uint8_t category;
  int64_t now;
  uint32_t cart[MOST_CART];
  uint8_t cart_position[MOST_CART], cart_n;
} visit;

static bool chance(play *p, double probability) {
  return moon_rng_uniform(&p->rng) < probability;
}

static void happen(play *p, const visit *v, int64_t time, uint32_t session, shop_kind kind, uint32_t item, uint8_t position) {
  if (p->status.code) return;
  p->status = moon_grow(&p->pending, &p->pending_cap, p->pending_n + 1, sizeof *p->pending);
  if (p->status.code) return;
  p->pending[p->pending_n++] = (shop_event){
      .time = time, .user = v->user_number, .item = item, .session = session, .kind = (uint8_t)kind, .position = position};
  p->made++;
}

/* ---- what stands in a list ------------------------------------------------------------------------------------------------- */

static uint32_t shelf_at(const play *p, uint32_t category, uint32_t index) {
  return p->catalogue->shelf[p->catalogue->start[category * SHOP_BRANDS] + index];
}

static uint32_t shelf_size(const play *p, uint32_t category) {
  return p->catalogue->popular[category].n;
}

static uint32_t popular_item(play *p, uint32_t category) {
  return shelf_at(p, category, shop_sampler_draw(&p->catalogue->popular[category], &p->rng));
}

/* What a decent recommender would show: the best liked of three popular items. */
static uint32_t tasteful_item(play *p, const visit *v) {
  uint32_t best = popular_item(p, v->category);
  for (int i = 0; i < 2; i++) {
    uint32_t other = popular_item(p, v->category);
    if (shop_affinity(v->user, &p->catalogue->items[other]) > shop_affinity(v->user, &p->catalogue->items[best])) best = other;
  }
  return best;
}

/* From the same category and brand as something that the user looked at, or that very thing. */
static uint32_t recent_item(play *p, const visit *v) {
  uint32_t seen = v->user->seen[moon_rng_below(&p->rng, SHOP_MEMORY)];
  if (seen == MOON_NONE) return popular_item(p, v->category);
  if (chance(p, 0.3)) return seen;
  const shop_item *item = &p->catalogue->items[seen];
  const uint32_t *start = &p->catalogue->start[item->category * SHOP_BRANDS + item->brand];
  return p->catalogue->shelf[start[0] + moon_rng_below(&p->rng, start[1] - start[0])];
}

static uint32_t newest_item(play *p, const visit *v) {
  uint32_t best = MOON_NONE;
  for (int i = 0; i < 5; i++) {
    uint32_t item = shelf_at(p, v->category, moon_rng_below(&p->rng, shelf_size(p, v->category)));
    int32_t launched = p->catalogue->items[item].launched;
    if (launched <= p->day && (best == MOON_NONE || launched > p->catalogue->items[best].launched)) best = item;
  }
  return best;
}

static uint32_t list_item(play *p, const visit *v) {
  double kind = moon_rng_uniform(&p->rng);
  if (kind < 0.45) return popular_item(p, v->category);
  if (kind < 0.68) return tasteful_item(p, v);
  if (kind < 0.82) return recent_item(p, v);
  if (kind < 0.92) return newest_item(p, v);
  return moon_rng_below(&p->rng, p->catalogue->n); /* anything: no item stays unseen for ever */
}

static unsigned make_list(play *p, const visit *v, uint32_t list[SHOP_LIST_MAX]) {
  unsigned want = SHOP_LIST_MIN + moon_rng_below(&p->rng, SHOP_LIST_MAX - SHOP_LIST_MIN + 1), n = 0;
  for (unsigned tries = 0; n < want && tries < 3 * SHOP_LIST_MAX; tries++) {
    uint32_t item = list_item(p, v);
    bool fits = item != MOON_NONE && p->catalogue->items[item].launched <= p->day;
    for (unsigned i = 0; i < n && fits; i++) fits = list[i] != item;
    if (fits) list[n++] = item;
  }
  return n;
}

/* ---- what a visitor does --------------------------------------------------------------------------------------------------- */

static uint8_t choose_category(play *p, const shop_user *user) {
  for (;;) { /* drawn by preference, kept by season */
    double kind = moon_rng_uniform(&p->rng);
    uint32_t category;
    if (kind < 0.40)
      category = user->favourite[0];
    else if (kind < 0.62)
      category = user->favourite[1];
    else if (kind < 0.76)
      category = user->favourite[2];
    else
      category = p->catalogue->items[moon_rng_below(&p->rng, p->catalogue->n)].category;
    if (shelf_size(p, category) && chance(p, p->season[category] / p->season_top)) return (uint8_t)category;
  }
}

static bool remembers(const uint32_t *memory, uint32_t what) {
  for (int i = 0; i < SHOP_MEMORY; i++)
    if (memory[i] == what) return true;
  return false;
}

/* The product page is opened: the view, perhaps the cart. */
static void look(play *p, visit *v, uint32_t item_number, uint8_t position) {
  const shop_item *item = &p->catalogue->items[item_number];
  shop_user *user = v->user;
  happen(p, v, v->now, v->session, SHOP_VIEW, item_number, position);
  bool seen = remembers(user->seen, item_number), owned = remembers(user->bought, item->product);
  v->now += 5 + (int64_t)fmin(exp(2.9 + 0.9 * moon_rng_normal(&p->rng)), 900);
  if (!seen) user->seen[user->seen_at++ % SHOP_MEMORY] = item_number;
  if (v->cart_n == MOST_CART || !chance(p, shop_carts(user, item, seen, owned))) return;
  happen(p, v, v->now, v->session, SHOP_CART, item_number, position);
  v->now += 2 + moon_rng_below(&p->rng, 8);
  v->cart[v->cart_n] = item_number;
  v->cart_position[v->cart_n++] = position;
}

static void read_list(play *p, visit *v) {
  uint32_t list[SHOP_LIST_MAX];
  unsigned n = make_list(p, v, list);
  v->now += 2 + moon_rng_below(&p->rng, 6);
  for (unsigned i = 0; i < n; i++) {
    if (!chance(p, shop_examines(i + 1))) continue;
    v->now += 1 + moon_rng_below(&p->rng, 3);
    if (!chance(p, shop_clicks(v->user, &p->catalogue->items[list[i]], p->day))) continue;
    happen(p, v, v->now, v->session, SHOP_CLICK, list[i], (uint8_t)(i + 1));
    v->now += 1 + moon_rng_below(&p->rng, 2);
    look(p, v, list[i], (uint8_t)(i + 1));
  }
}

/* Most buy before they leave; some sleep on it and come back, in a session of its own. */
static void check_out(play *p, visit *v) {
  v->now += 30 + moon_rng_below(&p->rng, 240);
  for (unsigned i = 0; i < v->cart_n; i++) {
    const shop_item *item = &p->catalogue->items[v->cart[i]];
    if (!chance(p, shop_buys(v->user, item))) continue;
    int64_t time = v->now;
    uint32_t session = v->session;
    if (chance(p, 0.15)) {
      time += (int64_t)fmin(exp(9.9 + 0.8 * moon_rng_normal(&p->rng)), 4 * SHOP_DAY); /* median 5.5 hours */
      session = ++p->sessions;
    }
    happen(p, v, time, session, SHOP_PURCHASE, v->cart[i], v->cart_position[i]);
    v->user->bought[v->user->bought_at++ % SHOP_MEMORY] = item->product;
  }
}

static void play_session(play *p, int64_t start) {
  uint32_t number;
  do number = shop_sampler_draw(&p->users->by_activity, &p->rng);
  while (p->users->users[number].joined > p->day);
  visit v = {.user = &p->users->users[number], .user_number = number, .session = ++p->sessions, .now = start};
  v.category = choose_category(p, v.user);
  if (chance(p, 0.25)) { /* from an advert, a search engine or a bookmark straight to a product page */
    uint32_t item = chance(p, 0.5) ? recent_item(p, &v) : tasteful_item(p, &v);
    if (p->catalogue->items[item].launched <= p->day) look(p, &v, item, 0);
  }
  unsigned lists = 0;
  do {
    read_list(p, &v);
    if (chance(p, 0.25)) v.category = choose_category(p, v.user);
  } while (++lists < 6 && chance(p, 0.5));
  check_out(p, &v);
}

/* ---- the clock ------------------------------------------------------------------------------------------------------------- */

/* Relative traffic of an hour: a small hump at lunch, a large one in the evening, more on Sunday, a slow growth. */
static double traffic(int64_t hour_start, double age) {
  static const double hours[24] = {0.9, 0.5, 0.3, 0.2, 0.2, 0.3, 0.7, 1.4, 2.1, 2.7, 3.1, 3.4,
                                   3.8, 3.6, 3.3, 3.2, 3.4, 3.8, 4.5, 5.6, 6.2, 5.6, 3.7, 1.9};
  static const double weekdays[7] = {1.00, 0.95, 0.95, 1.00, 0.92, 1.05, 1.30}; /* from Monday */
  int64_t day = hour_start / SHOP_DAY;
  return hours[hour_start / HOUR % 24] * weekdays[(day + 3) % 7] * (1 + 0.15 * age); /* 1 January 1970 was a Thursday */
}

static void begin_day(play *p, int32_t day) {
  p->day = day;
  p->season_top = 0;
  for (int c = 0; c < SHOP_CATEGORIES; c++) {
    p->season[c] = shop_season(&shop_categories[c], day);
    p->season_top = fmax(p->season_top, p->season[c]);
  }
}

/* Writes what is pending of [from, from + HOUR), by second; what happens in one second stays in the order it was played. */
static moon_status write_hour(play *p, int64_t from, shop_writer *writer, shop_count *count) {
  static uint32_t at[HOUR + 1];
  memset(at, 0, sizeof at);
  size_t due = 0;
  for (size_t i = 0; i < p->pending_n; i++)
    if (p->pending[i].time < from + HOUR) due++, at[p->pending[i].time - from + 1]++;
  MOON_TRY(moon_grow(&p->sorted, &p->sorted_cap, due, sizeof *p->sorted));
  for (int s = 0; s < HOUR; s++) at[s + 1] += at[s];
  size_t kept = 0;
  for (size_t i = 0; i < p->pending_n; i++) {
    shop_event event = p->pending[i];
    if (event.time < from + HOUR)
      p->sorted[at[event.time - from]++] = event;
    else
      p->pending[kept++] = event;
  }
  p->pending_n = kept;
  for (size_t i = 0; i < due; i++) {
    shop_writer_event(writer, &p->sorted[i]);
    count->events[p->sorted[i].kind]++;
  }
  count->total += due;
  return shop_writer_error(writer);
}

static moon_status play_days(play *p, const shop_options *options, shop_writer *writer, const moon_progress *progress,
                             shop_count *count) {
  int64_t end = shop_end(), start = end - options->days * SHOP_DAY;
  double all = 0, gone = 0;
  for (int64_t hour = start; hour < end; hour += HOUR) all += traffic(hour, (double)(hour - start) / (double)(end - start));
  for (int64_t hour = start; hour < end; hour += HOUR) {
    if (hour % SHOP_DAY == 0) begin_day(p, (int32_t)(hour / SHOP_DAY));
    gone += traffic(hour, (double)(hour - start) / (double)(end - start));
    uint64_t target = (uint64_t)llround((double)options->events * gone / all);
    while (p->made < target && !p->status.code) play_session(p, hour + moon_rng_below(&p->rng, HOUR));
    MOON_TRY(p->status);
    MOON_TRY(write_hour(p, hour, writer, count));
    char note[64];
    snprintf(note, sizeof note, "%llu events", (unsigned long long)count->total);
    if (!moon_progress_step(progress, "events", gone / all, note)) return moon_fail(MOON_ECANCELED, "cancelled");
  }
  return moon_ok();
}

moon_status shop_simulate(const shop_options *options, const shop_catalogue *catalogue, shop_users *users, shop_writer *writer,
                          const moon_progress *progress, shop_count *count) {
  play p = {.catalogue = catalogue, .users = users};
  *count = (shop_count){0};
  moon_rng_seed(&p.rng, options->seed, STREAM_SESSIONS);
  shop_writer_text(writer, "timestamp,user_id,item_id,event,position,session_id\n");
  moon_status status = play_days(&p, options, writer, progress, count);
  count->sessions = p.sessions;
  moon_free(p.pending);
  moon_free(p.sorted);
  return status;
}
