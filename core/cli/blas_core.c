/* blas_core.c - which of its kernels OpenBLAS is to use, chosen before any work.
 *
 * OpenBLAS picks by the name of the processor, when it is loaded, and a processor that it does not know gets old kernels, at
 * half the speed where it has wider vectors. So on a processor that could run others they are measured, each by a child that
 * loads OpenBLAS with OPENBLAS_CORETYPE set, some tenths of a second in all; where another is faster by a fifth, the command
 * starts itself again with it.
 *
 * Kernels differ in the last bits of their sums. So that one training gives one result, a machine measures once and remembers
 * in moonshelf/kernels.json of the user's cache, beside what other machines with the same home measured; where nothing can be
 * remembered nothing is measured. OPENBLAS_CORETYPE, set by the user, stands above all this. */
#include <cblas.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "tensor/tensor.h"

enum { MOST = 4, ROUNDS = 2, RUNS = 3, M = 512, N = 384, K = 576 /* a product as moon_gemm leaves to OpenBLAS */ };
static const double CLEARLY = 1.2; /* times faster */
static const char CORETYPE[] = "OPENBLAS_CORETYPE";
static const char WHY[] = "MOONSHELF_BLAS_CORE"; /* from the process that chose to itself, started again */

/* ---- the child ------------------------------------------------------------------------------------------------------------- */

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

/* ---- candidates ------------------------------------------------------------------------------------------------------------ */

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

/* Beside its own choice those that are worth a look: wider vectors. Without these there is no other candidate, and nothing is
 * started. MOONSHELF_BLAS_CANDIDATES, "Haswell,Sandybridge", names others for tests. */
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

/* Starts `moonshelf --measure-blas` with these kernels, its answer going to `out`; what OpenBLAS says of a name that it does not
 * know goes nowhere. */
static bool start_child(const char *name, int out, pid_t *child) {
  char *const argv[] = {"moonshelf", "--measure-blas", NULL};
  posix_spawn_file_actions_t actions;
  if (posix_spawn_file_actions_init(&actions)) return false;
  setenv(CORETYPE, name, 1);
  bool runs = !posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO) &&
              !posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0) &&
              !posix_spawn(child, "/proc/self/exe", &actions, NULL, argv, environ);
  unsetenv(CORETYPE);
  posix_spawn_file_actions_destroy(&actions);
  return runs;
}

/* GFLOP/s of the child with these kernels; 0 where it has none of that name, or failed. */
static double measure(const char *name) {
  int pipes[2];
  pid_t child;
  char answer[128] = "", core[64];
  double speed = 0;
  if (pipe2(pipes, O_CLOEXEC)) return 0;
  bool runs = start_child(name, pipes[1], &child);
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

/* In rounds, so that a neighbour who is busy for a moment slows none of them for good. */
static void measure_all(candidates *all) {
  for (int round = 0; round < ROUNDS; round++)
    for (size_t i = 0; i < all->n; i++) {
      double speed = measure(all->name[i]);
      if (speed > all->gflops[i]) all->gflops[i] = speed;
    }
}

/* ---- what is remembered: {machine: {core: GFLOP/s}} ------------------------------------------------------------------------ */

enum { LARGEST = 1 << 16 };

static char *cache_folder(void) {
  const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
  if (cache && *cache == '/') return moon_path_join(cache, "moonshelf");
  return home && *home == '/' ? moon_path_join(home, ".cache/moonshelf") : NULL;
}

void cli_processor_name(char *name, size_t room) {
  char line[256];
  FILE *file = fopen("/proc/cpuinfo", "r");
  snprintf(name, room, "unknown");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, "model name", strlen("model name")) || !strchr(line, ':')) continue;
    const char *from = strchr(line, ':') + 1;
    from += strspn(from, " ");
    snprintf(name, room, "%.*s", (int)strcspn(from, "\n"), from);
    break;
  }
  if (file) fclose(file);
  moon_text_tidy(name);
}

/* What the figures hold for: the processor's name and OpenBLAS's build. */
static void describe(char *text, size_t room) {
  char processor[128];
  cli_processor_name(processor, sizeof processor);
  snprintf(text, room, "%s; %s", processor, openblas_get_config());
}

/* An empty object where there is no file, or none of ours. */
static json_t *load(const char *path) {
  moon_buf bytes = {0};
  json_t *known = moon_file_read(path, LARGEST, &bytes).code ? NULL : json_loadb(bytes.data, bytes.n, 0, NULL);
  moon_buf_free(&bytes);
  if (json_is_object(known)) return known;
  json_decref(known);
  return json_object();
}

