/* blas_core.c - which of its kernels OpenBLAS is to use, chosen before any work.
 *
 * OpenBLAS picks by the name of the processor, when it is loaded, and a processor that it does not know gets old kernels, at half the
 * speed where it has wider vectors. So on a processor that could run others they are measured, each by a child that loads OpenBLAS with
 * OPENBLAS_CORETYPE set, some milliseconds in all; where another is faster by a fifth, the command starts itself again with it.
 *
 * Kernels differ in the last bits of their sums. So that one training gives one result, a machine measures once and remembers in
 * moonshelf/kernels.json of the user's cache; where nothing can be remembered nothing is measured. OPENBLAS_CORETYPE, set by the user,
 * stands above all this. */
#include <cblas.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tensor/tensor.h"

enum { MOST = 4, RUNS = 3, M = 512, N = 384, K = 576 /* a product as moon_gemm leaves to OpenBLAS */ };
static const double CLEARLY = 1.2; /* times faster */
static const char WHY[] = "MOONSHELF_BLAS_CORE"; /* to the process that is started again, and to it only */

/* ---- the child ---------------------------------------------------------------------------------------------------------------- */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int cli_measure_blas(void) {
  static float a[M * K], b[K * N], c[M * N];
  double best = 0;
  moon_blas_init();
  for (size_t i = 0; i < M * K; i++) a[i] = (float)(i % 7);
  for (size_t i = 0; i < K * N; i++) b[i] = (float)(i % 5);
  for (int run = 0; run < RUNS; run++) {
    double start = now();
    moon_gemm_blas(false, false, M, N, K, a, b, false, c);
    double speed = 2e-9 * M * N * K / (now() - start);
    if (speed > best) best = speed;
  }
  return printf("%s %.3f\n", moon_blas_core(), best) > 0 ? CLI_DONE : CLI_FAILED;
}

/* ---- candidates --------------------------------------------------------------------------------------------------------------- */

typedef struct candidates {
  size_t n;
  char name[MOST][32]; /* the first is OpenBLAS's own choice */
  double gflops[MOST];
} candidates;

static void add(candidates *all, const char *name, size_t length) {
  if (all->n == MOST || !length || length >= sizeof all->name[0]) return;
  snprintf(all->name[all->n], sizeof all->name[0], "%.*s", (int)length, name);
  for (size_t i = 0; i < all->n; i++)
    if (!strcmp(all->name[i], all->name[all->n])) return;
  all->n++;
}

/* MOONSHELF_BLAS_CANDIDATES, "Haswell,Sandybridge", names them for tests. */
static candidates list_candidates(void) {
  candidates all = {0};
  const char *given = getenv("MOONSHELF_BLAS_CANDIDATES");
  add(&all, moon_blas_core(), strlen(moon_blas_core()));
  for (size_t n; given && *given; given += n + (given[n] == ',')) add(&all, given, n = strcspn(given, ","));
#if defined(__x86_64__) && defined(__GNUC__)
  if (!getenv("MOONSHELF_BLAS_CANDIDATES") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
    add(&all, "SkylakeX", strlen("SkylakeX"));
#endif
  return all;
}

/* GFLOP/s of the child with these kernels; 0 where it has none of that name, or failed. */
static double measure(char *name) {
  int pipes[2];
  pid_t child;
  posix_spawn_file_actions_t actions;
  char *const argv[] = {"moonshelf", "--measure-blas", NULL};
  char answer[128] = "", core[64];
  double speed = 0;
  if (pipe(pipes)) return 0;
  setenv("OPENBLAS_CORETYPE", name, 1);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, pipes[0]);
  bool runs = !posix_spawn(&child, "/proc/self/exe", &actions, NULL, argv, environ);
  posix_spawn_file_actions_destroy(&actions);
  unsetenv("OPENBLAS_CORETYPE");
  close(pipes[1]);
  for (size_t n = 0; runs && n + 1 < sizeof answer;) {
    ssize_t got = read(pipes[0], answer + n, sizeof answer - n - 1);
    if (got <= 0) break;
    n += (size_t)got;
  }
  close(pipes[0]);
  if (runs) waitpid(child, NULL, 0);
  return sscanf(answer, "%63s %lf", core, &speed) == 2 && !strcmp(core, name) ? speed : 0;
}

