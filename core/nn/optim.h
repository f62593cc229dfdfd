/* optim.h - the inside of an optimiser: what its making (optim_spec.c), its step (optim.c) and its arithmetic (optim_update.c) share. */
#ifndef MOON_NN_OPTIM_H
#define MOON_NN_OPTIM_H
#include "nn/nn.h"

typedef enum moon_optimizer_kind {
  MOON_SGD,
  MOON_ADAM,
  MOON_ADAMW,
  MOON_ADAGRAD,
  MOON_FTRL,
  MOON_OPTIMIZERS
} moon_optimizer_kind;

typedef enum moon_schedule_kind {
  MOON_CONSTANT,
  MOON_DOWN_LINE,
  MOON_COSINE,
  MOON_STAIRS,
  MOON_EXPONENTIAL,
  MOON_SCHEDULES
} moon_schedule_kind;
typedef struct moon_schedule {
  moon_schedule_kind kind;
  double warmup, steps, floor; /* in steps, in steps, as a share of lr */
  double factor, every;        /* stairs and exponential */
} moon_schedule;
/* What the learning rate is multiplied by in step t = 1, 2, ... */
double moon_schedule_at(const moon_schedule *schedule, uint64_t t);

typedef struct moon_optimizer_spec {
  moon_optimizer_kind kind;
  double lr, weight_decay;
  double momentum; /* sgd */
  bool nesterov;
  double beta1, beta2, epsilon; /* adam, adamw; adagrad has epsilon */
  double initial;               /* adagrad, ftrl: what the sums of squares begin with */
  double beta, l1, l2;          /* ftrl */
  double clip_norm, clip_value; /* INFINITY: none */
  moon_schedule schedule;
} moon_optimizer_spec;
/* Reads the plan's JSON, all but its groups; `steps` is how long the training is. */
moon_status moon_optimizer_spec_read(const json_t *json, uint64_t steps, moon_optimizer_spec *out);
const char *moon_optimizer_name(moon_optimizer_kind kind);

enum { MOON_SLOTS = 2 };
typedef struct moon_slot { /* what an optimiser keeps for one parameter */
  moon_param *param;
  double lr, decay;               /* before the schedule */
  moon_tensor *state[MOON_SLOTS]; /* of the parameter's dtype and shape; owned, NULL where there is none */
} moon_slot;

struct moon_optimizer {
  moon_optimizer_spec spec;
  uint64_t step;
  moon_slot *slots; /* [n] */
  size_t n;
};

/* The numbers of one update. */
typedef struct moon_update {
  const moon_optimizer_spec *spec;
  double lr;   /* of this parameter in this step */
  double rate; /* the same, with Adam's correction of both moments' start at zero */
  double decay;
  double scale; /* what gradients are multiplied by to keep the global norm */
} moon_update;
/* Updates the touched rows, or all, and zeroes their gradients. */
void moon_update_run(const moon_update *update, const moon_slot *slot);
/* The sum of squares of a parameter's gradient, in one fixed order. */
double moon_gradient_squares(const moon_param *param);

#endif
