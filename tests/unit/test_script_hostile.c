/* test_script_hostile.c - every script of tests/hostile, as a policy, as a gate and while a site loads.
 *
 * Each says in its first lines what it tries and what is expected (see tests/README.md). Whatever it does: it is over within its time,
 * the slate is as it was, the policy after it works on the same Lua state, and memory does not grow with the calls. */
#include <dirent.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "page_shop.h"
#include "script/script.h"

enum { ITEMS = 500, ROUNDS = 3, CALL_MILLIS = 25, SLACK_MILLIS = 5, MEMORY = 96 << 20, CALL_MEMORY = 16 << 20 };

/* Instructions cost more where they are watched. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWER = 20 };
#elif defined(__OPTIMIZE__)
enum { SLOWER = 1 };
#else
enum { SLOWER = 2 };
#endif

enum { TRIES = 20 }; /* a busy machine may take the time away from anybody */

typedef struct script {
  char name[64];
  char *text;
  bool works, policy, gate, load;
  char kind[24];  /* of failure, one or two of them; empty: any */
  char says[100]; /* in the message; empty: anything */
} script;

typedef struct fixture {
  script scripts[400];
  size_t n;
  moon_bundle bundle;
  moon_arena arena;
  moon_slate *slate;
  moon_request request;
  char folder[64];
} fixture;

/* ---- the corpus */

static bool header(const char *text, const char *key, char *out, size_t room) {
  char wanted[32];
  snprintf(wanted, sizeof wanted, "-- %s: ", key);
  const char *at = strstr(text, wanted);
  snprintf(out, room, "%.*s", at ? (int)strcspn(at + strlen(wanted), "\n") : 0, at ? at + strlen(wanted) : "");
  return at != NULL;
}

static void read_script(script *s, const char *path, const char *name) {
  moon_buf buf = {0};
  char expect[64], at[64];
  OK(moon_file_read(path, 1 << 20, &buf));
  s->text = strndup(buf.data, buf.n);
  moon_buf_free(&buf);
  snprintf(s->name, sizeof s->name, "%.63s", name);
  if (!header(s->text, "tries", at, sizeof at) || !header(s->text, "expect", expect, sizeof expect)) fail_msg("%s: no header", name);
  s->works = !strcmp(expect, "works");
  if (!s->works && strncmp(expect, "skipped", 7)) fail_msg("%s: expect is works or skipped, not '%s'", name, expect);
  if (!s->works && expect[7]) snprintf(s->kind, sizeof s->kind, "%.23s", expect + 9);
  header(s->text, "says", s->says, sizeof s->says);
  bool where = header(s->text, "at", at, sizeof at);
  s->policy = !where || strstr(at, "policy");
  s->gate = !where || strstr(at, "gate");
  s->load = !where || strstr(at, "load");
}

static int by_name(const void *a, const void *b) { return strcmp(((const script *)a)->name, ((const script *)b)->name); }

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  moon_rng rng;
  char folder[400], path[700];
  snprintf(folder, sizeof folder, "%s/tests/hostile", getenv("MOON_SOURCE_DIR") ? getenv("MOON_SOURCE_DIR") : ".");
  DIR *dir = opendir(folder);
  if (!dir) fail_msg("there is no %s", folder);
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (!strstr(entry->d_name, ".lua") || strlen(entry->d_name) >= sizeof f->scripts->name) continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    assert_true(f->n < sizeof f->scripts / sizeof *f->scripts);
    read_script(&f->scripts[f->n++], path, entry->d_name);
  }
  closedir(dir);
  qsort(f->scripts, f->n, sizeof *f->scripts, by_name);
  moon_rng_seed(&rng, 5, 0);
  moon_table *table = NULL;
  moon_column *column;
  char text[32];
  OK(moon_table_new("items", &table));
  OK(moon_table_add_column(table, "item", MOON_STRING, &column));
  OK(moon_table_add_column(table, "category", MOON_STRING, &column));
  OK(moon_table_add_column(table, "price", MOON_NUMBER, &column));
  for (size_t i = 0; i < ITEMS; i++) {
    snprintf(text, sizeof text, "i%zu", i);
    OK(moon_column_push_string(&table->columns[0], text, strlen(text)));
    snprintf(text, sizeof text, "c%u", moon_rng_below(&rng, 9));
    OK(moon_column_push_string(&table->columns[1], text, strlen(text)));
    OK(moon_column_push_number(&table->columns[2], 1 + moon_rng_below(&rng, 100)));
  }
  table->rows = ITEMS;
  OK(moon_catalogue_new(table, &f->bundle.catalogue));
  strcpy(f->folder, "/tmp/moon-hostile-XXXXXX");
  assert_non_null(mkdtemp(f->folder));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < f->n; i++) free(f->scripts[i].text);
  moon_catalogue_free(f->bundle.catalogue);
  moon_arena_free(&f->arena);
  moon_dir_remove(f->folder);
  free(f);
  return 0;
}

