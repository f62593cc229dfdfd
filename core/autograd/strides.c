/* strides.c - plans for walking operands in step. */
#include "autograd/strides.h"

moon_steps moon_steps_dense(int dims, const size_t *shape) {
  moon_steps steps = {{0}};
  size_t run = 1;
  for (int d = dims - 1; d >= 0; d--) {
    steps.of[d] = run;
    run *= shape[d];
  }
  return steps;
}

moon_steps moon_steps_broadcast(int dims, const size_t *shape, int own_dims, const size_t *own) {
  moon_steps steps = {{0}}, dense = moon_steps_dense(own_dims, own);
  for (int d = dims - own_dims; d < dims; d++) {
    int from = d - (dims - own_dims);
    steps.of[d] = own[from] == 1 && shape[d] != 1 ? 0 : dense.of[from];
  }
  return steps;
}

moon_walk moon_walk_plan(int dims, const size_t *shape, int n, const moon_steps *steps) {
  size_t size[MOON_MAX_DIMS + 1] = {1}, step[MOON_MAX_DIMS + 1][MOON_OPERANDS] = {{0}};
  int merged = 0; /* innermost first */
  for (int d = dims - 1; d >= 0; d--) {
    if (shape[d] == 1) continue;
    bool joins = merged > 0;
    for (int o = 0; o < n && joins; o++) joins = steps[o].of[d] == step[merged - 1][o] * size[merged - 1];
    if (joins) {
      size[merged - 1] *= shape[d];
    } else {
      size[merged] = shape[d];
      for (int o = 0; o < n; o++) step[merged][o] = steps[o].of[d];
      merged++;
    }
  }
  moon_walk walk = {.inner = size[0]};
  for (int o = 0; o < n; o++) walk.inner_step[o] = step[0][o];
  for (int d = merged - 1; d > 0; d--, walk.dims++) {
    walk.size[walk.dims] = size[d];
    for (int o = 0; o < n; o++) walk.step[o][walk.dims] = step[d][o];
  }
  return walk;
}
