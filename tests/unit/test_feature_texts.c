/* test_feature_texts.c - ids of columns: crosses, tags, words; and histories of something else than items. */
#include "feature_world.h"

/* ---- parts of a text ------------------------------------------------------------------------------------------------------ */

static void check_pieces(const char *separator, const char *text, const char *want) {
  char copy[16], joined[512] = "";
  snprintf(copy, sizeof copy, "%s", separator ? separator : "");
  const moon_feature feature = {.separator = separator ? copy : NULL};
  for (moon_pieces p = moon_pieces_of(&feature, text); moon_pieces_next(&p);) {
    assert_true(p.n > 0);
    strcat(joined, "<");
    strncat(joined, p.text, p.n);
    strcat(joined, ">");
  }
  assert_string_equal(joined, want);
}

static void texts_fall_into_their_parts(void **nothing) {
  (void)nothing;
  check_pieces("|", "Action|Sci-Fi |  |War", "<Action><Sci-Fi><War>");
  check_pieces("|", "", "");
  check_pieces("|", "||", "");
  check_pieces(", ", "a,b, c", "<a,b><c>");
  check_pieces("|", "one", "<one>");
  check_pieces(NULL, "The 2 Towers: it's BACK!", "<the><2><towers><it><s><back>");
  check_pieces(NULL, "Caf\xc3\xa9-\xc3\x89t\xc3\xa9", "<caf\xc3\xa9><\xc3\x89t\xc3\xa9>");
  check_pieces(NULL, " .,- ", "");
  check_pieces(NULL, "0123456789012345678901234567890123456789012345678901234567890123456789 x",
               "<0123456789012345678901234567890123456789012345678901234567890123><x>");
  check_pieces(NULL, "012345678901234567890123456789012345678901234567890123456789012\xc3\xa9s x",
               "<012345678901234567890123456789012345678901234567890123456789012><x>"); /* a letter is whole or not there */
}

/* ---- in a catalogue ------------------------------------------------------------------------------------------------------- */

typedef struct world {
  moon_catalogue *catalogue;
  moon_feature_plan *plan;
  moon_state *state;
  moon_vocab *vocabs[8];
  moon_features *features;
  moon_arena arena;
  moon_inputs in;
} world;

/* Rows: 0 red round, 1 blue round, 2 red (no shape), 3 red round again, 4 round red (the other way about). */
static world *world_new(const char *plan) {
  static const char csv[] =
      "item,colour,shape,tags,title\ni0,red,round,a|b|a|c,A Tale of Two\ni1,blue,round,c|x,\ni2,red,,,two TALE\ni3,red,round,b,\n"
      "i4,round,red,c|b|a,of of\n";
  const moon_read_column columns[] = {{"item", "item", "string"},
                                      {"colour", "colour", "string"},
                                      {"shape", "shape", "string"},
                                      {"tags", "tags", "string"},
                                      {"title", "title", "string"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = MANY(columns)};
  moon_read_report report;
  moon_table *table;
  world *w = calloc(1, sizeof *w);
  OK(moon_csv_read_memory("items.csv", csv, sizeof csv - 1, &options, &table, &report));
  OK(moon_catalogue_new(table, &w->catalogue));
  w->plan = plan_of(plan, w->catalogue);
  OK(moon_state_new(w->plan, &w->state));
  for (size_t f = 0; f < w->plan->feature_count; f++)
    if (moon_feature_learns(&w->plan->features[f])) OK(moon_vocab_new(&w->vocabs[f]));
  return w;
}

static void learn(world *w, size_t f, const char *texts) {
  for (const char *t = texts; *t; t++) OK(moon_vocab_add(w->vocabs[f], t, 1));
}

enum { N = 6 };
static const uint32_t all_items[N] = {0, 1, 2, 3, 4, MOON_NONE};

static void bind(world *w) {
  OK(moon_features_bind(w->plan, w->catalogue, w->vocabs, &w->features));
  OK(moon_inputs_alloc(w->plan, &w->arena, N, &w->in));
  memset(w->in.ids, 0xa5, N * w->plan->id_slots * sizeof *w->in.ids);
  memset(w->in.bags, 0xa5, N * w->plan->bag_slots * w->plan->bag_length * sizeof *w->in.bags);
}

static void world_free(world *w) {
  moon_arena_free(&w->arena);
  moon_features_free(w->features);
  for (size_t f = 0; f < 8; f++) moon_vocab_free(w->vocabs[f]);
  moon_state_free(w->state);
  moon_feature_plan_free(w->plan);
  moon_catalogue_free(w->catalogue);
  free(w);
}

static void cross_tells_pairs_apart_and_is_nothing_where_a_part_is(void **nothing) {
  (void)nothing;
  world *w = world_new(
      "[{'op':'cross','name':'c','columns':['colour','shape'],'hash':1000003,'dim':2},"
      "{'op':'cross','name':'u','columns':['user','colour'],'hash':1000003,'dim':2}]");
  bind(w);
  assert_int_equal(moon_feature_rows(&w->plan->features[0], NULL), 1000003);
  uint32_t first[N][2];
  moon_features_compute(w->features, w->state, MOON_NONE, "ann", all_items, N, 0, &w->in);
  memcpy(first, w->in.ids, sizeof first);
  for (size_t i = 0; i < N; i++) assert_true(first[i][0] < 1000003 && first[i][1] < 1000003);
  assert_true(first[0][0] && first[1][0] && first[0][0] != first[1][0]);
  assert_int_equal(first[3][0], first[0][0]);
  assert_int_not_equal(first[4][0], first[0][0]);
  assert_true(first[2][0] == 0 && first[5][0] == 0);
  assert_true(first[0][1] && first[0][1] == first[2][1] && first[0][1] != first[1][1] && first[5][1] == 0);
  moon_features_compute(w->features, w->state, MOON_NONE, "bob", all_items, N, 0, &w->in);
  for (size_t i = 0; i < N; i++) assert_int_equal(w->in.ids[i * 2], first[i][0]); /* not the user's business */
  assert_true(w->in.ids[1] && w->in.ids[1] != first[0][1]);
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, all_items, N, 0, &w->in);
  for (size_t i = 0; i < N; i++) assert_int_equal(w->in.ids[i * 2 + 1], 0); /* nobody */
  world_free(w);
}

