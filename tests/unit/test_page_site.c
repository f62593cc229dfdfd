/* test_page_site.c - plans of sites: what is read, how each mistake is named, and that no plan whatever does harm. */
#include "page/site.h"
#include "page_shop.h"

static const char site_json[] =
    "{'version':1,'where':'site.lua:30','surfaces':{"
    "'home':{'where':'site.lua:20','dedupe':'product','exclude_seen':['purchase'],'fallback':[{'type':'popular','n':2000,'where':'site.lua:21'}],"
    "'slots':[{'name':'for_you','title':'You may like','take':12,'min':4,'rank':true,'gate':{'op':'fn','fn':1},'where':'site.lua:7',"
    "'sources':[{'type':'similar','n':200,'where':'site.lua:8'},{'type':'trending','n':300}],"
    "'policies':[{'op':'boost','when':[{'column':'new','op':'truthy'}],'factor':1.15,'owner':'merchandising','reason':'new this month',"
    "'starts_us':1000,'ends_us':1790000000000000,'label':'boost(new)','where':'site.lua:9'},"
    "{'op':'boost','when':[{'column':'price','op':'gt','value':500}],'factor':0.9,'owner':'logistics'},"
    "{'op':'filter','when':[{'column':'brand','op':'in','value':['Acme','Bodo']}],'label':'filter(brand)','where':'site.lua:10'},"
    "{'op':'cap','limits':[{'column':'brand','n':2},{'column':'category','n':3}],'label':'cap(brand,category)','where':'site.lua:11'},"
    "{'op':'mmr','lambda':0.8,'by':'embedding','k':24,'label':'mmr(embedding)','where':'site.lua:12'},"
    "{'op':'lua','fn':2,'label':'lua(site.lua:13)','where':'site.lua:13'}]},"
    "{'name':'recent','sources':[{'type':'recent'}],'policies':[],'where':'site.lua:14'}]},"
    "'cart':{'slots':[{'name':'more','sources':[{'type':'popular','n':5}],'policies':[{'op':'mmr','by':'brand'}]}],'dedupe':null,'fallback':[]}}}";

static moon_feature id_of_item = {.op = MOON_FEATURE_ID};
static moon_feature_plan features = {.features = &id_of_item, .feature_count = 1};

/* A bundle that says that it has a model; reading a site only looks whether it is there. */
static moon_bundle shop_bundle(void) {
  moon_bundle bundle = {.catalogue = shop_catalogue(), .feature_plan = &features};
  bundle.model = (moon_model *)&features;
  bundle.features = (moon_features *)&features;
  return bundle;
}

static moon_status read_site(const char *text, const moon_bundle *bundle, moon_site **out) {
  json_t *json = parse(text);
  moon_status st = moon_site_new(json, bundle, out);
  json_decref(json);
  return st;
}

static void a_plan_is_read_as_it_was_written(void **state) {
  (void)state;
  moon_bundle bundle = shop_bundle();
  moon_site *site = NULL;
  OK(read_site(site_json, &bundle, &site));
  assert_int_equal(site->page_count, 2);
  assert_int_equal(site->chart_length, 2000);
  const moon_site_page *home = &site->pages[0];
  assert_string_equal(home->name, "home");
  assert_true(home->dedupe == MOON_DEDUPE_COLUMN && home->fallback_count == 1 && home->exclude_count == 1 && home->slot_count == 2);
  const moon_site_slot *slot = &home->slots[0];
  assert_true(slot->title_count == 1);
  assert_true(slot->take == 12 && slot->min == 4 && slot->gate->fn == 1 && slot->rank && slot->source_count == 2 && slot->policy_count == 6);
  assert_true(slot->sources[0].kind == MOON_SOURCE_SIMILAR && slot->sources[1].kind == MOON_SOURCE_TRENDING && slot->sources[1].n == 300);
  const moon_policy *p = slot->policies;
  const moon_boost_args *boost = p[0].args;
  const moon_filter_args *filter = p[2].args;
  const moon_cap_args *cap = p[3].args;
  const moon_mmr_args *mmr = p[4].args;
  assert_true(p[0].op == &moon_op_boost && boost->factor == 1.15 && p[0].starts == 1000 && p[0].ends == 1790000000000000);
  assert_string_equal(p[0].text, "new this month (merchandising)");
  assert_string_equal(p[1].text, "logistics");
  assert_string_equal(p[1].label, "boost");
  assert_true(p[1].starts == INT64_MIN && p[1].ends == INT64_MAX);
  assert_true(moon_condition_holds(filter->when.when, bundle.catalogue, 0) && !moon_condition_holds(filter->when.when, bundle.catalogue, 5));
  assert_true(cap->limits.n == 2 && cap->limits.at[1].n == 3 && cap->first == 0);
  assert_true(mmr->lambda == 0.8 && mmr->k == 24 && ((const moon_script_args *)p[5].args)->fn == 2);
  assert_true(home->slots[1].take == 10 && home->slots[1].min == 1 && home->slots[1].sources[0].n == 100);
  assert_true(home->slots[1].title_count == 0);
  assert_true(site->pages[1].dedupe == MOON_DEDUPE_NONE && ((const moon_mmr_args *)site->pages[1].slots[0].policies[0].args)->k == 50);
  moon_site_free(site);
  moon_catalogue_free(bundle.catalogue);
}

