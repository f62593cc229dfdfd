/* bench_state.c - what the state store takes for a million users with twenty features each: bytes, and the time to fold events in, to save
 * and to load. Then the same events within half of that memory.
 *
 *   build/release/tests/bench_state [USERS] [EVENTS A USER] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "feature/feature.h"

enum { ITEMS = 20000 };

/* Twenty of a user: nine counts in windows, two rates, three decayed counts, three last times, three histories. */
static const char twenty[] =
    "[{\"op\":\"id\",\"name\":\"item\",\"entity\":\"item\",\"hash\":30000},"
    "{\"op\":\"category\",\"name\":\"category\",\"column\":\"category\",\"hash\":100},"
    "{\"op\":\"count\",\"name\":\"v\",\"entity\":\"user\",\"kinds\":[\"view\"],\"windows_us\":[3600000000,86400000000,604800000000,0]},"
    "{\"op\":\"count\",\"name\":\"c\",\"entity\":\"user\",\"kinds\":[\"cart\"],\"windows_us\":[3600000000,86400000000,0]},"
    "{\"op\":\"count\",\"name\":\"p\",\"entity\":\"user\",\"kinds\":[\"purchase\"],\"windows_us\":[604800000000,0]},"
    "{\"op\":\"rate\",\"name\":\"cv\",\"entity\":\"user\",\"numerator\":[\"cart\"],\"denominator\":[\"view\"],\"over_us\":0},"
    "{\"op\":\"rate\",\"name\":\"pv\",\"entity\":\"user\",\"numerator\":[\"purchase\"],\"denominator\":[\"view\"],\"over_us\":0},"
    "{\"op\":\"decay\",\"name\":\"dv\",\"entity\":\"user\",\"kinds\":[\"view\"],\"half_life_us\":86400000000},"
    "{\"op\":\"decay\",\"name\":\"dc\",\"entity\":\"user\",\"kinds\":[\"cart\"],\"half_life_us\":86400000000},"
    "{\"op\":\"decay\",\"name\":\"dp\",\"entity\":\"user\",\"kinds\":[\"purchase\"],\"half_life_us\":86400000000},"
    "{\"op\":\"recency\",\"name\":\"rv\",\"entity\":\"user\",\"kinds\":[\"view\"]},"
    "{\"op\":\"recency\",\"name\":\"rc\",\"entity\":\"user\",\"kinds\":[\"cart\"]},"
    "{\"op\":\"recency\",\"name\":\"rp\",\"entity\":\"user\",\"kinds\":[\"purchase\"]},"
    "{\"op\":\"history\",\"name\":\"h\",\"last\":20},"
    "{\"op\":\"history\",\"name\":\"hc\",\"last\":20,\"of\":\"category\"},"
    "{\"op\":\"history\",\"name\":\"hg\",\"last\":20,\"of\":\"gap\"}]";

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_state: %s\n", status.message);
  exit(1);
}

static double since(int64_t started) { return (double)(moon_monotonic() - started) / (double)MOON_SECOND; }

static moon_catalogue *make_catalogue(void) {
  moon_buf csv = {0};
  moon_buf_puts(&csv, "item,category\n");
  for (int i = 0; i < ITEMS; i++) moon_buf_printf(&csv, "i%d,cat%d\n", i, i % 40);
  const moon_read_column columns[] = {{"item", "item", "string"}, {"category", "category", "string"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 2};
  moon_read_report report;
  moon_table *table;
  moon_catalogue *catalogue;
  must(moon_csv_read_memory("items.csv", csv.data, csv.n, &options, &table, &report));
  must(moon_catalogue_new(table, &catalogue));
  moon_buf_free(&csv);
  return catalogue;
}

/* Two weeks of events by users drawn evenly: views, one in eight a cart, one in twenty a purchase. */
static double fold(moon_state *state, size_t users, size_t events) {
  moon_rng rng;
  moon_rng_seed(&rng, 1, 2);
  uint32_t kinds[3], user;
  const char *const names[] = {"view", "cart", "purchase"};
  for (int i = 0; i < 3; i++) must(moon_state_kind(state, names[i], strlen(names[i]), true, &kinds[i]));
  int64_t started = moon_monotonic();
  for (size_t i = 0; i < events; i++) {
    char id[16];
    uint32_t which = moon_rng_below(&rng, 40), kind = which < 33 ? 0 : which < 38 ? 1 : 2;
    must(moon_state_user(state, id, (size_t)snprintf(id, sizeof id, "u%u", moon_rng_below(&rng, (uint32_t)users)), true, &user));
    must(moon_state_apply(state, user, moon_rng_below(&rng, ITEMS), kinds[kind], (int64_t)(i * 1209600.0 / (double)events) * MOON_SECOND));
  }
  return since(started);
}

int main(int argc, char **argv) {
  size_t users = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000, each = argc > 2 ? strtoul(argv[2], NULL, 10) : 10;
  moon_catalogue *catalogue = make_catalogue();
  moon_feature_plan *plan;
  moon_state *state, *again;
  json_t *json = json_loads(twenty, 0, NULL);
  must(moon_feature_plan_new(json, catalogue, &plan));
  must(moon_state_new(plan, &state));
  double took = fold(state, users, users * each);
  moon_state_memory m = moon_state_memory_now(state);
  printf("%zu users, %zu events: %.2f us an event\n", m.users, users * each, took * 1e6 / (double)(users * each));
  printf("state      %7.1f MiB, %.0f bytes a user\n", (double)m.bytes / 0x1p20, (double)m.bytes / (double)m.users);
  moon_buf bytes = {0};
  int64_t started = moon_monotonic();
  must(moon_state_save(state, &bytes));
  double save = since(started);
  started = moon_monotonic();
  must(moon_state_load(bytes.data, bytes.n, plan, &again));
  printf("snapshot   %7.1f MiB, %.0f bytes a user; saved in %.2f s, loaded in %.2f s\n", (double)bytes.n / 0x1p20, (double)bytes.n / (double)m.users,
         save, since(started));
  moon_buf_free(&bytes);
  moon_state_free(again);
  moon_state_free(state);
  must(moon_state_new(plan, &state));
  moon_state_limit(state, m.bytes / 2);
  took = fold(state, users, users * each);
  moon_state_memory half = moon_state_memory_now(state);
  printf("in half    %7.1f of %.1f MiB, %zu users are there, %llu were let go; %.2f us an event\n", (double)half.bytes / 0x1p20,
         (double)half.limit / 0x1p20, half.users, (unsigned long long)half.users_dropped, took * 1e6 / (double)(users * each));
  moon_state_free(state);
  moon_feature_plan_free(plan);
  moon_catalogue_free(catalogue);
  json_decref(json);
}
