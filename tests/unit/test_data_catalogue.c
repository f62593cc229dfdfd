/* The catalogue: rows and ids, what is hidden, and its bytes, whole and broken. */
#include "unit/tables.h"

static const char shop[] =
    "item,title,price,stock,hidden,launched\n"
    "i1,\"Lamp, brass\",49.95,3,,2026-01-02\n"
    "i2,Chair,189,0,,2026-03-04\n"
    "i3,,12,5,true,\n"
    "i4,Lamp \xc3\xa9,,,no,1970-01-01\n"
    "i5,Chair,-1,-2,0,2026-01-02\n";
static const char columns_of_shop[] = "item,title,price:number,stock:integer,hidden:string,launched:time";

static moon_catalogue *catalogue_of(const char *text, const char *words) {
  moon_catalogue *c;
  OK(moon_catalogue_new(table_of(text, words), &c));
  return c;
}

static void rows_are_the_tables_and_events_add_more(void **state) {
  (void)state;
  moon_catalogue *c = catalogue_of(shop, columns_of_shop);
  uint32_t row;
  assert_int_equal(moon_catalogue_rows(c), 5);
  OK(moon_catalogue_row(c, "i3", 2, false, &row));
  assert_int_equal(row, 2);
  OK(moon_catalogue_row(c, "i9", 2, false, &row));
  assert_int_equal(row, MOON_NONE);
  OK(moon_catalogue_row(c, "i9", 2, true, &row));
  assert_int_equal(row, 5);
  OK(moon_catalogue_row(c, "i9", 2, true, &row));
  assert_int_equal(row, 5);
  assert_string_equal(moon_catalogue_id(c, 5), "i9");
  assert_int_equal(moon_catalogue_rows(c), 6);
  assert_int_equal(c->listed, 5);
  assert_true(c->hidden[5]); /* not listed: never recommended */
  assert_true(moon_column_is_null(moon_table_column(c->table, "price"), 5));
  assert_string_equal(moon_column_text(moon_table_column(c->table, "item"), 5), "i9");
  moon_catalogue_free(c);
  moon_catalogue_free(NULL);
}

static void hidden_is_by_word_or_by_stock(void **state) {
  (void)state;
  moon_catalogue *c = catalogue_of(shop, columns_of_shop);
  const uint8_t expected[] = {0, 1, 1, 0, 1};
  assert_memory_equal(c->hidden, expected, 5);
  moon_catalogue_free(c);
  c = catalogue_of("item,hidden\na,1\nb,0\nc,\nd,0.5\n", "item,hidden:number");
  const uint8_t numbers[] = {1, 0, 0, 1};
  assert_memory_equal(c->hidden, numbers, 4);
  moon_catalogue_free(c);
  c = catalogue_of("item,hidden\na,TRUE\nb,False\nc,NO\nd,yes\ne,0\nf,x\n", "item,hidden");
  const uint8_t words[] = {1, 0, 0, 1, 0, 1};
  assert_memory_equal(c->hidden, words, 6);
  moon_catalogue_free(c);
}

static void without_a_table_everything_is_listed(void **state) {
  (void)state;
  moon_catalogue *c;
  OK(moon_catalogue_new(NULL, &c));
  assert_int_equal(moon_catalogue_rows(c), 0);
  for (uint32_t i = 0; i < 1000; i++) {
    char id[20];
    uint32_t row;
    OK(moon_catalogue_row(c, id, (size_t)sprintf(id, "x%u", i), true, &row));
    assert_int_equal(row, i);
    assert_int_equal(c->hidden[row], 0);
  }
  moon_catalogue_free(c);
}

