/* index.c - a graph over the items' embeddings, built for a bundle, stored in it, and measured against looking at all of them.
 *
 * Three writes, each of one file in whole, and the folder opens after each of them: the manifest without the index, the index,
 * the manifest with it. */
#include <string.h>

#include "rank/bundle.h"

enum { K = 10, QUERIES = 500 };

typedef struct indexing {
  const moon_bundle *bundle;
  const moon_index_options *options;
  size_t rows, dim, items;
  float *units;      /* [rows, dim] */
  uint64_t *allowed; /* the rows that have one */
  moon_hnsw *index;
  double seconds;
} indexing;

static moon_status gather(indexing *x) {
  const moon_bundle *b = x->bundle;
  x->rows = moon_catalogue_rows(b->catalogue), x->dim = moon_model_item_dim(b->model);
  if (!x->dim) return moon_fail(MOON_EINVAL, "bundle %s has no embeddings of items to index: its recipe has no m.id \"item\"", b->path);
  x->units = moon_alloc_aligned(x->rows * x->dim * sizeof *x->units);
  x->allowed = moon_calloc(moon_bits_words(x->rows), sizeof *x->allowed);
  if (!x->units || !x->allowed) return moon_fail(MOON_ENOMEM, "no memory for the embeddings of %zu items", x->rows);
  for (uint32_t row = 0; row < x->rows; row++) {
    if (b->catalogue->hidden[row] || !moon_model_item_unit(b->model, b->features, row, x->dim, x->units + row * x->dim)) continue;
    moon_bits_set(x->allowed, row);
    x->items++;
  }
  return moon_ok();
}

static moon_status build(indexing *x) {
  const moon_hnsw_options options = {.m = x->options->m, .ef_construction = x->options->ef_construction, .capacity = x->items};
  int64_t start = moon_monotonic();
  MOON_TRY(moon_hnsw_new(x->dim, &options, &x->index));
  for (uint32_t row = 0; row < x->rows; row++) {
    if (!moon_bits_has(x->allowed, row)) continue;
    if (row % 256 == 0 && !moon_progress_step(x->options->progress, "building the index", (double)row / (double)x->rows, ""))
      return moon_fail(MOON_ECANCELED, "stopped while building the index");
    MOON_TRY(moon_hnsw_add(x->index, row, x->units + row * x->dim));
  }
  x->seconds = (double)(moon_monotonic() - start) * 1e-6;
  return moon_ok();
}

/* ---- the report: queries are embeddings of items, evenly over the catalogue */

static size_t list_queries(const indexing *x, size_t most, uint32_t *queries) {
  size_t n = 0, passed = 0, every = x->items > most ? x->items / most : 1;
  for (uint32_t row = 0; row < x->rows && n < most; row++)
    if (moon_bits_has(x->allowed, row) && passed++ % every == 0) queries[n++] = row;
  return n;
}

static moon_status measure_graph(const indexing *x, size_t ef, const uint32_t *queries, size_t n, const uint32_t *want,
                                 const size_t *wanted, json_t *into) {
  moon_hnsw_scratch *scratch = moon_hnsw_scratch_new();
  moon_status status = scratch ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to search");
  size_t hits = 0, all = 0;
  int64_t start = moon_monotonic();
  for (size_t q = 0; q < n && !status.code; q++) {
    uint32_t got[K];
    float score[K];
    size_t found = 0;
    status = moon_hnsw_search(x->index, x->units + queries[q] * x->dim, K, ef, NULL, 0, scratch, got, score, &found);
    for (size_t i = 0; i < found; i++)
      for (size_t j = 0; j < wanted[q]; j++) hits += got[i] == want[q * K + j];
    all += wanted[q];
  }
  double took = (double)(moon_monotonic() - start);
  moon_hnsw_scratch_free(scratch);
  json_array_append_new(into, json_pack("{s:I, s:f, s:f}", "ef", (json_int_t)ef, "recall@10", all ? (double)hits / (double)all : 1, "us",
                                        n ? took / (double)n : 0));
  return status;
}

