/* bench_replay - from a recipe's files to examples with point-in-time features: seconds a stage, events a second, peak memory.
 *
 *   bench_replay RECIPE.lua DIR [RUNS]
 *
 * "features" is the replay: every event folded in, every example computed before it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "rank/rank.h"
#include "script/script.h"

typedef struct stages {
  moon_progress progress;
  int64_t replay_from, replay_to;
  double cpu_from, cpu_to; /* of the thread that computes */
} stages;

static double thread_cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool step(void *self, const char *stage, double fraction, const char *note) {
  stages *s = self;
  (void)note;
  if (strcmp(stage, "replay")) return true;
  if (!s->replay_from) s->replay_from = moon_monotonic(), s->cpu_from = thread_cpu();
  if (fraction >= 1) s->replay_to = moon_monotonic(), s->cpu_to = thread_cpu();
  return true;
}

static void must(moon_status status) {
  if (!status.code) return;
  fprintf(stderr, "bench_replay: %s\n", status.message);
  exit(1);
}

static double seconds(int64_t micros) { return (double)micros / (double)MOON_SECOND; }

static double cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "usage: bench_replay RECIPE.lua DIR [RUNS]\n"), 2;
  int runs = argc > 3 ? atoi(argv[3]) : 1;
  printf("events,examples,features,seconds,cpu_seconds,replay_seconds,replay_cpu,events_per_second,peak_MiB\n");
  for (int i = 0; i < runs; i++) {
    moon_host *host;
    json_t *plan;
    moon_dataset *d;
    must(moon_host_open(NULL, &host));
    must(moon_host_load_recipe(host, argv[1], &plan));
    moon_row_functions functions = moon_host_row_functions(host);
    stages s = {.progress = {step, &s}};
    const moon_dataset_options options = {.data_dir = argv[2], .functions = &functions, .progress = &s.progress};
    int64_t from = moon_monotonic();
    double cpu_from = cpu();
    must(moon_dataset_new(plan, &options, &d));
    double all = seconds(moon_monotonic() - from), replay = seconds(s.replay_to - s.replay_from);
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    printf("%zu,%zu,%zu,%.2f,%.2f,%.2f,%.2f,%.0f,%ld\n", d->log->n, d->examples.n, d->plan->feature_count, all, cpu() - cpu_from, replay, s.cpu_to - s.cpu_from,
           (double)d->log->n / replay, r.ru_maxrss / 1024);
    fflush(stdout);
    moon_dataset_free(d);
    json_decref(plan);
    moon_host_close(host);
  }
  return 0;
}