static void variants_share_a_product_number(void **state) {
  (void)state;
  moon_bundle bundle = shop_bundle();
  moon_site *site = NULL;
  OK(read_site(site_json, &bundle, &site));
  assert_int_equal(site->pages[0].product[0], site->pages[0].product[1]);
  assert_int_not_equal(site->pages[0].product[0], site->pages[0].product[2]);
  assert_int_equal(site->pages[0].product[7], MOON_NONE); /* no product: like nothing */
  moon_site_free(site);
  moon_catalogue_free(bundle.catalogue);
}

static void products_may_be_numbers(void **state) {
  (void)state;
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"product", "product", "integer"}};
  moon_bundle bundle = {.catalogue = shop_catalogue_of("item,product\na,-1\nb,7\nc,-1\nd,\ne,\n", columns, 2)};
  moon_site *site = NULL;
  OK(read_site("{'surfaces':{'home':{'dedupe':'product','slots':[{'name':'s','sources':[{'type':'popular'}]}]}}}", &bundle, &site));
  assert_true(site->pages[0].product[0] == 0 && site->pages[0].product[1] == 1 && site->pages[0].product[2] == 0 && site->pages[0].product[3] == MOON_NONE && site->pages[0].product[4] == MOON_NONE);
  moon_site_free(site);
  moon_catalogue_free(bundle.catalogue);
}

/* The site with the first `from` turned into `to`. */
static char *changed(const char *from, const char *to) {
  const char *at = strstr(site_json, from);
  if (!at) fail_msg("the site has no %s", from);
  char *text = malloc(strlen(site_json) + strlen(to) + 1);
  sprintf(text, "%.*s%s%s", (int)(at - site_json), site_json, to, at + strlen(from));
  return text;
}

