/* cmd_embed.c - `moonshelf embed`: a column of texts becomes a file of vectors, and their ids one of lines. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "data/data.h"
#include "nn/crew.h"
#include "nn/nn.h"
#include "text/text.h"

static int run(int argc, char **argv);
const cli_command cli_embed = {
    "embed",
    "moonshelf embed CHECKPOINT --input FILE --out VECTORS [--id COLUMN] [--text COLUMN] [--ids FILE]\n"
    "         [--pooling mean|cls] [--normalize] [--max-length N] [--batch N] [--threads N] [--json]",
    "turn a column of texts into vectors by a BERT-class encoder",
    "Reads the texts of a .csv, .tsv or .jsonl file and writes a vector of each, for m.embedding_file: --out is a .safetensors or .npy file,\n"
    "--ids the id of each row, one a line (default: the name of --out, with .ids). CHECKPOINT is a folder in the Hugging Face layout:\n"
    "config.json, vocab.txt, model.safetensors and, where it has one, tokenizer_config.json; model_type bert or distilbert. The same texts give\n"
    "the same bytes whatever --batch and --threads.",
    1, run};

typedef struct embed_job {
  const char *checkpoint, *input, *id, *text, *out, *ids;
  moon_encoder_options how;
  size_t batch, threads;
  char *default_ids;
  moon_table *table;
  moon_text *texts;
  moon_encoder *encoder;
  moon_tensor *vectors;
  double seconds;
  cli_progress bar;
} embed_job;

static void job_close(embed_job *job) {
  moon_table_free(job->table);
  moon_free(job->texts);
  moon_free(job->default_ids);
  moon_encoder_free(job->encoder);
  moon_tensor_free(job->vectors);
}

static bool ends(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n > m && !strcmp(name + n - m, end);
}

static bool is_safetensors(const embed_job *job) { return ends(job->out, ".safetensors"); }

/* The name of --out, with .ids for what it ends in. */
static moon_status name_ids(embed_job *job) {
  if (job->ids) return moon_ok();
  moon_buf name = {0};
  moon_buf_printf(&name, "%.*s.ids", (int)(strrchr(job->out, '.') - job->out), job->out);
  job->ids = job->default_ids = name.data;
  return name.failed ? moon_fail(MOON_ENOMEM, "no memory for a path") : moon_ok();
}

/* ---- texts ------------------------------------------------------------------------------------------------------------------- */

static moon_status read_table(embed_job *job) {
  const moon_read_column columns[] = {{job->id, job->id, "string"}, {job->text, job->text, "string"}};
  const moon_read_options options = {.delimiter = strstr(job->input, ".tsv") ? '\t' : ',', .columns = columns, .column_count = 2,
                                     .progress = &job->bar.progress};
  const moon_input input = {.path = job->input};
  moon_read_report report;
  if (!strcmp(job->id, job->text)) return moon_fail(MOON_EINVAL, "--id and --text are the same column");
  return (strstr(job->input, ".jsonl") ? moon_jsonl_read : moon_csv_read)(&input, 1, &options, &job->table, &report);
}

/* The ids must be what m.embedding_file reads: each there, on one line, and once. */
static moon_status check_ids(const embed_job *job, const moon_column *ids) {
  for (size_t i = 0; i < ids->n; i++) {
    const char *id = moon_column_text(ids, i);
    if (!id) return moon_fail(MOON_EFORMAT, "%s: row %zu has no %s", job->input, i + 1, job->id);
    if (strchr(id, '\n')) return moon_fail(MOON_EFORMAT, "%s: the %s of row %zu has a line end in it", job->input, job->id, i + 1);
    if (ids->code[i] != i) return moon_fail(MOON_EFORMAT, "%s: row %zu: the %s '%.60s' is there twice", job->input, i + 1, job->id, id);
  }
  return ids->n ? moon_ok() : moon_fail(MOON_EFORMAT, "%s has no rows", job->input);
}

static moon_status read_texts(embed_job *job) {
  moon_column *ids, *texts;
  MOON_TRY(read_table(job));
  MOON_TRY(moon_table_require(job->table, job->id, &ids));
  MOON_TRY(moon_table_require(job->table, job->text, &texts));
  MOON_TRY(check_ids(job, ids));
  job->texts = moon_calloc(texts->n, sizeof *job->texts);
  if (!job->texts) return moon_fail(MOON_ENOMEM, "no memory for %zu texts", texts->n);
  for (size_t i = 0; i < texts->n; i++)
    if (!moon_column_is_null(texts, i)) job->texts[i] = (moon_text){moon_dict_text(texts->dict, texts->code[i]), moon_dict_length(texts->dict, texts->code[i])};
  return moon_ok();
}

/* ---- files ------------------------------------------------------------------------------------------------------------------- */

