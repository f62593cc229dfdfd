/* progress.c - telling the caller how far long work is. */
#include "base/base.h"

bool moon_progress_step(const moon_progress *progress, const char *stage, double fraction, const char *note) {
  return !progress || !progress->step || progress->step(progress->self, stage, fraction, note);
}
