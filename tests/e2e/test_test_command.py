"""`moonshelf test`: what recipe authors see of their tests, passing, failing and broken; and the examples' own."""
import json
import os
import tempfile
import unittest

import shoplet
from shoplet import run, write

SOURCE = os.environ["MOON_SOURCE_DIR"]

HEAD = """\
local m = require "moonshelf"
local recipe = require "recipe"
local items = { { item = "i1", category = "shoes", price = 20 }, { item = "i2", category = "hats", price = 5 } }
local function view(item, time) return { user = "ann", item = item, event = "view", time = "2026-11-24T" .. time .. ":00Z" } end
"""

PASSING = """\
m.test "a look counts for an hour" {
  recipe = recipe, items = items,
  run = function(t)
    t:event(view("i1", "10:00"))
    local f = t:features { user = "ann", item = "i1", at = "2026-11-24T10:30:00Z" }
    t:near(f["count(item,view,1h)"], math.log(2))
    t:equal(f.category, "shoes")
    t:equal(f["history(item)"], { "i1" })
    t:equal(t:features({ user = "ann", item = "i1", at = "2026-11-24T11:00:00Z" })["count(item,view,1h)"], 0)
  end,
}
m.test "robots do not count" {
  recipe = recipe, items = items,
  run = function(t)
    t:equal(t:log { { user = "r", item = "i1", event = "bot", time = "2026-11-24" }, { item = "i1", event = "view", time = "2026-11-24" } }, 0)
    print("kept", 0)
  end,
}
"""


class Base(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="moonshelf-test-")
        self.addCleanup(holder.cleanup)
        self.top = holder.name
        write(self.top, "recipe.lua", shoplet.RECIPE)

    def put(self, text, name="recipe_test.lua"):
        write(self.top, name, HEAD + text)

    def one(self, body):
        """The message of one test of this body, which begins at line 7 and must fail."""
        self.put('m.test "one" {\n  recipe = recipe, items = items, run = function(t)\n' + body + "\nend }\n")
        result = json.loads(run("test", self.top, "--json", ok=1).stdout)
        test = result["files"][0]["tests"][0]
        self.assertFalse(test["ok"])
        return test["message"]


class Running(Base):
    def test_passing_tests_are_counted_and_print_goes_to_stderr(self):
        self.put(PASSING)
        done = run("test", self.top)
        self.assertIn(os.path.join(self.top, "recipe_test.lua"), done.stdout)
        self.assertRegex(done.stdout, r"ok +a look counts for an hour \(\d+\.\d ms\)")
        self.assertTrue(done.stdout.endswith("2 passed, 0 failed\n"))
        self.assertEqual(done.stderr, "kept\t0\n")

    def test_one_failing_test_does_not_stop_the_others(self):
        self.put('m.test "is wrong" { run = function(t) t:equal(1 + 1, 3, "sum") end }\n' + PASSING)
        done = run("test", self.top, ok=1)
        self.assertIn("FAILED  is wrong", done.stdout)
        self.assertIn("recipe_test.lua:5: sum: got 2, expected 3", done.stdout)
        self.assertIn("2 passed, 1 failed", done.stdout)

    def test_json_says_the_same(self):
        self.put('m.test "is wrong" { run = function(t) t:ok(nil) end }\n' + PASSING)
        result = json.loads(run("test", self.top, "--json", ok=1).stdout)
        self.assertEqual((result["passed"], result["failed"]), (2, 1))
        tests = result["files"][0]["tests"]
        self.assertEqual([test["ok"] for test in tests], [False, True, True])
        self.assertEqual(tests[0]["message"], "recipe_test.lua:5: got nil, expected something true")
        self.assertEqual((tests[1]["name"], tests[1]["where"]), ("a look counts for an hour", "recipe_test.lua:6"))
        self.assertGreaterEqual(tests[1]["seconds"], 0)

    def test_only_takes_tests_by_a_part_of_their_name(self):
        self.put('m.test "is wrong" { run = function(t) t:ok(nil) end }\n' + PASSING)
        self.assertIn("1 passed, 0 failed", run("test", self.top, "--only", "robots").stdout)
        self.assertIn("no test's name holds 'xyz'", run("test", self.top, "--only", "xyz", ok=1).stdout)

    def test_files_are_found_below_the_folder_in_order(self):
        os.makedirs(os.path.join(self.top, "b", ".hidden"))
        for name in ("b/test_x.lua", "a_test.lua", "b/.hidden/y_test.lua", "z_test.lua.txt", "test.lua"):
            write(self.top, name, 'require "moonshelf".test "x" { run = function() end }\n')
        os.symlink(self.top, os.path.join(self.top, "b", "up"))
        files = [file["file"] for file in json.loads(run("test", self.top, "--json").stdout)["files"]]
        self.assertEqual([os.path.relpath(file, self.top) for file in files], ["a_test.lua", "b/test_x.lua"])
        self.assertIn("1 passed", run("test", os.path.join(self.top, "a_test.lua")).stdout)

    def test_nothing_to_run_is_a_failure(self):
        self.assertIn("no file *_test.lua", run("test", self.top, ok=1).stderr)
        self.assertIn("No such file", run("test", os.path.join(self.top, "nowhere"), ok=1).stderr)
        write(self.top, "x_test.lua", "return 1\n")
        self.assertIn("x_test.lua: there is no m.test in it", run("test", self.top, ok=1).stdout)
        self.assertIn("missing", run("test", ok=2).stderr)


