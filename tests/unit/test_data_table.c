/* Columns and tables: nulls, growth, keeping and reordering rows, against plain arrays. */
#include "unit/tables.h"

static const moon_type types[] = {MOON_STRING, MOON_INTEGER, MOON_NUMBER, MOON_TIME};

static void every_type_has_its_null(void **state) {
  (void)state;
  moon_table *table;
  OK(moon_table_new("t", &table));
  for (int i = 0; i < 4; i++) {
    char name[2] = {(char)('a' + i), 0};
    moon_column *column;
    OK(moon_table_add_column(table, name, types[i], &column));
    for (int k = 0; k < 100; k++) OK(moon_column_push_null(column));
    assert_int_equal(column->n, 100);
    for (size_t k = 0; k < 100; k++) {
      assert_true(moon_column_is_null(column, k));
      assert_true(isnan(moon_column_number(column, k)));
      assert_null(moon_column_text(column, k));
    }
  }
  moon_table_free(table);
  moon_table_free(NULL);
}

static void values_are_pushed_or_refused(void **state) {
  (void)state;
  moon_table *table;
  moon_column *text, *integer, *number;
  OK(moon_table_new("t", &table));
  OK(moon_table_add_column(table, "text", MOON_STRING, &text));
  OK(moon_table_add_column(table, "integer", MOON_INTEGER, &integer));
  OK(moon_table_add_column(table, "number", MOON_NUMBER, &number));
  text = &table->columns[0], integer = &table->columns[1], number = &table->columns[2];
  OK(moon_column_push_string(text, "x", 1));
  OK(moon_column_push_string(text, "", 0)); /* the empty text is one, here */
  OK(moon_column_push_code(text, 0));
  OK(moon_column_push_code(text, MOON_NONE));
  assert_string_equal(moon_column_text(text, 1), "");
  assert_string_equal(moon_column_text(text, 2), "x");
  assert_true(moon_column_is_null(text, 3));
  assert_true(isnan(moon_column_number(text, 0)));
  REFUSED(MOON_EINVAL, "text holds strings", moon_column_push_number(text, 1));
  REFUSED(MOON_EINVAL, "text holds strings", moon_column_push_number(text, NAN));
  REFUSED(MOON_EINVAL, "text holds strings", moon_column_push_integer(text, 1));
  REFUSED(MOON_EINVAL, "number does not hold strings", moon_column_push_string(number, "x", 1));
  REFUSED(MOON_EINVAL, "number does not hold strings", moon_column_push_code(number, 0));
  OK(moon_column_push_number(integer, -7.9)); /* truncates */
  OK(moon_column_push_number(integer, NAN));
  OK(moon_column_push_integer(integer, INT64_MAX));
  REFUSED(MOON_EINVAL, "integer cannot hold", moon_column_push_number(integer, 0x1p63));
  REFUSED(MOON_EINVAL, "integer cannot hold", moon_column_push_number(integer, -0x1p63)); /* would be the null */
  REFUSED(MOON_EINVAL, "integer cannot hold", moon_column_push_number(integer, INFINITY));
  assert_int_equal(integer->n, 3);
  assert_int_equal(integer->i64[0], -7);
  assert_true(moon_column_is_null(integer, 1));
  assert_true(integer->i64[2] == INT64_MAX);
  OK(moon_column_push_integer(number, 3));
  OK(moon_column_push_integer(number, MOON_NULL_INT));
  OK(moon_column_push_number(number, 2.5));
  assert_true(moon_column_number(number, 0) == 3 && moon_column_is_null(number, 1) && moon_column_number(number, 2) == 2.5);
  moon_table_free(table);
}

static void a_new_column_is_as_long_as_the_table(void **state) {
  (void)state;
  moon_table *table = table_of("a\n1\n2\n3\n", "a");
  moon_column *column;
  OK(moon_table_add_column(table, "b", MOON_STRING, &column));
  HOLDS(table, "1|-;2|-;3|-");
  REFUSED(MOON_EINVAL, "two columns called b", moon_table_add_column(table, "b", MOON_NUMBER, &column));
  assert_int_equal(table->column_count, 2);
  moon_table_free(table);
}

static void missing_columns_are_named_with_the_nearest(void **state) {
  (void)state;
  moon_table *table = table_of("price,title\n", "price,title");
  moon_column *column;
  OK(moon_table_require(table, "title", &column));
  assert_ptr_equal(column, moon_table_column(table, "title"));
  REFUSED(MOON_ENOTFOUND, "t.csv has no column 'titel'; did you mean 'title'?", moon_table_require(table, "titel", &column));
  REFUSED(MOON_ENOTFOUND, "t.csv has no column 'zoo'; it has price, title", moon_table_require(table, "zoo", &column));
  assert_null(moon_table_column(table, "zoo"));
  moon_table_free(table);
  OK(moon_table_new("empty", &table));
  REFUSED(MOON_ENOTFOUND, "it has none", moon_table_require(table, "zoo", &column));
  moon_table_free(table);
}

/* A table with a column of each type whose cells say which row they were. */
static moon_table *numbered(size_t rows) {
  moon_table *table;
  moon_column *column;
  OK(moon_table_new("t", &table));
  for (int c = 0; c < 4; c++) {
    char name[2] = {(char)('a' + c), 0}, text[24];
    OK(moon_table_add_column(table, name, types[c], &column));
    for (size_t i = 0; i < rows; i++) {
      if (i % 7 == 3)
        OK(moon_column_push_null(column));
      else if (c == 0)
        OK(moon_column_push_string(column, text, (size_t)sprintf(text, "%zu", i)));
      else if (c == 2)
        OK(moon_column_push_number(column, (double)i));
      else
        OK(moon_column_push_integer(column, (int64_t)i));
    }
  }
  table->rows = rows;
  return table;
}