static moon_status measure(const indexing *x, json_t *report) {
  const moon_vectors vectors = {x->units, NULL, x->rows, x->dim};
  size_t most = x->options->queries ? x->options->queries : QUERIES;
  uint32_t *queries = moon_alloc(most * sizeof *queries), *want = moon_alloc(most * K * sizeof *want);
  size_t *wanted = moon_alloc(most * sizeof *wanted);
  json_t *recall = json_array();
  moon_status status = queries && want && wanted && recall ? moon_ok() : moon_fail(MOON_ENOMEM, "no memory to measure an index");
  if (!status.code) {
    size_t n = list_queries(x, most, queries);
    float score[K];
    int64_t start = moon_monotonic();
    for (size_t q = 0; q < n; q++)
      wanted[q] = moon_exact_search(&vectors, x->units + queries[q] * x->dim, K, x->allowed, want + q * K, score);
    json_object_set_new(report, "exact_us", json_real(n ? (double)(moon_monotonic() - start) / (double)n : 0));
    for (size_t ef = 25; ef <= 400 && !status.code; ef *= 2) status = measure_graph(x, ef, queries, n, want, wanted, recall);
  }
  json_object_set_new(report, "recall", recall);
  moon_free(queries), moon_free(want), moon_free(wanted);
  return status;
}

/* ---- into the folder */

static moon_status replace(const moon_bundle *b, const char *name, const moon_buf *bytes) {
  char *path = moon_path_join(b->path, name);
  moon_status status = path ? moon_file_replace(path, bytes->data ? bytes->data : "", bytes->n) : moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_free(path);
  return status;
}

static moon_status replace_manifest(const moon_bundle *b) {
  moon_buf bytes = {0};
  moon_status status = moon_bundle_put_json(b->manifest, &bytes);
  if (!status.code) status = replace(b, MOON_BUNDLE_MANIFEST, &bytes);
  moon_buf_free(&bytes);
  return status;
}

static moon_status store(const indexing *x, json_t *report) {
  json_t *files = json_object_get(x->bundle->manifest, "files");
  char digest[65];
  moon_buf bytes = {0};
  if (json_object_get(files, MOON_BUNDLE_INDEX)) {
    json_object_del(files, MOON_BUNDLE_INDEX);
    MOON_TRY(replace_manifest(x->bundle));
  }
  if (!x->index) return moon_ok();
  moon_status status = moon_hnsw_save(x->index, &bytes);
  if (!status.code) status = replace(x->bundle, MOON_BUNDLE_INDEX, &bytes);
  if (!status.code) {
    moon_sha256(bytes.data, bytes.n, digest);
    json_t *entry = json_pack("{s:I, s:s}", "bytes", (json_int_t)bytes.n, "sha256", digest);
    if (json_object_set_new(files, MOON_BUNDLE_INDEX, entry)) status = moon_fail(MOON_ENOMEM, "no memory for the manifest");
  }
  if (!status.code) status = replace_manifest(x->bundle);
  json_object_set_new(report, "bytes", json_integer((json_int_t)bytes.n));
  moon_buf_free(&bytes);
  return status;
}

moon_status moon_bundle_index(moon_bundle *bundle, const moon_index_options *options, json_t **out) {
  indexing x = {.bundle = bundle, .options = options};
  json_t *report = json_object();
  moon_status status = report ? gather(&x) : moon_fail(MOON_ENOMEM, "no memory for a report");
  bool written = x.items && x.items >= options->least;
  if (!status.code && written) status = build(&x);
  if (!status.code && written) status = measure(&x, report);
  if (!status.code) status = moon_wrap(store(&x, report), "bundle %s", bundle->path);
  if (!status.code) {
    json_t *of = json_pack("{s:I, s:I, s:b, s:f, s:I}", "items", (json_int_t)x.items, "dim", (json_int_t)x.dim, "written", written,
                           "build_seconds", x.seconds, "memory_bytes", (json_int_t)(x.index ? moon_hnsw_bytes(x.index) : 0));
    if (!of || json_object_update(report, of)) status = moon_fail(MOON_ENOMEM, "no memory for a report");
    json_decref(of);
  }
  moon_hnsw_free(x.index);
  moon_free(x.units), moon_free(x.allowed);
  if (status.code) json_decref(report);
  else *out = report;
  return status;
}
