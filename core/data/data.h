/* data.h - the door of core/data: typed columnar tables, and how rows from outside get into them.
 *
 * A table is a set of equally long columns in C memory. A string column holds codes into a dictionary. Nulls are sentinels
 * (MOON_NONE, INT64_MIN, NaN), so a column is one plain array. Lua sees tables only through cursors and views.
 *
 * The road of a row: reader (csv.c, jsonl.c, sqlite.c, postgres.c) -> table -> preprocess rules (preprocess.c, rules_*.c) -> event
 * log sorted by time with dense user/item rows (events.c) and catalogue (catalogue.c) -> labelled examples (label.c). */
#ifndef MOON_DATA_H
#define MOON_DATA_H

#include <jansson.h>

#include "base/base.h"

/* The text under a key of an object of a plan; "" where there is none. */
static inline const char *moon_text_in(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

/* ---- columns and tables (table.c) ---------------------------------------------------------------------------------------- */

typedef enum moon_type { MOON_STRING, MOON_INTEGER, MOON_NUMBER, MOON_TIME } moon_type;
#define MOON_NULL_INT INT64_MIN

typedef struct moon_column {
  char *name;
  moon_type type;
  size_t n, cap;
  union {
    uint32_t *code; /* MOON_STRING: code into dict, MOON_NONE = null */
    int64_t *i64;   /* MOON_INTEGER, MOON_TIME (microseconds UTC), MOON_NULL_INT = null */
    double *f64;    /* MOON_NUMBER, NaN = null */
    void *raw;
  };
  moon_dict *dict; /* owned; MOON_STRING only */
} moon_column;

typedef struct moon_table {
  char *name; /* the file it came from, for messages */
  size_t rows, column_count, column_cap;
  moon_column *columns;
} moon_table;

moon_status moon_table_new(const char *name, moon_table **out);
void moon_table_free(moon_table *table);
/* Adds an empty column (or one of `rows` nulls where the table has rows). MOON_EINVAL where the name exists. The pointer is
 * valid until the next column is added. */
moon_status moon_table_add_column(moon_table *table, const char *name, moon_type type, moon_column **out);
moon_column *moon_table_column(const moon_table *table, const char *name); /* NULL where absent */
/* Clear error naming the table, the missing column and the nearest one. */
moon_status moon_table_require(const moon_table *table, const char *name, moon_column **out);
moon_status moon_column_push_string(moon_column *column, const char *text, size_t n);
moon_status moon_column_push_number(moon_column *column, double value); /* NUMBER; INTEGER/TIME truncates */
moon_status moon_column_push_integer(moon_column *column, int64_t value);
moon_status moon_column_push_code(moon_column *column, uint32_t code); /* STRING; a code of its dictionary, or MOON_NONE */
moon_status moon_column_push_null(moon_column *column);
bool moon_column_is_null(const moon_column *column, size_t row);
double moon_column_number(const moon_column *column, size_t row); /* NaN for null and for strings */
const char *moon_column_text(const moon_column *column, size_t row); /* strings only; NULL for null */
void moon_column_json(const moon_column *column, size_t row, moon_buf *out); /* the cell as JSON; null also past the last row */
/* Keep the rows with keep[row] != 0, in order. keep: [rows]. */
void moon_table_keep(moon_table *table, const uint8_t *keep);
/* Reorder rows: new row i is old row order[i]. order: [rows]. */
moon_status moon_table_permute(moon_table *table, const uint32_t *order);
/* The rows by rising time, equal ones in the table's order, nulls first: [rows] row numbers, owned by the caller. MOON_ELIMIT at
 * 2^32 - 1 rows. */
moon_status moon_column_order(const moon_column *time, uint32_t **order);
/* Moves the columns of `fresh`, which has as many rows, into `table`: in the place of the one of that name, or behind the last.
 * `fresh` gets those that were replaced. All or nothing. */
moon_status moon_table_adopt(moon_table *table, moon_table *fresh);

/* ---- what all readers share (intake.c, stream.c, rejects.c) ---------------------------------------------------------------- */

typedef struct moon_read_column {
  const char *name; /* the name in the table */
  const char *from; /* the name in the input: a CSV header's (without ":type"), a path of JSON keys, a query's column */
  const char *type; /* "string" "number" "integer" "time" "time_s" "time_ms" "time_us", or NULL: the input's own, else inferred */
} moon_read_column;

typedef struct moon_rejects moon_rejects;
typedef struct moon_read_options {
  char delimiter;                  /* CSV: ',' or '\t' */
  const moon_read_column *columns; /* what to read; other columns of the input are skipped */
  size_t column_count;
  size_t max_bad_rows;             /* rows that do not parse are left out, up to here, of all files together */
  moon_rejects *rejects;           /* where they are told of; NULL: nowhere but in the report */
  const char *const *missing;      /* [missing_count] texts that mean "no value", beside the empty one: "NA", "unknown" */
  size_t missing_count;
  size_t block;                    /* bytes read at a time; 0 for a good number */
  const moon_progress *progress;
} moon_read_options;

typedef enum moon_reject {
  MOON_REJECT_FIELDS, /* a row of more or fewer fields than the header */
  MOON_REJECT_QUOTES, /* a text follows a closing quote */
  MOON_REJECT_JSON,   /* a line that is not a JSON object */
  MOON_REJECT_TYPE,   /* a list, an object, bytes: where one value is wanted */
  MOON_REJECT_NUMBER, /* not a number, or not a whole one */
  MOON_REJECT_RANGE,  /* a number or a time past what 64 bits hold */
  MOON_REJECT_TIME,   /* not a time */
  MOON_REJECT_UTF8,   /* bytes that are not UTF-8, or a zero byte */
  MOON_REJECT_LONG,   /* a text of over 1 MiB */
  MOON_REJECTS
} moon_reject;
const char *moon_reject_name(moon_reject reason); /* "fields", "quotes", ... */

typedef struct moon_read_report {
  size_t rows, bad_rows, bytes; /* bytes: unpacked; 0 for a database */
  size_t reasons[MOON_REJECTS]; /* of the bad rows */
  char first_bad[3][200];       /* "events.csv:17: column price: 'abc' is not a number" */
  size_t missing;               /* where that is why it failed: 1 + the column asked for that the input lacks */
} moon_read_report;

/* The rejected rows as JSON Lines: {"file","line","column","reason","message","row","bytes"}, the row cut at 500 bytes ("bytes"
 * says how long it is), the file at 16 MiB. A write that fails is told of at the end. NULL may be closed. */
moon_status moon_rejects_open(const char *path, moon_rejects **out);
moon_status moon_rejects_close(moon_rejects *rejects);

/* A file, or bytes in memory. Either may be packed by gzip or zstd, which its first bytes say and not its name. */
typedef struct moon_input {
  const char *path;  /* NULL: */
  const char *bytes; /* [n] */
  size_t n;
  const char *name;  /* for messages; NULL: the path's last part */
} moon_input;

/* All readers: into a new table (caller frees). They stream; only the wanted columns are kept. Errors name file, line, column and
 * value. Several inputs are read one after the other into one table, whose columns have the types that the first gave them. An
 * empty text is null, and so is one of the texts in `missing`. A row with a value that does not parse is bad as a whole.
 *
 * A column's type is the one asked for, else its role's (user, item, event: string; time: time), else the input's own, else what
 * a look at the first 1000 rows tells. A time without a unit is read by the magnitude of its file's first value: < 1e11 seconds,
 * < 1e14 milliseconds, else microseconds; or as ISO 8601. */

/* ---- CSV / TSV (csv.c): RFC 4180 quotes, CRLF, UTF-8 BOM, header `name` or `name:type` --------------------------------------- */

/* Each file has a header of its own, by which its columns are found. A blank line is skipped. A header alone is a table of 0
 * rows; a file without one is MOON_EFORMAT ("is empty"). A quote that never closes fails whatever max_bad_rows says: nobody knows
 * how many rows it took. RecBole's header types map token, token_seq, float_seq -> string, float -> number. Without any type a
 * column is of numbers where nine in ten of the first 1000 rows' values are. */
moon_status moon_csv_read(const moon_input *inputs, size_t count, const moon_read_options *options, moon_table **out,
                          moon_read_report *report);
/* One from memory, for tests and fuzzing. */
moon_status moon_csv_read_memory(const char *name, const char *bytes, size_t n, const moon_read_options *options,
                                 moon_table **out, moon_read_report *report);

/* ---- JSON Lines (jsonl.c) ----------------------------------------------------------------------------------------------------- */

/* One object a line; blank lines are skipped. A column's `from` is a path: "user.id" is the key "user.id", or else the key "id" of
 * the object "user". A key that a line lacks is null there, wherever it appears first; a key that no row has is MOON_ENOTFOUND. Values
 * are read as their texts would be in a CSV: "12.5" is a number where one is asked for, and 7 a text where that is; true and false
 * are 1 and 0 there, and "true" and "false" here. A list or an object is no value. Without any type a column is of numbers where all
 * values of the first 1000 rows are numbers or booleans, and not none. */
moon_status moon_jsonl_read(const moon_input *inputs, size_t count, const moon_read_options *options, moon_table **out,
                            moon_read_report *report);

/* ---- databases (sqlite.c, postgres.c) ---------------------------------------------------------------------------------------- */

typedef struct moon_database {
  const char *database;    /* SQLite: a path; PostgreSQL: "host=... dbname=..." or a URI, without a password */
  const char *table, *sql; /* one of them */
  const char *name;        /* for messages */
} moon_database;

/* One statement, which must only read; a column's `from` is the name of one of its columns. SQLite's values are treated as those of
 * JSON Lines; PostgreSQL says its columns' types (numbers, booleans: number; dates, timestamps: time, in UTC where they have no
 * zone; all else: string). Blobs are no values. Messages count the rows from 1. */
moon_status moon_sqlite_read(const moon_database *query, const moon_read_options *options, moon_table **out,
                             moon_read_report *report);
/* MOON_EINVAL where it was built without libpq. */
moon_status moon_postgres_read(const moon_database *query, const moon_read_options *options, moon_table **out,
                               moon_read_report *report);

/* ---- functions written by users ------------------------------------------------------------------------------------------- */

/* How core reaches a recipe's Lua functions without knowing Lua; core/script fills it in. `fn` is the number in the plan. */
typedef struct moon_row_functions {
  void *self;
  /* keep: [table->rows], set to 0 where the function says no. */
  moon_status (*filter)(void *self, uint32_t fn, const moon_table *table, uint8_t *keep);
  /* Adds or replaces column `name`; the type follows the first non-nil value (number or string; boolean is 0/1). */
  moon_status (*map)(void *self, uint32_t fn, moon_table *table, const char *name);
} moon_row_functions;

/* ---- a plan's sources and rules (source.c, preprocess.c) ------------------------------------------------------------------ */

typedef struct moon_source_options {
  const char *data_dir;    /* where relative files are; NULL: here */
  size_t max_bad_rows;
  moon_rejects *rejects;   /* may be NULL */
  const moon_progress *progress;
} moon_source_options;

/* Read the table that a plan's source names. source: {"format"?:"csv"|"jsonl"|"sqlite"|"postgres",
 * "file":"a.csv"|["a.csv","b-*.csv"],"delimiter":","|"\t","table"|"query":"..." (databases; PostgreSQL's "file" says where to connect),
 * "columns":[{"name","from","type"?}],"missing"?:["NA"],"where"}. "where" is "recipe.lua:12" and prefixes errors.
 *
 * A name with *, ? or [ in it is a pattern for files, which are read in the order of their names; MOON_ENOTFOUND where there is
 * none. "x.csv" also finds "x.csv.gz" and "x.csv.zst", a pattern too. No file may be named twice. */
moon_status moon_source_read(const json_t *source, const moon_source_options *options, moon_table **out, moon_read_report *report);

/* What rules may reach beside their table. NULL or zeroes: nothing. */
typedef struct moon_preprocess_options {
  const moon_row_functions *functions; /* filter, map */
  moon_source_options source;          /* join */
} moon_preprocess_options;

enum { MOON_RULE_SAMPLES = 3 };
typedef struct moon_rule_report {
  char rule[64];  /* "k_core (recipe.lua:12)" */
  char why[200];  /* "3 users and 1 item had fewer", "price = 12.5 in 40 rows"; may be empty */
  size_t before, after;
  char sample[MOON_RULE_SAMPLES][200]; /* the first rows that it dropped, "user=u1, item=i7, time=-"; empty where there is none */
} moon_rule_report;
/* Each rule is an object with "op" and "where", applied in order; the first that fails leaves the table as it was before it.
 * reports: [json_array_size(rules)], may be NULL.
 *
 *   {"op":"drop_missing","columns":[..]}            rows where one of them is null
 *   {"op":"filter","fn":1}
 *   {"op":"map","column":"event","fn":2}
 *   {"op":"dedupe","columns":[..]}                  all but the first of rows that agree in them
 *   {"op":"fill","values":[{"column","value"}]}     nulls by a number, a text, or "mean", "median" of a column of numbers
 *   {"op":"cast","types":[{"column","type"}]}       as a reader would have read it; what does not parse becomes null
 *   {"op":"rename","names":[{"column","to"}]}       all at once, so two may swap
 *   {"op":"clip","column","min"?,"max"?}            numbers into bounds
 *   {"op":"time_zone","zones":[{"column","zone"}]}  times read as UTC were local times; zones as moon_zone_new has them
 *   {"op":"sessionize","gap_us":N}                  adds integer "session": 1, 2, .. in the order of time; a user's event begins
 *                                                   one where more than the gap has passed since their last
 *   {"op":"k_core","user"?:5,"item"?:5}             the most rows where each user and each item has so many
 *   {"op":"bots","over_us":N,"most":60}             without users who at some t have more rows within (t - over, t]
 *   {"op":"join","source":{..},"on":"user",         columns (or all) of another table, by its first row of the same id
 *    "columns"?:[..]} */
moon_status moon_preprocess(const json_t *rules, moon_table *table, const moon_preprocess_options *options,
                            moon_rule_report *reports);

/* The table of a plan's items, its source "items", with what functions make of each row: its "item_columns", which are rules of op map.
 * *out is NULL where the plan has no items. */
moon_status moon_items_read(const json_t *plan, const moon_preprocess_options *options, moon_table **out, moon_read_report *report);

/* ---- catalogue: the items table by dense item row (catalogue.c) ------------------------------------------------------------ */

/* Item row r of everything in the runtime is row r of this catalogue. Rows come first from the items table, in file order; items
 * seen only in events are appended with null attributes (and never recommended). */
typedef struct moon_catalogue {
  moon_table *table; /* owned; column "item" is the id */
  moon_dict *ids;    /* item id -> row */
  size_t listed;     /* rows [0, listed) came from the items table */
  uint8_t *hidden;   /* [rows] 1 where column "hidden" is true or "stock" is a number <= 0, or the row is not listed */
  size_t hidden_cap;
} moon_catalogue;
/* Takes ownership of `table` (NULL: an empty catalogue whose items all come from events and count as listed). Duplicate ids:
 * MOON_EFORMAT. */
moon_status moon_catalogue_new(moon_table *table, moon_catalogue **out);
void moon_catalogue_free(moon_catalogue *catalogue);
/* *row is MOON_NONE where the item is absent and not added. */
moon_status moon_catalogue_row(moon_catalogue *catalogue, const char *id, size_t n, bool add, uint32_t *row);
size_t moon_catalogue_rows(const moon_catalogue *catalogue);
const char *moon_catalogue_id(const moon_catalogue *catalogue, uint32_t row);
/* catalogue as CSV-free JSON-free binary: <- bundle. Deterministic bytes. */
moon_status moon_catalogue_save(const moon_catalogue *catalogue, moon_buf *out);
moon_status moon_catalogue_load(const char *bytes, size_t n, moon_catalogue **out);

/* ---- the event log in memory (events.c) ------------------------------------------------------------------------------------ */

typedef struct moon_event {
  uint32_t user, item; /* dense rows */
  uint32_t kind;       /* code into kinds ("view", "purchase", ...) */
  uint32_t row;        /* row in the source table (after sorting by time: its own index) */
  int64_t time;
} moon_event;

/* What is odd about a log, none of which stops it. */
typedef struct moon_log_report {
  size_t out_of_order; /* events that stood after a later one in the source */
  size_t duplicates;   /* events that say what an earlier one says, in every column; m.dedupe would drop them */
  size_t before_1970;  /* clocks that were never set, or a wrong unit of time */
  size_t after_gap;    /* events after the first gap of over a year between two neighbours: a clock that jumped ahead */
} moon_log_report;

typedef struct moon_log {
  moon_event *events; /* sorted by (time, source order) */
  size_t n;
  moon_table *table;  /* owned; the preprocessed rows, in the same order */
  moon_dict *users, *kinds; /* owned */
  moon_log_report report;
} moon_log;
/* Takes ownership of `table` (columns user, item, time; event optional: kind "event"). Item rows are added to `catalogue`, which
 * keeps those that it got before a failure. Rows with a null user, item or time: MOON_EFORMAT that names the first and advises
 * drop_missing. */
moon_status moon_log_new(moon_table *table, moon_catalogue *catalogue, moon_log **out);
void moon_log_free(moon_log *log);

/* ---- labels (label.c) ------------------------------------------------------------------------------------------------------ */

/* Examples in time order: which events are examples, and their label.
 * label: {"positive":["purchase"],"of":["view"],"within_us":N} - every event of a kind in `of` is an example, positive where the
 *        same user does a kind in `positive` on the same item after it, at most N later (N itself counts; at equal times the
 *        log's order says what is after); an event of a kind in both is positive itself;
 *        or {"column":"rating","at_least":4} - every event whose column is not null. "negatives" is not for here: core/rank
 * samples them. Each with "where". Several tasks over the same examples are a list of labels, each with its name as "task", the one that
 * is judged first; a label alone is the list of itself. */
enum { MOON_MOST_TASKS = 16 };
size_t moon_label_count(const json_t *label);
const json_t *moon_label_at(const json_t *label, size_t task);
typedef struct moon_examples {
  uint32_t *event; /* [n] index into log->events */
  float *label;    /* [tasks, n] 0 or 1; the first n are those of the task that is judged */
  uint32_t *item;  /* [n] the item row where it is not the event's (sampled negatives); NULL: all are the events' */
  size_t n, tasks;
} moon_examples;
/* MOON_EINVAL also where two tasks have different examples. */
moon_status moon_label(const json_t *label, const moon_log *log, moon_examples *out);
void moon_examples_free(moon_examples *examples);

#endif
