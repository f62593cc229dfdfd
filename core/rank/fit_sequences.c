/* fit_sequences.c - training on whole sequences: windows of what a user chose, each step of which is an example.
 *
 * An example of the log is a window by itself: its history, as the replay computed it and as serving will, and behind that its item. One pass of
 * a causal net over the history says at every step what it expects next (Kang & McAuley 2018), which is as many predictions for the price of
 * one; in a cloze some steps are hidden and guessed from both sides (Sun et al. 2019). So nothing is cut out of the log anew: a window's steps lie
 * where its last step would look for them in a request.
 *
 * A step is predicted where it is a success of the training part. From a user's last success on, every `stride` successes one is a window, and
 * more where a success would be in none. */
#include <math.h>
#include <string.h>

#include "rank/fit.h"

enum { MOST_NEGATIVES = 65536 };

struct moon_windows {
  size_t steps, slot; /* of the history: its length, its bag */
  size_t item_slot;
  size_t stride;
  double mask;      /* 0: no cloze */
  size_t negatives; /* 0: every step by every item */
  double power;     /* of the items' popularity, by which they are drawn */
  double *upto;     /* [items + 1] how often items are drawn, summed */
  size_t items;
  uint64_t seed;
  uint32_t *of;     /* [examples.n] the window that ends with the example; MOON_NONE */
  uint32_t *chosen; /* [n, steps + 1] the example that a step of the window is; MOON_NONE: is not to be predicted */
  size_t n, cap;
};

void moon_windows_free(moon_windows *w) {
  if (!w) return;
  moon_free(w->of);
  moon_free(w->chosen);
  moon_free(w->upto);
  moon_free(w);
}

size_t moon_windows_steps(const moon_windows *w) {
  return w->steps + 1;
}

/* ---- which windows ------------------------------------------------------------------------------------------------------------- */

typedef struct choosing {
  moon_windows *w;
  const moon_dataset *d;
  uint32_t *before; /* [examples.n] the user's success before it */
  uint32_t *mine;   /* the successes of one user, oldest first */
  size_t n;
  uint32_t *stamp, *at; /* [ids]: which user's success an id was last, and which */
} choosing;

static bool is_success(const moon_dataset *d, size_t i) {
  return d->part[i] == MOON_TRAIN && d->examples.label[i] > 0;
}

static const uint32_t *bag_of(const moon_windows *w, const moon_dataset *d, size_t example) {
  return d->inputs.bags + (example * d->plan->bag_slots + w->slot) * d->plan->bag_length;
}

static uint32_t id_of(const moon_windows *w, const moon_dataset *d, size_t example) {
  return d->inputs.ids[example * d->plan->id_slots + w->item_slot];
}

/* How many steps a history has; the newest comes first, and nothing lies between. */
static size_t length_of(const uint32_t *bag, size_t most) {
  size_t n = 0;
  while (n < most && bag[n]) n++;
  return n;
}

static bool holds(const uint32_t *bag, size_t n, uint32_t id) {
  for (size_t i = 0; i < n; i++)
    if (bag[i] == id) return true;
  return false;
}

/* Marks the windows of a user in w->of by 0. */
static void choose(choosing *c) {
  moon_windows *w = c->w;
  for (size_t i = c->n; i-- > 0;) {
    const uint32_t *bag = bag_of(w, c->d, c->mine[i]);
    size_t length = length_of(bag, w->steps), back = 1;
    if (!length) continue;
    w->of[c->mine[i]] = 0;
    for (; back <= i && (back < w->stride || length < w->steps);
         back++) { /* one whose past is all there has no need of another before it */
      uint32_t id = id_of(w, c->d, c->mine[i - back]);
      if (id && !holds(bag, length, id)) break;
    }
    i -= back - 1;
  }
}

/* Notes which of a window's steps are successes. */
static moon_status note(choosing *c, size_t example, uint32_t user) {
  moon_windows *w = c->w;
  size_t wide = w->steps + 1, length = length_of(bag_of(w, c->d, example), w->steps);
  const uint32_t *bag = bag_of(w, c->d, example);
  MOON_TRY(moon_grow(&w->chosen, &w->cap, (w->n + 1) * wide, sizeof *w->chosen));
  uint32_t *out = w->chosen + w->n * wide;
  memset(out, 0xff, wide * sizeof *out);
  for (size_t t = 0; t < length; t++) {
    uint32_t id = bag[length - 1 - t];
    if (c->stamp[id] == user) out[t] = c->at[id];
  }
  out[length] = (uint32_t)example;
  w->of[example] = (uint32_t)w->n++;
  return moon_ok();
}

