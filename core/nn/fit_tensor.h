/* fit_tensor.h - training and running a module over tensors that are in memory as a whole, for m.nn. */
#ifndef MOON_NN_FIT_TENSOR_H
#define MOON_NN_FIT_TENSOR_H
#include "nn/module.h"

/* An input of a module, or a target, for all rows; borrowed. All NULL: an input that no layer reads. */
typedef struct moon_rows {
  const void *numbers;     /* [rows, each] of the module's dtype, */
  const uint32_t *ids;     /* or ids [rows, each] */
  const uint32_t *lengths; /* [rows]: of a sequence; NULL: all steps count */
  size_t each;
} moon_rows;

/* What bce and mse compare has the output's shape; bce takes probabilities. cross_entropy takes logits [n, classes] and ids. */
typedef enum moon_fit_loss { MOON_FIT_BCE, MOON_FIT_BCE_LOGITS, MOON_FIT_MSE, MOON_FIT_CROSS_ENTROPY } moon_fit_loss;
moon_status moon_fit_loss_parse(const char *name, moon_fit_loss *out); /* "bce" ...; names the nearest */

typedef struct moon_epoch {
  size_t epoch, epochs;               /* from 1 */
  double train_loss, validation_loss; /* means over rows, without penalties; NaN where there is no validation */
} moon_epoch;

typedef struct moon_tensor_fit {
  const moon_module *module;
  const moon_rows *inputs; /* one for each of the module's */
  moon_rows target;
  size_t rows, epochs, batch;
  double validation; /* share of the rows, the last ones, that are not trained on: [0, 1) */
  moon_fit_loss loss;
  const json_t *optimizer;
  uint64_t seed;                                                            /* of the order and of dropout */
  moon_status (*on_epoch)(void *self, const moon_epoch *epoch, bool *stop); /* or NULL */
  void *self;
  size_t threads;     /* 0: one. The weights do not depend on it */
  size_t patience;    /* > 0: stops after that many epochs without a better validation loss, and restores the best weights */
  size_t *best_epoch; /* or NULL: which it was; the last where there is no patience */
} moon_tensor_fit;
/* Batches in a new random order each epoch; a steady step allocates nothing. MOON_EINVAL where shapes do not fit, where a number of the
 * data is not finite, or where the loss is no number any more. */
moon_status moon_tensor_fit_run(const moon_tensor_fit *fit);

/* y [rows, out...] of the module's dtype. */
moon_status moon_tensor_predict(const moon_module *module, const moon_rows *inputs, size_t rows, void *y);

#endif
