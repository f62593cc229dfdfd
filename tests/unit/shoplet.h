/* shoplet.h - a shop of a few hundred events in a temporary folder, and its recipe's plan: for tests of rooms that need data. */
#ifndef TEST_SHOPLET_H
#define TEST_SHOPLET_H
#include <stdlib.h>
#include <unistd.h>

#include "numeric.h"
#include "rank/rank.h"

static const char shoplet_plan[] =
    "{\"name\":\"shoplet\",\"version\":1,"
    "\"sources\":{\"events\":{\"file\":\"events.csv\",\"delimiter\":\",\",\"where\":\"r:1\",\"columns\":["
    "{\"name\":\"user\",\"from\":\"user\"},{\"name\":\"item\",\"from\":\"item\"},{\"name\":\"event\",\"from\":\"event\"},"
    "{\"name\":\"time\",\"from\":\"time\",\"type\":\"time_s\"}]},"
    "\"items\":{\"file\":\"items.csv\",\"delimiter\":\",\",\"where\":\"r:2\",\"columns\":["
    "{\"name\":\"item\",\"from\":\"item\"},{\"name\":\"category\",\"from\":\"category\"},{\"name\":\"product\",\"from\":\"product\"},"
    "{\"name\":\"price\",\"from\":\"price\",\"type\":\"number\"},{\"name\":\"stock\",\"from\":\"stock\",\"type\":\"number\"}]}},"
    "\"preprocess\":[{\"op\":\"drop_missing\",\"columns\":[\"user\",\"item\",\"time\"],\"where\":\"r:3\"}],"
    "\"label\":{\"positive\":[\"purchase\"],\"of\":[\"view\"],\"within_us\":86400000000,\"where\":\"r:4\"},"
    "\"features\":["
    "{\"op\":\"id\",\"name\":\"user\",\"entity\":\"user\",\"dim\":4,\"min_count\":1,\"hash\":0,\"where\":\"r:5\"},"
    "{\"op\":\"id\",\"name\":\"item\",\"entity\":\"item\",\"dim\":4,\"min_count\":1,\"hash\":0,\"where\":\"r:6\"},"
    "{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"dim\":2,\"min_count\":1,\"where\":\"r:7\"},"
    "{\"op\":\"numeric\",\"name\":\"log(price)\",\"column\":\"price\",\"steps\":[{\"op\":\"log\"}],\"where\":\"r:8\"},"
    "{\"op\":\"count\",\"name\":\"count(item,view)\",\"entity\":\"item\",\"kinds\":[\"view\"],\"windows_us\":[3600000000,0],\"where\":\"r:9\"},"
    "{\"op\":\"rate\",\"name\":\"rate\",\"entity\":\"item\",\"numerator\":[\"purchase\"],\"denominator\":[\"view\"],\"over_us\":0,"
    "\"prior\":[1.0,20.0],\"where\":\"r:10\"},"
    "{\"op\":\"history\",\"name\":\"history(item)\",\"last\":5,\"kinds\":[],\"where\":\"r:11\"}],"
    "\"model\":{\"where\":\"r:12\",\"layers\":[{\"type\":\"dense\",\"units\":8,\"activation\":\"relu\",\"where\":\"r:12\"},"
    "{\"type\":\"dense\",\"units\":1,\"activation\":\"sigmoid\",\"where\":\"r:13\"}]},"
    "\"train\":{\"loss\":\"bce\",\"epochs\":3,\"batch\":16,\"seed\":1,\"patience\":0,"
    "\"optimizer\":{\"type\":\"adam\",\"lr\":0.01,\"beta1\":0.9,\"beta2\":0.999,\"epsilon\":1e-7},"
    "\"split\":{\"by\":\"time\",\"parts\":[0.8,0.1,0.1]}},"
    "\"evaluate\":[\"accuracy\",\"auc\",\"logloss\",\"recall@5\",\"ndcg@5\",\"coverage\"]}";

static inline json_t *shoplet_json(void) {
  json_error_t error;
  json_t *plan = json_loads(shoplet_plan, 0, &error);
  if (!plan) fail_msg("plan, line %d: %s", error.line, error.text);
  return plan;
}

static inline void shoplet_file(const char *folder, const char *name, const char *text) {
  char *path = moon_path_join(folder, name);
  OK(moon_file_write(path, text, strlen(text)));
  moon_free(path);
}

/* A fresh folder with events.csv and items.csv: 12 users, 10 items (i9 without stock, i8 and i7 variants of one product), people of
 * even numbers buy even items. The caller removes the folder with shoplet_remove. */
static inline char *shoplet_make(size_t events) {
  char *folder = strdup("/tmp/moon-shoplet-XXXXXX");
  assert_non_null(mkdtemp(folder));
  moon_buf text = {0};
  moon_buf_puts(&text, "item,category,product,price,stock\n");
  for (int i = 0; i < 10; i++)
    moon_buf_printf(&text, "i%d,c%d,p%d,%d.5,%d\n", i, i % 3, i == 8 ? 7 : i, 5 + 7 * i, i == 9 ? 0 : 3 + i);
  shoplet_file(folder, "items.csv", text.data);
  moon_buf_reset(&text);
  moon_buf_puts(&text, "user,item,event,time\n");
  moon_rng rng;
  moon_rng_seed(&rng, 5, 0);
  int64_t clock = 1700000000;
  for (size_t i = 0; i < events; i++) {
    uint32_t user = moon_rng_below(&rng, 12), item = moon_rng_below(&rng, 10) * moon_rng_below(&rng, 10) / 10;
    clock += 60 + moon_rng_below(&rng, 600);
    moon_buf_printf(&text, "u%u,i%u,view,%lld\n", user, item, (long long)clock);
    if ((user + item) % 2 == 0 && moon_rng_below(&rng, 3)) moon_buf_printf(&text, "u%u,i%u,purchase,%lld\n", user, item, (long long)clock + 20);
  }
  shoplet_file(folder, "events.csv", text.data);
  moon_buf_free(&text);
  return folder;
}

static inline void shoplet_remove(char *folder) {
  OK(moon_dir_remove(folder));
  free(folder);
}

static inline moon_status shoplet_dataset(const char *folder, const json_t *plan, moon_dataset **out) {
  const moon_dataset_options options = {.data_dir = folder};
  return moon_dataset_new(plan, &options, out);
}

static inline moon_status shoplet_model(const json_t *plan, const moon_dataset *d, uint64_t seed, moon_model **out) {
  size_t sizes[16] = {0};
  for (size_t i = 0; i < d->plan->feature_count; i++) sizes[i] = d->vocabs[i] ? moon_vocab_size(d->vocabs[i]) : 0;
  return moon_model_new(json_object_get(plan, "model"), d->plan, sizes, seed, out);
}

#endif
