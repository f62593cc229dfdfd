/* split.c - which examples train, validate and test, and so which events may be known when.
 *
 * An event that is nobody's example trains, unless it could tell on one: what a user did from the held-out example on, or, where
 * whole users are held out, anything they did. */
#include <string.h>

#include "rank/dataset.h"

static int64_t time_of(const moon_dataset *d, size_t example) {
  return d->log->events[d->examples.event[example]].time;
}

static uint32_t user_of(const moon_dataset *d, size_t example) {
  return d->log->events[d->examples.event[example]].user;
}

/* Examples are in time order, so a part is a range; equal times stay together in the later part. */
static void by_time(moon_dataset *d, const double *shares) {
  size_t n = d->examples.n, start[MOON_PARTS + 1] = {0, 0, 0, n};
  double sum = 0;
  for (int part = 1; part < MOON_PARTS; part++) {
    sum += shares[part - 1];
    size_t at = (size_t)(sum * (double)n + 0.5);
    if (at > n) at = n;
    while (at > start[part - 1] && at < n && time_of(d, at - 1) == time_of(d, at)) at--;
    start[part] = at > start[part - 1] ? at : start[part - 1];
    if (shares[part] == 0 && part == MOON_TEST) start[part] = n;
  }
  for (int part = 0; part < MOON_PARTS; part++)
    for (size_t i = start[part]; i < start[part + 1]; i++) d->part[i] = (uint8_t)part;
}

/* The part that a draw from [0, 1) falls into. */
static uint8_t part_at(const double *shares, double draw) {
  moon_part part = draw < shares[0] ? MOON_TRAIN : draw < shares[0] + shares[1] ? MOON_VALIDATION : MOON_TEST;
  return part == MOON_TEST && shares[MOON_TEST] == 0 ? MOON_TRAIN : part; /* shares that sum to a hair under 1 */
}

static void at_random(moon_dataset *d, const double *shares, uint64_t seed) {
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x73706c6974); /* "split" */
  for (size_t i = 0; i < d->examples.n; i++) d->part[i] = part_at(shares, moon_rng_uniform(&rng));
}

/* Mixed with a number of its own, so that it says nothing about where else the hash of an id is looked at. */
static uint8_t part_of_user(const moon_log *log, const double *shares, uint32_t user) {
  uint64_t hash = moon_hash(moon_dict_text(log->users, user), moon_dict_length(log->users, user));
  return part_at(shares, (double)(moon_mix64(hash ^ 0x73706c6974) >> 11) * 0x1p-53);
}

static void by_user(moon_dataset *d, const double *shares) {
  for (size_t i = 0; i < d->log->n; i++) d->event_part[i] = part_of_user(d->log, shares, d->log->events[i].user);
  for (size_t i = 0; i < d->examples.n; i++) d->part[i] = d->event_part[d->examples.event[i]];
}

/* A user's last example tests, the one before it validates. What the user does from one on belongs to it. */
static moon_status leave_one_out(moon_dataset *d) {
  size_t users = moon_dict_count(d->log->users);
  uint32_t *left = moon_calloc(users, sizeof *left); /* examples yet to come; UINT32_MAX: too few to part */
  uint8_t *part = moon_calloc(users, 1);             /* the part of what the user does now, going forward */
  moon_status status = left && part ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu users", users);
  for (size_t i = 0; i < d->examples.n && !status.code; i++) left[user_of(d, i)]++;
  for (size_t u = 0; u < users && !status.code; u++) left[u] = left[u] < 3 ? UINT32_MAX : left[u];
  for (size_t i = 0, next = 0; i < d->log->n && !status.code; i++) {
    uint32_t user = d->log->events[i].user;
    bool example = next < d->examples.n && d->examples.event[next] == i;
    if (example && left[user] != UINT32_MAX) {
      part[user] = left[user] == 1 ? MOON_TEST : left[user] == 2 ? MOON_VALIDATION : MOON_TRAIN;
      left[user]--;
    }
    d->event_part[i] = part[user];
    if (example) d->part[next++] = part[user];
  }
  moon_free(left);
  moon_free(part);
  return status;
}

