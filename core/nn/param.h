/* param.h - what the layers of core/nn ask of a parameter beyond the door. */
#ifndef MOON_NN_PARAM_H
#define MOON_NN_PARAM_H
#include "nn/nn.h"

/* A moon_touch_fn: notes that `row` of the sparse parameter `self` holds a gradient. */
void moon_param_touch(void *self, uint32_t row);
/* Where gradients flow: NULL for a frozen parameter. */
static inline moon_tensor *moon_param_sink(const moon_param *param) { return param->frozen ? NULL : param->grad; }

#endif
