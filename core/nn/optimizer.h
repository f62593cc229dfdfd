/* optimizer.h - one optimiser of a plan's JSON, over the two steps that nn.h has. */
#ifndef MOON_NN_OPTIMIZER_H
#define MOON_NN_OPTIMIZER_H
#include <jansson.h>

#include "nn/nn.h"

typedef struct moon_optimizer moon_optimizer;
/* {"type": "adam", "lr": ...}; the parameters must outlive it. */
moon_status moon_optimizer_new(const json_t *spec, moon_param *const *params, size_t n, uint64_t steps, moon_optimizer **out);
void moon_optimizer_free(moon_optimizer *optimizer);
moon_status moon_optimizer_step(moon_optimizer *optimizer);
double moon_optimizer_lr(const moon_optimizer *optimizer);
uint64_t moon_optimizer_steps(const moon_optimizer *optimizer);

#endif