static void bad_tables_are_refused(void **state) {
  (void)state;
  moon_catalogue *c;
  REFUSED(MOON_EFORMAT, "t.csv: item 'i1' is there twice (items 1 and 3)",
          moon_catalogue_new(table_of("item\ni1\ni2\ni1\n", "item"), &c));
  REFUSED(MOON_EFORMAT, "t.csv: item 2 has no id", moon_catalogue_new(table_of("item,b\ni1,1\n,2\n", "item,b"), &c));
  REFUSED(MOON_ENOTFOUND, "has no column 'item'", moon_catalogue_new(table_of("b\n1\n", "b"), &c));
  REFUSED(MOON_EINVAL, "must hold strings", moon_catalogue_new(table_of("item\n1\n", "item:number"), &c));
}

/* ---- bytes ---------------------------------------------------------------------------------------------------------------- */

static void check_same(const moon_catalogue *a, const moon_catalogue *b) {
  moon_buf x = {0}, y = {0};
  dump(a->table, &x);
  dump(b->table, &y);
  assert_string_equal(x.data, y.data);
  assert_int_equal(a->listed, b->listed);
  assert_int_equal(moon_catalogue_rows(a), moon_catalogue_rows(b));
  assert_memory_equal(a->hidden, b->hidden, moon_catalogue_rows(a));
  for (uint32_t row = 0; row < moon_catalogue_rows(a); row++) {
    uint32_t found;
    const char *id = moon_catalogue_id(a, row);
    OK(moon_catalogue_row((moon_catalogue *)b, id, strlen(id), false, &found));
    assert_int_equal(found, row);
  }
  for (size_t i = 0; i < a->table->column_count; i++) {
    assert_string_equal(a->table->columns[i].name, b->table->columns[i].name);
    assert_int_equal(a->table->columns[i].type, b->table->columns[i].type);
  }
  moon_buf_free(&x), moon_buf_free(&y);
}

static void what_is_saved_loads_the_same(void **state) {
  (void)state;
  for (int kind = 0; kind < 3; kind++) {
    moon_catalogue *c, *back;
    uint32_t row;
    if (kind == 1)
      OK(moon_catalogue_new(NULL, &c));
    else
      c = catalogue_of(shop, columns_of_shop);
    if (kind) OK(moon_catalogue_row(c, "new \xf0\x9f\x8e\x81", 8, true, &row));
    moon_buf bytes = {0}, again = {0};
    OK(moon_catalogue_save(c, &bytes));
    OK(moon_catalogue_load(bytes.data, bytes.n, &back));
    check_same(c, back);
    OK(moon_catalogue_save(back, &again));
    assert_int_equal(again.n, bytes.n);
    assert_memory_equal(again.data, bytes.data, bytes.n);
    if (kind) OK(moon_catalogue_row(back, "later", 5, true, &row)); /* a loaded one goes on like another */
    if (kind) assert_int_equal(back->hidden[row], kind == 2);
    moon_catalogue_free(c);
    moon_catalogue_free(back);
    moon_buf_free(&bytes), moon_buf_free(&again);
  }
}

/* Rows that were filtered out leave texts in the dictionaries. They are not saved, and do not change the bytes. */
static void bytes_do_not_know_the_past(void **state) {
  (void)state;
  moon_table *table = table_of("item,title\ni9,old\ni1,b\ni2,a\ni3,old\ni4,b\n", "item,title");
  const uint8_t keep[] = {0, 1, 1, 0, 1};
  moon_table_keep(table, keep);
  moon_catalogue *past, *plain = catalogue_of("item,title\ni1,b\ni2,a\ni4,b\n", "item,title"), *back;
  OK(moon_catalogue_new(table, &past));
  moon_buf a = {0}, b = {0};
  OK(moon_catalogue_save(past, &a));
  OK(moon_catalogue_save(plain, &b));
  assert_int_equal(a.n, b.n);
  assert_memory_equal(a.data, b.data, a.n);
  OK(moon_catalogue_load(a.data, a.n, &back));
  check_same(plain, back);
  moon_catalogue_free(past), moon_catalogue_free(plain), moon_catalogue_free(back);
  moon_buf_free(&a), moon_buf_free(&b);
}