/* A candidate may have failed, 0; with nothing to compare it with, nothing is known. */
static bool recall(const char *path, const char *machine, candidates *all) {
  json_t *known = load(path);
  const json_t *speeds = json_object_get(known, machine);
  bool found = json_number_value(json_object_get(speeds, all->name[0])) > 0;
  for (size_t i = 0; i < all->n && found; i++) found = json_is_number(json_object_get(speeds, all->name[i]));
  for (size_t i = 0; i < all->n; i++) all->gflops[i] = found ? json_number_value(json_object_get(speeds, all->name[i])) : 0;
  json_decref(known);
  return found;
}

static bool remember(const char *path, const char *machine, const candidates *all) {
  json_t *known = load(path), *speeds = json_object();
  for (size_t i = 0; i < all->n; i++) json_object_set_new(speeds, all->name[i], json_real(all->gflops[i]));
  bool set = !json_object_set_new(known, machine, speeds);
  char *text = set ? json_dumps(known, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(6)) : NULL;
  bool kept = text && strlen(text) <= LARGEST && !moon_file_replace(path, text, strlen(text)).code;
  free(text);
  json_decref(known);
  return kept;
}

/* First it is seen whether the file can be written at all, while all speeds are 0, which is nothing to recall. What counts in the
 * end is what was written, to the digit. */
static bool measure_and_remember(const char *path, const char *machine, candidates *all) {
  if (!remember(path, machine, all)) return false;
  measure_all(all);
  return remember(path, machine, all) && recall(path, machine, all);
}

/* Whoever starts second waits for what the first measures, or both would choose for themselves. */
static const char *measure_once(const char *folder, const char *path, const char *machine, candidates *all) {
  char *name = moon_path_join(folder, "kernels.lock");
  int lock = name && !moon_dir_make(folder).code ? open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1;
  const char *how = NULL;
  if (lock >= 0 && !flock(lock, LOCK_EX)) {
    if (recall(path, machine, all))
      how = "remembered";
    else if (measure_and_remember(path, machine, all))
      how = "measured";
  }
  if (lock >= 0) close(lock);
  moon_free(name);
  return how;
}

/* How all candidates' speeds are known; NULL where they cannot be remembered. */
static const char *know_speeds(candidates *all) {
  char machine[384], *folder = cache_folder(), *path = folder ? moon_path_join(folder, "kernels.json") : NULL;
  describe(machine, sizeof machine);
  const char *how = NULL;
  if (path && recall(path, machine, all))
    how = "remembered";
  else if (path)
    how = measure_once(folder, path, machine, all);
  moon_free(path);
  moon_free(folder);
  return how;
}

/* ---- the choice ------------------------------------------------------------------------------------------------------------ */

static size_t fastest(const candidates *all) {
  size_t best = 0;
  for (size_t i = 1; i < all->n; i++)
    if (all->gflops[i] > CLEARLY * all->gflops[0] && all->gflops[i] > all->gflops[best]) best = i;
  return best;
}

/* Does not come back but where that fails. */
static void start_again(char **argv) {
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n > 0) self[n] = 0, execv(self, argv); /* ps shows this name */
  execv("/proc/self/exe", argv);
}

void cli_choose_blas(char **argv) {
  if (getenv(CORETYPE)) return; /* the user's choice, or ours already */
  candidates all = list_candidates();
  if (all.n < 2) return;
  const char *how = know_speeds(&all);
  if (!how) {
    setenv(WHY, "its own choice: a measurement could not be remembered", 1);
    return;
  }
  char why[256];
  size_t best = fastest(&all);
  int n = snprintf(why, sizeof why, "%s: GFLOP/s", how);
  for (size_t i = 0; i < all.n; i++)
    n += snprintf(why + n, sizeof why - (size_t)n, "%s %s %.4g", i ? "," : "", all.name[i], all.gflops[i]);
  setenv(WHY, why, 1);
  if (!best) return;
  setenv(CORETYPE, all.name[best], 1);
  start_again(argv);
  unsetenv(CORETYPE);
  setenv(WHY, "its own choice: the command could not be started again", 1);
}

const char *cli_blas_reason(void) {
  const char *why = getenv(WHY), *pinned = getenv(CORETYPE);
  if (why) return why;
  if (!pinned) return "the only candidate";
  return strcasecmp(pinned, moon_blas_core()) ? "OPENBLAS_CORETYPE names what it has not" : "OPENBLAS_CORETYPE says so";
}
