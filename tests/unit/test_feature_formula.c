/* test_feature_formula.c - numbers made of numbers: as a naive evaluator has them, alone and in a crowd; and columns that a function made. */
#include "feature/formula.h"
#include "feature_store.h"

/* ---- the naive evaluator: by the text of the plan, a node at a time ----------------------------------------------------------- */

static double worth(const json_t *code, size_t at, const double *inputs) {
  const json_t *node = json_array_get(code, at), *of = json_object_get(node, "of");
  const char *op = json_string_value(json_object_get(node, "op"));
  if (!strcmp(op, "number")) return json_number_value(json_object_get(node, "value"));
  size_t which[3] = {0};
  for (size_t i = 0; i < json_array_size(of); i++) which[i] = (size_t)json_integer_value(json_array_get(of, i)) - 1;
  if (!strcmp(op, "input")) return inputs[which[0]];
  double a = worth(code, which[0], inputs);
  if (!strcmp(op, "known")) return isnan(a) ? 0 : 1;
  if (isnan(a)) return NAN;
  if (!strcmp(op, "when")) return worth(code, which[a != 0 ? 1 : 2], inputs);
  if (!strcmp(op, "neg")) return -a;
  if (!strcmp(op, "abs")) return fabs(a);
  if (!strcmp(op, "sqrt")) return sqrt(a);
  if (!strcmp(op, "exp")) return exp(a);
  if (!strcmp(op, "ln")) return log(a);
  if (!strcmp(op, "log")) return log1p(fmax(a, 0));
  if (!strcmp(op, "floor")) return floor(a);
  if (!strcmp(op, "not")) return a == 0;
  double b = worth(code, which[1], inputs);
  if (isnan(b)) return NAN;
  if (!strcmp(op, "add")) return a + b;
  if (!strcmp(op, "sub")) return a - b;
  if (!strcmp(op, "mul")) return a * b;
  if (!strcmp(op, "div")) return a / b;
  if (!strcmp(op, "pow")) return pow(a, b);
  if (!strcmp(op, "min")) return a <= b ? a : b;
  if (!strcmp(op, "max")) return a >= b ? a : b;
  if (!strcmp(op, "lt")) return a < b;
  if (!strcmp(op, "le")) return a <= b;
  if (!strcmp(op, "eq")) return a == b;
  if (!strcmp(op, "and")) return a != 0 && b != 0;
  if (!strcmp(op, "or")) return a != 0 || b != 0;
  fail_msg("what is %s?", op);
  return 0;
}

static const char *const unary[] = {"neg", "abs", "sqrt", "exp", "ln", "log", "floor", "not", "known"};
static const char *const binary[] = {"add", "sub", "mul", "div", "pow", "min", "max", "lt", "le", "eq", "and", "or"};

static json_t *random_code(moon_rng *rng, size_t n, size_t inputs) {
  json_t *code = json_array();
  for (size_t at = 0; at < n; at++) {
    int a = 1 + (int)(at ? moon_rng_below(rng, (uint32_t)at) : 0), b = 1 + (int)(at ? moon_rng_below(rng, (uint32_t)at) : 0);
    uint32_t kind = at < 3 ? moon_rng_below(rng, 2) : moon_rng_below(rng, 12);
    json_t *node = kind == 0   ? json_pack("{s:s, s:f}", "op", "number", "value", moon_rng_below(rng, 9) / 2.0 - 1)
                   : kind <= 2 ? json_pack("{s:s, s:[i]}", "op", "input", "of", 1 + (int)moon_rng_below(rng, (uint32_t)inputs))
                   : kind <= 5 ? json_pack("{s:s, s:[i]}", "op", unary[moon_rng_below(rng, MANY(unary))], "of", a)
                   : kind == 6 ? json_pack("{s:s, s:[i,i,i]}", "op", "when", "of", a, b, 1 + (int)moon_rng_below(rng, (uint32_t)at))
                               : json_pack("{s:s, s:[i,i]}", "op", binary[moon_rng_below(rng, MANY(binary))], "of", a, b);
    json_array_append_new(code, node);
  }
  return code;
}

