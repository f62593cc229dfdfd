/* test_script_lab.c - what tests of recipes stand on: a lab says what training sees, refuses what is wrong in a row, and leaves nothing
 * behind; a host runs the tests of a file one by one. */
#include "unit/exhaust.h"
#include "unit/shoplet.h"
#include "script/lab.h"
#include "script/script.h"

/* JSON with single quotes; its memory is the system's, so that failing allocations are the lab's. */
static json_t *json_of(const char *text) {
  json_error_t error;
  char *quoted = strdup(text);
  for (char *p = quoted; *p; p++)
    if (*p == '\'') *p = '"';
  json_t *value = json_loads(quoted, JSON_DECODE_ANY, &error);
  if (!value) fail_msg("%s: %s", text, error.text);
  free(quoted);
  return value;
}

/* The answer to a question, compact and sorted, or the failure. */
static moon_status ask(moon_lab *lab, const char *query, char out[1000]) {
  json_t *question = json_of(query), *values = NULL;
  moon_status status = moon_lab_features(lab, question, &values);
  json_decref(question);
  if (status.code) {
    assert_null(values);
    return status;
  }
  char *text = json_dumps(values, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(7));
  snprintf(out, 1000, "%s", text);
  free(text);
  json_decref(values);
  return status;
}

static moon_status happen(moon_lab *lab, const char *rows) {
  json_t *list = json_of(rows);
  moon_status status = moon_lab_events(lab, list);
  json_decref(list);
  return status;
}

static moon_status enter(moon_lab *lab, const char *rows, size_t *kept) {
  json_t *list = json_of(rows);
  moon_status status = moon_lab_log(lab, list, NULL, kept);
  json_decref(list);
  return status;
}

static moon_status open_lab(const json_t *plan, const char *items, moon_lab **out) {
  json_t *list = items ? json_of(items) : NULL;
  moon_status status = moon_lab_new(plan, list, NULL, out);
  json_decref(list);
  return status;
}

static const char two_items[] = "[{'item':'i1','category':'shoes','price':20,'stock':1},{'item':'i2','category':'hats'}]";

/* ---- what a lab says ------------------------------------------------------------------------------------------------------- */

static void a_lab_says_features_by_name(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_lab *lab;
  char text[1000];
  OK(open_lab(plan, two_items, &lab));
  OK(happen(lab, "[{'user':'ann','item':'i1','event':'view','time':1700000000000000}]"));
  OK(ask(lab, "{'user':'ann','item':'i1'}", text));
  assert_string_equal(text, "{\"category\":\"shoes\",\"count(item,view,1h)\":0.6931472,\"count(item,view,all)\":0.6931472,\"history(item)\":[\"i1\"],"
                            "\"item\":\"i1\",\"log(price)\":3.044522,\"rate,all\":0.04761905,\"user\":\"ann\"}");
  OK(ask(lab, "{'user':'ben','item':'i2','at':1700007200000000}", text));
  assert_string_equal(text, "{\"category\":\"hats\",\"count(item,view,1h)\":0.0,\"count(item,view,all)\":0.0,\"history(item)\":[],"
                            "\"item\":\"i2\",\"log(price)\":0.0,\"rate,all\":0.05,\"user\":null}");
  moon_lab_free(lab);
  json_decref(plan);
}

static json_t *catalogue_rows(const moon_catalogue *c) {
  json_t *rows = json_array();
  for (size_t row = 0; row < c->listed; row++) {
    json_t *item = json_object();
    for (size_t i = 0; i < c->table->column_count; i++) {
      moon_buf cell = {0};
      moon_column_json(&c->table->columns[i], row, &cell);
      json_object_set_new(item, c->table->columns[i].name, json_loadb(cell.data, cell.n, JSON_DECODE_ANY, NULL));
      moon_buf_free(&cell);
    }
    json_array_append_new(rows, item);
  }
  return rows;
}

static void same_numbers(const moon_dataset *d, size_t example, const json_t *values) {
  for (size_t i = 0; i < d->plan->dense_slots; i++)
    NEAR((float)json_number_value(json_object_get(values, d->plan->dense_names[i])), d->inputs.dense[example * d->plan->dense_slots + i], 0);
}

