/* explain.c - the reasons on a slate, in words for people. */
#include <stdio.h>
#include <string.h>

#include "page/render.h"

size_t moon_explain_effects(const moon_slate *slate, size_t position, const moon_reason *out[MOON_EFFECTS_SHOWN]) {
  size_t n = 0;
  for (const moon_reason *reason = slate->reason[position]; reason && n < MOON_EFFECTS_SHOWN; reason = reason->next)
    out[n++] = reason;
  for (size_t i = 0; i < n / 2; i++) {
    const moon_reason *swap = out[i];
    out[i] = out[n - 1 - i], out[n - 1 - i] = swap;
  }
  return n;
}

/* Adds to a text of MOON_WHY_SIZE; what does not fit is cut at a character's end, with dots. */
__attribute__((format(printf, 2, 3))) static void add(char *out, const char *format, ...) {
  size_t used = strlen(out);
  va_list args;
  va_start(args, format);
  int n = vsnprintf(out + used, MOON_WHY_SIZE - used, format, args);
  va_end(args);
  if (n < 0 || used + (size_t)n < MOON_WHY_SIZE) return;
  size_t end = MOON_WHY_SIZE - 4;
  while (end && ((unsigned char)out[end] & 0xc0) == 0x80) end--;
  memcpy(out + end, "...", 4);
}

static const char *source_phrase(moon_source_kind kind, const moon_request *request) {
  switch (kind) {
    case MOON_SOURCE_POPULAR: return "popular with everybody";
    case MOON_SOURCE_TRENDING: return "trending now";
    case MOON_SOURCE_RECENT: return "you looked at it before";
    case MOON_SOURCE_SIMILAR:
      return request->item ? "similar to this item" : request->cart_n ? "goes with your cart" : "similar to what you looked at";
    case MOON_SOURCE_NEAREST: return request->item ? "like this item" : request->cart_n ? "like your cart" : "like what you looked at";
    case MOON_SOURCE_PINNED: return "picked by the shop";
    default: return "chosen for you";
  }
}

void moon_explain_why(const moon_slate *slate, size_t position, const moon_request *request, char out[MOON_WHY_SIZE]) {
  const moon_reason *effects[MOON_EFFECTS_SHOWN];
  size_t n = moon_explain_effects(slate, position, effects);
  char factor[32];
  out[0] = 0;
  add(out, "%s", source_phrase((moon_source_kind)slate->source[position], request));
  for (size_t i = 0; i < n; i++) {
    if (!(effects[i]->factor > 0)) continue; /* moved by others' gains and losses: the effects tell */
    moon_number_text(effects[i]->factor, 4, factor);
    add(out, "; %s x%s: %s", effects[i]->factor < 1 ? "lowered" : "boosted", factor,
        effects[i]->text ? effects[i]->text : effects[i]->policy);
  }
}