static void bags_hold_an_items_parts_once_each(void **nothing) {
  (void)nothing;
  world *w = world_new(
      "[{'op':'tags','name':'t','column':'tags','separator':'|','max':3,'dim':2},"
      "{'op':'tags','name':'w','column':'title','max':4,'hash':100003,'dim':2},"
      "{'op':'tags','name':'few','column':'tags','separator':'|','max':2,'dim':2}]");
  learn(w, 0, "cab");
  learn(w, 2, "cab");
  bind(w);
  assert_int_equal(w->plan->bag_slots, 3);
  assert_int_equal(w->plan->bag_length, 4);
  assert_int_equal(w->plan->id_slots, 0);
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, all_items, N, 0, &w->in);
  static const uint32_t tags[N][4] = {{2, 3, 1}, {1}, {0}, {3}, {1, 3, 2}, {0}}, few[N][4] = {{2, 3}, {1}, {0}, {3}, {1, 3}, {0}};
  for (size_t i = 0; i < N; i++) {
    assert_memory_equal(w->in.bags + i * 12, tags[i], sizeof tags[i]);
    assert_memory_equal(w->in.bags + i * 12 + 8, few[i], sizeof few[i]);
  }
  const uint32_t *tale = w->in.bags + 4, *two_tale = w->in.bags + 2 * 12 + 4, *of = w->in.bags + 4 * 12 + 4; /* "a tale of two" */
  assert_true(tale[0] && tale[1] && tale[2] && tale[3]);
  assert_true(two_tale[0] == tale[3] && two_tale[1] == tale[1] && !two_tale[2]);
  assert_true(of[0] == tale[2] && !of[1]);
  for (size_t i = 0; i < 4; i++) assert_true(w->in.bags[12 + 4 + i] == 0 && tale[i] < 100003);
  world_free(w);
}

static void tfidf_weighs_words_folds_them_and_has_length_one(void **nothing) {
  (void)nothing;
  world *w = world_new("[{'op':'tfidf','name':'t','column':'title','dim':64}]");
  static const char *const words[] = {"of", "two", "tale"}; /* "a" is not known */
  static const double weights[] = {1.5, 2, 3};
  for (size_t i = 0; i < 3; i++) OK(moon_vocab_add(w->vocabs[0], words[i], strlen(words[i])));
  moon_features *features = NULL;
  OK(moon_vocab_add_number(w->vocabs[0], weights[0]));
  REFUSED(MOON_EFORMAT, "has 1 numbers where 3 are wanted", moon_features_bind(w->plan, w->catalogue, w->vocabs, &features));
  for (size_t i = 1; i < 3; i++) OK(moon_vocab_add_number(w->vocabs[0], weights[i]));
  bind(w);
  assert_int_equal(w->plan->dense_slots, 64);
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, all_items, N, 0, &w->in);
  static const double times[N][3] = {{1, 1, 1}, {0}, {0, 1, 1}, {0}, {2, 0, 0}, {0}};
  for (size_t i = 0; i < N; i++) {
    double want[64] = {0}, square = 0;
    for (size_t k = 0; k < 3; k++) {
      uint64_t hash = moon_hash(words[k], strlen(words[k]));
      want[hash % 64] += times[i][k] * weights[k] * (hash >> 63 ? 1 : -1);
    }
    for (size_t k = 0; k < 64; k++) square += want[k] * want[k];
    for (size_t k = 0; k < 64; k++) NEAR(w->in.dense[i * 64 + k], square > 0 ? want[k] / sqrt(square) : 0, 1e-6);
  }
  world_free(w);
}

