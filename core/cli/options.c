/* options.c - one table per command describes its options; parsing, checking and --help are all read off that table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

enum { MAX_OPTIONS = 32 };

static void print_help(const cli_command *command, const cli_option *options, size_t n) {
  printf("%s\n\n%s\n", command->usage, command->summary);
  if (command->details) printf("\n%s\n", command->details);
  printf("\nOptions:\n");
  for (size_t i = 0; i < n; i++) {
    if (!options[i].help) continue;
    char left[64];
    snprintf(left, sizeof left, "--%s%s%s", options[i].name, options[i].metavar ? " " : "",
             options[i].metavar ? options[i].metavar : "");
    printf("  %-24s %s\n", left, options[i].help);
  }
  printf("  %-24s %s\n", "--help", "this text");
  printf("\nExit codes: 0 done, 1 the work failed, 2 wrong usage.\n");
}

int cli_usage_error(const cli_command *command, const char *format, ...) {
  va_list args;
  va_start(args, format);
  fprintf(stderr, "moonshelf %s: ", command->name);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\nUsage: %s\nSee `moonshelf %s --help`.\n", command->usage, command->name);
  return CLI_USAGE;
}

static int set_option(const cli_command *command, const cli_option *option, const char *value) {
  if (option->kind == CLI_FLAG) {
    *(bool *)option->into = true;
  } else if (option->kind == CLI_STRING) {
    *(const char **)option->into = value;
  } else {
    char *end;
    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);
    const char *units = "KMGT", *unit = option->kind == CLI_BYTES && end != value && *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    if (unit) end++;
    if (errno || end == value || *end || strchr(value, '-') || number > SIZE_MAX >> shift)
      return cli_usage_error(command, "--%s wants a %s, not '%s'", option->name,
                             option->kind == CLI_BYTES ? "size such as 512M or 2G" : "whole number", value);
    *(size_t *)option->into = (size_t)number << shift;
  }
  return -1;
}

static int unknown_option(const cli_command *command, const cli_option *options, size_t n, const char *given) {
  const char *names[MAX_OPTIONS + 1];
  for (size_t i = 0; i < n; i++) names[i] = options[i].help ? options[i].name : "help";
  names[n] = "help";
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)strcspn(given, "="), given);
  const char *bare = name + strspn(name, "-");
  const char *near = moon_nearest(bare, names, n + 1);
  if (near) return cli_usage_error(command, "there is no option '%s'; did you mean '--%s'?", name, near);
  return cli_usage_error(command, "there is no option '%s'", name);
}

int cli_parse(const cli_command *command, const cli_option *options, size_t n, int argc, char **argv, const char **positional) {
  struct option longs[MAX_OPTIONS + 2] = {{0}};
  for (size_t i = 0; i < n; i++)
    longs[i] = (struct option){options[i].name, options[i].kind == CLI_FLAG ? no_argument : required_argument, 0, 0};
  longs[n] = (struct option){"help", no_argument, 0, 0};
  int count = 0, which = 0, got;
  opterr = 0;
  optind = 1;
  while ((got = getopt_long(argc, argv, "-:h", longs, &which)) != -1) {
    if (got == 'h' || (got == 0 && (size_t)which == n)) {
      print_help(command, options, n);
      return CLI_DONE;
    }
    if (got == 1) {
      if (count >= command->positionals) return cli_usage_error(command, "one argument too many: '%s'", optarg);
      positional[count++] = optarg;
    } else if (got == ':') {
      return cli_usage_error(command, "%s wants a value", argv[optind - 1]);
    } else if (got == '?') {
      return unknown_option(command, options, n, argv[optind - 1]);
    } else {
      int code = set_option(command, &options[which], optarg);
      if (code >= 0) return code;
    }
  }
  for (; optind < argc; optind++) { /* what stands after "--" */
    if (count >= command->positionals) return cli_usage_error(command, "one argument too many: '%s'", argv[optind]);
    positional[count++] = argv[optind];
  }
  if (count < command->positionals) return cli_usage_error(command, "an argument is missing");
  return -1;
}

int cli_fail(moon_status status) {
  fprintf(stderr, "moonshelf: %s\n", status.message);
  return CLI_FAILED;
}

int cli_print_json(json_t *result) {
  int failed = !result || json_dumpf(result, stdout, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9));
  json_decref(result);
  putchar('\n');
  if (failed || fflush(stdout)) {
    fprintf(stderr, "moonshelf: the result could not be written\n");
    return CLI_FAILED;
  }
  return CLI_DONE;
}
