/* nearest.c - "did you mean": the closest of a list of names by edit distance. */
#include <string.h>

#include "base/base.h"

enum { LONGEST = 63 };

static size_t min3(size_t a, size_t b, size_t c) { return a < b ? (a < c ? a : c) : (b < c ? b : c); }

static char fold(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

/* Optimal string alignment (Damerau-Levenshtein without re-editing a transposed pair); case does not count. */
static size_t distance(const char *a, size_t n, const char *b, size_t m) {
  size_t rows[3][LONGEST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
  for (size_t j = 0; j <= m; j++) last[j] = j;
  for (size_t i = 1; i <= n; i++) {
    row[0] = i;
    for (size_t j = 1; j <= m; j++) {
      char x = fold(a[i - 1]), y = fold(b[j - 1]);
      row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y));
      bool swapped = i > 1 && j > 1 && x == fold(b[j - 2]) && fold(a[i - 2]) == y;
      if (swapped && before[j - 2] + 1 < row[j]) row[j] = before[j - 2] + 1;
    }
    size_t *old = before;
    before = last, last = row, row = old;
  }
  return last[m];
}

const char *moon_nearest(const char *name, const char *const *names, size_t count) {
  size_t n = strlen(name), best = n / 3 + 2;
  const char *found = NULL;
  if (n > LONGEST) return NULL;
  for (size_t i = 0; i < count; i++) {
    if (!names[i]) continue;
    size_t m = strlen(names[i]);
    if (m > LONGEST) continue;
    size_t d = distance(name, n, names[i], m);
    if (d < best && d < (n > m ? n : m)) best = d, found = names[i]; /* not where nothing is left of it */
  }
  return found;
}