static void mistakes_are_named_with_their_line(void **state) {
  (void)state;
  static const struct {
    const char *from, *to, *says[2];
    moon_code code;
  } wrong[] = {
      {"'column':'new'", "'column':'nwe'", {"site.lua:9: boost(new): ", "did you mean 'new'"}, MOON_ENOTFOUND},
      {"'factor':1.15", "'factor':-1", {"site.lua:9: boost(new): ", "factor"}, MOON_EINVAL},
      {"'factor':1.15", "'factor':1e-300", {"site.lua:9: boost(new): ", "factor"}, MOON_EINVAL},
      {"'factor':1.15", "'factor':1e300", {"site.lua:9: boost(new): ", "factor"}, MOON_EINVAL},
      {"'factor':1.15,", "", {"site.lua:9: boost(new): ", "factor"}, MOON_EFORMAT},
      {"'starts_us':1000", "'starts_us':'now'", {"site.lua:9: boost(new): ", "starts_us"}, MOON_EFORMAT},
      {"'column':'price','op':'gt'", "'column':'brand','op':'gt'", {"site.lua:7: boost: ", "holds strings"}, MOON_EINVAL},
      {"{'column':'brand','n':2}", "{'column':'brandt','n':2}", {"site.lua:11: cap(brand,category): ", "did you mean 'brand'"}, MOON_ENOTFOUND},
      {"{'column':'brand','n':2}", "{'column':'brand','n':0}", {"site.lua:11: ", "n must be"}, MOON_EINVAL},
      {"'by':'embedding'", "'by':'price'", {"site.lua:12: mmr(embedding): ", "column of strings"}, MOON_EINVAL},
      {"'by':'embedding'", "'by':'bran'", {"site.lua:12: mmr(embedding): ", "did you mean 'brand'"}, MOON_ENOTFOUND},
      {"'lambda':0.8", "'lambda':2", {"site.lua:12: ", "lambda"}, MOON_EINVAL},
      {"'fn':2", "'fn':0", {"site.lua:13: ", "fn must be"}, MOON_EINVAL},
      {"'op':'mmr'", "'op':'mrm'", {"site.lua:12: ", "did you mean 'mmr'"}, MOON_ENOTFOUND},
      {"'type':'similar'", "'type':'simliar'", {"site.lua:8: ", "did you mean 'similar'"}, MOON_ENOTFOUND},
      {"'type':'popular'", "'type':'promoted'", {"site.lua:21: there is no source 'promoted'; there is popular, trending", "recent"}, MOON_ENOTFOUND},
      {"'n':200,", "'n':0,", {"site.lua:8: ", "n must be a whole number from 1 to 100000, not 0"}, MOON_EINVAL},
      {"'take':12", "'take':1001", {"site.lua:7: ", "take"}, MOON_EINVAL},
      {"'min':4", "'min':13", {"site.lua:7: ", "min"}, MOON_EINVAL},
      {"'rank':true", "'rank':'yes'", {"site.lua:7: ", "rank"}, MOON_EFORMAT},
      {"'name':'for_you',", "", {"site.lua:7: ", "name is missing"}, MOON_EFORMAT},
      {"'dedupe':'product'", "'dedupe':'products'", {"site.lua:20: ", "did you mean 'product'"}, MOON_ENOTFOUND},
      {"['purchase']", "[7]", {"site.lua:20: ", "exclude_seen"}, MOON_EFORMAT},
      {"['purchase']", "'purchase'", {"site.lua:20: ", "exclude_seen must be a list"}, MOON_EFORMAT},
      {"[{'type':'recent'}]", "[]", {"site.lua:14: ", "no sources"}, MOON_EFORMAT},
      {"'surfaces'", "'pages'", {"site.lua:30: ", "surfaces"}, MOON_EFORMAT},
  };
  moon_bundle bundle = shop_bundle();
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    char *text = changed(wrong[i].from, wrong[i].to);
    moon_site *site = NULL;
    moon_status st = read_site(text, &bundle, &site);
    bool begins = !strncmp(st.message, wrong[i].says[0], strlen(wrong[i].says[0]));
    if (st.code != wrong[i].code || !begins || !strstr(st.message, wrong[i].says[1]) || site)
      fail_msg("%s -> %s: %d \"%s\"", wrong[i].from, wrong[i].to, st.code, st.message);
    free(text);
  }
  moon_catalogue_free(bundle.catalogue);
}

static void what_the_bundle_lacks_is_an_error(void **state) {
  (void)state;
  static const moon_read_column columns[] = {{"item", "item", "string"}, {"prod", "prod", "string"}};
  static const char by_product[] = "{'surfaces':{'home':{'where':'site.lua:4','dedupe':'product','slots':[{'name':'s','sources':[{'type':'popular'}]}]}}}";
  moon_site *site = NULL;
  moon_bundle other = {.catalogue = shop_catalogue_of("item,prod\na,b\n", columns, 2)};
  REFUSED(MOON_ENOTFOUND, "site.lua:4: dedupe = 'product': ", read_site(by_product, &other, &site));
  moon_catalogue_free(other.catalogue);
  moon_bundle bundle = shop_bundle();
  id_of_item.of_user = true;
  REFUSED(MOON_EINVAL, "site.lua:12: mmr(embedding): by = 'embedding' needs", read_site(site_json, &bundle, &site));
  id_of_item.of_user = false;
  bundle.model = NULL;
  REFUSED(MOON_EINVAL, "site.lua:7: slot 'for_you' wants to be ranked", read_site(site_json, &bundle, &site));
  assert_null(site);
  moon_catalogue_free(bundle.catalogue);
}

/* ---- hostile plans */

static json_t *random_value(moon_rng *rng) {
  static const char *const texts[] = {"", "popular", "embedding", "price", "brand", "product", "boost", "lt", "in", "\xc3\xa9", "site.lua:1"};
  switch (moon_rng_below(rng, 9)) {
    case 0: return json_null();
    case 1: return json_boolean((int)moon_rng_below(rng, 2));
    case 2: return json_integer((json_int_t)moon_rng_below(rng, 20) - 3);
    case 3: return json_integer((json_int_t)moon_rng_u64(rng));
    case 4: return json_real((moon_rng_uniform(rng) - 0.5) * (moon_rng_below(rng, 2) ? 1e300 : 4));
    case 5: return json_string(texts[moon_rng_below(rng, sizeof texts / sizeof *texts)]);
    case 6: return json_pack("[{s:s, s:i}, []]", "column", "price", "n", 2);
    case 7: return json_array();
    default: return json_object();
  }
}