static void formula_is_what_the_naive_evaluator_says(void **nothing) {
  (void)nothing;
  static const float pool[] = {0, 1, -1, 2.5f, 1e6f, -3e-5f, 7, NAN};
  moon_rng rng;
  moon_rng_seed(&rng, 11, 3);
  size_t numbers = 0, none = 0;
  for (int round = 0; round < 3000; round++) {
    float inputs[3][MOON_FORMULA_CHUNK];
    double answers[MOON_FORMULA_CHUNK];
    moon_formula *formula;
    json_t *code = random_code(&rng, 1 + moon_rng_below(&rng, 14), 3);
    size_t n = 1 + moon_rng_below(&rng, MOON_FORMULA_CHUNK);
    for (size_t k = 0; k < 3; k++)
      for (size_t i = 0; i < n; i++) inputs[k][i] = pool[moon_rng_below(&rng, MANY(pool))];
    OK(moon_formula_parse(code, 3, &formula));
    moon_formula_run(formula, (const float(*)[MOON_FORMULA_CHUNK])inputs, n, answers);
    for (size_t i = 0; i < n; i++) {
      const double of[3] = {inputs[0][i], inputs[1][i], inputs[2][i]};
      double want = worth(code, json_array_size(code) - 1, of);
      if (!isfinite(want)) assert_true(isnan(answers[i]));
      else assert_true(answers[i] == want);
      numbers += isfinite(want), none += !isfinite(want);
    }
    moon_formula_free(formula);
    json_decref(code);
  }
  assert_true(numbers > 10000 && none > 1000);
}

/* ---- as a feature ----------------------------------------------------------------------------------------------------------- */

#define PRICE "{'op':'numeric','name':'price','column':'price'}"
#define VIEWS "{'op':'count','name':'views','entity':'user','kinds':['view'],'windows_us':[1000]}"
#define POPULAR "{'op':'count','name':'popular','entity':'item','kinds':[],'windows_us':[0],'steps':[{'op':'log'}]}"
static const char formula_plan[] =
    "[{'op':'numeric','name':'w','column':'weight'},"
    "{'op':'formula','name':'cheap','where':'r.lua:5','inputs':[" PRICE "," VIEWS "," POPULAR "],'code':[{'op':'input','of':[1]},"
    "{'op':'input','of':[2]},{'op':'number','value':1},{'op':'add','of':[2,3]},{'op':'div','of':[1,4]},{'op':'input','of':[3]},"
    "{'op':'mul','of':[5,6]}]},"
    "{'op':'formula','name':'bucket','dim':2,'inputs':[" PRICE "],'code':[{'op':'input','of':[1]},{'op':'sqrt','of':[1]}],"
    "'steps':[{'op':'bucketize','edges':[1,2,3]}]},"
    "{'op':'count','name':'views','entity':'user','kinds':['view'],'windows_us':[1000]}]";

static const double prices[WORLD_ITEMS] = {9, 0, 99, NAN, -5, 1, 2, 3, NAN, NAN};

static void what_goes_into_a_formula_has_no_slot_of_its_own(void **nothing) {
  (void)nothing;
  world *w = world_new(formula_plan);
  assert_int_equal(w->plan->dense_slots, 3);
  assert_string_equal(w->plan->dense_names[1], "cheap");
  assert_int_equal(w->plan->id_slots, 1);
  assert_int_equal(w->plan->feature_count, 8);
  assert_int_equal(w->plan->counter_count, 2); /* the same views are counted once */
  for (size_t f = 4; f < 8; f++) assert_int_equal(w->plan->features[f].kind, MOON_KIND_INSIDE);
  world_free(w);
}