/* ---- hosts and slates */

/* A site whose functions are the script, as a policy or a gate, and one that is fine; or that runs the script as it loads. */
static moon_status open_host(const fixture *f, const script *s, bool gate, bool load, moon_host **host) {
  moon_buf text = {0};
  json_t *plan = NULL;
  char *path = moon_path_join(f->folder, "site.lua");
  moon_buf_printf(&text,
                  "local m = require 'moonshelf' local T = m.tensor local kept = {} local function hostile(slate, ctx) local _ = slate "
                  "do %s\n end end\n%slocal function fine(slate) slate:boost(slate.price:gt(50), 2) slate:cap('category', 20) end\n"
                  "return m.site { home = m.page { m.slot 's' { from = m.source.popular(10), rerank = { m.policy.lua(%s), m.policy.lua(fine) }%s } } }\n",
                  s->text, load ? "hostile()\n" : "", gate || load ? "fine" : "hostile",
                  gate ? ", gate = function(ctx) return hostile(nil, ctx) end" : "");
  moon_host_options options = {.memory_limit = MEMORY, .load_instructions = load ? 1000000 : 0, .load_millis = 2000, .call_millis = CALL_MILLIS * SLOWER,
                               .call_memory = CALL_MEMORY, .call_tensors = 32 << 20};
  unlink(path);
  OK(moon_file_write(path, text.data, text.n));
  OK(moon_host_open(&options, host));
  moon_status st = moon_host_load_site(*host, path, &plan);
  json_decref(plan);
  moon_buf_free(&text);
  moon_free(path);
  return st;
}

static void fill(fixture *f) {
  moon_arena_reset(&f->arena);
  OK(moon_slate_new(&f->bundle, &f->arena, ITEMS, &f->slate));
  for (uint32_t i = 0; i < ITEMS; i++) moon_slate_add(f->slate, i, 0.9f - 0.001f * (float)i, MOON_SOURCE_POPULAR);
  f->request = (moon_request){.surface = "home", .user = "u1", .user_row = 4, .item_row = MOON_NONE, .now = INT64_C(1795515072) * MOON_SECOND, .seed = 7};
}

static uint64_t digest(const moon_slate *slate) {
  return moon_hash(slate->item, slate->n * sizeof *slate->item) ^ moon_hash(slate->score, slate->n * sizeof *slate->score) * 3;
}

static uint64_t fine_answer(fixture *f, moon_page_functions functions) {
  moon_status st = moon_ok();
  for (int i = 0; i < TRIES; i++) {
    fill(f);
    st = functions.policy(functions.self, 2, f->slate, &f->request);
    if (!st.code) break;
  }
  OK(st);
  return digest(f->slate);
}

/* ---- what is promised */

static bool out_of_time(const script *s, moon_status st) { return st.code && strstr(st.message, "time budget") && !strstr(s->kind, "budget"); }