static void no_prefix_is_a_catalogue(void **state) {
  (void)state;
  moon_catalogue *c = catalogue_of(shop, columns_of_shop), *back = NULL;
  moon_buf bytes = {0};
  OK(moon_catalogue_save(c, &bytes));
  for (size_t n = 0; n < bytes.n; n++) {
    char *exact = malloc(n ? n : 1); /* so that a sanitizer sees a read too far */
    memcpy(exact, bytes.data, n);
    REFUSED(MOON_EFORMAT, "catalogue", moon_catalogue_load(exact, n, &back));
    free(exact);
  }
  moon_buf_puts(&bytes, "x");
  REFUSED(MOON_EFORMAT, "bytes after its end", moon_catalogue_load(bytes.data, bytes.n, &back));
  moon_catalogue_free(c);
  moon_buf_free(&bytes);
}

static void flipped_bits_never_break_anything(void **state) {
  (void)state;
  moon_catalogue *c = catalogue_of(shop, columns_of_shop);
  moon_buf bytes = {0}, text = {0}, again = {0};
  OK(moon_catalogue_save(c, &bytes));
  size_t refused = 0;
  for (size_t i = 0; i < bytes.n * 8; i++) {
    bytes.data[i / 8] ^= (char)(1 << i % 8);
    moon_catalogue *back = NULL;
    moon_status status = moon_catalogue_load(bytes.data, bytes.n, &back);
    if (status.code) {
      assert_int_equal(status.code, MOON_EFORMAT);
      refused++;
    } else { /* another catalogue, but a sound one */
      dump(back->table, &text);
      assert_true(back->listed <= moon_catalogue_rows(back));
      OK(moon_catalogue_save(back, &again));
      moon_buf_reset(&again);
    }
    moon_catalogue_free(back);
    bytes.data[i / 8] ^= (char)(1 << i % 8);
  }
  assert_true(refused > bytes.n); /* more than one bit in eight is structure */
  moon_catalogue_free(c);
  moon_buf_free(&bytes), moon_buf_free(&text), moon_buf_free(&again);
}

static moon_status make_save_load(void *self) {
  size_t at = (*(size_t *)self)++;
  moon_alloc_fail_at(0);
  moon_table *table = table_of(shop, columns_of_shop);
  moon_catalogue *c = NULL, *back = NULL;
  moon_buf bytes = {0};
  uint32_t row;
  moon_alloc_fail_at(at);
  moon_status status = moon_catalogue_new(table, &c); /* owns the table, whatever happens */
  for (int i = 0; i < 40 && !status.code; i++) {
    char id[20];
    size_t n = (size_t)sprintf(id, "new%d", i), rows = moon_catalogue_rows(c);
    status = moon_catalogue_row(c, id, n, true, &row);
    assert_int_equal(moon_catalogue_rows(c), rows + !status.code);
    for (size_t k = 0; k < c->table->column_count; k++) assert_int_equal(c->table->columns[k].n, moon_catalogue_rows(c));
    if (status.code) assert_int_equal(row, MOON_NONE);
  }
  if (!status.code) status = moon_catalogue_save(c, &bytes);
  if (!status.code) status = moon_catalogue_load(bytes.data, bytes.n, &back);
  moon_alloc_fail_at(0);
  if (!status.code) check_same(c, back);
  moon_catalogue_free(c);
  moon_catalogue_free(back);
  moon_buf_free(&bytes);
  return status;
}

static void catalogues_survive_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  assert_true(exhaust(make_save_load, &n) > 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_the_tables_and_events_add_more),
                                     cmocka_unit_test(hidden_is_by_word_or_by_stock),
                                     cmocka_unit_test(without_a_table_everything_is_listed),
                                     cmocka_unit_test(bad_tables_are_refused),
                                     cmocka_unit_test(what_is_saved_loads_the_same),
                                     cmocka_unit_test(bytes_do_not_know_the_past),
                                     cmocka_unit_test(no_prefix_is_a_catalogue),
                                     cmocka_unit_test(flipped_bits_never_break_anything),
                                     cmocka_unit_test(catalogues_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
