/* lua_tape_losses.c - the losses of core/autograd as methods of tapes: prediction, target, a table of options. */
#include "script/lua_tape.h"

static const struct {
  const char *name;
  moon_status (*call)(moon_tape *, moon_var, moon_var, moon_var *);
} losses[] = {{"bce", moon_op_bce}, {"mse", moon_op_mse}};

/* A loss's prediction and target at 2 and 3, and options at 4. */
static moon_use begin_loss(lua_State *L, const char *op, moon_var *a, moon_var *b, const char *const *names) {
  moon_use use = moon_use_begin(L, 1, op);
  lua_settop(L, 4);
  *a = moon_use_var(&use, 2, NULL);
  *b = moon_use_var(&use, 3, a);
  moon_use_options(&use, 4, names);
  moon_use_charge(&use, (moon_use_count(&use, *a) + moon_use_count(&use, *b)) * MOON_COST_DEAR);
  return use;
}

/* An option that is a var into *v, and v; or NULL. */
static const moon_var *var_option(moon_use *use, const char *name, const moon_var *like, moon_var *v) {
  int index = moon_use_option(use, 4, name);
  if (!index) return NULL;
  *v = moon_use_var(use, index, like);
  return v;
}
static double number_option(moon_use *use, const char *name, double otherwise) {
  int index = moon_use_option(use, 4, name);
  return index ? moon_use_number(use, index, otherwise) : otherwise;
}

/* g:mse(prediction, target), g:bce(probability, target) */
static int plain_loss(lua_State *L) {
  size_t row = moon_use_row(L);
  static const char *const names[] = {NULL};
  moon_var a, b, out;
  moon_use use = begin_loss(L, losses[row].name, &a, &b, names);
  MOON_USE_CALL(&use, losses[row].call(use.g->tape, a, b, &out));
  return moon_use_push(&use, out);
}

/* g:bce_logits(logits, target [, { weights =, positive_weight = }]) */
static int bce_logits(lua_State *L) {
  static const char *const names[] = {"weights", "positive_weight", NULL};
  moon_var a, b, w, out;
  moon_use use = begin_loss(L, "bce_logits", &a, &b, names);
  const moon_var *weights = var_option(&use, "weights", &a, &w);
  double positive = number_option(&use, "positive_weight", 1);
  MOON_USE_CALL(&use, moon_op_bce_logits_weighted(use.g->tape, a, b, weights, positive, &out));
  return moon_use_push(&use, out);
}

/* g:bpr(pos, neg [, { weights = }]) */
static int bpr(lua_State *L) {
  static const char *const names[] = {"weights", NULL};
  moon_var a, b, w, out;
  moon_use use = begin_loss(L, "bpr", &a, &b, names);
  const moon_var *weights = var_option(&use, "weights", &a, &w);
  MOON_USE_CALL(&use, moon_op_bpr(use.g->tape, a, b, weights, &out));
  return moon_use_push(&use, out);
}

/* g:hinge(pos, neg [, { margin =, weights = }]) */
static int hinge(lua_State *L) {
  static const char *const names[] = {"margin", "weights", NULL};
  moon_var a, b, w, out;
  moon_use use = begin_loss(L, "hinge", &a, &b, names);
  const moon_var *weights = var_option(&use, "weights", &a, &w);
  double margin = number_option(&use, "margin", 1);
  MOON_USE_CALL(&use, moon_op_hinge(use.g->tape, a, b, margin, weights, &out));
  return moon_use_push(&use, out);
}

/* The ids that an option gives, as many as there are rows; NULL where there are none. */
static const uint32_t *ids_arg(moon_use *use, int index, size_t rows, const char *what) {
  int dims;
  size_t shape[MOON_MAX_DIMS], n;
  const uint32_t *ids = moon_use_ids(use, index, &dims, shape, &n);
  if (n != rows) moon_tensor_raise(use->L, "%s: %zu %s for %zu rows", use->op, n, what, rows);
  return ids;
}