/* The history, feature 6, shares the ids of feature 1. */
static void same_history(const moon_dataset *d, size_t example, const json_t *values) {
  json_t *texts = moon_vocab_json(d->vocabs[1]), *list = json_object_get(values, "history(item)");
  const uint32_t *ids = d->inputs.bags + example * d->plan->bag_length;
  for (size_t i = 0; i < d->plan->bag_length; i++) {
    const char *expected = ids[i] ? json_string_value(json_array_get(texts, ids[i] - 1)) : NULL;
    const char *got = json_string_value(json_array_get(list, i));
    assert_true(!expected == !got && (!got || !strcmp(expected, got)));
  }
  json_decref(texts);
}

static void a_lab_sees_what_training_sees(void **state) {
  (void)state;
  char *folder = shoplet_make(400);
  json_t *plan = shoplet_json();
  moon_dataset *d;
  moon_lab *lab;
  OK(shoplet_dataset(folder, plan, &d));
  json_t *items = catalogue_rows(d->catalogue);
  OK(moon_lab_new(plan, items, NULL, &lab));
  size_t next = 0;
  for (size_t i = 0; i < d->log->n; i++) {
    const moon_event *e = &d->log->events[i];
    const char *user = moon_dict_text(d->log->users, e->user), *item = moon_catalogue_id(d->catalogue, e->item);
    for (; next < d->examples.n && d->examples.event[next] == i; next++) {
      json_t *query = json_pack("{s:s, s:s, s:I}", "user", user, "item", item, "at", (json_int_t)e->time), *values;
      OK(moon_lab_features(lab, query, &values));
      same_numbers(d, next, values);
      same_history(d, next, values);
      assert_string_equal(json_string_value(json_object_get(values, "item")), item);
      json_decref(values);
      json_decref(query);
    }
    json_t *rows = json_pack("[{s:s, s:s, s:s, s:I}]", "user", user, "item", item, "event", moon_dict_text(d->log->kinds, e->kind), "time",
                             (json_int_t)e->time);
    OK(moon_lab_events(lab, rows));
    json_decref(rows);
  }
  assert_true(next > 100);
  moon_lab_free(lab);
  json_decref(items);
  moon_dataset_free(d);
  json_decref(plan);
  shoplet_remove(folder);
}

static void kinds_of_values_are_told_apart(void **state) {
  (void)state;
  json_t *plan = json_of(
      "{'sources':{'events':{'columns':[{'name':'user'},{'name':'item'},{'name':'time'},{'name':'place','type':'number'}]},"
      "'items':{'columns':[{'name':'item'},{'name':'tags'},{'name':'title'},{'name':'price'},{'name':'since'}]}},'preprocess':[],'features':["
      "{'op':'id','name':'item','entity':'item','hash':50},{'op':'category','name':'title','column':'title','hash':9},"
      "{'op':'embedding_file','name':'vectors','entity':'item','file':'v.npy','ids':'v.txt','dim':4},{'op':'tags','name':'tags','column':'tags','separator':'|','max':4},"
      "{'op':'tfidf','name':'tfidf(title)','column':'title','dim':4},"
      "{'op':'numeric','name':'bucketize(price)','column':'price','steps':[{'op':'bucketize','edges':[10,30]}]},"
      "{'op':'numeric','name':'bucketize(log(price))','column':'price','steps':[{'op':'clip','bounds':[0,5]},{'op':'bucketize','buckets':4}]},"
      "{'op':'numeric','name':'scale(price)','column':'price','steps':[{'op':'scale','by':'minmax'}]},"
      "{'op':'clock','name':'hour','unit':'hour'},{'op':'clock','name':'weekday','unit':'weekday'},"
      "{'op':'position','name':'place','column':'place','serving':1},{'op':'age','name':'age(since)','column':'since'},"
      "{'op':'history','name':'history(gap)','of':'gap','last':3},{'op':'history','name':'history(gap)','of':'gap','last':1}]}");
  moon_lab *lab;
  char text[1000];
  OK(open_lab(plan, "[{'item':'i1','tags':'b|a|b','title':'A lamp','price':'20','since':'2023-11-14T22:13:20Z'},{'item':'i2'}]", &lab));
  OK(happen(lab, "[{'user':'ann','item':'i1','time':1700000000000000},{'user':'ann','item':'i2','time':1700000000000000}]"));
  OK(ask(lab, "{'user':'ann','item':'i1','at':1700000100000000,'place':7}", text));
  json_t *values = json_of(text), *expected = json_of(
      "{'item':34,'title':1,'vectors':'i1','tags':['b','a'],'bucketize(price)':2,'bucketize(log(price))':5.0,'scale(price)':20.0,'hour':22,'weekday':2,'place':7.0,"
      "'age(since)':4.61512,'history(gap)':[2,2],'history(gap).2':[2]}");
  for (int i = 0; i < 2; i++) { /* the buckets of a hash */
    json_t *bucket = json_object_get(values, i ? "title" : "item");
    assert_true(json_is_integer(bucket) && json_integer_value(bucket) > 0);
    json_object_set(expected, i ? "title" : "item", bucket);
  }
  if (!json_equal(values, expected)) fail_msg("%s", text);
  json_decref(values);
  json_decref(expected);
  OK(ask(lab, "{'item':'i2','at':1700000100000000}", text));
  assert_non_null(strstr(text, "\"place\":1.0"));
  assert_non_null(strstr(text, "\"tags\":[]"));
  assert_non_null(strstr(text, "\"title\":null"));
  assert_non_null(strstr(text, "\"bucketize(price)\":0"));
  moon_lab_free(lab);
  json_decref(plan);
}

