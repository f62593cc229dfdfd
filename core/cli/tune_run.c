/* tune_run.c - trials on some processes: the same binary, which reads a trial's file and answers in it.
 *
 * A process of its own for each run: what one trial breaks, or takes of memory, is no other's. Who runs what and when does not matter to
 * any result; the parent only waits, shows how far it is, and passes Ctrl-C on. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/tune.h"

enum { ARGS = 24 };

/* ---- one process -------------------------------------------------------------------------------------------------------- */

static void become(char *const *argv, const char *log, pid_t parent) {
  int in = open("/dev/null", O_RDONLY), out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(126);
  setpgid(0, 0); /* Ctrl-C is the parent's, who tells us */
#ifdef __linux__
  prctl(PR_SET_PDEATHSIG, SIGKILL); /* without it nobody would wait for us */
#endif
  if (getppid() != parent) _exit(126);
  char self[4096];
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n > 0) self[n] = 0, execv(self, argv);
  _exit(127);
}

static moon_status start(char *const *argv, const char *log, pid_t *out) {
  pid_t parent = getpid();
  fflush(NULL);
  *out = fork();
  if (*out < 0) return moon_fail(MOON_EIO, "no process can be started: %s", strerror(errno));
  if (!*out) become(argv, log, parent);
  return moon_ok();
}

static void nap(void) {
  const struct timespec moment = {0, 10 * 1000 * 1000};
  nanosleep(&moment, NULL);
}

static int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

moon_status tune_run_command(tune_job *job, char *const *argv, const char *log, int *code) {
  pid_t pid, done;
  int status = 0;
  MOON_TRY(start(argv, log, &pid));
  while ((done = waitpid(pid, &status, WNOHANG)) == 0) {
    if (!job->interrupted && !moon_progress_step(&job->bar.progress, "best", -1, "training it for its bundle"))
      job->interrupted = true, kill(pid, SIGINT);
    nap();
  }
  *code = done == pid ? code_of(status) : 127;
  return job->interrupted ? moon_fail(MOON_ECANCELED, "interrupted") : moon_ok();
}

/* ---- trials --------------------------------------------------------------------------------------------------------------- */

char *tune_trial_path(const tune_job *job, size_t trial) {
  moon_buf path = {0};
  moon_buf_printf(&path, "%s/trials/%03zu.json", job->out, trial + 1);
  if (path.failed) moon_buf_free(&path);
  return path.data;
}

static char *log_path(const tune_job *job, size_t trial) {
  moon_buf path = {0};
  moon_buf_printf(&path, "%s/trials/%03zu.log", job->out, trial + 1);
  if (path.failed) moon_buf_free(&path);
  return path.data;
}

static moon_status start_trial(const tune_job *job, size_t trial, size_t until, pid_t *pid) {
  char epochs[32], threads[32], bad_rows[32], *path = tune_trial_path(job, trial), *log = log_path(job, trial);
  snprintf(epochs, sizeof epochs, "%zu", until);
  snprintf(threads, sizeof threads, "%zu", job->threads);
  snprintf(bad_rows, sizeof bad_rows, "%zu", job->max_bad_rows);
  const char *argv[ARGS] = {"moonshelf", "train", job->recipe_path, "--data", job->data_dir, "--trial", path, "--until", epochs, "--threads",
                            threads, "--max-bad-rows", bad_rows};
  moon_status status = path && log ? start((char *const *)(uintptr_t)argv, log, pid) : moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_free(path);
  moon_free(log);
  return status;
}

static moon_status reload(tune_job *job, size_t trial) {
  char *path = tune_trial_path(job, trial);
  json_t *fresh = NULL;
  moon_status status = path ? tune_read_trial(path, &fresh) : moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_free(path);
  if (!status.code) json_array_set_new(job->trials, trial, fresh);
  return status;
}