static moon_status choose_of_user(choosing *c, uint32_t user, uint32_t last) {
  c->n = 0;
  for (uint32_t e = last; e != MOON_NONE; e = c->before[e]) c->mine[c->n++] = e;
  for (size_t i = 0; i < c->n / 2; i++) {
    uint32_t other = c->mine[i];
    c->mine[i] = c->mine[c->n - 1 - i], c->mine[c->n - 1 - i] = other;
  }
  choose(c);
  for (size_t i = 0; i < c->n; i++) {
    uint32_t id = id_of(c->w, c->d, c->mine[i]);
    if (c->w->of[c->mine[i]] != MOON_NONE) MOON_TRY(note(c, c->mine[i], user));
    c->stamp[id] = user, c->at[id] = c->mine[i];
  }
  return moon_ok();
}

static moon_status choose_all(choosing *c, uint32_t *last, size_t users) {
  const moon_dataset *d = c->d;
  memset(last, 0xff, users * sizeof *last);
  for (size_t i = 0; i < d->examples.n; i++) {
    uint32_t user = d->log->events[d->examples.event[i]].user;
    if (is_success(d, i)) c->before[i] = last[user], last[user] = (uint32_t)i;
  }
  for (size_t u = 0; u < users; u++) MOON_TRY(choose_of_user(c, (uint32_t)u, last[u]));
  if (c->w->n) return moon_ok();
  return moon_fail(MOON_EINVAL,
                   "nobody has two successes in the training part, one after the other: there is no sequence to train on");
}

static moon_status make_windows(moon_windows *w, const moon_dataset *d, size_t ids) {
  size_t n = d->examples.n, users = moon_dict_count(d->log->users);
  uint32_t *room = moon_alloc((2 * n + users + 2 * ids) * sizeof *room);
  w->of = moon_alloc(n * sizeof *w->of);
  if (!room || !w->of) {
    moon_free(room);
    return moon_fail(MOON_ENOMEM, "no memory to choose windows among %zu examples", n);
  }
  memset(w->of, 0xff, n * sizeof *w->of);
  choosing c = {.w = w, .d = d, .before = room, .mine = room + n, .stamp = room + 2 * n, .at = room + 2 * n + ids};
  memset(c.stamp, 0xff, ids * sizeof *c.stamp);
  moon_status status = choose_all(&c, room + 2 * n + 2 * ids, users);
  moon_free(room);
  return status;
}

/* ---- a softmax over a sample --------------------------------------------------------------------------------------------------- */

/* By the training part's successes of an item and one, so that each may be drawn, to a power: 0 draws evenly. */
static moon_status weigh_items(moon_windows *w, const moon_dataset *d) {
  if (!w->negatives) return moon_ok();
  w->upto = moon_calloc(w->items + 1, sizeof *w->upto);
  if (!w->upto) return moon_fail(MOON_ENOMEM, "no memory to weigh %zu items", w->items);
  for (size_t i = 0; i < d->examples.n; i++) {
    uint32_t id = is_success(d, i) ? id_of(w, d, i) : 0;
    if (id) w->upto[id]++;
  }
  for (size_t i = 1; i <= w->items; i++) w->upto[i] = w->upto[i - 1] + pow(w->upto[i] + 1, w->power);
  return moon_ok();
}

/* The id of an item, from 1 on. */
static uint32_t draw_item(const moon_windows *w, moon_rng *rng) {
  double at = moon_rng_uniform(rng) * w->upto[w->items];
  size_t low = 0, high = w->items; /* upto[low] <= at < upto[high] */
  while (high - low > 1) {
    size_t middle = low + (high - low) / 2;
    *(w->upto[middle] <= at ? &low : &high) = middle;
  }
  return (uint32_t)high;
}

/* What was drawn stands for all items in the sum below a softmax: each of k that come with probability q for 1 / (k q), which is exact in the mean
 * (Bengio & Senecal 2008). A step's own item is there as itself, and does not count where it was drawn. */
