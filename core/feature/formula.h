/* formula.h - arithmetic on numbers of features, as the recipe wrote it down; private to core/feature.
 *
 * A recipe's function runs once, with symbols for numbers, and leaves a list of operations, each on the results of earlier ones; the last
 * is the answer. The list is in the plan, and computing it needs no Lua. */
#ifndef MOON_FEATURE_FORMULA_H
#define MOON_FEATURE_FORMULA_H

#include "feature/feature.h"

/* NaN is no number, and what is made of none is none. Conditions are 1 and 0. */
typedef enum moon_formula_op {
  MOON_FORMULA_INPUT,  /* of[0]: which */
  MOON_FORMULA_NUMBER, /* number */
  MOON_FORMULA_NEG,
  MOON_FORMULA_ABS,
  MOON_FORMULA_SQRT,
  MOON_FORMULA_EXP,
  MOON_FORMULA_LN,
  MOON_FORMULA_LOG, /* log(1 + max(x, 0)), as the step */
  MOON_FORMULA_FLOOR,
  MOON_FORMULA_NOT,
  MOON_FORMULA_KNOWN, /* 1 where there is a number, 0 where there is none */
  MOON_FORMULA_ADD,
  MOON_FORMULA_SUB,
  MOON_FORMULA_MUL,
  MOON_FORMULA_DIV,
  MOON_FORMULA_POW,
  MOON_FORMULA_MIN,
  MOON_FORMULA_MAX,
  MOON_FORMULA_LT,
  MOON_FORMULA_LE,
  MOON_FORMULA_EQ,
  MOON_FORMULA_AND,
  MOON_FORMULA_OR,
  MOON_FORMULA_WHEN, /* of[0] ? of[1] : of[2], of which only the one chosen must be a number */
  MOON_FORMULA_OPS
} moon_formula_op;

typedef struct moon_formula_node {
  moon_formula_op op;
  uint16_t of[3]; /* earlier nodes, or the input */
  double number;
} moon_formula_node;

enum { MOON_FORMULA_NODES = 128, MOON_FORMULA_CHUNK = 32 };
struct moon_formula {
  moon_formula_node nodes[MOON_FORMULA_NODES];
  size_t n;
};
/* code: [{"op":"input","of":[1]},{"op":"number","value":2.0},{"op":"add","of":[1,2]}], numbered from 1. */
moon_status moon_formula_parse(const json_t *code, size_t inputs, moon_formula **out);
void moon_formula_free(moon_formula *formula);
/* n <= MOON_FORMULA_CHUNK values of each input -> answers, in double, NaN where the answer is not finite. */
void moon_formula_run(const moon_formula *formula, const float (*inputs)[MOON_FORMULA_CHUNK], size_t n, double *out);

#endif
