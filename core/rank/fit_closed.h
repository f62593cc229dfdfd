/* fit_closed.h - what the files that compute models in closed form share. */
#ifndef MOON_RANK_FIT_CLOSED_H
#define MOON_RANK_FIT_CLOSED_H
#include "rank/fit.h"

typedef struct closed_job {
  moon_model *model;
  const moon_dataset *data;
  const moon_progress *progress;
  moon_closed closed; /* the layer at hand */
  moon_event *events; /* [n] that it is computed from; the item is its id, from 1 on */
  size_t n;
} closed_job;

/* MOON_EINVAL with the layer's line and name before the message. */
moon_status closed_fail(const closed_job *job, const char *message);
moon_status closed_tell(const closed_job *job, double fraction); /* MOON_ECANCELED where nobody wants it any more */

/* Neighbours by what the items' features say of them (fit_content.c). */
moon_status closed_fit_content(closed_job *job);

#endif
