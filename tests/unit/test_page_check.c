/* test_page_check.c - what a bundle says of a site: every part that does not fit, each with its line, and no harm whatever the plan. */
#include "exhaust.h"
#include "findings.h"
#include "page/site.h"
#include "page_shop.h"

static const char site_json[] =
    "{'where':'s:1','surfaces':{"
    "'home':{'where':'s:2','dedupe':'products','slots':["
    "{'name':'a','where':'s:3','rank':true,'sources':[{'type':'popular','n':5,'where':'s:4'}],'policies':["
    "{'op':'boost','when':[{'column':'nwe','op':'truthy'}],'factor':1.5,'where':'s:5'},"
    "{'op':'cap','limits':[{'column':'brand','n':2}],'where':'s:6'},"
    "{'op':'cap','limits':[{'column':'brnd','n':2}],'where':'s:7'}]},"
    "{'name':'b','where':'s:8','sources':[{'type':'populr','n':5,'where':'s:9'}],'policies':[]}]},"
    "'cart':{'where':'s:10','slots':[{'name':'c','where':'s:11','sources':[{'type':'popular','n':5}],'policies':["
    "{'op':'filter','when':[{'column':'brand','op':'gt','value':3}],'where':'s:12'}]}]}}}";

static moon_status check(const char *text, const moon_bundle *bundle, heard *out) {
  const moon_findings findings = {hear, out};
  json_t *plan = parse(text);
  memset(out, 0, sizeof *out);
  moon_status status = moon_site_check(plan, bundle, &findings);
  json_decref(plan);
  return status;
}

static void all_that_does_not_fit_is_told_of_once(void **state) {
  (void)state;
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  heard h;
  OK(check(site_json, &bundle, &h));
  HEARD(h, 6, 0, "s:2: ", "did you mean 'product'", "s:3: slot 'a' wants to be ranked", "s:9: there is no source 'populr'", "s:12: ");
  moon_catalogue_free(bundle.catalogue);
}

/* Without the slot's own mistake, its policies are tried. */
static void each_policy_is_tried_on_its_own(void **state) {
  (void)state;
  static const char slot[] = "{'surfaces':{'home':{'slots':[{'name':'a','where':'s:3','sources':[{'type':'popular'}],'policies':["
                             "{'op':'boost','when':[{'column':'nwe','op':'truthy'}],'factor':1.5,'where':'s:5'},"
                             "{'op':'cap','limits':[{'column':'brand','n':2}],'where':'s:6'},"
                             "{'op':'cap','limits':[{'column':'brnd','n':2}],'where':'s:7'}]}]}}}";
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  heard h;
  OK(check(slot, &bundle, &h));
  HEARD(h, 2, 0, "s:5: boost: ", "did you mean 'new'", "s:7: cap: ", "did you mean 'brand'");
  moon_catalogue_free(bundle.catalogue);
}

static void no_plan_whatever_does_harm(void **state) {
  (void)state;
  static const char *const plans[] = {
      "{}", "[]", "{'surfaces':5}", "{'surfaces':{'a':5}}", "{'surfaces':{'a':{}}}", "{'surfaces':{'a':{'slots':5}}}",
      "{'surfaces':{'a':{'slots':[5]}}}", "{'surfaces':{'a':{'slots':[{}]}}}", "{'surfaces':{'a':{'slots':[{'policies':5}]}}}",
      "{'surfaces':{'a':{'slots':[{'policies':[5,{}]}],'exclude_seen':[5]}}}", "{'surfaces':{'a':{'slots':[{}],'exclude_seen':5}}}"};
  moon_bundle bundle = {.catalogue = shop_catalogue()};
  heard h;
  for (size_t i = 0; i < sizeof plans / sizeof *plans; i++) {
    json_t *plan = parse(plans[i]), *tree = NULL;
    OK(check(plans[i], &bundle, &h));
    OK(moon_site_describe(plan, &tree));
    json_decref(tree);
    json_decref(plan);
  }
  moon_catalogue_free(bundle.catalogue);
}

static void a_site_is_drawn_page_by_page(void **state) {
  (void)state;
  json_t *plan = parse(site_json), *out;
  OK(moon_site_describe(plan, &out));
  const json_t *pages = json_object_get(json_object_get(out, "tree"), "children"), *home = json_array_get(pages, 1);
  assert_int_equal(json_array_size(pages), 2);
  assert_string_equal(json_string_value(json_object_get(home, "text")), "page home, each products once");
  const json_t *slot = json_array_get(json_object_get(home, "children"), 0);
  assert_string_equal(json_string_value(json_object_get(slot, "text")), "slot a: 0 from popular(5), ranked");
  assert_string_equal(json_string_value(json_object_get(slot, "where")), "s:3");
  json_decref(out);
  json_decref(plan);
}

typedef struct job {
  json_t *plan;
  moon_bundle bundle;
} job;

static moon_status describe_job(void *self) {
  json_t *out = NULL;
  moon_status status = moon_site_describe(((job *)self)->plan, &out);
  json_decref(out);
  return status;
}

static moon_status check_job(void *self) {
  heard h = {0};
  const moon_findings findings = {hear, &h};
  return moon_site_check(((job *)self)->plan, &((job *)self)->bundle, &findings);
}

static void without_memory_it_says_so(void **state) {
  (void)state;
  job j = {parse(site_json), {.catalogue = shop_catalogue()}};
  assert_true(exhaust(describe_job, &j) > 5);
  assert_true(exhaust(check_job, &j) > 5);
  json_decref(j.plan);
  moon_catalogue_free(j.bundle.catalogue);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_that_does_not_fit_is_told_of_once), cmocka_unit_test(each_policy_is_tried_on_its_own),
      cmocka_unit_test(no_plan_whatever_does_harm), cmocka_unit_test(a_site_is_drawn_page_by_page),
      cmocka_unit_test(without_memory_it_says_so),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
