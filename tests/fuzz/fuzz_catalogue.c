/* Any bytes as a saved catalogue: refused, or a catalogue that is sound and saves to what loads the same. */
#include "fuzz/fuzz.h"

#include "data/data.h"

static void check_sound(const moon_catalogue *c) {
  size_t rows = moon_catalogue_rows(c);
  check(c->listed <= rows || c->listed == SIZE_MAX);
  for (uint32_t row = 0; row < rows; row++) {
    const char *id = moon_catalogue_id(c, row);
    uint32_t found;
    check(!moon_catalogue_row((moon_catalogue *)c, id, moon_dict_length(c->ids, row), false, &found).code && found == row);
    check(c->hidden[row] || row < c->listed);
    for (size_t i = 0; i < c->table->column_count; i++) {
      moon_column_text(&c->table->columns[i], row);
      moon_column_number(&c->table->columns[i], row);
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  moon_catalogue *c = NULL, *again = NULL;
  moon_status status = moon_catalogue_load((const char *)data, size, &c);
  check(status.code == MOON_OK || status.code == MOON_EFORMAT);
  if (status.code) return 0;
  check_sound(c);
  moon_buf first = {0}, second = {0};
  check(!moon_catalogue_save(c, &first).code);
  check(!moon_catalogue_load(first.data, first.n, &again).code);
  check(!moon_catalogue_save(again, &second).code);
  check(first.n == second.n && !memcmp(first.data, second.data, first.n));
  moon_buf_free(&first);
  moon_buf_free(&second);
  moon_catalogue_free(c);
  moon_catalogue_free(again);
  return 0;
}

size_t moon_fuzz_seed(size_t which, uint8_t *out, size_t cap) {
  static const char *const texts[] = {
      "item,title,price,stock,hidden,launched\ni1,Lamp,49.95,3,,2026-01-02\ni2,Chair,189,0,,\ni3,Lamp,12,5,true,2026-03-04\n",
      "item,title,price,stock,hidden,launched\n"};
  static const moon_read_column columns[] = {{"item", "item", NULL},         {"title", "title", "string"},
                                            {"price", "price", "number"},   {"stock", "stock", "integer"},
                                            {"hidden", "hidden", "string"}, {"launched", "launched", "time"}};
  const moon_read_options options = {.columns = columns, .column_count = 6};
  moon_table *table = NULL;
  moon_catalogue *c = NULL;
  moon_buf bytes = {0};
  if (which > 2) return 0;
  if (which < 2) check(!moon_csv_read_memory("items", texts[which], strlen(texts[which]), &options, &table, NULL).code);
  check(!moon_catalogue_new(table, &c).code);
  check(!moon_catalogue_save(c, &bytes).code && bytes.n <= cap);
  memcpy(out, bytes.data, bytes.n);
  size_t n = bytes.n;
  moon_buf_free(&bytes);
  moon_catalogue_free(c);
  return n;
}
