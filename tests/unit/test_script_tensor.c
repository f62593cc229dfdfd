/* test_script_tensor.c - tensors within the sandbox: memory and time stay bounded, and files are out of reach but for those beside the
 * script. */
#include <stdlib.h>
#include <unistd.h>

#include "numeric.h"
#include "script/script.h"

static const char prelude[] = "local m = require 'moonshelf' local T = m.tensor\n";
static const char recipe_tail[] =
    "\nreturn m.recipe 'r' { events = m.csv 'e.csv' { user = 'u', item = 'i', time = 't', event = 'e' },"
    " label = m.label { positive = 'buy', of = 'view', within = '1d' }, features = { m.id 'item' },"
    " model = m.nn.sequential { m.nn.dense(1, 'sigmoid') } }\n";

static moon_status run_with(moon_host_options options, const char *source) {
  moon_host *host;
  OK(moon_host_open(&options, &host));
  char text[4096];
  snprintf(text, sizeof text, "%s%s%s", prelude, source, recipe_tail);
  json_t *plan = NULL;
  moon_status st = moon_host_load_recipe_source(host, "recipe.lua", text, strlen(text), &plan);
  json_decref(plan);
  moon_host_close(host);
  return st;
}

static moon_status run(const char *source) {
  return run_with((moon_host_options){.tensor_limit = 64 << 20, .load_instructions = 4000000}, source);
}

static void assert_fine(const char *source) {
  moon_status st = run(source);
  if (st.code) fail_msg("%s\n-> %s", source, st.message);
}

