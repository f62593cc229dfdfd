/* report.h - an evaluation and a data report as text for people; the same numbers as --json gives. */
#ifndef MOON_CLI_REPORT_H
#define MOON_CLI_REPORT_H

#include <stdio.h>

#include "rank/rank.h"

void cli_report_data(const moon_dataset *dataset);   /* stderr: rows read, rejected, dropped by each rule */
void cli_report_metrics(const json_t *metrics);      /* stdout: a table, the model beside the baselines */
void cli_print_tree(const json_t *tree);             /* stdout: {"text","where","children"} with its branches */

/* A line each, "recipe.lua:17: warning: ...". findings: as moon_look_ahead gives them. */
void cli_report_findings(FILE *to, const json_t *findings);

#endif