static void check_rows(const moon_table *table, const uint32_t *rows, size_t n) {
  assert_int_equal(table->rows, n);
  for (int c = 0; c < 4; c++) {
    const moon_column *column = &table->columns[c];
    assert_int_equal(column->n, n);
    for (size_t i = 0; i < n; i++) {
      bool null = rows[i] % 7 == 3;
      assert_int_equal(moon_column_is_null(column, i), null);
      if (null) continue;
      if (c == 0)
        assert_int_equal(atoi(moon_column_text(column, i)), rows[i]);
      else
        assert_true(moon_column_number(column, i) == rows[i]);
    }
  }
}

static void keep_and_permute_move_whole_rows(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 31, 0);
  for (int round = 0; round < 300; round++) {
    size_t n = moon_rng_below(&rng, 60), kept = 0;
    moon_table *table = numbered(n);
    uint32_t rows[60];
    uint8_t keep[60];
    unsigned share = moon_rng_below(&rng, 5);
    for (size_t i = 0; i < n; i++) {
      keep[i] = moon_rng_below(&rng, 4) < share ? (uint8_t)(1 + moon_rng_below(&rng, 255)) : 0; /* anything but 0 keeps */
      if (keep[i]) rows[kept++] = (uint32_t)i;
    }
    moon_table_keep(table, keep);
    check_rows(table, rows, kept);
    uint32_t order[60], moved[60];
    for (size_t i = 0; i < kept; i++) order[i] = (uint32_t)i;
    moon_rng_shuffle(&rng, order, kept);
    for (size_t i = 0; i < kept; i++) moved[i] = rows[order[i]];
    OK(moon_table_permute(table, order));
    check_rows(table, moved, kept);
    moon_table_free(table);
  }
}

static void a_failed_permutation_changes_nothing(void **state) {
  (void)state;
  moon_table *table = numbered(5);
  const uint32_t backwards[] = {4, 3, 2, 1, 0}, as_before[] = {0, 1, 2, 3, 4};
  moon_alloc_fail_at(1);
  REFUSED(MOON_ENOMEM, "no memory", moon_table_permute(table, backwards));
  moon_alloc_fail_at(0);
  check_rows(table, as_before, 5);
  moon_table_free(table);
}

static moon_status build(void *self) {
  (void)self;
  moon_table *table;
  MOON_TRY(moon_table_new("t", &table));
  moon_status status = moon_ok();
  for (int c = 0; c < 4 && !status.code; c++) {
    moon_column *column;
    char name[2] = {(char)('a' + c), 0};
    status = moon_table_add_column(table, name, types[c], &column);
    for (int i = 0; i < 40 && !status.code; i++) {
      size_t before = column->n;
      if (c == 0)
        status = moon_column_push_string(column, name, (size_t)(i % 2));
      else
        status = moon_column_push_integer(column, i);
      assert_int_equal(column->n, before + !status.code);
    }
  }
  table->rows = 40;
  moon_column *late;
  if (!status.code) status = moon_table_add_column(table, "late", MOON_STRING, &late);
  if (!status.code) assert_int_equal(late->n, 40);
  moon_table_free(table);
  return status;
}

static void tables_survive_no_memory(void **state) {
  (void)state;
  assert_true(exhaust(build, NULL) > 10);
}

static void rows_are_ordered_by_time_and_then_as_they_were(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 51, 0);
  for (int round = 0; round < 50; round++) {
    moon_column column = {.type = MOON_TIME, .name = "t"};
    size_t n = moon_rng_below(&rng, 200);
    for (size_t i = 0; i < n; i++) OK(moon_rng_below(&rng, 9) ? moon_column_push_integer(&column, moon_rng_below(&rng, 30)) : moon_column_push_null(&column));
    uint32_t *order;
    OK(moon_column_order(&column, &order));
    bool seen[200] = {false};
    for (size_t i = 0; i < n; i++) {
      assert_true(order[i] < n && !seen[order[i]]);
      seen[order[i]] = true;
      if (!i) continue;
      int64_t before = column.i64[order[i - 1]], now = column.i64[order[i]];
      assert_true(before < now || (before == now && order[i - 1] < order[i]));
    }
    moon_free(order);
    moon_free(column.raw);
  }
}

static void adopted_columns_replace_those_of_their_name(void **state) {
  (void)state;
  moon_table *table = table_of("a,b\n1,x\n2,y\n", "a:number,b"), *fresh = table_of("b,c\n5,z\n6,\n", "b:number,c");
  moon_alloc_fail_at(1);
  moon_status status = moon_table_adopt(table, fresh);
  moon_alloc_fail_at(0);
  if (status.code) HOLDS(table, "1|x;2|y");
  if (status.code) OK(moon_table_adopt(table, fresh));
  HOLDS(table, "1|5|z;2|6|-");
  HOLDS(fresh, "x;y"); /* what was replaced */
  moon_table_free(table);
  moon_table_free(fresh);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rows_are_ordered_by_time_and_then_as_they_were), cmocka_unit_test(adopted_columns_replace_those_of_their_name),cmocka_unit_test(every_type_has_its_null),
                                     cmocka_unit_test(values_are_pushed_or_refused),
                                     cmocka_unit_test(a_new_column_is_as_long_as_the_table),
                                     cmocka_unit_test(missing_columns_are_named_with_the_nearest),
                                     cmocka_unit_test(keep_and_permute_move_whole_rows),
                                     cmocka_unit_test(a_failed_permutation_changes_nothing),
                                     cmocka_unit_test(tables_survive_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
