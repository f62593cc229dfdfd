/* bundle.c - a folder becomes what serves: every file checked against the manifest, then put together.
 *
 * Nothing is believed: sizes and SHA-256 first, then each parser checks its own bytes, then the parts are checked against each other by
 * those who use them (weights against the plan, state against the plan). A message says which file, and what is wrong with it. */
#include <string.h>

#include "rank/bundle.h"

#define MANIFEST_LIMIT (1u << 20)

/* ---- files ------------------------------------------------------------------------------------------------------------------ */

static moon_status read_file(const char *folder, const char *name, size_t limit, moon_buf *out) {
  char *path = moon_path_join(folder, name);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_read(path, limit, out);
  moon_free(path);
  return status;
}

static moon_status read_manifest(const char *path, json_t **out) {
  moon_buf buf = {0};
  moon_status status = read_file(path, MOON_BUNDLE_MANIFEST, MANIFEST_LIMIT, &buf);
  if (status.code) status = moon_wrap(status, "%s is not a bundle", path);
  else status = moon_wrap(moon_bundle_parse_json(&buf, out), "%s/%s", path, MOON_BUNDLE_MANIFEST);
  moon_buf_free(&buf);
  if (status.code) return status;
  const char *format = json_string_value(json_object_get(*out, "format"));
  json_int_t version = json_integer_value(json_object_get(*out, "version"));
  if (!format || strcmp(format, MOON_BUNDLE_FORMAT)) return moon_fail(MOON_EFORMAT, "%s/%s is not a bundle's manifest", path, MOON_BUNDLE_MANIFEST);
  if (version != MOON_BUNDLE_VERSION)
    return moon_fail(MOON_EFORMAT, "%s is a bundle of version %lld; this program reads version %d: train it again", path, (long long)version,
                     MOON_BUNDLE_VERSION);
  return moon_ok();
}

/* The bytes of one file, as the manifest says they are. */
static moon_status read_checked(const char *path, const json_t *manifest, const char *name, moon_buf *out) {
  const json_t *entry = json_object_get(json_object_get(manifest, "files"), name);
  const char *digest = json_string_value(json_object_get(entry, "sha256"));
  json_int_t bytes = json_integer_value(json_object_get(entry, "bytes"));
  char found[65];
  if (!digest || bytes < 0) return moon_fail(MOON_EFORMAT, "%s/%s does not name %s", path, MOON_BUNDLE_MANIFEST, name);
  MOON_TRY(moon_wrap(read_file(path, name, (size_t)bytes + 1, out), "bundle %s", path)); /* + 1: longer is seen without reading it all */
  if (out->n != (size_t)bytes)
    return moon_fail(MOON_EFORMAT, "%s/%s is %s: %zu bytes, the manifest says %lld", path, name, out->n < (size_t)bytes ? "truncated" : "too long", out->n,
                     (long long)bytes);
  moon_sha256(out->data ? out->data : "", out->n, found);
  if (strcmp(found, digest)) return moon_fail(MOON_EFORMAT, "%s/%s is damaged: its SHA-256 is not the manifest's", path, name);
  return moon_ok();
}

/* ---- scripts: names as the sandbox's require makes them, so that none leads out of the folder */