/* How many of a user's n examples each part has, as RecBole counts: the held-out parts their shares rounded down, but one where that is
 * none of something, from the last part on, as long as two are left to train. */
static void count_parts(size_t n, const double *shares, size_t *count) {
  count[MOON_TRAIN] = n;
  for (int part = MOON_VALIDATION; part < MOON_PARTS; part++) {
    count[part] = (size_t)(shares[part] * (double)n + 1e-9);
    count[MOON_TRAIN] -= count[part];
  }
  for (int part = MOON_TEST; part > MOON_TRAIN; part--) {
    if (count[part] || shares[part] <= 0 || count[MOON_TRAIN] <= 1) continue;
    count[part]++, count[MOON_TRAIN]--;
  }
}

/* Each user's examples in random order, the first shares of them train: RecBole's default. */
static moon_status by_ratio(moon_dataset *d, const double *shares, uint64_t seed) {
  size_t users = moon_dict_count(d->log->users), n = d->examples.n;
  size_t *start = moon_calloc(users + 2, sizeof *start); /* of the user's examples in `of` */
  uint32_t *of = moon_alloc(n * sizeof *of);
  moon_status status = start && of ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to split %zu examples", n);
  for (size_t i = 0; i < n && !status.code; i++) start[user_of(d, i) + (size_t)2]++;
  for (size_t u = 2; u < users + 2 && !status.code; u++) start[u] += start[u - 1];
  for (size_t i = 0; i < n && !status.code; i++) of[start[user_of(d, i) + (size_t)1]++] = (uint32_t)i;
  moon_rng rng;
  moon_rng_seed(&rng, seed, 0x726174696f); /* "ratio" */
  for (size_t u = 0; u < users && !status.code; u++) {
    size_t count[MOON_PARTS], at = start[u];
    count_parts(start[u + 1] - at, shares, count);
    moon_rng_shuffle(&rng, of + at, start[u + 1] - at);
    for (int part = 0; part < MOON_PARTS; part++)
      for (size_t i = 0; i < count[part]; i++) d->part[of[at++]] = (uint8_t)part;
  }
  moon_free(start);
  moon_free(of);
  return status;
}

/* What a user did with the item of a held-out example, such as the purchase that makes it positive, is not to be known either: events that
 * are nobody's examples go with the latest part that has one of their user and item. */
static moon_status hold_out_pairs(moon_dataset *d) {
  uint8_t *example = moon_calloc(d->log->n, 1);
  moon_map parts = {0};
  moon_status status = example ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to split %zu events", d->log->n);
  for (size_t i = 0; i < d->examples.n && !status.code; i++) {
    const moon_event *event = &d->log->events[d->examples.event[i]];
    uint64_t pair = (uint64_t)event->user << 32 | event->item, part = 0;
    example[d->examples.event[i]] = 1;
    moon_map_get(&parts, pair, &part);
    if (d->part[i] > part) status = moon_map_put(&parts, pair, d->part[i]);
  }
  for (size_t i = 0; i < d->log->n && !status.code; i++) {
    uint64_t part = MOON_TRAIN;
    if (!example[i] && moon_map_get(&parts, (uint64_t)d->log->events[i].user << 32 | d->log->events[i].item, &part)) d->event_part[i] = (uint8_t)part;
  }
  moon_map_free(&parts);
  moon_free(example);
  return status;
}

static moon_status read_shares(const json_t *spec, double *shares) {
  const json_t *parts = json_object_get(spec, "parts");
  for (int part = 0; part < MOON_PARTS; part++) shares[part] = json_number_value(json_array_get(parts, (size_t)part));
  bool fine = shares[0] > 0 && shares[1] >= 0 && shares[2] >= 0;
  return fine ? moon_ok() : moon_fail(MOON_EINVAL, "the plan's split does not parse");
}

