/* render.h - what the two renderings of a page share: reasons in words. */
#ifndef MOON_PAGE_RENDER_H
#define MOON_PAGE_RENDER_H

#include "page/page.h"

enum { MOON_WHY_SIZE = 400, MOON_EFFECTS_SHOWN = 64 };

/* "similar to what you looked at; boosted x1.15: new this month (merchandising)" */
void moon_explain_why(const moon_slate *slate, size_t position, const moon_request *request, char out[MOON_WHY_SIZE]);
/* The last effects on an item, oldest first; returns how many. */
size_t moon_explain_effects(const moon_slate *slate, size_t position, const moon_reason *out[MOON_EFFECTS_SHOWN]);

#endif
