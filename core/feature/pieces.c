/* pieces.c - a text in parts: tags between separators, or the words of a title. */
#include <string.h>

#include "feature/feature.h"

moon_pieces moon_pieces_of(const moon_feature *feature, const char *text) {
  return (moon_pieces){.separator = feature->separator, .left = text};
}

static bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A byte of a letter beyond ASCII counts as one; what it is a letter of, nobody asks. */
static bool in_word(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool next_word(moon_pieces *p) {
  while (*p->left && !in_word(*p->left)) p->left++;
  for (p->n = 0; in_word(*p->left); p->left++)
    if (p->n < sizeof p->word) p->word[p->n++] = (char)(*p->left >= 'A' && *p->left <= 'Z' ? *p->left + 32 : *p->left);
  if (p->n == sizeof p->word) p->n = moon_utf8_prefix(p->word, p->n); /* not in the middle of a letter */
  p->text = p->word;
  return p->n > 0;
}

bool moon_pieces_next(moon_pieces *p) {
  if (!p->separator) return next_word(p);
  while (p->left) {
    const char *end = strstr(p->left, p->separator);
    p->text = p->left;
    p->n = end ? (size_t)(end - p->left) : strlen(p->left);
    p->left = end ? end + strlen(p->separator) : NULL;
    while (p->n && is_blank(*p->text)) p->text++, p->n--;
    while (p->n && is_blank(p->text[p->n - 1])) p->n--;
    if (p->n) return true;
  }
  return false;
}