static moon_status double_price(void *self, uint32_t fn, moon_table *table, const char *name) {
  moon_column *made;
  assert_int_equal(fn, 3);
  ++*(int *)self;
  MOON_TRY(moon_table_add_column(table, name, MOON_NUMBER, &made));
  const moon_column *price = moon_table_column(table, "price");
  for (size_t row = 0; row < table->rows; row++) made->f64[row] = 2 * price->f64[row];
  return moon_ok();
}

static void functions_of_items_make_columns(void **state) {
  (void)state;
  int calls = 0;
  const moon_row_functions functions = {.self = &calls, .map = double_price};
  const moon_preprocess_options reach = {.functions = &functions};
  json_t *plan = shoplet_json(), *items = json_of(two_items);
  json_object_set_new(plan, "item_columns", json_of("[{'op':'map','column':'twice','fn':3,'where':'r:9'}]"));
  json_array_append_new(json_object_get(plan, "features"), json_of("{'op':'numeric','name':'twice','column':'twice','where':'r:9'}"));
  moon_lab *lab;
  char text[1000];
  OK(moon_lab_new(plan, items, &reach, &lab));
  OK(ask(lab, "{'item':'i1','at':1700000000000000}", text));
  assert_non_null(strstr(text, "\"twice\":40.0"));
  assert_int_equal(calls, 1);
  moon_lab_free(lab);
  lab = NULL;
  REFUSED(MOON_EINVAL, "nobody runs the recipe's functions here", moon_lab_new(plan, items, NULL, &lab));
  assert_null(lab);
  json_decref(items);
  json_decref(plan);
}

static void items_that_no_test_lists_come_with_events(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_lab *lab;
  char text[1000];
  OK(open_lab(plan, NULL, &lab));
  OK(happen(lab, "[{'user':'ann','item':'i7','event':'view','time':1700000000000000}]"));
  OK(ask(lab, "{'item':'i8','user':'ann'}", text));
  assert_non_null(strstr(text, "\"category\":null"));
  assert_non_null(strstr(text, "\"history(item)\":[\"i7\"]"));
  moon_lab_free(lab);
  json_object_del(json_object_get(plan, "sources"), "items");
  json_array_remove(json_object_get(plan, "features"), 3);
  json_array_remove(json_object_get(plan, "features"), 2);
  REFUSED(MOON_EINVAL, "the recipe has no items", open_lab(plan, "[{'item':'i1'}]", &lab));
  OK(open_lab(plan, NULL, &lab));
  moon_lab_free(lab);
  json_decref(plan);
}

static void rules_are_for_the_log_alone(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_lab *lab;
  size_t kept = 99;
  char text[1000];
  OK(open_lab(plan, two_items, &lab));
  OK(enter(lab, "[{'user':'ann','item':'i1','event':'view','time':1700000000},{'item':'i1','event':'view','time':1700000001}]", &kept));
  assert_int_equal(kept, 1);
  OK(enter(lab, "[{'item':'i1','event':'view','time':'2023-11-15'}]", &kept));
  assert_int_equal(kept, 0);
  REFUSED(MOON_EFORMAT, "has no user", happen(lab, "[{'item':'i1','event':'view','time':1700000001000000}]"));
  OK(ask(lab, "{'item':'i1'}", text));
  assert_non_null(strstr(text, "\"count(item,view,all)\":0.6931472"));
  moon_lab_free(lab);
  json_decref(plan);
}

