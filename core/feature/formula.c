/* formula.c - what a formula in a plan is worth, for some candidates at once.
 *
 * Each operation goes over a chunk of candidates before the next begins, so that choosing what to do costs little per number, and a chunk's
 * results lie on the stack. Each candidate's numbers meet only each other: the answer does not depend on who else is in the chunk. */
#include "feature/formula.h"

#include <math.h>
#include <string.h>

static const struct {
  const char *name;
  size_t takes;
} ops[MOON_FORMULA_OPS] = {{"input", 1}, {"number", 0}, {"neg", 1}, {"abs", 1}, {"sqrt", 1},  {"exp", 1}, {"ln", 1}, {"log", 1},
                           {"floor", 1}, {"not", 1},    {"known", 1}, {"add", 2}, {"sub", 2}, {"mul", 2}, {"div", 2}, {"pow", 2},
                           {"min", 2},   {"max", 2},    {"lt", 2},  {"le", 2},  {"eq", 2},    {"and", 2}, {"or", 2}, {"when", 3}};

/* ---- from the plan -------------------------------------------------------------------------------------------------------- */

static moon_status parse_op(const char *name, moon_formula_op *op) {
  const char *names[MOON_FORMULA_OPS];
  for (size_t i = 0; i < MOON_FORMULA_OPS; i++) {
    names[i] = ops[i].name;
    *op = (moon_formula_op)i;
    if (name && !strcmp(name, names[i])) return moon_ok();
  }
  const char *near = name ? moon_nearest(name, names, MOON_FORMULA_OPS) : NULL;
  return moon_fail(MOON_EINVAL, "a formula has no operation '%.60s'%s%s%s", name ? name : "", near ? "; did you mean '" : "",
                   near ? near : "", near ? "'?" : "");
}

/* Node number `at` works on the nodes before it, or on an input. */
static moon_status parse_node(const json_t *object, size_t at, size_t inputs, moon_formula_node *node) {
  MOON_TRY(parse_op(json_string_value(json_object_get(object, "op")), &node->op));
  const json_t *of = json_object_get(object, "of"), *value = json_object_get(object, "value");
  size_t most = node->op == MOON_FORMULA_INPUT ? inputs : at;
  if (json_array_size(of) != ops[node->op].takes)
    return moon_fail(MOON_EINVAL, "operation %zu (%s) of a formula takes %zu numbers, got %zu", at + 1, ops[node->op].name,
                     ops[node->op].takes, json_array_size(of));
  for (size_t i = 0; i < ops[node->op].takes; i++) {
    const json_t *which = json_array_get(of, i);
    json_int_t number = json_integer_value(which);
    if (!json_is_integer(which) || number < 1 || (size_t)number > most)
      return moon_fail(MOON_EINVAL, "operation %zu (%s) of a formula works on what is not there before it", at + 1, ops[node->op].name);
    node->of[i] = (uint16_t)(number - 1);
  }
  node->number = json_is_number(value) ? json_number_value(value) : NAN;
  if (node->op != MOON_FORMULA_NUMBER || isfinite(node->number)) return moon_ok();
  return moon_fail(MOON_EINVAL, "operation %zu of a formula is no number", at + 1);
}

moon_status moon_formula_parse(const json_t *code, size_t inputs, moon_formula **out) {
  size_t n = json_array_size(code);
  if (!n || n > MOON_FORMULA_NODES)
    return moon_fail(MOON_EINVAL, "code must be a list of 1 to %d operations, got %zu", MOON_FORMULA_NODES, n);
  moon_formula *formula = moon_calloc(1, sizeof *formula);
  if (!formula) return moon_fail(MOON_ENOMEM, "no memory for a formula");
  moon_status status = moon_ok();
  for (; formula->n < n && !status.code; formula->n++)
    status = parse_node(json_array_get(code, formula->n), formula->n, inputs, &formula->nodes[formula->n]);
  if (status.code)
    moon_formula_free(formula);
  else
    *out = formula;
  return status;
}

void moon_formula_free(moon_formula *formula) {
  moon_free(formula);
}

/* ---- computing ------------------------------------------------------------------------------------------------------------ */

static double of_one(moon_formula_op op, double x) {
  switch (op) {
    case MOON_FORMULA_NEG:
      return -x;
    case MOON_FORMULA_ABS:
      return fabs(x);
    case MOON_FORMULA_SQRT:
      return sqrt(x);
    case MOON_FORMULA_EXP:
      return exp(x);
    case MOON_FORMULA_LN:
      return log(x);
    case MOON_FORMULA_LOG:
      return isnan(x) ? x : log1p(x > 0 ? x : 0);
    case MOON_FORMULA_FLOOR:
      return floor(x);
    case MOON_FORMULA_NOT:
      return isnan(x) ? x : x == 0;
    case MOON_FORMULA_KNOWN:
      return !isnan(x);
    default:
      return NAN;
  }
}

/* C would forget in some of them that one is no number: pow(x, 0) is 1 whatever x is, and NaN < 1 is false. */
static double of_two(moon_formula_op op, double x, double y) {
  if (isnan(x) || isnan(y)) return NAN;
  switch (op) {
    case MOON_FORMULA_ADD:
      return x + y;
    case MOON_FORMULA_SUB:
      return x - y;
    case MOON_FORMULA_MUL:
      return x * y;
    case MOON_FORMULA_DIV:
      return x / y;
    case MOON_FORMULA_POW:
      return pow(x, y);
    case MOON_FORMULA_MIN:
      return y < x ? y : x;
    case MOON_FORMULA_MAX:
      return y > x ? y : x;
    case MOON_FORMULA_LT:
      return x < y;
    case MOON_FORMULA_LE:
      return x <= y;
    case MOON_FORMULA_EQ:
      return x == y;
    case MOON_FORMULA_AND:
      return x != 0 && y != 0;
    case MOON_FORMULA_OR:
      return x != 0 || y != 0;
    default:
      return NAN;
  }
}

void moon_formula_run(const moon_formula *formula, const float (*inputs)[MOON_FORMULA_CHUNK], size_t n, double *out) {
  double at[MOON_FORMULA_NODES][MOON_FORMULA_CHUNK];
  for (size_t k = 0; k < formula->n; k++) {
    const moon_formula_node *node = &formula->nodes[k];
    const double *a = at[node->of[0]], *b = at[node->of[1]], *c = at[node->of[2]];
    double *to = at[k];
    size_t takes = ops[node->op].takes;
    if (node->op == MOON_FORMULA_INPUT)
      for (size_t i = 0; i < n; i++) to[i] = inputs[node->of[0]][i];
    else if (takes == 0)
      for (size_t i = 0; i < n; i++) to[i] = node->number;
    else if (takes == 1)
      for (size_t i = 0; i < n; i++) to[i] = of_one(node->op, a[i]);
    else if (takes == 2)
      for (size_t i = 0; i < n; i++) to[i] = of_two(node->op, a[i], b[i]);
    else
      for (size_t i = 0; i < n; i++) to[i] = isnan(a[i]) ? NAN : a[i] != 0 ? b[i] : c[i];
  }
  for (size_t i = 0; i < n; i++) out[i] = isfinite(at[formula->n - 1][i]) ? at[formula->n - 1][i] : NAN;
}