static void scripts_compute_with_tensors(void **state) {
  (void)state;
  assert_fine("local a = T { { 1, 2 }, { 3, 4 } } assert(a:matmul(a):sum() == 54 and (a + 1)[2][2] == 5)");
  assert_fine("assert(select(3, T.memory()) == 64 << 20)");
  REFUSED(MOON_ESCRIPT, "recipe.lua:3: tensor:matmul: [2] against [3]: the inner sizes 2 and 3 differ",
          run("\nT { 1, 2 }:matmul(T { 1, 2, 3 })"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: there is no tensor method 'sofmax'; did you mean 'softmax'?", run("T { 1 }:sofmax()"));
}

static void the_default_limit_is_256_mib(void **state) {
  (void)state;
  OK(run_with((moon_host_options){0}, "assert(select(3, T.memory()) == 256 << 20)"));
}

/* ---- memory */

static void loops_over_large_temporaries_fit(void **state) {
  (void)state;
  OK(run_with((moon_host_options){.tensor_limit = 64 << 20, .load_instructions = UINT64_C(1) << 40},
              "for i = 1, 1000 do local t = T.zeros({ 1 << 20 }, 'u8') end assert(select(2, T.memory()) <= 64 << 20)"));
}

static void what_is_kept_runs_into_the_limit(void **state) {
  (void)state;
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.ones: no memory for a f32 tensor of [1048576]: 4194304 bytes asked",
          run("local kept = {} while true do kept[#kept + 1] = T.ones { 1 << 20 } end"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.zeros: no memory", run("T.zeros { 1 << 30 }"));
  REFUSED(MOON_ESCRIPT,
          "recipe.lua:2: m.tensor: no memory for a f32 tensor of [2, 1000, 1000, 1000, 1]", /* from 3,000 places of tables */
          run("local t = { 1 } for i = 1, 3 do local u = {} for k = 1, 1000 do u[k] = t end t = u end T { t, t }"));
  assert_fine("assert(not pcall(T.zeros, { 1 << 28 })) assert(T.zeros(10):sum() == 0)");
}

/* A view costs no buffer, but it costs: the handles of 10^8 views are memory too. */
static void handles_count_too(void **state) {
  (void)state;
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor: no memory for a handle",
          run_with((moon_host_options){.tensor_limit = 1 << 20, .load_instructions = UINT64_C(1) << 40},
                   "local t, kept = T.zeros { 2, 2 }, {} while true do kept[#kept + 1] = t[1] end"));
}

/* ---- time */

static void work_in_c_is_charged_before_it_is_done(void **state) {
  (void)state;
  static const char *const scripts[] = {
      "local a = T.ones { 2000, 2000 } for i = 1, 100 do a:matmul(a) end",
      "local a = T.ones { 1 << 20 } while true do a:exp_() end",
      "local a = T.ones { 1 << 20 } while true do pcall(a.exp_, a) end",
      "while true do T.zeros { 1 << 20 } end",
      "while true do T.randn { 1 << 16 } end",
      "local a = T.ones(1):expand(1 << 40) a:sum()",
      "local a = T.ones(1):expand(1 << 40) a:add_(1) a:sum()",
      "local a = T.ones(1):expand(1 << 40) a:to_table()",
      "local a = T.zeros { 1 << 40, 0 } a:to_table()",
      "local a = T.ones { 1000, 1000 } while true do a:topk(500) end",
      "local a = T.ones { 1000, 1000 } while true do a:softmax(1) end",
      "local a = T.ones { 1000, 1 } local b = T.ones { 1, 1000 } while true do local c = a + b end",
      "local a = T.ones { 1000, 1000 } while true do a:take { 1, 2, 3 } end",
      "local t = T.ones { 10, 10, 10, 10 } while true do tostring(t) end",
      "local t = {} for i = 1, 1000 do t[i] = T.ones(1000) end while true do T.concat(t) end",
  };
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    int64_t before = moon_monotonic();
    moon_status st = run(scripts[i]);
    if (st.code != MOON_ESCRIPT || !strstr(st.message, "budget") || strncmp(st.message, "recipe.lua:2: ", 14))
      fail_msg("%s-> %d %s", scripts[i], st.code, st.message);
    if (moon_monotonic() - before > 6 * MOON_SECOND) fail_msg("took too long: %s", scripts[i]);
  }
}

/* ---- what a script may not do */

static void the_runtimes_settings_are_not_the_scripts(void **state) {
  (void)state;
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.limit: the runtime sets the limit", run("T.limit(0)"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.seed: the runtime seeds random numbers", run("T.seed(1)"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: tensor:save: a script in the sandbox writes no files", run("T { 1 }:save 'x.npy'"));
  REFUSED(MOON_ESCRIPT, "'m.tensor' is read-only", run("T.zeros = print"));
  REFUSED(MOON_ESCRIPT, "protected", run("setmetatable(T, {})"));
  assert_fine("assert(getmetatable(T { 1 }) == false)");
  moon_status a = run("error(tostring(T.rand(4)))"), b = run("error(tostring(T.rand(4)))");
  assert_string_equal(a.message, b.message);
}

static char *write_npy(const char *folder, const char *name) {
  char *path = moon_path_join(folder, name);
  moon_tensor *t;
  OK(moon_tensor_from(MOON_F32, SHAPE(2), (float[]){1, 2}, &t));
  OK(moon_tensor_save(t, path));
  moon_tensor_free(t);
  return path;
}

static moon_status load_beside(const char *folder, const char *name) {
  char text[1024];
  snprintf(text, sizeof text, "%sassert(T.load '%s':sum() == 3)%s", prelude, name, recipe_tail);
  char *path = moon_path_join(folder, "recipe.lua");
  unlink(path);
  OK(moon_file_write(path, text, strlen(text)));
  moon_host *host;
  json_t *plan = NULL;
  OK(moon_host_open(NULL, &host));
  moon_status st = moon_host_load_recipe(host, path, &plan);
  json_decref(plan);
  moon_host_close(host);
  moon_free(path);
  return st;
}

static void files_are_read_beside_the_script_only(void **state) {
  (void)state;
  char folder[] = "/tmp/moon-script-tensor-XXXXXX";
  assert_non_null(mkdtemp(folder));
  char *sub = moon_path_join(folder, "weights");
  OK(moon_dir_make(sub));
  char *paths[] = {write_npy(folder, "x.npy"), write_npy(sub, "y-1.f32.npy"), write_npy(folder, ".hidden.npy")};
  OK(load_beside(folder, "x.npy"));
  OK(load_beside(folder, "weights/y-1.f32.npy"));
  const char *const names[] = {
      "/etc/passwd", "../x.npy", "weights/../x.npy", ".hidden.npy", "weights/.x", "./x.npy", "weights//y.npy", "weights/", ""};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    REFUSED(MOON_ESCRIPT, "is not a file beside the script", load_beside(folder, names[i]));
  REFUSED(MOON_ESCRIPT, "zero byte", load_beside(folder, "x.npy\\0y"));
  REFUSED(MOON_ESCRIPT, "recipe.lua:2: m.tensor.load:", load_beside(folder, "none.npy"));
  REFUSED(MOON_ESCRIPT, "neither .npy nor safetensors", load_beside(folder, "recipe.lua"));
  REFUSED(MOON_ESCRIPT, "a script from memory has no folder", run("T.load 'x.npy'"));
  for (size_t i = 0; i < 3; i++) moon_free(paths[i]);
  moon_free(sub);
  moon_dir_remove(folder);
}

/* ---- failing allocations */

static void any_failing_allocation_is_an_error_and_leaks_nothing(void **state) {
  (void)state;
  const char *source =
      "for i = 1, 3 do local a = T { { 1, 2 }, { 3, 4 } } local b = (a:transpose() + 1):matmul(a):softmax() b:topk(1) b:take { 2 "
      "}"
      " T.concat { a, b } tostring(a) a:to_table() a[1] = b[2] end";
  for (size_t n = 1; n < 6000; n += 1 + n / 24) {
    char text[2048];
    moon_host *host = NULL;
    json_t *plan = NULL;
    snprintf(text, sizeof text, "%s%s%s", prelude, source, recipe_tail);
    moon_alloc_fail_at(n);
    moon_status st = moon_host_open(NULL, &host);
    if (!st.code) st = moon_host_load_recipe_source(host, "recipe.lua", text, strlen(text), &plan);
    moon_alloc_fail_at(0);
    json_decref(plan);
    moon_host_close(host);
    assert_true(st.code == MOON_OK || st.message[0]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scripts_compute_with_tensors),
      cmocka_unit_test(the_default_limit_is_256_mib),
      cmocka_unit_test(loops_over_large_temporaries_fit),
      cmocka_unit_test(what_is_kept_runs_into_the_limit),
      cmocka_unit_test(handles_count_too),
      cmocka_unit_test(work_in_c_is_charged_before_it_is_done),
      cmocka_unit_test(the_runtimes_settings_are_not_the_scripts),
      cmocka_unit_test(files_are_read_beside_the_script_only),
      cmocka_unit_test(any_failing_allocation_is_an_error_and_leaks_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