static bool is_script(const char *name) {
  size_t n = strlen(name), start = strlen(MOON_BUNDLE_LUA);
  if (n < start + 4 || strncmp(name, MOON_BUNDLE_LUA, start) || strcmp(name + n - 4, ".lua")) return false;
  for (const char *p = name + start; p < name + n - 4; p++) {
    bool slash = *p == '/' && p > name + start && p[-1] != '/' && p[1] != '.';
    if (!slash && !((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_' || *p == '-')) return false;
  }
  return true;
}

/* They are looked at when evaluation asks for them; damage is to be seen before. */
static moon_status check_scripts(const moon_bundle *b, moon_buf *bytes) {
  const char *name;
  json_t *entry;
  json_object_foreach(json_object_get(b->manifest, "files"), name, entry) {
    if (!is_script(name)) continue;
    moon_buf_reset(bytes);
    MOON_TRY(read_checked(b->path, b->manifest, name, bytes));
  }
  return moon_ok();
}

moon_status moon_bundle_script(const moon_bundle *b, const char *file, moon_buf *out) {
  if (!file) return read_checked(b->path, b->manifest, moon_bundle_names[MOON_FILE_RECIPE], out);
  moon_buf name = {0};
  moon_buf_printf(&name, MOON_BUNDLE_LUA "%s", file);
  moon_status status = name.failed ? moon_fail(MOON_ENOMEM, "no memory for a path") : moon_ok();
  if (!status.code && (!is_script(name.data) || !json_object_get(json_object_get(b->manifest, "files"), name.data)))
    status = moon_fail(MOON_ENOTFOUND, "bundle %s keeps no %.100s: the recipe did not require it when it was trained", b->path, file);
  if (!status.code) status = read_checked(b->path, b->manifest, name.data, out);
  moon_buf_free(&name);
  return status;
}

/* ---- parts ------------------------------------------------------------------------------------------------------------------ */

static moon_status load_model(moon_bundle *b, const moon_buf *bytes) {
  size_t n = b->feature_plan->feature_count;
  size_t *sizes = moon_calloc(n, sizeof *sizes);
  if (!sizes) return moon_fail(MOON_ENOMEM, "no memory for %zu sizes", n);
  for (size_t i = 0; i < n; i++) sizes[i] = moon_feature_rows(&b->feature_plan->features[i], b->vocabs[i]);
  moon_status status = moon_model_new(json_object_get(b->plan, "model"), b->feature_plan, sizes, 0, &b->model);
  moon_free(sizes);
  if (!status.code) status = moon_model_set_precision(b->model, b->precision);
  return status.code ? status : moon_model_load(b->model, bytes->data, bytes->n);
}

/* Files come in the order in which one needs the other, but for the plan, which needs the catalogue's columns. */
static moon_status load_part(moon_bundle *b, moon_bundle_file file, const moon_buf *bytes) {
  switch (file) {
    case MOON_FILE_RECIPE: return moon_ok(); /* kept for evaluate and for people */
    case MOON_FILE_PLAN:
      MOON_TRY(moon_bundle_parse_json(bytes, &b->plan));
      return moon_train_precision(json_object_get(b->plan, "train"), &b->precision);
    case MOON_FILE_METRICS: return moon_bundle_parse_json(bytes, &b->metrics);
    case MOON_FILE_CATALOGUE: return moon_catalogue_load(bytes->data, bytes->n, &b->catalogue);
    case MOON_FILE_SIMILAR: return moon_similar_load(bytes->data, bytes->n, &b->similar);
    case MOON_FILE_VOCAB:
      MOON_TRY(moon_feature_plan_of(b->plan, b->catalogue, &b->feature_plan));
      MOON_TRY(moon_bundle_parse_vocabs(bytes, b->feature_plan, &b->vocabs));
      return moon_features_bind(b->feature_plan, b->catalogue, b->vocabs, &b->features);
    case MOON_FILE_STATE: return moon_state_load(bytes->data, bytes->n, b->feature_plan, &b->state);
    case MOON_FILE_MODEL: return load_model(b, bytes);
    default: return moon_ok();
  }
}

static moon_status open_index(moon_bundle *b, moon_buf *bytes) {
  if (!json_object_get(json_object_get(b->manifest, "files"), MOON_BUNDLE_INDEX)) return moon_ok();
  MOON_TRY(read_checked(b->path, b->manifest, MOON_BUNDLE_INDEX, bytes));
  return moon_wrap(moon_hnsw_load(bytes->data ? bytes->data : "", bytes->n, &b->index), "%s/%s", b->path, MOON_BUNDLE_INDEX);
}

static moon_status open_bundle(moon_bundle *b) {
  static const moon_bundle_file order[] = {MOON_FILE_RECIPE, MOON_FILE_PLAN,  MOON_FILE_CATALOGUE, MOON_FILE_VOCAB,
                                           MOON_FILE_STATE,  MOON_FILE_MODEL, MOON_FILE_SIMILAR,   MOON_FILE_METRICS};
  MOON_TRY(read_manifest(b->path, &b->manifest));
  const char *name = json_string_value(json_object_get(b->manifest, "name"));
  b->name = moon_strdup(name ? name : "bundle");
  if (!b->name) return moon_fail(MOON_ENOMEM, "no memory for a bundle");
  moon_buf bytes = {0};
  moon_status status = moon_ok();
  for (size_t i = 0; i < sizeof order / sizeof *order && !status.code; i++) {
    moon_buf_reset(&bytes);
    status = read_checked(b->path, b->manifest, moon_bundle_names[order[i]], &bytes);
    if (!status.code) status = moon_wrap(load_part(b, order[i], &bytes), "%s/%s", b->path, moon_bundle_names[order[i]]);
  }
  if (!status.code) status = check_scripts(b, &bytes);
  moon_buf_reset(&bytes);
  if (!status.code) status = open_index(b, &bytes);
  moon_buf_free(&bytes);
  return status;
}

moon_status moon_bundle_open(const char *path, moon_bundle **out) {
  *out = NULL;
  moon_bundle *b = moon_calloc(1, sizeof *b);
  if (b) b->path = moon_strdup(path);
  moon_status status = b && b->path ? open_bundle(b) : moon_fail(MOON_ENOMEM, "no memory for a bundle");
  if (status.code) moon_bundle_close(b);
  else *out = b;
  return status;
}

void moon_bundle_close(moon_bundle *b) {
  if (!b) return;
  moon_hnsw_free(b->index);
  moon_similar_free(b->similar);
  moon_model_free(b->model);
  moon_state_free(b->state);
  moon_features_free(b->features);
  if (b->vocabs) moon_bundle_free_vocabs(b->vocabs, b->feature_plan->feature_count);
  moon_feature_plan_free(b->feature_plan);
  moon_catalogue_free(b->catalogue);
  json_decref(b->metrics);
  json_decref(b->manifest);
  json_decref(b->plan);
  moon_free(b->path);
  moon_free(b->name);
  moon_free(b);
}