/* ---- what a lab refuses ----------------------------------------------------------------------------------------------------- */

static void wrong_rows_are_named_and_change_nothing(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_lab *lab = NULL;
  size_t kept;
  char before[1000], after[1000];
  REFUSED(MOON_EINVAL, "items: row 2: there is no column 'prise'; did you mean 'price'?",
          open_lab(plan, "[{'item':'i1'},{'item':'i2','prise':3}]", &lab));
  REFUSED(MOON_EFORMAT, "items:1: column price: 'dear' is not a number", open_lab(plan, "[{'item':'i1','price':'dear'}]", &lab));
  REFUSED(MOON_EFORMAT, "column price: a list is not a single value", open_lab(plan, "[{'item':'i1','price':[1]}]", &lab));
  REFUSED(MOON_EFORMAT, "'i1' is there twice", open_lab(plan, "[{'item':'i1'},{'item':'i1'}]", &lab));
  REFUSED(MOON_EFORMAT, "item 1 has no id", open_lab(plan, "[{'price':1}]", &lab));
  REFUSED(MOON_EINVAL, "row 1 is not a table", open_lab(plan, "[7]", &lab));
  assert_null(lab);
  OK(open_lab(plan, two_items, &lab));
  OK(ask(lab, "{'item':'i1','at':1700000000000000}", before));
  REFUSED(MOON_ENOTFOUND, "there is no item 'i3' among the test's items; did you mean 'i1'?",
          happen(lab, "[{'user':'a','item':'i1','time':1700000000000000},{'user':'a','item':'i3','time':1700000000000000}]"));
  REFUSED(MOON_EFORMAT, "events:2: column time: 'soon' is not a time",
          enter(lab, "[{'user':'a','item':'i1','event':'view','time':1},{'user':'a','item':'i1','event':'view','time':'soon'}]", &kept));
  REFUSED(MOON_EINVAL, "there is no column 'usr'", enter(lab, "[{'usr':'a'}]", &kept));
  REFUSED(MOON_EINVAL, "row 1 is not a table", happen(lab, "['x']"));
  OK(ask(lab, "{'item':'i1','at':1700000000000000}", after));
  assert_string_equal(before, after);
  moon_lab_free(lab);
  json_decref(plan);
}

static void wrong_questions_are_refused(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_lab *lab;
  char text[1000];
  OK(open_lab(plan, two_items, &lab));
  REFUSED(MOON_EINVAL, "'at' is missing", ask(lab, "{'item':'i1'}", text));
  REFUSED(MOON_EINVAL, "'item' is missing", ask(lab, "{'user':'ann'}", text));
  REFUSED(MOON_EINVAL, "unknown option 'itm'; did you mean 'item'?", ask(lab, "{'itm':'i1'}", text));
  REFUSED(MOON_ENOTFOUND, "no item 'i4'", ask(lab, "{'item':'i4','at':1}", text));
  OK(happen(lab, "[{'user':'ann','item':'i1','event':'view','time':1700000000000000}]"));
  REFUSED(MOON_EINVAL, "at 2023-11-14T22:13:19Z is before the newest event (2023-11-14T22:13:20Z)",
          ask(lab, "{'item':'i1','at':1699999999999999}", text));
  moon_lab_free(lab);
  json_decref(plan);
}

static json_t *random_cell(moon_rng *rng) {
  static const char *const texts[] = {"i1", "i2", "i3", "", "view", "purchase", "2026-11-24", "-1e400", "\xC3\xA9", "a\nb", "\"", "99999999999999999999"};
  switch (moon_rng_below(rng, 9)) {
    case 0: return json_null();
    case 1: return json_true();
    case 2: return json_integer((json_int_t)moon_rng_u64(rng));
    case 3: return json_real(moon_rng_normal(rng) * 1e300);
    case 4: return json_array();
    case 5: return json_object();
    case 6: return json_stringn("a\0b", 3);
    default: return json_string(texts[moon_rng_below(rng, sizeof texts / sizeof *texts)]);
  }
}