/* Replaces, removes or doubles one value somewhere below `node`. */
static void mutate(moon_rng *rng, json_t *node, const json_t *spare) {
  size_t n = json_is_array(node) ? json_array_size(node) : json_object_size(node);
  if (!n) return;
  size_t at = moon_rng_below(rng, (uint32_t)n);
  const char *key = NULL;
  json_t *child = NULL;
  if (json_is_array(node)) {
    child = json_array_get(node, at);
  } else {
    void *iter = json_object_iter(node);
    while (at--) iter = json_object_iter_next(node, iter);
    key = json_object_iter_key(iter), child = json_object_iter_value(iter);
  }
  if (moon_rng_below(rng, 4) && (json_is_object(child) || json_is_array(child))) {
    mutate(rng, child, spare);
    return;
  }
  json_t *fresh = moon_rng_below(rng, 6) ? random_value(rng) : json_deep_copy(spare);
  bool remove = !moon_rng_below(rng, 5);
  if (remove) json_decref(fresh);
  if (key && remove) json_object_del(node, key);
  else if (key) json_object_set_new(node, key, fresh);
  else if (remove) json_array_remove(node, json_array_size(node) - 1);
  else json_array_set_new(node, moon_rng_below(rng, (uint32_t)n), fresh);
}

static void no_plan_does_harm(void **state) {
  (void)state;
  moon_bundle bundle = shop_bundle();
  json_t *whole = parse(site_json);
  json_t *spare = json_object_get(json_object_get(json_object_get(whole, "surfaces"), "home"), "slots");
  moon_rng rng;
  moon_rng_seed(&rng, 31, 0);
  size_t refused = 0, rounds = 6000;
  for (size_t round = 0; round < rounds; round++) {
    json_t *json = json_deep_copy(whole);
    for (size_t n = 1 + moon_rng_below(&rng, 3); n > 0; n--) mutate(&rng, json, spare);
    moon_site *site = NULL;
    moon_status st = moon_site_new(json, &bundle, &site);
    if (st.code && (site || !st.message[0] || (st.code != MOON_EINVAL && st.code != MOON_EFORMAT && st.code != MOON_ENOTFOUND)))
      fail_msg("round %zu: %d %s", round, st.code, st.message);
    refused += st.code != 0;
    moon_site_free(site);
    json_decref(json);
  }
  assert_true(refused > rounds / 4 && refused < rounds);
  static const char *const junk[] = {"7", "null", "'site'", "[]", "{}", "{'surfaces':[]}", "{'surfaces':{'home':7}}", "{'surfaces':{'home':{}}}",
                                     "{'surfaces':{'home':{'slots':{}}}}", "{'surfaces':{'home':{'slots':[null]}}}"};
  for (size_t i = 0; i < sizeof junk / sizeof *junk; i++) {
    moon_site *site = NULL;
    moon_status st = read_site(junk[i], &bundle, &site);
    if (st.code != MOON_EFORMAT) fail_msg("%s: %d %s", junk[i], st.code, st.message);
  }
  json_decref(whole);
  moon_catalogue_free(bundle.catalogue);
}

static void failing_memory_leaks_nothing(void **state) {
  (void)state;
  moon_bundle bundle = shop_bundle();
  json_t *json = parse(site_json);
  for (size_t n = 1;; n++) {
    moon_site *site = NULL;
    moon_alloc_fail_at(n);
    moon_status st = moon_site_new(json, &bundle, &site);
    moon_alloc_fail_at(0);
    assert_true(st.code ? st.code == MOON_ENOMEM && !site : site != NULL);
    moon_site_free(site);
    if (!st.code) {
      assert_true(n > 3); /* the site, blocks of its arena, numbers of products */
      break;
    }
  }
  json_decref(json);
  moon_catalogue_free(bundle.catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_plan_is_read_as_it_was_written), cmocka_unit_test(variants_share_a_product_number),
      cmocka_unit_test(products_may_be_numbers),          cmocka_unit_test(mistakes_are_named_with_their_line),
      cmocka_unit_test(what_the_bundle_lacks_is_an_error), cmocka_unit_test(no_plan_does_harm),
      cmocka_unit_test(failing_memory_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
