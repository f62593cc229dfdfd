/* repeats.c - finding equal rows: a map from hash to row; a rare collision of hashes probes on with the next hash. */
#include "data/repeats.h"

#include <string.h>

bool moon_rows_same(const moon_column *const *columns, size_t n, size_t a, size_t b) {
  for (size_t i = 0; i < n; i++) {
    const moon_column *c = columns[i];
    bool same = c->type == MOON_STRING ? c->code[a] == c->code[b] : !memcmp((char *)c->raw + a * 8, (char *)c->raw + b * 8, 8);
    if (!same) return false;
  }
  return true;
}

static uint64_t row_hash(const moon_column *const *columns, size_t n, size_t row) {
  uint64_t hash = 0;
  for (size_t i = 0; i < n; i++) {
    uint64_t bits = 0;
    if (columns[i]->type == MOON_STRING)
      bits = columns[i]->code[row];
    else
      memcpy(&bits, (char *)columns[i]->raw + row * 8, 8);
    hash = moon_mix64(hash ^ moon_mix64(bits + i));
  }
  return hash;
}

static moon_status find_row(const moon_column *const *columns, size_t n, size_t row, moon_map *seen, uint8_t *keep) {
  uint64_t hash = row_hash(columns, n, row), other = 0;
  for (;; hash = moon_mix64(hash + 1)) {
    if (hash == UINT64_MAX) continue;
    if (!moon_map_get(seen, hash, &other)) return moon_map_put(seen, hash, row);
    if (!moon_rows_same(columns, n, row, other)) continue;
    keep[row] = 0;
    return moon_ok();
  }
}

moon_status moon_rows_repeated(const moon_table *table, const moon_column *const *columns, size_t n, const uint8_t *look,
                               uint8_t *keep) {
  moon_map seen = {0};
  moon_status status = moon_ok();
  for (size_t row = 0; row < table->rows && !status.code; row++)
    if (!look || look[row]) status = find_row(columns, n, row, &seen, keep);
  moon_map_free(&seen);
  return status;
}
