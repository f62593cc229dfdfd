/* events.h - what somebody posted, checked into events of the log. */
#ifndef MOON_SERVE_EVENTS_H
#define MOON_SERVE_EVENTS_H

#include "data/data.h"
#include "runtime/eventlog.h"

enum { MOON_EVENTS_MAX = 1000, MOON_EVENT_ID_MAX = 256, MOON_EVENT_KIND_MAX = 64 };

/* body: {"user","item","event","time"?,"id"?}, an array of such, or {"events":[...]}. time is microseconds or ISO 8601, and `now`
 * where it is absent; it may be a day ahead of `now` and no more. All of them are added to the batch, or none. MOON_EFORMAT: not
 * JSON, or not of that shape. MOON_ELIMIT: more than 1000. MOON_EINVAL: events with something wrong in them; each thing is then
 * in `problems` as JSON: [{"index":3,"field":"item","value":"x","message":"..."}, ...]. */
moon_status moon_events_parse(const char *body, size_t n, const moon_catalogue *catalogue, int64_t now, moon_event_batch *batch,
                              moon_buf *problems);

#endif