static void formula_is_made_of_numbers_as_they_were(void **nothing) {
  (void)nothing;
  world *w = world_new(formula_plan);
  moon_rng rng;
  moon_rng_seed(&rng, 3, 1);
  int64_t time = 100;
  for (uint32_t user = 0; user < WORLD_USERS; user++) state_user(w->state, user);
  for (int i = 0; i < 600; i++) {
    moon_event e = world_event(&rng, &time);
    int64_t clock = moon_state_clock(w->state), now = e.time > clock ? e.time : clock;
    float dense[WORLD_ITEMS][3];
    uint32_t items[WORLD_ITEMS], ids[WORLD_ITEMS];
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) items[item] = item;
    moon_inputs in = {.dense = dense[0], .ids = ids};
    moon_features_compute(w->features, w->state, state_user(w->state, e.user), NULL, items, WORLD_ITEMS, now, &in);
    double views = (double)naive_count(&w->all, true, e.user, 1, now, 1000);
    for (uint32_t item = 0; item < WORLD_ITEMS; item++) {
      double x = prices[item] / (views + 1) * log1p((double)naive_count(&w->all, false, item, 7, now, 0));
      if (isnan(x)) x = 0;
      if (fabs(dense[item][1] - x) > 1e-6 * (1 + fabs(x))) fail_msg("item %u: %g, not %g", item, dense[item][1], x);
      double root = sqrt(prices[item]);
      assert_int_equal(ids[item], isnan(root) ? 0 : 1 + (root >= 1) + (root >= 2) + (root >= 3));
      NEAR(dense[item][2], log1p(views), 1e-6);
    }
    world_fold(w->state, &w->all, e);
  }
  world_free(w);
}

static void one_and_many_candidates_are_equal_to_the_bit(void **nothing) {
  (void)nothing;
  enum { MUCH = 500 };
  world *w = world_new(formula_plan);
  moon_rng rng;
  moon_rng_seed(&rng, 8, 1);
  int64_t time = 100;
  for (int i = 0; i < 300; i++) world_fold(w->state, &w->all, world_event(&rng, &time));
  static float many[MUCH][3], one[MUCH][3];
  uint32_t items[MUCH], many_ids[MUCH], one_ids[MUCH];
  for (size_t i = 0; i < MUCH; i++) items[i] = moon_rng_below(&rng, WORLD_ITEMS + 2);
  moon_inputs in = {.dense = many[0], .ids = many_ids}, single = {.dense = one[0], .ids = one_ids};
  moon_features_compute(w->features, w->state, 1, NULL, items, MUCH, time, &in);
  for (size_t i = 0; i < MUCH; i++) moon_features_compute_at(w->features, w->state, 1, NULL, items[i], time, NULL, &single, i);
  assert_memory_equal(many, one, sizeof many);
  assert_memory_equal(many_ids, one_ids, sizeof many_ids);
  world_free(w);
}