static moon_status assign(moon_dataset *d, const json_t *train) {
  static const char *const names[] = {"time", "random", "user", "leave_one_out", "ratio"};
  const json_t *spec = json_object_get(train, "split");
  const char *by = json_string_value(json_object_get(spec, "by"));
  double shares[MOON_PARTS];
  if (!by) return moon_fail(MOON_EINVAL, "the plan's split does not parse");
  if (!strcmp(by, names[3])) return leave_one_out(d);
  MOON_TRY(read_shares(spec, shares));
  if (!strcmp(by, names[0])) {
    by_time(d, shares);
  } else if (!strcmp(by, names[1])) {
    at_random(d, shares, (uint64_t)json_integer_value(json_object_get(train, "seed")));
  } else if (!strcmp(by, names[2])) {
    by_user(d, shares);
    return moon_ok();
  } else if (!strcmp(by, names[4])) {
    MOON_TRY(by_ratio(d, shares, (uint64_t)json_integer_value(json_object_get(train, "seed"))));
  } else {
    const char *near = moon_nearest(by, names, 5);
    return moon_fail(MOON_EINVAL, "there is no split by '%s'%s%s%s", by, near ? "; did you mean '" : "", near ? near : "",
                     near ? "'?" : "");
  }
  for (size_t i = 0; i < d->examples.n; i++) d->event_part[d->examples.event[i]] = d->part[i];
  return !strcmp(by, names[4]) ? hold_out_pairs(d) : moon_ok();
}

moon_status moon_split(moon_dataset *d, const json_t *train, bool spare_test) {
  d->part = moon_calloc(d->examples.n, 1);
  d->event_part = moon_calloc(d->log->n, 1);
  if (!d->part || !d->event_part) return moon_fail(MOON_ENOMEM, "no memory to split %zu examples", d->examples.n);
  MOON_TRY(assign(d, train));
  for (size_t i = 0; i < d->examples.n; i++) d->part_n[d->part[i]]++;
  d->judged = d->part_n[MOON_TEST] && !spare_test ? MOON_TEST : d->part_n[MOON_VALIDATION] ? MOON_VALIDATION : MOON_TRAIN;
  if (!d->part_n[MOON_TRAIN])
    return moon_fail(MOON_EINVAL, "the split leaves no example to train on (of %zu; by time, those of one moment stay together)", d->examples.n);
  return moon_ok();
}

/* By time, what came before the part began: the log's first events. */
static void know_the_past(moon_dataset *d) {
  d->judged_from = INT64_MAX;
  for (size_t i = 0; i < d->examples.n; i++)
    if (d->part[i] == d->judged && time_of(d, i) < d->judged_from) d->judged_from = time_of(d, i);
  while (d->known_n < d->log->n && d->log->events[d->known_n].time < d->judged_from) d->known_n++;
  d->known = d->log->events;
}

moon_status moon_list_known(moon_dataset *d, const json_t *train) {
  const char *by = json_string_value(json_object_get(json_object_get(train, "split"), "by"));
  if (by && !strcmp(by, "time")) {
    know_the_past(d);
    return moon_ok();
  }
  d->known = d->known_own = moon_alloc(d->log->n * sizeof *d->known);
  if (!d->known) return moon_fail(MOON_ENOMEM, "no memory to list %zu events", d->log->n);
  for (size_t i = 0; i < d->log->n; i++)
    if (d->event_part[i] < d->judged) d->known_own[d->known_n++] = d->log->events[i];
  if (d->log->n) d->judged_from = d->log->events[d->log->n - 1].time;
  return moon_ok();
}

/* Events after the last training example are the future; events of other parts are not to be known. */
moon_status moon_list_training(const moon_dataset *d, uint8_t **out) {
  uint8_t *training = moon_alloc(d->log->n);
  if (!training) return moon_fail(MOON_ENOMEM, "no memory to mark %zu events", d->log->n);
  int64_t last = 0;
  for (size_t i = 0; i < d->examples.n; i++)
    if (d->part[i] == MOON_TRAIN) last = time_of(d, i);
  for (size_t i = 0; i < d->log->n; i++) training[i] = d->log->events[i].time <= last && d->event_part[i] == MOON_TRAIN;
  *out = training;
  return moon_ok();
}
