/* bench_read.c - reading a file of the shape that read_peers.py makes, in this process: `bench_read FILE [RUNS]` prints the medians in
 * seconds, on the clock and of the processor. A name that ends in .jsonl or .db is read as such. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "data/data.h"

enum { MOST_RUNS = 101 };

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int64_t processor_time(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * MOON_SECOND + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

static moon_status read_file(const char *path, moon_table **out) {
  static const moon_read_column columns[] = {{"user", "user_id", "string"},  {"item", "item_id", "string"}, {"event", "event", "string"},
                                             {"time", "timestamp", "time_s"}, {"price", "price", "number"},  {"quantity", "quantity", "integer"},
                                             {"session", "session", "string"}, {"score", "score", "number"}};
  const moon_read_options options = {.delimiter = ',', .columns = columns, .column_count = 8};
  const moon_input input = {.path = path};
  const char *ending = strrchr(path, '.');
  if (ending && !strcmp(ending, ".jsonl")) return moon_jsonl_read(&input, 1, &options, out, NULL);
  if (ending && !strcmp(ending, ".db"))
    return moon_sqlite_read(&(moon_database){.database = path, .table = "e", .name = path}, &options, out, NULL);
  return moon_csv_read(&input, 1, &options, out, NULL);
}

int main(int argc, char **argv) {
  size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
  if (argc < 2 || runs < 1 || runs > MOST_RUNS) return fprintf(stderr, "usage: bench_read FILE [RUNS]\n"), 2;
  int64_t took[MOST_RUNS], busy[MOST_RUNS];
  for (size_t i = 0; i < runs; i++) {
    moon_table *table = NULL;
    int64_t start = moon_monotonic(), cpu = processor_time();
    moon_status status = read_file(argv[1], &table);
    took[i] = moon_monotonic() - start, busy[i] = processor_time() - cpu;
    if (status.code) return fprintf(stderr, "%s\n", status.message), 1;
    moon_table_free(table);
  }
  qsort(took, runs, sizeof *took, by_size);
  qsort(busy, runs, sizeof *busy, by_size);
  printf("%.4f %.4f\n", (double)took[runs / 2] / 1e6, (double)busy[runs / 2] / 1e6);
  return 0;
}