static json_t *random_rows(moon_rng *rng) {
  static const char *const names[] = {"user", "item", "event", "time", "price", "category", "product", "stock", "nonsense"};
  json_t *rows = json_array();
  for (uint32_t n = moon_rng_below(rng, 4); n; n--) {
    json_t *row = moon_rng_below(rng, 20) ? json_object() : random_cell(rng);
    for (size_t i = 0; json_is_object(row) && i < 9; i++)
      if (moon_rng_below(rng, 10) < (i == 8 ? 1 : i < 4 ? 9 : 3)) json_object_set_new(row, names[i], random_cell(rng));
    if (json_is_object(row) && moon_rng_below(rng, 2)) json_object_set_new(row, "item", json_string("i1"));
    if (json_is_object(row) && moon_rng_below(rng, 2)) json_object_set_new(row, "time", json_integer(moon_rng_below(rng, 1000)));
    json_array_append_new(rows, row);
  }
  return rows;
}

static void whatever_rows_hold_nothing_breaks(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  moon_rng rng;
  moon_rng_seed(&rng, 7, 0);
  size_t labs = 0, events = 0;
  for (int i = 0; i < 3000; i++) {
    json_t *items = random_rows(&rng), *rows = random_rows(&rng), *log = random_rows(&rng), *values = NULL;
    moon_lab *lab = NULL;
    size_t kept;
    bool fine = moon_rng_below(&rng, 2) ? !open_lab(plan, NULL, &lab).code : !moon_lab_new(plan, items, NULL, &lab).code;
    labs += fine;
    if (fine) events += !moon_lab_events(lab, rows).code + !moon_lab_log(lab, log, NULL, &kept).code;
    json_t *query = json_pack("{s:s}", "item", "i1");
    if (fine && !moon_lab_features(lab, query, &values).code) json_decref(values);
    json_decref(query);
    moon_lab_free(lab);
    json_decref(items);
    json_decref(rows);
    json_decref(log);
  }
  assert_true(labs > 1500 && events > 500);
  json_decref(plan);
}

/* ---- without memory --------------------------------------------------------------------------------------------------------- */

static moon_status whole_life(void *self) {
  moon_lab *lab = NULL;
  char text[1000];
  size_t kept;
  moon_status status = open_lab(self, two_items, &lab);
  if (!status.code) status = happen(lab, "[{'user':'ann','item':'i1','event':'view','time':1700000000000000}]");
  if (!status.code)
    status = enter(lab, "[{'user':'ben','item':'i2','event':'view','time':1700000001},{'user':'cas','item':'i1','event':'view','time':1700000002}]", &kept);
  if (!status.code) status = ask(lab, "{'user':'ann','item':'i1'}", text);
  moon_lab_free(lab);
  return status;
}

static void a_lab_without_memory_says_so(void **state) {
  (void)state;
  json_t *plan = shoplet_json();
  assert_true(exhaust(whole_life, plan) > 50);
  json_decref(plan);
}

/* ---- files of tests --------------------------------------------------------------------------------------------------------- */

static const char recipe_text[] =
    "local m = require 'moonshelf'\n"
    "return m.recipe 'r' { events = m.csv 'e.csv' { user = 'u', item = 'i', time = 't', event = 'e' },\n"
    "  preprocess = { m.filter(function(row) if row.event == 'loop' then while true do end end return row.event ~= 'bot' end) },\n"
    "  label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item', m.count('item', 'view', '1h') },\n"
    "  model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n";
static const char test_text[] =
    "local m = require 'moonshelf' local recipe = require 'recipe'\n"
    "local function look(user, kind) return { user = user, item = 'i', event = kind, time = '2026-11-24T10:00:00Z' } end\n"
    "m.test 'counts' { recipe = recipe, run = function(t)\n"
    "  t:equal(t:log { look('a', 'view'), look('b', 'bot') }, 1)\n"
    "  t:near(t:features({ item = 'i' })['count(item,view,1h)'], math.log(2)) end }\n"
    "m.test 'is wrong' { recipe = recipe, run = function(t)\n"
    "  t:event(look('a', 'view'))\n"
    "  t:equal(t:features({ item = 'i' })['count(item,view,1h)'], 2) end }\n"
    "m.test 'never ends' { recipe = recipe, run = function(t)\n"
    "  while true do t:log { look('a', 'bot') } end end }\n"
    "m.test 'never ends in a rule' { recipe = recipe, run = function(t)\n"
    "  t:error(function() t:log { look('a', 'loop') } end, 'recipe.lua:3') while true do end end }\n";

static moon_host *open_host(uint64_t instructions) {
  moon_host_options options = {.call_instructions = instructions};
  moon_host *host;
  OK(moon_host_open(&options, &host));
  return host;
}