class Broken(Base):
    def test_a_file_that_does_not_load_fails_and_the_others_run(self):
        self.put("x = = 1\n", "a_test.lua")
        self.put('m.test "x" { rnu = print }\n', "b_test.lua")
        self.put(PASSING, "c_test.lua")
        result = json.loads(run("test", self.top, "--json", ok=1).stdout)
        self.assertEqual((result["passed"], result["failed"]), (2, 2))
        self.assertIn("a_test.lua:5:", result["files"][0]["error"])
        self.assertEqual(result["files"][1]["error"], "b_test.lua:5: m.test \"x\": unknown option 'rnu'; did you mean 'run'?")

    def test_a_test_that_is_only_named_fails(self):
        self.put('local forgotten = m.test "x"\n' + PASSING)
        self.assertIn('recipe_test.lua:5: m.test "x" without its { ... }', run("test", self.top, ok=1).stdout)

    def test_a_recipe_that_is_wrong_is_named_with_its_line(self):
        write(self.top, "recipe.lua", shoplet.RECIPE.replace("m.log", "m.lgo"))
        self.put(PASSING)
        self.assertIn("recipe.lua:9: there is no word 'm.lgo'; did you mean 'm.log'?", run("test", self.top, ok=1).stdout)

    def test_tests_are_sandboxed(self):
        for body, message in (('io.open "/etc/passwd"', "'io' is not available"), ('require "../x"', "not a module's name"),
                              ("while true do end", "did not come to an end"), ("while true do pcall(error) end", "did not come to an end"),
                              ("t:error(function() while true do end end)", "did not come to an end"),
                              ("coroutine.wrap(function() t:log(view('i1', '10:00')) end)()", "cannot be run in a coroutine"),
                              ("local s = ('x'):rep(2^40)", "recipe_test.lua:7"), ("m.test 'y' { run = print }", "not within a test")):
            self.assertIn(message, self.one(body), body)