static void wrong_formula_is_refused(void **nothing) {
  (void)nothing;
  static const struct {
    const char *text, *plan;
  } wrong[] = {
      {"r:1: inputs must be a list of 1 to 16 numbers, got 0", "[{'op':'formula','name':'f','where':'r:1'}]"},
      {"code must be a list of 1 to 128 operations, got 0", "[{'op':'formula','name':'f','inputs':[" PRICE "]}]"},
      {"has no operation 'ad'; did you mean 'add'?", "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'ad'}]}]"},
      {"operation 1 (input) of a formula works on what is not there",
       "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'input','of':[2]}]}]"},
      {"operation 1 (neg) of a formula works on what is not there",
       "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'neg','of':[1]}]}]"},
      {"operation 2 (neg) of a formula works on what is not there",
       "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'input','of':[1]},{'op':'neg','of':[0]}]}]"},
      {"operation 1 (add) of a formula takes 2 numbers, got 0", "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'add'}]}]"},
      {"operation 1 of a formula is no number", "[{'op':'formula','name':'f','inputs':[" PRICE "],'code':[{'op':'number','value':'1'}]}]"},
      {"two cannot go into a formula: one number",
       "[{'op':'formula','name':'f','inputs':[{'op':'count','name':'two','entity':'user','windows_us':[1,2]}],'code':[]}]"},
      {"s cannot go into a formula: one number without scale",
       "[{'op':'formula','name':'f','inputs':[{'op':'numeric','name':'s','column':'price','steps':[{'op':'scale','by':'minmax'}]}]}]"},
      {"item cannot go into a formula: only numbers can",
       "[{'op':'formula','name':'f','inputs':[{'op':'id','name':'item','entity':'item'}]}]"},
      {"f cannot go into a formula: only numbers can",
       "[{'op':'formula','name':'g','inputs':[{'op':'formula','name':'f','inputs':[" PRICE "]}]}]"},
      {"column colour of items.csv holds strings; c needs numbers",
       "[{'op':'formula','name':'f','inputs':[{'op':'column','name':'c','column':'colour'}]}]"},
  };
  moon_catalogue *catalogue = world_catalogue();
  for (size_t i = 0; i < MANY(wrong); i++) {
    json_t *json = json_of(wrong[i].plan);
    moon_feature_plan *plan = NULL;
    REFUSED(MOON_EINVAL, wrong[i].text, moon_feature_plan_new(json, catalogue, &plan));
    assert_null(plan);
    json_decref(json);
  }
  moon_catalogue_free(catalogue);
}

static void column_is_a_number_or_a_category_by_what_it_holds(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  moon_feature_plan *plan = plan_of("[{'op':'column','name':'weight','column':'weight','dim':3},"
                                    "{'op':'column','name':'colour','column':'colour','dim':3,'hash':9},"
                                    "{'op':'history','name':'h','of':'colour'},"
                                    "{'op':'column','name':'b','column':'weight','steps':[{'op':'bucketize','edges':[1]}],'dim':2}]", catalogue);
  assert_int_equal(plan->features[0].op, MOON_FEATURE_NUMERIC);
  assert_int_equal(plan->features[0].dim, 0);
  assert_int_equal(plan->features[1].op, MOON_FEATURE_CATEGORY);
  assert_int_equal(plan->features[1].hash, 9);
  assert_int_equal(plan->features[2].shares, 1);
  assert_int_equal(plan->features[3].kind, MOON_KIND_ID);
  moon_feature_plan_free(plan);
  json_t *json = json_of("[{'op':'column','name':'x','column':'colour','steps':[{'op':'log'}]}]");
  REFUSED(MOON_EINVAL, "column colour of items.csv holds strings; x needs numbers", moon_feature_plan_new(json, catalogue, &plan));
  json_decref(json);
  moon_catalogue_free(catalogue);
}

static void formula_survives_every_failing_allocation(void **nothing) {
  (void)nothing;
  moon_catalogue *catalogue = world_catalogue();
  json_t *json = json_of(formula_plan);
  moon_feature_plan *plan = NULL;
  size_t n = 1;
  for (;; n++) {
    moon_alloc_fail_at(n);
    moon_status status = moon_feature_plan_new(json, catalogue, &plan);
    moon_alloc_fail_at(0);
    if (!status.code) break;
    assert_int_equal(status.code, MOON_ENOMEM);
    assert_null(plan);
  }
  assert_true(n > 20);
  moon_feature_plan_free(plan);
  json_decref(json);
  moon_catalogue_free(catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formula_is_what_the_naive_evaluator_says),
      cmocka_unit_test(what_goes_into_a_formula_has_no_slot_of_its_own),
      cmocka_unit_test(formula_is_made_of_numbers_as_they_were),
      cmocka_unit_test(one_and_many_candidates_are_equal_to_the_bit),
      cmocka_unit_test(wrong_formula_is_refused),
      cmocka_unit_test(column_is_a_number_or_a_category_by_what_it_holds),
      cmocka_unit_test(formula_survives_every_failing_allocation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
