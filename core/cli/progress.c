/* progress.c - long work seen on stderr: a bar where it is a terminal, a plain line every tenth of a stage where it is not. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"

static volatile sig_atomic_t interrupted; /* a signal handler can reach nothing but a global */

static void on_interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

/* How many bytes of a line fit the terminal: one that wraps could not be drawn over. */
static size_t fitting(const char *line) {
  struct winsize window = {0};
  size_t columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) || !window.ws_col ? 80 : window.ws_col;
  size_t n = strlen(line), at = 0;
  for (size_t shown = 1; at < n && shown < columns; shown++) {
    size_t character = moon_utf8_length(line + at, n - at);
    at += character ? character : 1;
  }
  return at;
}

static void draw_bar(cli_progress *bar, double fraction, const char *note) {
  enum { WIDTH = 24 };
  char cells[WIDTH + 1], line[300];
  int full = fraction < 0 ? 0 : (int)(fraction * WIDTH + 0.5);
  for (int i = 0; i < WIDTH; i++) cells[i] = i < full ? '#' : '.';
  cells[WIDTH] = 0;
  if (fraction < 0) snprintf(line, sizeof line, "%-10s %s", bar->stage, note ? note : "");
  else snprintf(line, sizeof line, "%-10s [%s] %3d%%  %s", bar->stage, cells, (int)(fraction * 100), note ? note : "");
  fprintf(stderr, "\r\033[K%.*s", (int)fitting(line), line);
  fflush(stderr);
  bar->drawn = true;
}

static bool step(void *self, const char *stage, double fraction, const char *note) {
  cli_progress *bar = self;
  if (interrupted) return false;
  bool fresh = strncmp(stage, bar->stage, sizeof bar->stage - 1) != 0;
  if (fresh) {
    if (bar->drawn) fputc('\n', stderr);
    bar->drawn = false;
    snprintf(bar->stage, sizeof bar->stage, "%s", stage);
    bar->shown = -1;
  }
  int64_t now = moon_monotonic();
  if (bar->terminal) {
    if (fresh || fraction >= 1 || now - bar->drawn_at > MOON_SECOND / 12) {
      draw_bar(bar, fraction, note);
      bar->drawn_at = now;
    }
  } else {
    int tenth = fraction < 0 ? 0 : (int)(fraction * 10 + 1e-9) * 10;
    if (tenth > bar->shown) {
      fprintf(stderr, "%s: %d%%%s%s\n", bar->stage, tenth, note && *note ? "  " : "", note ? note : "");
      bar->shown = tenth;
    }
  }
  return true;
}

void cli_progress_start(cli_progress *bar) {
  *bar = (cli_progress){.progress = {step, bar}, .terminal = isatty(STDERR_FILENO), .shown = -1};
  struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND}; /* a second Ctrl-C ends at once */
  sigaction(SIGINT, &action, NULL);
}

void cli_progress_end(cli_progress *bar) {
  if (bar->drawn) fputc('\n', stderr);
  bar->drawn = false;
  bar->stage[0] = 0;
}
