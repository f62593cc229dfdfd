/* vectors_encode.c - embeddings that a text encoder makes of a column of the items, when the data set is made. From there on they are as if
 * they had come from a file. */
#include <math.h>

#include "nn/crew.h"
#include "rank/dataset.h"
#include "text/text.h"

static moon_status list_ids(const moon_catalogue *catalogue, moon_vocab *vocab) {
  for (uint32_t row = 0; row < catalogue->listed; row++)
    MOON_TRY(moon_vocab_add(vocab, moon_catalogue_id(catalogue, row), moon_dict_length(catalogue->ids, row)));
  return moon_ok();
}

static moon_status encode(const moon_feature *feature, const moon_encoder *encoder, const moon_column *column, size_t n, const moon_progress *progress,
                          moon_tensor *into) {
  moon_text *texts = moon_calloc(n, sizeof *texts);
  if (!texts) return moon_fail(MOON_ENOMEM, "no memory for %zu texts", n);
  for (size_t i = 0; i < n; i++)
    if (!moon_column_is_null(column, i)) texts[i] = (moon_text){moon_column_text(column, i), moon_dict_length(column->dict, column->code[i])};
  float *out = moon_tensor_data(into);
  moon_status status = moon_encoder_run(encoder, texts, n, 0, moon_cores() < MOON_MOST_THREADS ? moon_cores() : MOON_MOST_THREADS, progress, out);
  moon_free(texts);
  for (size_t i = 0; !status.code && i < n * feature->dim; i++)
    if (!isfinite(out[i])) status = moon_fail(MOON_EFORMAT, "%s: the vector of item %zu is not finite", feature->file, i / feature->dim + 1);
  return status;
}

static moon_status open_encoder(const moon_feature *feature, const char *data_dir, moon_encoder **out) {
  const moon_encoder_options how = {feature->cls ? MOON_POOL_CLS : MOON_POOL_MEAN, feature->normalize, feature->max_length};
  char *folder = moon_path_join(data_dir ? data_dir : "", feature->file);
  if (!folder) return moon_fail(MOON_ENOMEM, "no memory for a path");
  moon_status status = moon_encoder_open(folder, &how, out);
  moon_free(folder);
  if (!status.code && moon_encoder_dim(*out) != feature->dim)
    status = moon_fail(MOON_EINVAL, "%s makes vectors of %zu numbers, but dim is %zu", feature->file, moon_encoder_dim(*out), feature->dim);
  return status;
}

moon_status moon_vectors_encode(const moon_feature *feature, const moon_catalogue *catalogue, const char *data_dir, const moon_progress *progress,
                                moon_vocab *vocab, moon_tensor **out) {
  moon_encoder *encoder = NULL;
  const moon_column *column = moon_table_column(catalogue->table, feature->text);
  const size_t shape[] = {catalogue->listed, feature->dim};
  moon_status status = open_encoder(feature, data_dir, &encoder);
  if (!status.code) status = list_ids(catalogue, vocab);
  if (!status.code) status = moon_tensor_new(MOON_F32, 2, shape, out);
  if (!status.code) status = encode(feature, encoder, column, shape[0], progress, *out);
  moon_encoder_free(encoder);
  return moon_wrap(status, "%s", feature->where);
}
