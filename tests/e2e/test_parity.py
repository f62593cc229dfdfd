"""`moonshelf parity`: no bit differs on the shop and on MovieLens, and whatever knows the future is found and named."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import shoplet
from shoplet import run, write

SOURCE = os.environ["MOON_SOURCE_DIR"]
DATA = os.environ.get("MOONSHELF_DATA", os.path.join(SOURCE, "..", "shared", "data"))


def parity(recipe, folder, *more, ok=0):
    done = run("parity", recipe, "--data", folder, "--json", *more, ok=ok)
    return json.loads(done.stdout)


class Parity(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="moonshelf-parity-")
        self.addCleanup(shutil.rmtree, self.top)

    def recipe(self, rules="", features="", options=""):
        shoplet.make(self.top)
        text = shoplet.RECIPE.replace("preprocess = {", "preprocess = { " + rules).replace("m.log \"price\",", "m.log \"price\",\n" + features)
        return write(self.top, "recipe.lua", text.replace('stock = "stock" }', 'stock = "stock" }' + options))

    def check_whole(self, found, features):
        self.assertTrue(found["ok"])
        self.assertEqual(found["leaks"], [])
        self.assertEqual(found["parity"]["features"], features)
        for executor in ("stream", "request"):
            self.assertEqual(found["parity"][executor]["differing_bits"], 0)
            self.assertGreaterEqual(found["parity"][executor]["values"], found["parity"]["examples"] * features)
        self.assertTrue(found["parity"]["stream"]["state"])

    def test_no_bit_differs_on_the_shop(self):
        subprocess.run([os.environ["MOON_SHOP"], "--out", self.top, "--size", "40000"], check=True, capture_output=True)
        self.check_whole(parity(os.path.join(SOURCE, "examples/shop/recipe.lua"), self.top), 13)
        every = parity(os.path.join(SOURCE, "examples/features/recipe.lua"), self.top, "--cuts", "1")  # every word that there is
        self.check_whole(every, every["parity"]["features"])
        self.assertGreater(every["parity"]["features"], 30)

    @unittest.skipUnless(os.path.exists(os.path.join(DATA, "ml-100k")), "needs ml-100k (MOONSHELF_DATA)")
    def test_no_bit_differs_on_movielens(self):
        self.check_whole(parity(os.path.join(SOURCE, "examples/movielens/recipe.lua"), os.path.join(DATA, "ml-100k"), "--cuts", "1"), 9)

    def test_forgetting_is_the_same_everywhere(self):
        recipe = self.recipe('', 'm.count("user", "any"), m.interacted_with("view"), m.recency("user", "view"),', ', state = { ttl = "6h" }')
        forgetful = parity(recipe, self.top)
        self.check_whole(forgetful, 10)

    def test_people_are_told_in_words(self):
        done = run("parity", self.recipe(), "--data", self.top, "--cuts", "2", "--memory", "128M")
        self.assertRegex(done.stdout, r"stream\s+\d+ values, 0 bits differ; counters at the end the same\nrequest\s+\d+ values, 0 bits differ\n")
        self.assertIn("The log was cut 2 times: no feature knows its future", done.stdout)

    def test_a_column_made_of_what_came_later_is_an_error(self):
        sums = ('m.map "so_far" ((function() local n = {} TOTAL = n return function(e) n[e.user] = (n[e.user] or 0) + 1 return n[e.user] end end)()),'
                ' m.map "total" (function(e) return TOTAL[e.user] end),')
        lines = '    m.position "so_far",\n    m.position "total",'
        recipe = self.recipe(sums, lines)
        with open(recipe, encoding="utf-8") as file:
            text = "local TOTAL\n" + file.read()
        write(self.top, "recipe.lua", text)
        line = 1 + text.splitlines().index('    m.position "total",')
        found = parity(recipe, self.top, ok=1)
        self.assertFalse(found["ok"])
        self.assertEqual([(leak["level"], leak["place"], leak["feature"]) for leak in found["leaks"]], [("error", f"recipe.lua:{line}", "total")])
        self.assertRegex(found["leaks"][0]["message"], r"total knows its future: in row \d+ of the events \(user u\d+, item i\d+, .*\) it is \d+ with the whole log, and \d+ with")
        self.assertEqual(found["parity"]["stream"]["differing_bits"], 0)  # a leak is no skew

    def test_a_number_that_alone_tells_the_label_is_a_warning(self):
        shoplet.make(self.top)
        with open(os.path.join(self.top, "events.csv"), encoding="utf-8") as file:
            head, *rows = file.read().splitlines()
        bought = [i + 1 < len(rows) and rows[i + 1].endswith("purchase") for i in range(len(rows))]
        write(self.top, "events.csv", "\n".join([head + ",sold"] + [f"{row},{int(sold)}" for row, sold in zip(rows, bought)]) + "\n")
        text = shoplet.RECIPE.replace('time = "timestamp" }', 'time = "timestamp", sold = "sold:number" }')
        recipe = write(self.top, "recipe.lua", text.replace('m.log "price",', 'm.log "price", m.position "sold",'))
        found = parity(recipe, self.top)
        self.assertEqual([(leak["level"], leak["feature"]) for leak in found["leaks"]], [("warning", "sold")])
        self.assertIn("does it know the label?", found["leaks"][0]["message"])
        told = run("train", recipe, "--data", self.top, "--out", os.path.join(self.top, "bundle"), "--epochs", "1").stderr
        self.assertRegex(told, r"recipe\.lua:\d+: warning: sold alone has an AUC of (0\.9\d+|1\.000)")

    def test_a_feature_of_the_label_s_column_is_refused(self):
        shoplet.make(self.top)
        text = shoplet.RECIPE.replace('time = "timestamp" }', 'time = "timestamp", stars = "timestamp:number" }')
        text = text.replace('label = m.label { positive = "purchase", of = "view", within = "24h" }', 'label = m.label { column = "stars", at_least = 4 }')
        recipe = write(self.top, "recipe.lua", text.replace('m.log "price",', 'm.log "price", m.position "stars",'))
        self.assertRegex(run("parity", recipe, "--data", self.top, ok=1).stderr, r"recipe\.lua:\d+: the feature reads the column stars, which the label is made of")

    def test_rules_that_choose_by_the_whole_log_are_named(self):
        found = parity(self.recipe("m.k_core { user = 40 }, "), self.top)
        self.assertTrue(found["ok"])
        self.assertEqual([leak["level"] for leak in found["leaks"]], ["warning"])
        self.assertIn("m.k_core chooses rows by what comes later", found["leaks"][0]["message"])

    def test_wrong_use_is_said(self):
        self.assertIn("at most 500", run("parity", self.recipe(), "--data", self.top, "--candidates", "501", ok=1).stderr)
        run("parity", ok=2)


if __name__ == "__main__":
    unittest.main()
