/* bundle_write.c - a trained recipe becomes a folder.
 *
 * The folder is written beside its place, file by file, each synced, and then exchanged with what stands there in one rename: whoever opens
 * the path finds the old bundle or the new one, whole. Nothing in it depends on the clock, so the same training gives the same bytes. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rank/bundle.h"

const char *const moon_bundle_names[MOON_BUNDLE_FILES] = {"recipe.lua", "plan.json",   "vocab.json",        "catalogue.bin",
                                                          "state.bin",  "similar.bin", "model.safetensors", "metrics.json"};

/* ---- may it stand there? ---------------------------------------------------------------------------------------------------- */

static bool is_empty_dir(const char *path) {
  DIR *folder = opendir(path);
  if (!folder) return false;
  size_t entries = 0;
  for (struct dirent *entry; (entry = readdir(folder));) entries += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
  closedir(folder);
  return !entries;
}

/* No folder of the user's is replaced because of a slip in --out. */
moon_status moon_bundle_may_write(const char *path) {
  if (!moon_file_exists(path) || is_empty_dir(path)) return moon_ok();
  char *manifest = moon_path_join(path, MOON_BUNDLE_MANIFEST);
  if (!manifest) return moon_fail(MOON_ENOMEM, "no memory for a path");
  bool ours = moon_file_exists(manifest);
  moon_free(manifest);
  if (ours) return moon_ok();
  return moon_fail(MOON_EINVAL, "%s is there and is no bundle (it has no %s); it is not replaced. Name another place", path, MOON_BUNDLE_MANIFEST);
}

/* ---- the files' contents ---------------------------------------------------------------------------------------------------- */

typedef struct contents { /* what goes into a bundle */
  const moon_recipe_source *source;
  const json_t *plan, *metrics;
  const moon_dataset *dataset;
  const moon_model *model;
  const moon_similar *similar;
} contents;

static moon_status put_file(const contents *c, moon_bundle_file file, moon_buf *out) {
  switch (file) {
    case MOON_FILE_RECIPE: moon_buf_add(out, c->source->text, c->source->n); return out->failed ? moon_fail(MOON_ENOMEM, "no memory") : moon_ok();
    case MOON_FILE_PLAN: return moon_bundle_put_json(c->plan, out);
    case MOON_FILE_VOCAB: return moon_bundle_put_vocabs(c->dataset->plan, c->dataset->vocabs, out);
    case MOON_FILE_CATALOGUE: return moon_catalogue_save(c->dataset->catalogue, out);
    case MOON_FILE_STATE: return moon_state_save(c->dataset->state, out);
    case MOON_FILE_SIMILAR: return moon_similar_save(c->similar, out);
    case MOON_FILE_MODEL: return moon_model_save(c->model, out);
    case MOON_FILE_METRICS: return moon_bundle_put_json(c->metrics, out);
    default: return moon_fail(MOON_EINVAL, "a bundle has no file %d", (int)file);
  }
}

/* ---- writing ---------------------------------------------------------------------------------------------------------------- */

static moon_status write_into(const char *folder, const char *name, const moon_buf *bytes) {
  char *path = moon_path_join(folder, name);
  if (!path) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_file_write(path, bytes->data ? bytes->data : "", bytes->n);
  moon_free(path);
  return status;
}

/* With an entry of the manifest. */
static moon_status write_listed(const char *folder, const char *name, const moon_buf *bytes, json_t *files) {
  char digest[65];
  MOON_TRY(write_into(folder, name, bytes));
  moon_sha256(bytes->data ? bytes->data : "", bytes->n, digest);
  json_t *entry = json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes->n, "sha256", digest);
  return json_object_set_new(files, name, entry) ? moon_fail(MOON_ENOMEM, "no memory for the manifest") : moon_ok();
}

