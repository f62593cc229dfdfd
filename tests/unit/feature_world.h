/* feature_world.h - what the tests of core/feature share: a small catalogue, plans from JSON text, a random stream of events,
 * and the naive store: the list of all events, in which everything is found by looking at all of them. */
#ifndef TEST_FEATURE_WORLD_H
#define TEST_FEATURE_WORLD_H
#include "feature/feature.h"
#include "numeric.h"

#define HOUR (3600 * MOON_SECOND)
#define DAY (24 * HOUR)
#define MANY(items) (sizeof(items) / sizeof *(items))

/* All ops. Times are small: an "hour" of 100 and a "day" of 1000 microseconds. */
static const char world_plan[] =
    "[{'op':'id','name':'user','entity':'user','dim':4,'min_count':1,'hash':0,'where':'r.lua:1'},"
    "{'op':'id','name':'item','entity':'item','dim':4,'min_count':1,'hash':0,'where':'r.lua:2'},"
    "{'op':'category','name':'colour','column':'colour','dim':2,'min_count':1,'where':'r.lua:3'},"
    "{'op':'numeric','name':'weight','column':'weight','where':'r.lua:4'},"
    "{'op':'numeric','name':'log(price)','column':'price','steps':[{'op':'log'}],'where':'r.lua:5'},"
    "{'op':'count','name':'count(item,view)','entity':'item','kinds':['view'],'windows_us':[100,1000,0],'where':'r.lua:6'},"
    "{'op':'count','name':'count(user,any)','entity':'user','kinds':[],'windows_us':[100,0],'where':'r.lua:7'},"
    "{'op':'rate','name':'rate(item,purchase/"
    "view)','entity':'item','numerator':['purchase'],'denominator':['view'],'over_us':1000,"
    "'prior':[1,20],'where':'r.lua:8'},"
    "{'op':'rate','name':'rate(user,purchase/any)','entity':'user','numerator':['purchase'],'denominator':[],'over_us':0,"
    "'prior':[0.5,2],'where':'r.lua:9'},"
    "{'op':'history','name':'history(item)','last':5,'kinds':['view','purchase'],'where':'r.lua:10'},"
    "{'op':'history','name':'history(item)','last':3,'kinds':[],'where':'r.lua:11'}]";

static inline json_t *json_of(const char *text) { /* with ' for " */
  json_error_t error;
  char *copy = strdup(text);
  for (char *c = copy; *c; c++)
    if (*c == '\'') *c = '"';
  json_t *json = json_loads(copy, 0, &error);
  if (!json) fail_msg("%s: %s", error.text, copy);
  free(copy);
  return json;
}

/* Eight items; item 3 has no colour, weight or price. */
static inline moon_catalogue *world_catalogue(void) {
  static const char csv[] =
      "item,colour,weight,price\ni0,red,1.5,9\ni1,blue,-2,0\ni2,red,0,99\ni3,,,\ni4,green,7,-5\ni5,blue,1,1\ni6,red,2,2\ni7,red,"
      "3,3\n";
  const moon_read_column columns[] = {
      {"item", "item", "string"}, {"colour", "colour", "string"}, {"weight", "weight", "number"}, {"price", "price", "number"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = MANY(columns)};
  moon_read_report report;
  moon_table *table;
  moon_catalogue *catalogue;
  OK(moon_csv_read_memory("items.csv", csv, sizeof csv - 1, &options, &table, &report));
  OK(moon_catalogue_new(table, &catalogue));
  return catalogue;
}

static inline moon_feature_plan *plan_of(const char *text, const moon_catalogue *catalogue) {
  json_t *json = json_of(text);
  moon_feature_plan *plan;
  OK(moon_feature_plan_new(json, catalogue, &plan));
  json_decref(json);
  return plan;
}

/* ---- the naive store ------------------------------------------------------------------------------------------------------ */

static const char *const world_kinds[] = {"view", "purchase", "cart"};
enum { WORLD_USERS = 6, WORLD_ITEMS = 10, WORLD_KINDS = 3 }; /* two items are beyond the catalogue */

typedef struct naive {
  moon_event events[4000]; /* in the order in which they were folded */
  size_t n;
} naive;

static inline uint32_t state_user(moon_state *state, uint32_t user) {
  char id[16];
  uint32_t row;
  snprintf(id, sizeof id, "u%u", user);
  OK(moon_state_user(state, id, strlen(id), true, &row));
  return row;
}

static inline uint32_t state_kind(moon_state *state, uint32_t kind) {
  uint32_t code;
  OK(moon_state_kind(state, world_kinds[kind], strlen(world_kinds[kind]), true, &code));
  return code;
}

/* Folds into both. */
static inline void world_fold(moon_state *state, naive *all, moon_event e) {
  OK(moon_state_apply(state, state_user(state, e.user), e.item, state_kind(state, e.kind), e.time));
  assert_true(all->n < MANY(all->events));
  all->events[all->n++] = e;
}

/* The next event of a stream: mostly forward, with ties, some late, now and then a long pause. */
static inline moon_event world_event(moon_rng *rng, int64_t *time) {
  uint32_t step = moon_rng_below(rng, 100);
  *time += step < 30 ? 0 : step < 98 ? moon_rng_below(rng, 40) : 1500;
  int64_t late = moon_rng_below(rng, 5) ? 0 : moon_rng_below(rng, moon_rng_below(rng, 4) ? 120 : 2500);
  uint32_t kind = moon_rng_below(rng, 10);
  return (moon_event){.user = moon_rng_below(rng, WORLD_USERS),
                      .item = moon_rng_below(rng, WORLD_ITEMS),
                      .kind = kind < 6 ? 0 : kind < 8 ? 1 : 2,
                      .time = *time - late};
}

/* kinds: a bit for each. of_user: of user `row`, else of item `row`. window 0: all. */
static inline size_t naive_count(const naive *all, bool of_user, uint32_t row, unsigned kinds, int64_t now, int64_t window) {
  size_t n = 0;
  for (size_t i = 0; i < all->n; i++) {
    const moon_event *e = &all->events[i];
    bool in_time = !window || (e->time <= now && e->time > now - window);
    n += (of_user ? e->user : e->item) == row && kinds >> e->kind & 1 && in_time;
  }
  return n;
}

/* The user's last distinct items, newest first; of equal times, the one folded last is the newest. */
static inline size_t naive_items(const naive *all, uint32_t user, unsigned kinds, uint32_t *items, size_t limit) {
  static bool done[MANY(((naive *)0)->events)];
  size_t n = 0;
  memset(done, 0, sizeof done);
  while (n < limit) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < all->n; i++) {
      const moon_event *e = &all->events[i];
      if (done[i] || e->user != user || !(kinds >> e->kind & 1)) continue;
      if (best == SIZE_MAX || e->time >= all->events[best].time) best = i;
    }
    if (best == SIZE_MAX) break;
    done[best] = true;
    bool known = false;
    for (size_t j = 0; j < n; j++) known |= items[j] == all->events[best].item;
    if (!known) items[n++] = all->events[best].item;
  }
  return n;
}

#endif