static moon_status write_vectors(const embed_job *job) {
  moon_buf bytes = {0};
  const moon_named_tensor named = {"embeddings", job->vectors};
  moon_status status = is_safetensors(job) ? moon_safetensors_write(&named, 1, &bytes) : moon_npy_write(job->vectors, &bytes);
  if (!status.code) status = moon_file_replace(job->out, bytes.data, bytes.n);
  moon_buf_free(&bytes);
  return status;
}

static moon_status write_ids(const embed_job *job) {
  moon_buf lines = {0};
  const moon_column *ids = moon_table_column(job->table, job->id);
  for (size_t i = 0; i < ids->n; i++) moon_buf_printf(&lines, "%s\n", moon_column_text(ids, i));
  moon_status status = lines.failed ? moon_fail(MOON_ENOMEM, "no memory for %zu ids", ids->n) : moon_file_replace(job->ids, lines.data, lines.n);
  moon_buf_free(&lines);
  return status;
}

static moon_status embed(embed_job *job) {
  MOON_TRY(name_ids(job));
  MOON_TRY(moon_encoder_open(job->checkpoint, &job->how, &job->encoder));
  MOON_TRY(read_texts(job));
  const size_t shape[] = {job->table->rows, moon_encoder_dim(job->encoder)};
  MOON_TRY(moon_tensor_new(MOON_F32, 2, shape, &job->vectors));
  int64_t start = moon_monotonic();
  MOON_TRY(moon_encoder_run(job->encoder, job->texts, shape[0], job->batch, job->threads, &job->bar.progress, moon_tensor_data(job->vectors)));
  job->seconds = (double)(moon_monotonic() - start) / 1e6;
  MOON_TRY(write_vectors(job));
  return write_ids(job);
}

/* ---- the command ------------------------------------------------------------------------------------------------------------- */

static int tell(const embed_job *job, bool json) {
  size_t rows = job->table->rows, dim = moon_encoder_dim(job->encoder);
  double rate = job->seconds > 0 ? (double)rows / job->seconds : 0;
  if (json)
    return cli_print_json(json_pack("{s:I, s:I, s:s, s:s, s:f, s:f}", "texts", (json_int_t)rows, "dim", (json_int_t)dim, "out", job->out, "ids", job->ids,
                                    "seconds", job->seconds, "texts_per_second", rate));
  printf("%s: %zu vectors of %zu numbers, %.1f s, %.0f texts/s; ids in %s\n", job->out, rows, dim, job->seconds, rate, job->ids);
  return CLI_DONE;
}

static int run(int argc, char **argv) {
  embed_job job = {.id = "item_id", .text = "title", .threads = moon_cores()};
  const char *pooling = "mean";
  bool json = false;
  const cli_option options[] = {
      {"input", CLI_STRING, &job.input, "FILE", "the texts: .csv, .tsv or .jsonl (required)"},
      {"id", CLI_STRING, &job.id, "COLUMN", "the column of ids (default item_id)"},
      {"text", CLI_STRING, &job.text, "COLUMN", "the column of texts (default title)"},
      {"out", CLI_STRING, &job.out, "FILE", "the vectors to write: .safetensors or .npy (required)"},
      {"ids", CLI_STRING, &job.ids, "FILE", "their ids to write (default: the name of --out, with .ids)"},
      {"pooling", CLI_STRING, &pooling, "P", "mean of all tokens, or cls, the first (default mean)"},
      {"normalize", CLI_FLAG, &job.how.normalize, NULL, "vectors of length 1"},
      {"max-length", CLI_COUNT, &job.how.max_length, "N", "tokens of a text; what is longer is cut (default: the checkpoint's)"},
      {"batch", CLI_COUNT, &job.batch, "N", "tokens to compute at a time on each thread (default 512)"},
      {"threads", CLI_COUNT, &job.threads, "N", "threads to compute with (default: the cores)"},
      {"json", CLI_FLAG, &json, NULL, "print the result as JSON"},
  };
  int code = cli_parse(&cli_embed, options, sizeof options / sizeof *options, argc, argv, &job.checkpoint);
  if (code >= 0) return code;
  if (!job.input) return cli_usage_error(&cli_embed, "--input is missing");
  if (!job.out) return cli_usage_error(&cli_embed, "--out is missing");
  if (!is_safetensors(&job) && !ends(job.out, ".npy")) return cli_usage_error(&cli_embed, "--out must end in .safetensors or .npy, not '%s'", job.out);
  moon_status known = moon_pooling_parse(pooling, &job.how.pooling);
  if (known.code) return cli_usage_error(&cli_embed, "--pooling: %s", known.message);
  if (job.threads > MOON_MOST_THREADS) return cli_usage_error(&cli_embed, "--threads is at most %d", MOON_MOST_THREADS);
  cli_progress_start(&job.bar);
  moon_status status = embed(&job);
  cli_progress_end(&job.bar);
  code = status.code ? cli_fail(status) : tell(&job, json);
  job_close(&job);
  return code;
}
