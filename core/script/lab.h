/* lab.h - a bench for one recipe: a few items, a few events, and what its features say of them.
 *
 * One idea: nothing is computed here. Rows go through the reader of JSON Lines, the rules and the event log as files do, events are
 * folded in by moon_state_apply, and moon_features_compute gives the numbers: what a test sees is what training and serving see. Two
 * things are a lab's own: every text is known (no min_count), and nothing is fitted to training data, so a number stops before the
 * first of its steps that would be. */
#ifndef MOON_SCRIPT_LAB_H
#define MOON_SCRIPT_LAB_H

#include <jansson.h>

#include "data/data.h"

typedef struct moon_lab moon_lab;

/* plan: a recipe's; borrowed for the life of the lab. items: an array of objects, their keys the columns that the recipe gives its items;
 * cells that are missing are empty, and are filled in here as nulls. NULL: items come with the events and have no other cells. reach: for functions of items. */
moon_status moon_lab_new(const json_t *plan, json_t *items, const moon_preprocess_options *reach, moon_lab **out);
void moon_lab_free(moon_lab *lab);

/* An event as the rules leave it: an array of {"user", "item", "event"?, "time": microseconds}. */
moon_status moon_lab_events(moon_lab *lab, json_t *rows);
/* Rows as the events' files hold them, by the recipe's names, through the recipe's rules first. *kept: how many the rules left. */
moon_status moon_lab_log(moon_lab *lab, json_t *rows, const moon_preprocess_options *reach, size_t *kept);

/* query: {"item", "user"?, "at"?: microseconds, and columns of m.position}. Without "at" it is the time of the newest event; before that
 * nothing can be asked. *out is a new object: the names of the model's inputs and their values, null where there is none. Ids are
 * texts, those of hashes and buckets are integers, bags are arrays of them. */
moon_status moon_lab_features(moon_lab *lab, const json_t *query, json_t **out);

/* How many cells moon_lab_features looks at. */
size_t moon_lab_work(const moon_lab *lab);

#endif
