/* Columns of another table, by an id that both have. */
#include <stdlib.h>
#include <unistd.h>

#include "unit/rules_run.h"

static char folder[] = "/tmp/moon-join-XXXXXX";

static int setup(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state) {
  (void)state;
  return moon_dir_remove(folder).code;
}

static void write_users(const char *text) {
  char *path = moon_path_join(folder, "users.csv");
  OK(moon_file_write(path, text, strlen(text)));
  moon_free(path);
}

/* "country:string,age:number" as columns of a source, and the rule around it. */
static char *join_rule(const char *words, const char *rest) {
  static char rule[1500];
  columns wanted;
  columns_of(words, &wanted);
  int n = snprintf(rule, sizeof rule,
                   "{'op':'join','where':'r:7','source':{'where':'r:2','file':'users.csv','delimiter':',','columns':[");
  for (size_t i = 0; i < wanted.n; i++) {
    n += snprintf(rule + n, sizeof rule - (size_t)n, "%s{'name':'%s','from':'%s'", i ? "," : "", wanted.list[i].name,
                  wanted.list[i].from);
    if (wanted.list[i].type) n += snprintf(rule + n, sizeof rule - (size_t)n, ",'type':'%s'", wanted.list[i].type);
    n += snprintf(rule + n, sizeof rule - (size_t)n, "}");
  }
  snprintf(rule + n, sizeof rule - (size_t)n, "]},%s}", rest);
  return rule;
}

#define USERS "user,country,age,since,level\na,NL,30,2026-11-24,7\nb,,,,\na,BE,31,,\n,DE,1,,1\nc,NL,5,,2\n"
#define WORDS "user,country,age:number,since:time,level:integer"

static void joins(const char *words, const char *rest, const char *left, const char *why) {
  moon_table *table = table_of("user,item\nb,1\na,2\nz,3\n,4\na,5\n", "user,item");
  moon_rule_report report;
  OK(run_rule(join_rule(words, rest), folder, table, &report));
  HOLDS(table, left);
  assert_string_equal(report.why, why);
  assert_true(report.before == 5 && report.after == 5);
  moon_table_free(table);
}

static void columns_come_by_the_first_row_of_an_id(void **state) {
  (void)state;
  const char *why = "1 rows repeat a user and were not looked at, 2 rows found no user, the first 'z'";
  write_users(USERS);
  joins(WORDS, "'on':'user'", "b|1|-|-|-|-;a|2|NL|30|1795478400000000|7;z|3|-|-|-|-;-|4|-|-|-|-;a|5|NL|30|1795478400000000|7",
        why);
  joins(WORDS, "'on':'user','columns':['level','country']", "b|1|-|-;a|2|7|NL;z|3|-|-;-|4|-|-;a|5|7|NL", why);
}

static void what_cannot_be_joined_is_refused(void **state) {
  (void)state;
  write_users(USERS);
  static const struct {
    const char *words, *rest, *message;
  } cases[] = {{WORDS, "'on':'usr'", "r:7: t.csv has no column 'usr'; did you mean 'user'?"},
               {WORDS, "'on':'item'", "r:7: users.csv has no column 'item'"},
               {WORDS, "'x':1", "r:7: join names no column to go by"},
               {WORDS, "'on':'user','columns':['contry']", "users.csv has no column 'contry'; did you mean 'country'?"},
               {WORDS, "'on':'user','columns':[5]", "column 1 of a join is not a name"},
               {WORDS, "'on':'user','columns':['country','country']", "two columns called country"},
               {WORDS, "'on':'user','columns':[]", "has no column to add"},
               {WORDS, "'on':'user','columns':['user']", "has no column to add"},
               {"user,item=country", "'on':'user'", "t.csv has a column 'item' already"},
               {"user=age:number,country", "'on':'user'", "users.csv: column user must be a string to join by"},
               {"user,wrong", "'on':'user'", "r:2: "}}; /* by the table's own place, once */
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    moon_table *table = table_of("user,item\na,1\n", "user,item");
    moon_status status = run_rule(join_rule(cases[i].words, cases[i].rest), folder, table, NULL);
    if (!status.code || !strstr(status.message, cases[i].message) || strstr(status.message, "r:7: r:2"))
      fail_msg("case %zu: %s", i, status.message);
    HOLDS(table, "a|1");
    moon_table_free(table);
  }
  refuses("user,n\na,1\n", "user,n:number", "{'op':'join','on':'user'}", MOON_EINVAL, "a source needs a file");
}

static void joins_agree_with_looking_through_the_table(void **state) {
  (void)state;
  moon_rng rng;
  moon_rng_seed(&rng, 31, 0);
  for (int round = 0; round < 60; round++) {
    moon_buf left = {0}, right = {0}, want = {0};
    char ids[60][8], countries[60][8];
    size_t known = moon_rng_below(&rng, 60), rows = moon_rng_below(&rng, 100);
    moon_buf_puts(&left, "n,user\n");
    moon_buf_puts(&right, "user,country\n");
    moon_buf_puts(&want, "");
    for (size_t i = 0; i < known; i++) {
      sprintf(ids[i], "u%u", moon_rng_below(&rng, 40));
      sprintf(countries[i], moon_rng_below(&rng, 5) ? "c%u" : "", moon_rng_below(&rng, 10));
      moon_buf_printf(&right, "%s,%s\n", ids[i], countries[i]);
    }
    for (size_t i = 0; i < rows; i++) {
      char id[8];
      const char *country = "";
      sprintf(id, "u%u", moon_rng_below(&rng, 50));
      for (size_t k = known; k--;)
        if (!strcmp(ids[k], id)) country = countries[k];
      moon_buf_printf(&left, "%zu,%s\n", i, id);
      moon_buf_printf(&want, "%s%zu|%s|%s", i ? ";" : "", i, id, *country ? country : "-");
    }
    write_users(right.data);
    moon_table *table = table_of(left.data, "n:integer,user");
    OK(run_rule(join_rule("user,country", "'on':'user'"), folder, table, NULL));
    HOLDS(table, want.data);
    moon_table_free(table);
    moon_buf_free(&left), moon_buf_free(&right), moon_buf_free(&want);
  }
}

static moon_status join_once(void *self) {
  moon_alloc_fail_at(0);
  moon_table *table = table_of("user,item\na,1\nz,2\n", "user,item");
  json_t *list = json_pack("[o]", json_of(join_rule(WORDS, "'on':'user'")));
  const moon_preprocess_options options = {.source = {.data_dir = folder}};
  moon_alloc_fail_at((*(size_t *)self)++);
  moon_status status = moon_preprocess(list, table, &options, NULL);
  moon_alloc_fail_at(0);
  HOLDS(table, status.code ? "a|1;z|2" : "a|1|NL|30|1795478400000000|7;z|2|-|-|-|-");
  json_decref(list);
  moon_table_free(table);
  return status;
}

static void a_join_survives_no_memory(void **state) {
  (void)state;
  size_t n = 1;
  write_users(USERS);
  assert_true(exhaust(join_once, &n) >= 15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(columns_come_by_the_first_row_of_an_id),
      cmocka_unit_test(what_cannot_be_joined_is_refused),
      cmocka_unit_test(joins_agree_with_looking_through_the_table),
      cmocka_unit_test(a_join_survives_no_memory),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
