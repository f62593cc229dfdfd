"""`moonshelf index`: a bundle gets a graph of near items, serves by it, and nothing else changes."""
import json
import os
import shutil
import subprocess
import tempfile
import unittest

import shoplet
from shoplet import MOONSHELF, run, write

SITE = """\
local m = require "moonshelf"
return m.site { product = m.page { m.slot "near" { take = 6, from = m.source.nearest(6, { when = { price = { lt = 80 } } }) } } }
"""


class Index(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-index-")
        data = os.path.join(cls.top, "data")
        os.mkdir(data)
        shoplet.make(data, events=1500)
        cls.site = write(cls.top, "near.lua", SITE)
        cls.trained = os.path.join(cls.top, "trained")
        run("train", os.path.join(data, "recipe.lua"), "--data", data, "--out", cls.trained)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def setUp(self):
        self.bundle = os.path.join(self.top, "bundle")
        shutil.rmtree(self.bundle, ignore_errors=True)
        shutil.copytree(self.trained, self.bundle)

    def items(self, item):
        page = subprocess.run([MOONSHELF, "page", self.site, "--bundle", self.bundle, "--surface", "product", "--item", item, "--json"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(page.returncode, 0, page.stderr)
        return [shown["id"] for shown in json.loads(page.stdout)["slots"][0]["items"]]

    def index(self, *arguments):
        done = subprocess.run([MOONSHELF, "index", self.bundle, *arguments], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    def test_the_index_finds_what_looking_at_all_finds(self):
        before = {item: self.items(item) for item in ("i0", "i7", "i20")}
        self.assertEqual({len(items) for items in before.values()}, {6})
        code, out, error = self.index("--least", "0", "--json")
        self.assertEqual(code, 0, error)
        report = json.loads(out)
        self.assertTrue(report["written"])
        self.assertEqual(report["dim"], 4)
        self.assertEqual(os.path.getsize(os.path.join(self.bundle, "nearest.bin")), report["bytes"])
        self.assertGreater(min(line["recall@10"] for line in report["recall"]), 0.95)
        self.assertEqual({item: self.items(item) for item in before}, before)
        with open(os.path.join(self.bundle, "nearest.bin"), "rb") as file:
            first = file.read()
        self.assertEqual(self.index("--least", "0")[0], 0)  # again, over the one that is there
        with open(os.path.join(self.bundle, "nearest.bin"), "rb") as file:
            self.assertEqual(file.read(), first)

    def test_a_condition_of_the_request_acts_inside_the_search(self):
        """Six come out for every visitor who has six, by the graph as without it; every one is of what the visitor asked for."""
        site = write(self.top, "asked.lua", """\
local m = require "moonshelf"
return m.site { product = m.page { m.slot "near" { take = 6, from = m.source.nearest(6, {
  when = { category = m.request("of", { default = "cat1" }), price = { lt = m.request("budget", { optional = true }) } } }) } } }
""")

        def shown(*params):
            page = run("page", site, "--bundle", self.bundle, "--surface", "product", "--item", "i3", "--json", *(("--params", ",".join(params)) if params else ()))
            slots = json.loads(page.stdout)["slots"]
            return [(item["id"], item["category"], item["price"]) for item in (slots[0]["items"] if slots else [])]

        asked = ("of=cat0",), ("of=cat2",), ("of=cat4", "budget=40"), ("of=nothing",), ("budget=60",), ("budget=cheap",), ()
        before = [shown(*params) for params in asked]
        for params, items in zip(asked, before):
            wanted = dict(pair.split("=") for pair in params)
            self.assertEqual({category for _, category, _ in items} - {wanted.get("of", "cat1")}, set(), params)
        self.assertEqual([len(items) for items in before[:2]], [6, 6])
        self.assertEqual((before[3], before[5], len(before[6])), ([], [], 6))
        self.assertLess(max(price for _, _, price in before[2]), 40)
        self.assertEqual(self.index("--least", "0")[0], 0)
        self.assertEqual([shown(*params) for params in asked], before)
        self.assertIn("--params wants NAME=VALUE", run("page", site, "--bundle", self.bundle, "--params", "NL", ok=1).stderr)

    def test_a_small_catalogue_needs_none_and_loses_one_that_it_had(self):
        self.assertEqual(self.index("--least", "0")[0], 0)
        code, out, _ = self.index()
        self.assertEqual(code, 0)
        self.assertIn("fewer than 20000", out)
        with open(os.path.join(self.bundle, "manifest.json"), encoding="utf-8") as file:
            self.assertNotIn("nearest.bin", json.load(file)["files"])
        self.items("i0")

    def test_a_damaged_index_is_an_error(self):
        self.index("--least", "0")
        path = os.path.join(self.bundle, "nearest.bin")
        with open(path, "r+b") as file:
            file.seek(100)
            file.write(b"\xff\xff")
        done = subprocess.run([MOONSHELF, "page", self.site, "--bundle", self.bundle, "--surface", "product", "--item", "i0"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nearest.bin is damaged", done.stderr)

    def test_wrong_usage(self):
        self.assertEqual(self.index("--lest", "0")[0], 2)
        self.assertEqual(self.index("--least", "0", "--m", "1")[0], 1)
        self.items("i0")  # and the bundle is as it was


unittest.main()
