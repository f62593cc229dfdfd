/* layer_closed.c - scores by weights between items, which are computed in closed form and never trained.
 *
 * A row's item and its user's history are ids; nothing is embedded. Weights are kept by the item that is scored: all it has to be added
 * up lies in one row. Of neighbours only k are kept, so there the history is marked, and each item looks whether its neighbours are
 * among it. The history is the user's alone: for the candidates of a request it is read once.
 *
 * What is computed, and from what, is for rank/fit_closed.c; here is the form, and its options are checked. */
#include <string.h>

#include "nn/layer.h"

enum { MOST_ITEMS = 20000, MOST_NEIGHBOURS = 10000 };

/* ---- building: choice is a moon_closed_fit, flag whether there is a history, other which, size its steps ------------------------- */

static double gigabytes(double items, double each) {
  return items * items * each / 1e9;
}

/* Said before a byte of it is taken. */
static moon_status make_all(moon_layer *layer, moon_build *build) {
  size_t items = layer->in.ids, most = MOST_ITEMS;
  double l2 = 0;
  MOON_TRY(moon_spec_number(layer, "l2", true, 1e-6, 1e12, &l2));
  MOON_TRY(moon_spec_size(layer, "max_items", false, 1, 200000, &most));
  if (items - 1 > most)
    return moon_layer_fail(
        layer,
        "%zu items want %.1f GB of weights, and %.1f GB more while they are computed; it takes %zu (max_items). Leave rare items "
        "out by m.id \"item\" { min_count = ... }, or take m.nn.item_knn",
        items - 1, gigabytes((double)items, 4), gigabytes((double)items, 8), most);
  return moon_layer_table(layer, build, "weight", MOON_F32, 2, (size_t[]){items, items});
}

static moon_status make_neighbours(moon_layer *layer, moon_build *build) {
  size_t items = layer->in.ids, k = 100;
  double shrink = 0;
  MOON_TRY(moon_spec_size(layer, "neighbours", false, 1, MOST_NEIGHBOURS, &k));
  MOON_TRY(moon_spec_number(layer, "shrink", false, 0, 1e12, &shrink));
  k = k + 2 < items ? k : items > 2 ? items - 2 : 1; /* without the unknown and itself */
  MOON_TRY(moon_layer_table(layer, build, "weight", MOON_F32, 2, (size_t[]){items, k}));
  return moon_layer_table(layer, build, "neighbour", MOON_I64, 2, (size_t[]){items, k});
}

static moon_status make_bias(moon_layer *layer, moon_build *build) {
  double half_life = 1;
  if (layer->choice == MOON_FIT_TRENDING) MOON_TRY(moon_spec_number(layer, "half_life_us", true, 1, 1e18, &half_life));
  return moon_layer_table(layer, build, "bias", MOON_F32, 1, &layer->in.ids);
}

static moon_status read_history(moon_layer *layer, moon_build *build) {
  bool before = moon_build_once(build, true);
  moon_status status = moon_spec_input(layer, build, "history", &layer->other);
  moon_build_once(build, before);
  MOON_TRY(status);
  const moon_form *history = moon_build_input(build, layer->other);
  layer->size = history->shape[0];
  if (history->ids && history->dims == 1 && history->whose == MOON_OF_USER && history->ids == layer->in.ids) return moon_ok();
  return moon_layer_fail(layer, "reads the ids of a history of items, not \"%s\"", history->name);
}

static moon_status closed_build(moon_layer *layer, moon_build *build) {
  layer->choice = (int)(layer->kind - moon_layer_closed);
  if (!layer->input || !layer->in.ids || layer->in.dims || layer->in.whose != MOON_OF_ITEM)
    return moon_layer_fail(layer, "scores the item by its id: \"input\" must be \"item.id\"");
  layer->flag = layer->choice < MOON_FIT_POPULAR;
  if (layer->flag) MOON_TRY(read_history(layer, build));
  layer->options = json_incref((json_t *)(uintptr_t)layer->spec);
  layer->out = (moon_form){.dims = 1, .shape = {1}};
  if (layer->choice == MOON_FIT_EASE) return make_all(layer, build);
  return layer->flag ? make_neighbours(layer, build) : make_bias(layer, build);
}

/* ---- scoring ------------------------------------------------------------------------------------------------------------------- */

/* A user's past: `length` ids, some of which may be 0. */
typedef struct past {
  const uint32_t *ids;
  size_t length;
} past;

static float sum_all(const float *row, past p) {
  double sum = 0;
  for (size_t k = 0; k < p.length; k++) sum += row[p.ids[k]]; /* of the unknown it is 0 */
  return (float)sum;
}

/* What a file says to be neighbours need not be items. */
static float sum_marked(const moon_closed *c, size_t item, const uint8_t *marked) {
  const float *row = c->weight + item * c->k;
  const int64_t *neighbour = c->neighbour + item * c->k;
  double sum = 0;
  for (size_t i = 0; i < c->k; i++) sum += (uint64_t)neighbour[i] < c->items && marked[neighbour[i]] ? row[i] : 0;
  return (float)sum;
}

static void mark(uint8_t *marked, past p, uint8_t value) {
  for (size_t k = 0; k < p.length; k++) marked[p.ids[k]] = p.ids[k] ? value : 0;
}