static void check_outcome(const script *s, moon_status st, moon_script_failure kind, const char *as) {
  if (s->works ? st.code != MOON_OK : st.code != MOON_ESCRIPT) fail_msg("%s as %s: %d \"%s\"", s->name, as, st.code, st.message);
  if (s->works) return;
  if (!st.message[0] || !strstr(st.message, "site.lua:")) fail_msg("%s as %s: no place in \"%s\"", s->name, as, st.message);
  if (*s->kind && !strstr(s->kind, moon_script_failure_name(kind)))
    fail_msg("%s as %s: failed by %s (\"%s\"), expected %s", s->name, as, moon_script_failure_name(kind), st.message, s->kind);
  if (*s->says && !strstr(st.message, s->says)) fail_msg("%s as %s: \"%s\" does not say \"%s\"", s->name, as, st.message, s->says);
}

static bool chosen(const script *s) { /* MOON_HOSTILE=name runs one */
  const char *only = getenv("MOON_HOSTILE");
  return !only || strstr(s->name, only);
}

/* What the thread worked: other programs run here too, and the deadline is one of the wall's clock, so this is never more. */
static int64_t worked(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * MOON_SECOND + t.tv_nsec / 1000;
}


static void check_time(const script *s, int64_t micros, const char *as) {
  if (getenv("MOON_HOSTILE_TIMES")) printf("%8.1f ms  %s %s\n", (double)micros / 1e3, s->name, as);
  if (micros > (CALL_MILLIS + SLACK_MILLIS) * SLOWER * 1000) fail_msg("%s as %s: took %.1f ms", s->name, as, (double)micros / 1e3);
}

static void run_as_policy(fixture *f, const script *s, uint64_t fine) {
  moon_host *host, *fresh;
  moon_status st = open_host(f, s, false, false, &host);
  if (st.code) fail_msg("%s does not load: %s", s->name, st.message);
  moon_page_functions functions = moon_host_page_functions(host);
  int64_t least = INT64_MAX;
  for (int round = 0; round < ROUNDS; round++) {
    fill(f);
    uint64_t before = digest(f->slate);
    int64_t start = worked();
    for (int i = 0; i < TRIES; i++) {
      fill(f);
      start = worked();
      st = functions.policy(functions.self, 1, f->slate, &f->request);
      if (!out_of_time(s, st)) break;
    }
    int64_t took = worked() - start;
    if (took < least) least = took;
    if (st.code && digest(f->slate) != before) fail_msg("%s: the slate is not as it was", s->name);
    if (moon_host_memory(host) > MEMORY + (1 << 20) || moon_host_tensors(host) > (size_t)256 << 20) fail_msg("%s: memory grew", s->name);
    if (round) check_outcome(s, st, functions.failure(functions.self), "policy"); /* the first may fill what is kept */
    if (moon_host_worn(host)) {
      json_t *plan;
      OK(moon_host_reopen(host, &fresh, &plan));
      json_decref(plan);
      assert_false(moon_host_worn(fresh));
      moon_host_close(host);
      host = fresh;
      functions = moon_host_page_functions(host);
    }
    if (fine_answer(f, functions) != fine) fail_msg("%s: the policy after it answers something else", s->name);
  }
  check_time(s, least, "policy");
  moon_host_close(host);
}

static void policies_are_skipped_or_work_and_leave_no_trace(void **state) {
  fixture *f = *state;
  moon_host *host;
  script nothing = {.text = ""};
  OK(open_host(f, &nothing, false, false, &host));
  uint64_t fine = fine_answer(f, moon_host_page_functions(host));
  moon_host_close(host);
  assert_true(f->n >= 60);
  for (size_t i = 0; i < f->n; i++)
    if (f->scripts[i].policy && chosen(&f->scripts[i])) run_as_policy(f, &f->scripts[i], fine);
}