static moon_status draw_negatives(const moon_windows *w, moon_tape *tape, const moon_batch *batch, moon_reads *out) {
  size_t k = w->negatives, wide = k + 1;
  out->item_count = out->n + k;
  out->items = moon_tape_take(tape, out->item_count * sizeof *out->items);
  out->shift = moon_tape_take(tape, (out->n * wide + k) * sizeof *out->shift);
  if (!out->items || !out->shift) return moon_fail(MOON_ENOMEM, "no memory for %zu negatives", k);
  moon_rng rng;
  moon_rng_seed(&rng, batch->seed ^ 0x6e65676174697665, batch->step); /* "negative" */
  uint32_t *drawn = out->items + out->n;
  float *weight = out->shift + out->n * wide;
  for (size_t j = 0; j < k; j++) {
    drawn[j] = draw_item(w, &rng);
    weight[j] = (float)-log((double)k * (w->upto[drawn[j]] - w->upto[drawn[j] - 1]) / w->upto[w->items]);
  }
  for (size_t i = 0; i < out->n; i++) {
    float *shift = out->shift + i * wide;
    out->items[i] = out->item[i] + 1;
    shift[0] = 0;
    for (size_t j = 0; j < k; j++) shift[1 + j] = drawn[j] == out->items[i] ? -1e30f : weight[j];
    out->item[i] = 0; /* its own comes first */
  }
  return moon_ok();
}

/* ---- options ------------------------------------------------------------------------------------------------------------------- */

static moon_status read_options(moon_windows *w, const json_t *options) {
  const json_t *stride = json_object_get(options, "stride"), *mask = json_object_get(options, "mask");
  const json_t *negatives = json_object_get(options, "negatives"), *power = json_object_get(options, "power");
  if (!json_is_object(options)) return moon_fail(MOON_EINVAL, "sequences must be an object of options");
  w->stride = json_is_integer(stride) && json_integer_value(stride) > 0 ? (size_t)json_integer_value(stride) : 0;
  w->mask = json_is_number(mask) ? json_number_value(mask) : 0;
  if (stride && !w->stride) return moon_fail(MOON_EINVAL, "sequences: stride must be a whole number from 1 on");
  if (mask && !(w->mask > 0 && w->mask < 1))
    return moon_fail(MOON_EINVAL, "sequences: mask must be above 0 and below 1, not %g", w->mask);
  w->negatives = json_is_integer(negatives) && json_integer_value(negatives) > 0 ? (size_t)json_integer_value(negatives) : 0;
  w->power = json_is_number(power) ? json_number_value(power) : 0;
  if (negatives && (!w->negatives || w->negatives > MOST_NEGATIVES))
    return moon_fail(MOON_EINVAL, "sequences: negatives must be a whole number from 1 to %d", MOST_NEGATIVES);
  if (power && !(w->power >= 0 && w->power <= 10))
    return moon_fail(MOON_EINVAL, "sequences: power must be from 0 to 10, not %g", w->power);
  return moon_ok();
}

/* The history that the user's branch reads, whose ids are those of the items. */
static moon_status find_history(moon_windows *w, const moon_model *model) {
  size_t input, steps;
  MOON_TRY(moon_module_steps(model->module, w->mask > 0, &input, &steps));
  model_input kind = model->inputs[input];
  bool is_bag = kind.kind == MODEL_HISTORY || kind.kind == MODEL_HISTORY_IDS;
  w->slot = kind.slot, w->item_slot = model->item_slot, w->steps = 0;
  for (size_t i = 0; is_bag && i < model->plan->feature_count; i++) {
    const moon_feature *feature = &model->plan->features[i];
    if (feature->op == MOON_FEATURE_HISTORY && feature->slot == kind.slot && model->of_bag[kind.slot] == model->of_item)
      w->steps = feature->last;
  }
  if (!w->steps)
    return moon_fail(MOON_EINVAL,
                     "training on sequences needs a branch that reads a history of the item's ids: input = \"history\"");
  if (w->steps < 2)
    return moon_fail(MOON_EINVAL, "training on sequences needs a history of 2 steps or more: m.history(\"item\", { last = 50 })");
  w->steps = model->plan->bag_length; /* so many the net has */
  if (!w->stride) w->stride = w->steps;
  return moon_ok();
}

moon_status moon_windows_check(const moon_model *model, const json_t *train) {
  moon_windows w = {.steps = 0};
  if (!json_object_get(train, "sequences")) return moon_ok();
  MOON_TRY(read_options(&w, json_object_get(train, "sequences")));
  return find_history(&w, model);
}