/* ---- histories ------------------------------------------------------------------------------------------------------------ */

static void histories_of_categories_and_gaps_go_beside_the_items(void **nothing) {
  (void)nothing;
  world *w = world_new(
      "[{'op':'id','name':'item','entity':'item','dim':2},{'op':'category','name':'colour','column':'colour','dim':3},"
      "{'op':'history','name':'h','last':4},{'op':'history','name':'hc','of':'colour','last':4},"
      "{'op':'history','name':'hg','of':'gap','last':4,'dim':2}]");
  OK(moon_vocab_add(w->vocabs[0], "i0", 2)); /* i2 is not known */
  OK(moon_vocab_add(w->vocabs[0], "i1", 2));
  OK(moon_vocab_add(w->vocabs[0], "i4", 2));
  OK(moon_vocab_add(w->vocabs[1], "red", 3));
  OK(moon_vocab_add(w->vocabs[1], "blue", 4));
  bind(w);
  assert_int_equal(w->plan->features[2].shares, 0);
  assert_int_equal(w->plan->features[3].shares, 1);
  assert_int_equal(moon_feature_rows(&w->plan->features[4], NULL), MOON_GAPS + 1);
  uint32_t user = state_user(w->state, 0), view = state_kind(w->state, 0);
  static const struct {
    uint32_t item;
    int64_t seconds;
  } touches[] = {{4, 0}, {0, 1000}, {2, 1900}, {1, 1970}, {77, 1980}};
  for (size_t i = 0; i < MANY(touches); i++)
    OK(moon_state_apply(w->state, user, touches[i].item, view, touches[i].seconds * MOON_SECOND));
  const uint32_t items[] = {0, 1};
  moon_features_compute(w->features, w->state, user, NULL, items, 2, 2000 * MOON_SECOND, &w->in);
  /* the last four are 77, i1, i2, i0; i1 was 30 s ago, i0 1000 s: 16.7 minutes */
  static const uint32_t want[3][4] = {{2, 1}, {2, 1, 1}, {1, 5}};
  for (size_t row = 0; row < 2; row++) assert_memory_equal(w->in.bags + row * 12, want, sizeof want);
  moon_features_compute(w->features, w->state, MOON_NONE, NULL, items, 1, 0, &w->in);
  for (size_t i = 0; i < 12; i++) assert_int_equal(w->in.bags[i], 0);
  world_free(w);
}

static void wrong_texts_are_refused(void **nothing) {
  (void)nothing;
  static const struct {
    moon_code code;
    const char *text, *plan;
  } wrong[] = {
      {MOON_EINVAL, "columns must be a list of 2 to 8, got 1", "[{'op':'cross','name':'x','columns':['colour'],'hash':9}]"},
      {MOON_EINVAL, "columns must name a column of the items", "[{'op':'cross','name':'x','columns':['user','user'],'hash':9}]"},
      {MOON_EINVAL, "a cross needs hash buckets", "[{'op':'cross','name':'x','columns':['user','colour']}]"},
      {MOON_EINVAL, "column must be a text", "[{'op':'cross','name':'x','columns':['colour',4],'hash':9}]"},
      {MOON_ENOTFOUND, "did you mean 'colour'?", "[{'op':'cross','name':'x','columns':['colour','color'],'hash':9}]"},
      {MOON_EINVAL, "holds numbers; x needs strings", "[{'op':'tags','name':'x','column':'weight'}]"},
      {MOON_EINVAL, "max must be from 1 to 256", "[{'op':'tags','name':'x','column':'colour','max':0}]"},
      {MOON_EINVAL, "separator must be a text", "[{'op':'tags','name':'x','column':'colour','separator':''}]"},
      {MOON_EINVAL, "r:2: h shares the embeddings of the category colour: add that feature",
       "[{'op':'id','name':'i','entity':'item'},{'op':'history','name':'h','of':'colour','where':'r:2'}]"},
  };
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i].plan);
    moon_feature_plan *plan = NULL;
    REFUSED(wrong[i].code, wrong[i].text, moon_feature_plan_new(json, catalogue, &plan));
    json_decref(json);
  }
  json_t *json = json_of(
      "[{'op':'cross','name':'x','columns':['user','colour'],'hash':9},{'op':'tags','name':'t','column':'colour',"
      "'separator':'|'},{'op':'history','name':'h','of':'gap'}]");
  moon_feature_plan *plan = NULL;
  for (size_t n = 1;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
  }
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(texts_fall_into_their_parts),
      cmocka_unit_test(cross_tells_pairs_apart_and_is_nothing_where_a_part_is),
      cmocka_unit_test(bags_hold_an_items_parts_once_each),
      cmocka_unit_test(tfidf_weighs_words_folds_them_and_has_length_one),
      cmocka_unit_test(histories_of_categories_and_gaps_go_beside_the_items),
      cmocka_unit_test(wrong_texts_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
