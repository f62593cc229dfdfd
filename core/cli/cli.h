/* cli.h - what the subcommands share: a table-driven option parser with help, progress on a terminal, results as JSON or text.
 *
 * Exit codes everywhere: 0 done, 1 the work failed, 2 wrong usage. Results go to stdout, everything else to stderr. */
#ifndef MOON_CLI_H
#define MOON_CLI_H

#include <jansson.h>

#include "base/base.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* CLI_COUNT: a whole number >= 0. CLI_BYTES: one that K, M, G or T may follow, for powers of 1024. */
typedef enum cli_kind { CLI_FLAG, CLI_STRING, CLI_COUNT, CLI_BYTES } cli_kind;
typedef struct cli_option {
  const char *name; /* without "--" */
  cli_kind kind;
  void *into;       /* bool *, const char **, size_t * */
  const char *metavar, *help; /* without help, an option is for ourselves: --help does not show it */
} cli_option;

typedef struct cli_command {
  const char *name, *usage, *summary, *details; /* usage: "moonshelf train recipe.lua --data DIR --out BUNDLE" */
  int positionals;                              /* how many are required */
  int (*run)(int argc, char **argv);
  bool computes; /* OpenBLAS is worth a choice */
} cli_command;

/* Parses argv[1..]; positionals are moved to `positional` (capacity command->positionals). Handles --help. Answers -1 to go on,
 * else the exit code. */
int cli_parse(const cli_command *command, const cli_option *options, size_t n, int argc, char **argv, const char **positional);
int cli_usage_error(const cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
int cli_fail(moon_status status); /* prints "moonshelf: message" and answers CLI_FAILED */
int cli_print_json(json_t *result); /* takes the reference; stdout, sorted keys */

/* A bar that redraws on a terminal, plain lines in a pipe. Ctrl-C cancels the work at its next step. */
typedef struct cli_progress {
  moon_progress progress;
  bool terminal, drawn;
  char stage[64];
  int shown;      /* percent last shown, for plain lines */
  int64_t drawn_at;
} cli_progress;
void cli_progress_start(cli_progress *bar);
void cli_progress_end(cli_progress *bar);

/* Chooses OpenBLAS's kernels; may start the process again with argv (blas_core.c). */
void cli_choose_blas(char **argv);
const char *cli_blas_reason(void); /* why it uses those that it does; static */
void cli_processor_name(char *name, size_t room); /* "unknown" where the system does not say */
int cli_measure_blas(void);        /* what `moonshelf --measure-blas` does: prints core and GFLOP/s */

extern const cli_command cli_bench, cli_check, cli_embed, cli_test, cli_train, cli_tune, cli_evaluate, cli_summary, cli_parity, cli_page, cli_serve,
    cli_index, cli_export;

#endif
