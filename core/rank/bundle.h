/* bundle.h - the files of a bundle, shared by its writer and its reader. */
#ifndef MOON_RANK_BUNDLE_H
#define MOON_RANK_BUNDLE_H
#include "rank/rank.h"

#define MOON_BUNDLE_FORMAT "moonshelf-bundle"
enum { MOON_BUNDLE_VERSION = 3 };

/* manifest.json names all of these with size and SHA-256. */
typedef enum moon_bundle_file {
  MOON_FILE_RECIPE, MOON_FILE_PLAN, MOON_FILE_VOCAB, MOON_FILE_CATALOGUE, MOON_FILE_STATE, MOON_FILE_SIMILAR, MOON_FILE_MODEL, MOON_FILE_METRICS,
  MOON_BUNDLE_FILES
} moon_bundle_file;
extern const char *const moon_bundle_names[MOON_BUNDLE_FILES];
#define MOON_BUNDLE_MANIFEST "manifest.json"
#define MOON_BUNDLE_INDEX "nearest.bin" /* there where `moonshelf index` made it */
#define MOON_BUNDLE_LUA "lua/"          /* what the recipe required: lua/rules/winter.lua */

/* ---- JSON as it is in a bundle, and what all features learned (bundle_vocabs.c) */
moon_status moon_bundle_put_json(const json_t *json, moon_buf *out);
moon_status moon_bundle_parse_json(const moon_buf *bytes, json_t **out);
moon_status moon_bundle_put_vocabs(const moon_feature_plan *plan, moon_vocab *const *vocabs, moon_buf *out);
/* *out: [plan->feature_count], the caller's. */
moon_status moon_bundle_parse_vocabs(const moon_buf *bytes, const moon_feature_plan *plan, moon_vocab ***out);
void moon_bundle_free_vocabs(moon_vocab **vocabs, size_t n);

#endif