bool tune_is_better(const tune_job *job, size_t a, size_t b) {
  const json_t *x = tune_last_run(json_array_get(job->trials, a)), *y = tune_last_run(json_array_get(job->trials, b));
  if (!x || !y) return x && !y;
  json_int_t x_until = json_integer_value(json_object_get(x, "until")), y_until = json_integer_value(json_object_get(y, "until"));
  if (x_until != y_until) return !x_until || (y_until && x_until > y_until); /* 0: the whole training */
  double p = json_number_value(json_object_get(x, "value")), q = json_number_value(json_object_get(y, "value"));
  if (p != q) return tune_lower_is_better(job->metric) ? p < q : p > q;
  return a < b;
}

static void note_best(tune_job *job, size_t trial) {
  if (!tune_last_run(json_array_get(job->trials, trial))) return;
  if (!job->has_best || trial == job->best || tune_is_better(job, trial, job->best)) job->best = trial;
  job->has_best = true;
}

static bool tell(tune_job *job, size_t running) {
  char note[160], best[64] = "";
  const json_t *run = job->has_best ? tune_last_run(json_array_get(job->trials, job->best)) : NULL;
  if (run)
    snprintf(best, sizeof best, "  best %s %.4f (trial %zu)", job->metric, json_number_value(json_object_get(run, "value")), job->best + 1);
  snprintf(note, sizeof note, "%zu of %zu runs, %zu running%s", job->done, job->due, running, best);
  return moon_progress_step(&job->bar.progress, "tune", job->due ? (double)job->done / (double)job->due : 0, note);
}

typedef struct worker {
  pid_t pid;
  size_t trial;
} worker;

/* A process that ended: its answer is in the file, or the search ends here. */
static moon_status collect(tune_job *job, const worker *w, int status, size_t until) {
  MOON_TRY(reload(job, w->trial));
  if (!tune_trial_run(json_array_get(job->trials, w->trial), until)) {
    if (job->interrupted) return moon_ok();
    return moon_fail(MOON_EIO, "trial %zu ended with code %d and without a result; %s/trials/%03zu.log tells more. What is done is kept: "
                               "--resume goes on", w->trial + 1, code_of(status), job->out, w->trial + 1);
  }
  job->done++;
  note_best(job, w->trial);
  return moon_ok();
}

moon_status tune_run_trials(tune_job *job, const size_t *trials, size_t n, size_t until) {
  worker *workers = moon_calloc(job->workers, sizeof *workers);
  moon_status status = workers ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory for %zu workers", job->workers);
  size_t running = 0, next = 0;
  while (!status.code || running) {
    bool stop = status.code || job->interrupted;
    while (!stop && !status.code && running < job->workers && next < n) {
      size_t trial = trials[next++];
      if (tune_trial_run(json_array_get(job->trials, trial), until)) {
        job->done++;
        note_best(job, trial);
        continue;
      }
      workers[running].trial = trial;
      status = start_trial(job, trial, until, &workers[running].pid);
      if (!status.code) running++;
    }
    if (!running) break;
    bool on = tell(job, running);
    if ((!on && !job->interrupted) || (status.code && !stop)) {
      job->interrupted |= !on;
      for (size_t i = 0; i < running; i++) kill(workers[i].pid, SIGINT);
    }
    for (size_t i = running; i-- > 0;) {
      int how = 0;
      pid_t ended = waitpid(workers[i].pid, &how, WNOHANG);
      if (!ended) continue;
      moon_status one = collect(job, &workers[i], how, until);
      if (one.code && !status.code) {
        status = one;
        for (size_t k = 0; k < running; k++)
          if (k != i) kill(workers[k].pid, SIGINT);
      }
      workers[i] = workers[--running];
    }
    if (running) nap();
  }
  tell(job, 0);
  moon_free(workers);
  if (!status.code && job->interrupted) status = moon_fail(MOON_ECANCELED, "interrupted after %zu of %zu runs; --resume goes on", job->done, job->due);
  return status;
}