/* Below lua/, each in its folder. */
static moon_status write_required(const char *folder, const moon_script *script, json_t *files) {
  moon_buf name = {0}, path = {0}, text = {0};
  moon_buf_printf(&name, MOON_BUNDLE_LUA "%s", script->name);
  moon_buf_printf(&path, "%s/%s", folder, name.failed ? "" : name.data);
  moon_buf_add(&text, script->text, script->n);
  bool failed = name.failed || path.failed || text.failed;
  moon_status status = failed ? moon_fail(MOON_ENOMEM, "no memory for a script") : moon_ok();
  if (!failed) *strrchr(path.data, '/') = 0;
  if (!status.code) status = moon_dir_make(path.data);
  if (!status.code) status = write_listed(folder, name.data, &text, files);
  moon_buf_free(&name);
  moon_buf_free(&path);
  moon_buf_free(&text);
  return status;
}

static moon_status write_files(const char *folder, const contents *c, json_t *manifest) {
  json_t *files = json_object_get(manifest, "files");
  moon_buf buf = {0};
  moon_status status = moon_ok();
  for (int file = 0; file < MOON_BUNDLE_FILES && !status.code; file++) {
    moon_buf_reset(&buf);
    status = put_file(c, (moon_bundle_file)file, &buf);
    if (!status.code) status = write_listed(folder, moon_bundle_names[file], &buf, files);
  }
  for (size_t i = 0; i < c->source->required_n && !status.code; i++) status = write_required(folder, &c->source->required[i], files);
  moon_buf_reset(&buf);
  if (!status.code) status = moon_bundle_put_json(manifest, &buf);
  if (!status.code) status = write_into(folder, MOON_BUNDLE_MANIFEST, &buf);
  moon_buf_free(&buf);
  return status;
}

/* With the kernels that fitted the model: another machine's may give other last bits. */
static json_t *start_manifest(const contents *c) {
  char digest[65];
  moon_sha256(c->source->text, c->source->n, digest);
  json_t *kernels = json_pack("{s:s, s:s}", "processor", moon_cpu_features(), "openblas", moon_blas_core());
  return json_pack("{s:s, s:i, s:s*, s:s, s:s, s:o, s:o, s:{}}", "format", MOON_BUNDLE_FORMAT, "version", MOON_BUNDLE_VERSION, "name",
                   json_string_value(json_object_get(c->plan, "name")), "recipe_sha256", digest, "moonshelf", MOON_VERSION,
                   "kernels", kernels, "data", moon_dataset_report(c->dataset, false), "files");
}

moon_status moon_bundle_write(const char *path, const moon_recipe_source *source, const json_t *plan, const moon_dataset *dataset,
                              const moon_model *model, const moon_similar *similar, const json_t *metrics) {
  const contents c = {source, plan, metrics, dataset, model, similar};
  MOON_TRY(moon_bundle_may_write(path));
  size_t n = strlen(path);
  while (n > 1 && path[n - 1] == '/') n--; /* "out/bundle/" must not put the fresh folder inside */
  moon_buf fresh = {0};
  moon_buf_printf(&fresh, "%.*s.new-%ld", (int)n, path, (long)getpid());
  char *live = moon_strndup(path, n);
  json_t *manifest = start_manifest(&c);
  moon_status status = fresh.failed || !live || !manifest ? moon_fail(MOON_ENOMEM, "no memory to write a bundle") : moon_ok();
  bool made = false;
  if (!status.code && moon_file_exists(fresh.data)) status = moon_dir_remove(fresh.data); /* of a process that was killed */
  if (!status.code) status = moon_dir_make(fresh.data), made = !status.code;
  if (!status.code) status = write_files(fresh.data, &c, manifest);
  if (!status.code) status = moon_dir_swap(fresh.data, live);
  if (status.code && made && moon_file_exists(fresh.data)) moon_dir_remove(fresh.data);
  moon_buf_free(&fresh);
  moon_free(live);
  json_decref(manifest);
  return moon_wrap(status, "bundle %s", path);
}
