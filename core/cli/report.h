/* report.h - an evaluation and a data report as text for people; the same numbers as --json gives. */
#ifndef MOON_CLI_REPORT_H
#define MOON_CLI_REPORT_H

#include <stdio.h>

#include "cli/cli.h"
#include "rank/rank.h"

void cli_report_data(const moon_dataset *dataset);   /* stderr: rows read, rejected, dropped by each rule */
void cli_report_metrics(const json_t *metrics);      /* stdout: a table, the model beside the baselines */
void cli_report_slices(const json_t *metrics);       /* stdout: the same by slice, of AUC and the first metric at k */
void cli_report_against(const json_t *metrics);      /* stdout: beside another bundle; nothing without "against" */
moon_status cli_write_html(const char *path, const char *title, const json_t *metrics); /* all of it, with plots (html.c) */
void cli_print_tree(const json_t *tree);             /* stdout: {"text","where","children"} with its branches */

/* A line each, "recipe.lua:17: warning: ...". findings: as moon_look_ahead gives them. */
void cli_report_findings(FILE *to, const json_t *findings);

/* What the commands share that work on all of a recipe's data (data.c). */

moon_status cli_memory_limit(size_t bytes); /* 0: none; spills to TMPDIR, else /var/tmp */
json_t *cli_memory_json(void);              /* null without a limit */
void cli_report_memory(void);               /* stdout, a line; nothing without a limit */
/* Reads the data and says on stderr what it found. rejects_path: where rejected rows go, or NULL. */
moon_status cli_read_data(const json_t *plan, moon_dataset_options *options, const char *rejects_path, cli_progress *bar,
                          moon_dataset **out);
/* The recipe's model for the data, before fitting: its tables as large as the vocabularies, in the recipe's precision. */
moon_status cli_new_model(const json_t *plan, const moon_dataset *data, moon_model **out);

#endif