static void gates_close_or_work(void **state) {
  fixture *f = *state;
  fill(f);
  for (size_t i = 0; i < f->n; i++) {
    const script *s = &f->scripts[i];
    moon_host *host;
    if (!s->gate || !chosen(s)) continue;
    OK(open_host(f, s, true, false, &host));
    moon_page_functions functions = moon_host_page_functions(host);
    for (int round = 0; round < 2; round++) {
      bool open = true;
      moon_status st = functions.gate(functions.self, 3, &f->request, &open);
      for (int i = 1; i < TRIES && out_of_time(s, st); i++) st = functions.gate(functions.self, 3, &f->request, &open);
      check_outcome(s, st, functions.failure(functions.self), "gate");
      if (st.code && open) fail_msg("%s: a gate that failed is open", s->name);
    }
    moon_host_close(host);
  }
}

static void sites_load_or_say_why_not(void **state) {
  fixture *f = *state;
  for (size_t i = 0; i < f->n; i++) {
    script s = f->scripts[i];
    moon_host *host;
    if (!s.load || !chosen(&s)) continue;
    moon_status st = open_host(f, &s, false, true, &host);
    s.kind[0] = 0; /* there is more memory to load with, and less to do */
    check_outcome(&s, st, MOON_SCRIPT_ERROR, "load");
    moon_host_close(host);
  }
}

/* ---- pages and states made anew */

static void the_time_of_a_page_is_shared_by_its_policies(void **state) {
  fixture *f = *state;
  moon_host *host, *fresh;
  json_t *plan;
  script loop = {.text = "while true do end"};
  OK(open_host(f, &loop, false, false, &host));
  moon_host_close(host);
  moon_host_options options = {.call_millis = 10000, .call_instructions = UINT64_MAX / 2, .page_millis = 20};
  char *path = moon_path_join(f->folder, "site.lua");
  OK(moon_host_open(&options, &fresh));
  OK(moon_host_load_site(fresh, path, &plan));
  json_decref(plan);
  moon_page_functions functions = moon_host_page_functions(fresh);
  for (int round = 0; round < 2; round++) {
    fill(f);
    moon_host_begin_page(fresh);
    int64_t start = moon_monotonic();
    moon_status st = functions.policy(functions.self, 1, f->slate, &f->request);
    assert_true(st.code == MOON_ESCRIPT && functions.failure(functions.self) == MOON_SCRIPT_BUDGET);
    assert_true(moon_monotonic() - start >= 15000);
    st = functions.policy(functions.self, 2, f->slate, &f->request);
    if (st.code != MOON_ESCRIPT || !strstr(st.message, "site.lua: the page's 20 ms for policies and gates are spent")) fail_msg("%d %s", st.code, st.message);
    assert_int_equal(functions.failure(functions.self), MOON_SCRIPT_BUDGET);
  }
  moon_host_close(fresh);
  moon_free(path);
}

static void reopen_survives_any_failed_allocation_and_reads_no_file(void **state) {
  fixture *f = *state;
  moon_host *host, *fresh;
  json_t *plan;
  script nothing = {.text = ""};
  OK(open_host(f, &nothing, false, false, &host));
  uint64_t fine = fine_answer(f, moon_host_page_functions(host));
  char *path = moon_path_join(f->folder, "site.lua");
  unlink(path);
  moon_free(path);
  for (size_t n = 1; n < 4000; n += 1 + n / 16) {
    moon_alloc_fail_at(n);
    moon_status st = moon_host_reopen(host, &fresh, &plan);
    moon_alloc_fail_at(0);
    assert_true(st.code ? !fresh && !plan && st.message[0] : fresh && plan);
    json_decref(plan);
    moon_host_close(fresh);
  }
  OK(moon_host_reopen(host, &fresh, &plan));
  json_decref(plan);
  moon_host_close(host);
  assert_true(fine_answer(f, moon_host_page_functions(fresh)) == fine);
  moon_host_close(fresh);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(policies_are_skipped_or_work_and_leave_no_trace),
      cmocka_unit_test(gates_close_or_work),
      cmocka_unit_test(sites_load_or_say_why_not),
      cmocka_unit_test(the_time_of_a_page_is_shared_by_its_policies),
      cmocka_unit_test(reopen_survives_any_failed_allocation_and_reads_no_file),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