class Messages(Base):
    def says(self, body, message):
        self.assertEqual(self.one(body), "recipe_test.lua:7: " + message)

    def test_assertions_say_what_was_got_and_expected(self):
        self.says("t:equal({ 1, a = { true } }, { 1, a = { false } })", 'got { 1, ["a"] = { true } }, expected { 1, ["a"] = { false } }')
        self.says('t:equal("1", 1, "a text")', 'a text: got "1", expected 1')
        self.says("t:near(1.5, 1)", "got 1.5, expected 1 within 1e-06")
        self.says("t:near(1.5, 1, 0.25)", "got 1.5, expected 1 within 0.25")
        self.says("t:near(nil, 1)", "got nil, expected 1 within 1e-06")
        self.says("t:ok(false, 'it')", "it: got false, expected something true")
        self.says("t:error(function() end, 'x')", 'expected an error with "x", there was none')
        self.says("t:error(function() error('y', 0) end, 'x')", 'expected an error with "x", got "y"')

    def test_events_are_checked_where_they_stand(self):
        self.says('t:event { user = "ann", item = "i1", evnt = "view", time = "2026-11-24" }', "t:event: unknown option 'evnt'; did you mean 'event'?")
        self.says('t:event { { user = "ann", item = "i1", time = "2026-11-24" }, { user = "ann", item = "i1" } }', "t:event: event 2: 'time' is missing")
        self.says('t:event { user = "ann", item = "i1", time = "noon" }',
                  't:event: time must be a date such as "2026-11-24" or "2026-11-24T10:00:00Z", got the string "noon"')
        self.says('t:event(view("i3", "10:00"))', "t:event: there is no item 'i3' among the test's items; did you mean 'i1'?")
        self.says('t:event "x"', 't:event must be a table of columns, or a list of them, got the string "x"')
        self.says('t:log { user = "ann", itm = "i1" }', "t:log: events: row 1: there is no column 'itm'; did you mean 'item'?")

    def test_questions_are_checked_where_they_stand(self):
        self.says('t:features { item = "i1", at = "2026-11-24" }["categry"]:upper()', "the recipe has no feature 'categry'; did you mean 'category'?")
        self.says('t:features { itm = "i1", at = "2026-11-24" }', "t:features: unknown option 'itm'; did you mean 'item'?")
        self.says('t:event(view("i1", "10:00")) t:features { item = "i1", at = "2026-11-24" }',
                  "t:features: at 2026-11-24T00:00:00Z is before the newest event (2026-11-24T10:00:00Z): "
                  "ask first, then let it happen, as training does")
        self.says("t:equals(1, 1)", "a test has no 't:equals'; did you mean 'equal'?")
        self.says("t.equal(1, 1)", "t:equal is called with a colon: t:equal")

    def test_items_are_checked_where_they_stand(self):
        self.put('m.test "x" {\n  recipe = recipe,\n  items = { { item = "i1" }, { item = "i2", prise = 3 } },\n'
                   '  run = function(t) t:features { item = "i1", at = "2026-11-24" } end,\n}\n')
        self.assertIn("recipe_test.lua:7: m.test: items: row 2: there is no column 'prise'; did you mean 'price'?", run("test", self.top, ok=1).stdout)

    def test_a_rule_that_fails_is_named_with_its_line_and_row(self):
        write(self.top, "recipe.lua", shoplet.RECIPE.replace("e.event ~=", "e.evnt ~="))
        self.says("t:log { view('i1', '10:00') }", "t:log: recipe.lua:6: events has no column 'evnt'; did you mean 'event'? (row 1 of events)")

    def test_joined_files_are_found_beside_the_test(self):
        write(self.top, "users.csv", "id,country\nann,nl\nbob,be\n")
        joined = 'm.join(m.csv "users.csv" { user = "id", country = "country" }, { on = "user" }), m.filter(function(e) return e.country == "nl" end)'
        write(self.top, "recipe.lua", shoplet.RECIPE.replace('m.filter(function(e) return e.event ~= "bot" end)', joined))
        self.put('m.test "x" { recipe = recipe, run = function(t)\n  local mine, other = view("i1", "10:00"), view("i2", "10:00")\n'
                 '  other.user = "bob"\n  t:equal(t:log { mine, other }, 1)\nend }\n')
        run("test", self.top)

    def test_names_that_are_no_text_are_shown_as_far_as_they_are(self):
        write(self.top, "x_test.lua", 'require "moonshelf".test "a\\xff\\27b" { run = function() error("\\xfe", 0) end }\n')
        self.assertIn("a??b", run("test", self.top, ok=1).stdout)
        test = json.loads(run("test", self.top, "--json", ok=1).stdout)["files"][0]["tests"][0]
        self.assertEqual((test["name"], test["message"]), ("a??b", "x_test.lua:1: ?"))

    def test_a_test_is_over_when_it_has_run(self):
        self.put('m.test "a" { recipe = recipe, run = function(t) t:event(view("i1", "10:00")) kept = t end }\n'
                   'm.test "b" { run = function() kept:event(view("i1", "10:00")) end }\n')
        self.assertIn("recipe_test.lua:6: t:event: this test is over", run("test", self.top, ok=1).stdout)


class Examples(unittest.TestCase):
    def test_the_tests_of_the_examples_pass(self):
        result = json.loads(run("test", os.path.join(SOURCE, "examples"), "--json").stdout)
        self.assertEqual(result["failed"], 0)
        self.assertGreaterEqual(len(result["files"]), 2)


if __name__ == "__main__":
    unittest.main()