/* ---- what is remembered ------------------------------------------------------------------------------------------------------- */

static char *cache_folder(void) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && *cache == '/') return moon_path_join(cache, "moonshelf");
  return home && *home == '/' ? moon_path_join(home, ".cache/moonshelf") : NULL;
}

/* What the figures hold for: the processor's name and OpenBLAS's build, candidates included. */
static void describe(const candidates *all, char *text, size_t room) {
  char line[256], processor[128] = "unknown";
  FILE *file = fopen("/proc/cpuinfo", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "model name : %127[^\n]", processor) == 1) break;
  if (file) fclose(file);
  int n = snprintf(text, room, "%s; %s;", processor, openblas_get_config());
  for (size_t i = 0; i < all->n && n > 0 && (size_t)n < room; i++) n += snprintf(text + n, room - (size_t)n, " %s", all->name[i]);
}

static bool recall(const char *path, const char *machine, candidates *all) {
  moon_buf bytes = {0};
  bool found = !moon_file_read(path, 1 << 16, &bytes).code;
  json_t *known = found ? json_loadb(bytes.data, bytes.n, 0, NULL) : NULL;
  const char *where = json_string_value(json_object_get(known, "machine"));
  found = where && !strcmp(where, machine);
  for (size_t i = 0; i < all->n && found; i++) {
    const json_t *speed = json_object_get(json_object_get(known, "gflops"), all->name[i]);
    found = json_is_number(speed);
    all->gflops[i] = json_number_value(speed);
  }
  json_decref(known);
  moon_buf_free(&bytes);
  return found;
}

static bool remember(const char *folder, const char *path, const char *machine, const candidates *all) {
  json_t *speeds = json_object(), *known = json_pack("{s:s, s:o}", "machine", machine, "gflops", speeds);
  for (size_t i = 0; i < all->n; i++) json_object_set_new(speeds, all->name[i], json_real(all->gflops[i]));
  char *text = known ? json_dumps(known, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6)) : NULL;
  bool kept = text && !moon_dir_make(folder).code && !moon_file_replace(path, text, strlen(text)).code;
  free(text);
  json_decref(known);
  return kept;
}

/* All candidates' speeds, remembered or measured now; false where they cannot be remembered. */
static bool know_speeds(candidates *all) {
  char machine[512], *folder = cache_folder(), *path = folder ? moon_path_join(folder, "kernels.json") : NULL;
  describe(all, machine, sizeof machine);
  bool known = path && recall(path, machine, all);
  if (path && !known && remember(folder, path, machine, all)) { /* first whether it can be written at all */
    for (size_t i = 0; i < all->n; i++) all->gflops[i] = measure(all->name[i]);
    known = remember(folder, path, machine, all);
  }
  moon_free(path);
  moon_free(folder);
  return known;
}

/* ---- the choice --------------------------------------------------------------------------------------------------------------- */

void cli_choose_blas(char **argv) {
  if (getenv("OPENBLAS_CORETYPE")) return; /* the user's choice, or ours already */
  candidates all = list_candidates();
  if (all.n < 2 || !know_speeds(&all)) return;
  size_t best = 0;
  for (size_t i = 1; i < all.n; i++)
    if (all.gflops[i] > CLEARLY * all.gflops[0] && all.gflops[i] > all.gflops[best]) best = i;
  char why[160];
  snprintf(why, sizeof why, "%.1f GFLOP/s against %.1f of %s", all.gflops[best], all.gflops[best ? 0 : 1], all.name[best ? 0 : 1]);
  setenv(WHY, why, 1);
  if (!best) return;
  setenv("OPENBLAS_CORETYPE", all.name[best], 1);
  execv("/proc/self/exe", argv);
  unsetenv("OPENBLAS_CORETYPE"); /* it did not come to that: on with what there is */
}

const char *cli_blas_reason(void) {
  const char *why = getenv(WHY);
  if (why) return why;
  return getenv("OPENBLAS_CORETYPE") ? "OPENBLAS_CORETYPE says so" : "its own choice";
}
