/* shop.h - a small catalogue and plans of all features that a state remembers something for. */
#ifndef TEST_FUZZ_SHOP_H
#define TEST_FUZZ_SHOP_H
#include "feature/feature.h"
#include "fuzz/fuzz.h"

static const char *const moon_fuzz_plans[] = {
    "[{'op':'id','name':'user','entity':'user','dim':4,'min_count':1,'hash':0,'where':'r.lua:1'},"
    "{'op':'id','name':'item','entity':'item','dim':4,'min_count':1,'hash':64,'where':'r.lua:2'},"
    "{'op':'history','name':'history(item)','last':5,'kinds':['view','purchase'],'where':'r.lua:3'},"
    "{'op':'count','name':'count(item,view)','entity':'item','kinds':['view'],'windows_us':[100,1000,0],'where':'r.lua:4'},"
    "{'op':'count','name':'c(i)','entity':'item','kinds':[],'by':'colour','windows_us':[100],'steps':[{'op':'clip','bounds':[0,1e9]}]},"
    "{'op':'rate','name':'r','entity':'user','by':'colour','numerator':['purchase'],'denominator':['view'],'over_us':1000,'prior':[1,4]},"
    "{'op':'decay','name':'d(i)','entity':'item','kinds':['view'],'half_life_us':200,'steps':[{'op':'log'}]},"
    "{'op':'recency','name':'l(ui)','entity':'user','by':'item','kinds':['view'],'never_us':4000000}]",
    "[{'op':'category','name':'colour','column':'colour','dim':2,'min_count':1,'where':'r.lua:3'},"
    "{'op':'numeric','name':'price','column':'price','steps':[{'op':'log'},{'op':'scale','by':'quantile'},{'op':'bucketize','edges':[1,2]}]},"
    "{'op':'cross','name':'x','columns':['user','colour'],'hash':9},{'op':'tags','name':'t','column':'colour','separator':'|','max':3,'dim':2},"
    "{'op':'tfidf','name':'w','column':'colour','dim':8},{'op':'clock','name':'z','unit':'hour','zone_us':-12600000000},"
    "{'op':'history','name':'h','of':'gap','last':4,'dim':2},{'op':'age','name':'a','column':'price'}]"};
enum { MOON_FUZZ_PLANS = sizeof moon_fuzz_plans / sizeof *moon_fuzz_plans };

/* A plan with its right quotes. */
static inline size_t moon_fuzz_plan_text(size_t which, uint8_t *out, size_t cap) {
  size_t n = moon_fuzz_put(moon_fuzz_plans[which], strlen(moon_fuzz_plans[which]), out, cap);
  for (size_t i = 0; i < n; i++)
    if (out[i] == '\'') out[i] = '"';
  return n;
}

static inline moon_catalogue *moon_fuzz_catalogue(void) {
  static const char csv[] = "item,colour,weight,price\ni0,red,1.5,9\ni1,blue,-2,0\ni2,,,\n";
  static const moon_read_column columns[] = {
      {"item", "item", "string"}, {"colour", "colour", "string"}, {"weight", "weight", "number"}, {"price", "price", "number"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 4};
  moon_table *table;
  moon_catalogue *catalogue;
  check(!moon_csv_read_memory("items.csv", csv, sizeof csv - 1, &options, &table, NULL).code);
  check(!moon_catalogue_new(table, &catalogue).code);
  return catalogue;
}

#endif