/* Rows [from, to), which are of one user. */
static void score_rows(const moon_closed *c, const uint32_t *items, size_t from, size_t to, past p, uint8_t *marked,
                       float *scores) {
  if (c->neighbour) mark(marked, p, 1);
  for (size_t r = from; r < to; r++) {
    size_t item = items[r];
    if (!c->neighbour)
      scores[r] = sum_all(c->weight + item * c->items, p);
    else
      scores[r] = sum_marked(c, item, marked);
  }
  if (c->neighbour) mark(marked, p, 0);
}

static moon_status check_ids(const uint32_t *ids, size_t n, size_t items) {
  for (size_t i = 0; i < n; i++)
    if (ids[i] >= items) return moon_fail(MOON_EINVAL, "id %u of %zu is out of range", ids[i], items);
  return moon_ok();
}

static void look(const moon_layer *layer, moon_closed *out);

static moon_status score_by_history(const moon_layer *layer, const moon_closed *c, const moon_pass *pass, const uint32_t *items,
                                    float *scores) {
  size_t each = pass->each > 1 ? pass->each : 1, groups = pass->rows / each, steps = layer->size;
  const moon_value *history = each > 1 ? &pass->once[layer->other] : &pass->inputs[layer->other];
  MOON_TRY(check_ids(history->ids, groups * steps, c->items));
  uint8_t *marked = moon_tape_take(pass->tape, c->neighbour ? c->items : 1);
  if (!marked) return moon_fail(MOON_ENOMEM, "no memory for %zu items", c->items);
  memset(marked, 0, c->neighbour ? c->items : 1);
  for (size_t g = 0; g < groups; g++) {
    past p = {history->ids + g * steps, history->lengths ? history->lengths[g] : steps};
    score_rows(c, items, g * each, (g + 1) * each, p, marked, scores);
  }
  return moon_ok();
}

static moon_status closed_forward(const moon_layer *layer, const moon_pass *pass, const moon_value *in, moon_value *out) {
  moon_closed c;
  look(layer, &c);
  const uint32_t *items = in->ids;
  float *scores = moon_tape_take(pass->tape, pass->rows * sizeof *scores);
  if (!scores) return moon_fail(MOON_ENOMEM, "no memory for %zu scores", pass->rows);
  MOON_TRY(check_ids(items, pass->rows, c.items));
  for (size_t r = 0; r < pass->rows && c.bias; r++) scores[r] = c.bias[items[r]];
  if (!c.bias) MOON_TRY(score_by_history(layer, &c, pass, items, scores));
  *out = (moon_value){.lengths = NULL};
  return moon_tape_constant(pass->tape, MOON_F32, 2, (size_t[]){pass->rows, 1}, scores, &out->x);
}

const moon_layer_kind moon_layer_closed[] = {
    [MOON_FIT_EASE] = {"ease", closed_build, closed_forward, false},
    [MOON_FIT_ITEM_KNN] = {"item_knn", closed_build, closed_forward, false},
    [MOON_FIT_CONTENT] = {"content", closed_build, closed_forward, false},
    [MOON_FIT_POPULAR] = {"popular", closed_build, closed_forward, false},
    [MOON_FIT_TRENDING] = {"trending", closed_build, closed_forward, false},
};

static bool is_closed(const moon_layer *layer) {
  return layer->kind->build == closed_build;
}

/* ---- for who fits it ------------------------------------------------------------------------------------------------------------ */

static void look(const moon_layer *layer, moon_closed *out) {
  *out = (moon_closed){.fit = (moon_closed_fit)layer->choice,
                       .where = layer->where,
                       .options = layer->options,
                       .item = *layer->input,
                       .history = layer->flag ? layer->other : SIZE_MAX,
                       .items = layer->in.ids};
  *(layer->flag ? &out->weight : &out->bias) = moon_tensor_data(layer->buffers[0]);
  if (layer->buffer_count < 2) return;
  out->neighbour = moon_tensor_data(layer->buffers[1]);
  out->k = moon_tensor_shape(layer->buffers[1])[1];
}

const char *moon_closed_name(moon_closed_fit fit) {
  return moon_layer_closed[fit].name;
}

bool moon_module_closed(const moon_module *module, size_t i, moon_closed *out) {
  for (size_t l = 0; l < module->layer_count; l++) {
    if (!is_closed(module->layers[l]) || i--) continue;
    look(module->layers[l], out);
    return true;
  }
  return false;
}

void moon_module_closed_written(moon_module *module) {
  for (size_t i = 0; i < module->buffer_count; i++) moon_tensor_touch((moon_tensor *)(uintptr_t)module->buffers[i].tensor);
}

size_t moon_module_closed_count(const moon_module *module, size_t *bytes) {
  size_t n = 0, all = 0;
  for (size_t l = 0; l < module->layer_count; l++) {
    const moon_layer *layer = module->layers[l];
    for (size_t b = 0; b < layer->buffer_count && is_closed(layer); b++) {
      n += moon_tensor_count(layer->buffers[b]);
      all += moon_tensor_count(layer->buffers[b]) * moon_dtype_size(moon_tensor_dtype(layer->buffers[b]));
    }
  }
  if (bytes) *bytes = all;
  return n;
}
