/* main.c - the command `moonshelf`: finds the subcommand and hands over. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

static const cli_command *const commands[] = {&cli_check,  &cli_test, &cli_train, &cli_tune,  &cli_evaluate, &cli_summary,
                                              &cli_parity, &cli_page, &cli_serve, &cli_index, &cli_export,   &cli_embed, &cli_bench};
enum { COMMANDS = sizeof commands / sizeof *commands };

static int help(FILE *to) {
  fprintf(to, "moonshelf %s - a Lua-scriptable recommendation runtime for the personalised pages of a shop\n\n", MOON_VERSION);
  fprintf(to, "Usage: moonshelf COMMAND [ARGUMENTS] [--help]\n\nCommands:\n");
  for (size_t i = 0; i < COMMANDS; i++) fprintf(to, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
  fprintf(to, "\n`moonshelf COMMAND --help` tells more. Exit codes: 0 done, 1 the work failed, 2 wrong usage.\n");
  return to == stdout ? CLI_DONE : CLI_USAGE;
}

int main(int argc, char **argv) {
  signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files is an error of the write, as a full disk is */
  if (argc < 2) return help(stderr);
  const char *name = argv[1];
  if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h")) return help(stdout);
  if (!strcmp(name, "--version") || !strcmp(name, "version")) return printf("moonshelf %s\n", MOON_VERSION), CLI_DONE;
  if (!strcmp(name, "--measure-blas")) return cli_measure_blas();
  const char *names[COMMANDS];
  for (size_t i = 0; i < COMMANDS; i++) {
    names[i] = commands[i]->name;
    if (strcmp(name, names[i])) continue;
    if (commands[i]->computes) cli_choose_blas(argv);
    return commands[i]->run(argc - 1, argv + 1);
  }
  const char *near = moon_nearest(name, names, COMMANDS);
  fprintf(stderr, "moonshelf: there is no command '%s'%s%s%s\nSee `moonshelf --help`.\n", name, near ? "; did you mean '" : "",
          near ? near : "", near ? "'?" : "");
  return CLI_USAGE;
}