static char *test_folder(void) {
  char *folder = strdup("/tmp/moon-lab-XXXXXX");
  assert_non_null(mkdtemp(folder));
  shoplet_file(folder, "recipe.lua", recipe_text);
  shoplet_file(folder, "recipe_test.lua", test_text);
  return folder;
}

static void tests_of_a_file_run_one_by_one(void **state) {
  (void)state;
  char *folder = test_folder(), *path = moon_path_join(folder, "recipe_test.lua");
  moon_host *host = open_host(300000);
  size_t count;
  const char *name, *where;
  OK(moon_host_load_tests(host, path, &count));
  assert_int_equal(count, 4);
  OK(moon_host_test(host, 1, &name, &where));
  assert_string_equal(name, "is wrong");
  assert_string_equal(where, "recipe_test.lua:6");
  for (int again = 0; again < 2; again++) {
    OK(moon_host_run_test(host, 0));
    REFUSED(MOON_ESCRIPT, "recipe_test.lua:8: got 0.6931472, expected 2", moon_host_run_test(host, 1));
    REFUSED(MOON_ESCRIPT, "recipe_test.lua:10: the script did not come to an end", moon_host_run_test(host, 2));
    REFUSED(MOON_ESCRIPT, "recipe_test.lua:12: the script did not come to an end", moon_host_run_test(host, 3));
  }
  moon_host_close(host);
  moon_free(path);
  shoplet_remove(folder);
}

static void rows_of_a_test_count_as_memory_until_it_is_over(void **state) {
  (void)state;
  char *folder = test_folder(), *path = moon_path_join(folder, "big_test.lua");
  shoplet_file(folder, "big_test.lua",
               "local m = require 'moonshelf'\n"
               "local function put(n) return function(t) local row = { user = 'u', item = ('i'):rep(500), time = '2026-11-24' }\n"
               "  for _ = 1, n do t:event(row) end end end\n"
               "for _ = 1, 5 do m.test 'some' { recipe = require 'recipe', run = put(50) } end\n"
               "m.test 'more' { recipe = require 'recipe', run = put(200) }\n");
  moon_host_options options = {.tensor_limit = 64 << 10};
  moon_host *host;
  size_t count;
  OK(moon_host_open(&options, &host));
  OK(moon_host_load_tests(host, path, &count));
  for (size_t i = 0; i < 5; i++) OK(moon_host_run_test(host, i));
  REFUSED(MOON_ESCRIPT, "big_test.lua:3: m.test: ", moon_host_run_test(host, 5));
  OK(moon_host_run_test(host, 0));
  moon_host_close(host);
  moon_free(path);
  shoplet_remove(folder);
}

static void a_host_without_memory_leaves_nothing_behind(void **state) {
  (void)state;
  char *folder = test_folder(), *path = moon_path_join(folder, "recipe_test.lua");
  moon_status status = moon_fail(MOON_ENOMEM, "not yet");
  for (size_t n = 200; status.code; n += 1 + n / 50) { /* each start takes some thousands */
    moon_host *host = open_host(300000);
    size_t count;
    moon_alloc_fail_at(n);
    status = moon_host_load_tests(host, path, &count);
    if (!status.code) status = moon_host_run_test(host, 0);
    moon_alloc_fail_at(0);
    assert_true(!status.code || status.code == MOON_ENOMEM || status.code == MOON_ESCRIPT);
    assert_true(n < 1000000);
    moon_host_close(host);
  }
  moon_free(path);
  shoplet_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_lab_says_features_by_name),
      cmocka_unit_test(a_lab_sees_what_training_sees),
      cmocka_unit_test(kinds_of_values_are_told_apart),
      cmocka_unit_test(functions_of_items_make_columns),
      cmocka_unit_test(items_that_no_test_lists_come_with_events),
      cmocka_unit_test(rules_are_for_the_log_alone),
      cmocka_unit_test(wrong_rows_are_named_and_change_nothing),
      cmocka_unit_test(wrong_questions_are_refused),
      cmocka_unit_test(whatever_rows_hold_nothing_breaks),
      cmocka_unit_test(a_lab_without_memory_says_so),
      cmocka_unit_test(tests_of_a_file_run_one_by_one),
      cmocka_unit_test(rows_of_a_test_count_as_memory_until_it_is_over),
      cmocka_unit_test(a_host_without_memory_leaves_nothing_behind),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