moon_status moon_windows_new(const moon_dataset *d, const moon_model *model, const json_t *train, moon_windows **out) {
  *out = NULL;
  moon_windows *w = moon_calloc(1, sizeof *w);
  if (!w) return moon_fail(MOON_ENOMEM, "no memory for windows");
  w->seed = (uint64_t)json_integer_value(json_object_get(train, "seed"));
  moon_status status = read_options(w, json_object_get(train, "sequences"));
  if (!status.code) status = find_history(w, model);
  w->items = moon_model_items(model);
  if (!status.code) status = make_windows(w, d, w->items + 1);
  if (!status.code) status = weigh_items(w, d);
  if (status.code)
    moon_windows_free(w);
  else
    *out = w;
  return status;
}

size_t moon_windows_list(const moon_windows *w, size_t examples, uint32_t *out) {
  size_t n = 0;
  for (size_t i = 0; i < examples; i++)
    if (w->of[i] != MOON_NONE) out[n++] = (uint32_t)i;
  return n;
}

/* ---- a batch ------------------------------------------------------------------------------------------------------------------- */

/* What a cloze hides of a window: a quarter of the windows are as in serving, only the end is not known. A function of the epoch and the example. */
static void hide(const moon_windows *w, size_t epoch, uint32_t example, size_t length, uint32_t *next) {
  moon_rng rng;
  moon_rng_seed(&rng, w->seed ^ moon_mix64(epoch), example);
  bool only_end = moon_rng_below(&rng, 4) == 0;
  for (size_t t = 0; t < length; t++)
    if (only_end || moon_rng_uniform(&rng) >= w->mask) next[t] = 0;
}

void moon_windows_fill(const moon_windows *w, const moon_dataset *d, const float *weight, size_t epoch, uint32_t example,
                       uint32_t *next, float *weights) {
  size_t wide = w->steps + 1;
  const uint32_t *chosen = w->chosen + w->of[example] * wide;
  for (size_t t = 0; t < wide; t++) next[t] = chosen[t] == MOON_NONE ? 0 : id_of(w, d, chosen[t]);
  if (w->mask > 0)
    hide(w, epoch, example, length_of(bag_of(w, d, example), w->steps), next);
  else
    next[0] = 0; /* nothing is known before it */
  for (size_t t = 0; weights && t < wide; t++) weights[t] = next[t] ? weight[chosen[t]] : 0;
}

size_t moon_windows_reads(const moon_windows *w, const uint32_t *next, size_t n) {
  size_t reads = 0;
  for (size_t i = 0; i < n * (w->steps + 1); i++) reads += next[i] != 0;
  return reads;
}

moon_status moon_windows_put(const moon_windows *w, moon_tape *tape, const moon_piece *piece, moon_reads *out) {
  size_t n = piece->inputs.n, wide = w->steps + 1;
  out->n = moon_windows_reads(w, piece->next, n);
  out->at = moon_tape_take(tape, (out->n + 1) * 2 * sizeof *out->at);
  out->weight = piece->next_weight ? moon_tape_take(tape, (out->n + 1) * sizeof *out->weight) : NULL;
  out->masked = w->mask > 0 ? moon_tape_take(tape, n * w->steps) : NULL;
  if (!out->at || (piece->next_weight && !out->weight) || (w->mask > 0 && !out->masked))
    return moon_fail(MOON_ENOMEM, "no memory for the %zu steps of a batch", out->n);
  out->item = out->at + out->n;
  size_t k = 0, taken = w->mask > 0 ? wide : w->steps; /* steps of the net: a cloze has the end, too */
  for (size_t r = 0; r < n; r++) {
    const uint32_t *next = piece->next + r * wide;
    for (size_t t = 0; t < w->steps && out->masked; t++) out->masked[r * w->steps + t] = next[t] != 0;
    for (size_t t = 0; t < wide; t++) {
      if (!next[t]) continue;
      out->at[k] = (uint32_t)(r * taken + t - (w->mask > 0 ? 0 : 1));
      if (out->weight) out->weight[k] = piece->next_weight[r * wide + t];
      out->item[k++] = next[t] - 1;
    }
  }
  return w->negatives ? draw_negatives(w, tape, &piece->inputs, out) : moon_ok();
}