/* g:cross_entropy(logits, classes [, { ignore =, weights = }]): classes from 1 */
static int cross_entropy(lua_State *L) {
  static const char *const names[] = {"ignore", "weights", NULL};
  moon_use use = moon_use_begin(L, 1, "cross_entropy");
  lua_settop(L, 4);
  moon_var a = moon_use_var(&use, 2, NULL), w, out;
  if (moon_use_dims(&use, a) != 2)
    return moon_tensor_raise(L, "cross_entropy: logits are [n, classes], not %s",
                             moon_shape_write(moon_use_dims(&use, a), moon_var_shape(use.g->tape, a)).text);
  const uint32_t *classes = ids_arg(&use, 3, moon_use_size(&use, a, 0), "classes");
  moon_use_options(&use, 4, names);
  const moon_var *weights = var_option(&use, "weights", &a, &w);
  int ignore = moon_use_option(&use, 4, "ignore");
  size_t ignored = ignore ? moon_tensor_size(L, ignore, "cross_entropy: ignore") : 0; /* 0: none */
  uint32_t ignored_class = ignored && ignored < MOON_NONE ? (uint32_t)(ignored - 1) : MOON_NONE;
  const size_t *shape = moon_var_shape(use.g->tape, a);
  for (size_t i = 0; i < shape[0]; i++)
    if (classes[i] >= shape[1] && classes[i] != ignored_class)
      return moon_tensor_raise(L, "cross_entropy: class %u of row %zu is out of range: the logits are %s", classes[i] + 1, i + 1,
                               moon_shape_write(2, shape).text);
  moon_use_charge(&use, moon_use_count(&use, a) * MOON_COST_DEAR);
  MOON_USE_CALL(&use, moon_op_cross_entropy(use.g->tape, a, classes, ignored_class, weights, &out));
  return moon_use_push(&use, out);
}

/* g:sampled_softmax(pos, neg [, { pos_log_q =, neg_log_q =, weights = }]) */
static int sampled_softmax(lua_State *L) {
  static const char *const names[] = {"pos_log_q", "neg_log_q", "weights", NULL};
  moon_var a, b, w, p, q, out;
  moon_use use = begin_loss(L, "sampled_softmax", &a, &b, names);
  moon_log_q log_q = {.pos = var_option(&use, "pos_log_q", &a, &p), .neg = var_option(&use, "neg_log_q", &a, &q)};
  const moon_var *weights = var_option(&use, "weights", &a, &w);
  MOON_USE_CALL(&use, moon_op_sampled_softmax(use.g->tape, a, b, log_q, weights, &out));
  return moon_use_push(&use, out);
}

/* g:info_nce(query, key [, { temperature =, log_q =, ids =, weights = }]) */
static int info_nce(lua_State *L) {
  static const char *const names[] = {"temperature", "log_q", "ids", "weights", NULL};
  moon_var a, b, w, q, out;
  moon_use use = begin_loss(L, "info_nce", &a, &b, names);
  moon_info_nce how = {.temperature = number_option(&use, "temperature", 1), .log_q = var_option(&use, "log_q", &a, &q)};
  how.weights = var_option(&use, "weights", &a, &w);
  int ids = moon_use_option(&use, 4, "ids");
  double rows = moon_use_dims(&use, b) ? (double)moon_use_size(&use, b, 0) : 1;
  if (ids) how.ids = ids_arg(&use, ids, (size_t)rows, "ids");
  moon_use_charge(&use, moon_use_count(&use, a) * rows * MOON_COST_MULTIPLY + rows * rows * MOON_COST_DEAR);
  MOON_USE_CALL(&use, moon_op_info_nce(use.g->tape, a, b, &how, &out));
  return moon_use_push(&use, out);
}

void moon_tape_add_losses(lua_State *L, int home, int tape_methods) {
  static const luaL_Reg functions[] = {
      {"bce_logits", bce_logits},           {"bpr", bpr},           {"hinge", hinge}, {"cross_entropy", cross_entropy},
      {"sampled_softmax", sampled_softmax}, {"info_nce", info_nce}, {NULL, NULL}};
  for (size_t i = 0; i < MOON_ROWS_OF(losses); i++) moon_tape_set_row(L, home, tape_methods, losses[i].name, plain_loss, i);
  lua_pushvalue(L, tape_methods);
  moon_tensor_set_functions(L, home, functions);
  lua_pop(L, 1);
}
