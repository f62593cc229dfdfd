"""Every word for features through the real binary: trained twice to the same bytes, served as the page has it, and finding what is planted."""
import array
import csv
import filecmp
import json
import os
import re
import shutil
import struct
import tempfile
import unittest

import shoplet
from shoplet import run, train, write
from test_serve import Server

WORDS = """\
    m.category "brand" { dim = 2, hash = 10 }, m.cross({ "user", "category" }, { dim = 4, hash = 997 }), m.tags "title" { sep = " ", dim = 2 },
    m.words "title" { dim = 2 }, m.tfidf("title", { dim = 4 }),
    m.embedding_file "item" { file = "titles.npy", ids = "titles.txt", dim = 3 },
    m.scale("price", "quantile"), m.scale(m.clip("price", 5, 50), "minmax"), m.bucketize("price", 6, { dim = 2 }),
    m.scale(m.count("item", "view", { "1h", "1d" }), "standard"), m.bucketize(m.count("user", "any", "1d"), { 1, 3, 10 }, { dim = 2 }),
    m.count("user", "view", { "1d", "all" }, { by = "category" }), m.count("item", "any", "1d", { by = "brand" }),
    m.rate("user", "purchase", "view", { by = "brand", over = "7d" }), m.interacted_with("purchase", { within = "7d" }),
    m.decay("item", "view", "1d"), m.decay("user", "any", "6h", { by = "category" }), m.recency("user", "any"),
    m.recency("item", "purchase", { never = "30d" }), m.bucketize(m.recency("user", "view", { by = "item" }), { "1h", "1d" }, { dim = 2 }),
    m.hour { dim = 2, zone = "CET-1CEST,M3.5.0,M10.5.0/3" }, m.weekday { dim = 2, zone = "+01:00" }, m.age "made", m.log(m.position("place", { serving = 1 })),
    m.history("category", { last = 4 }), m.history("gap", { last = 5, dim = 2 }),
    m.relative("price", "category"), m.mean("user", "view", "price", { half_life = "1d" }), m.log(m.mean("item", "any", "price", { by = "brand" })),
    m.lua("dear", { "price", m.mean("user", "view", "price"), m.relative("price", "brand") }, function(x, usual, r) return x / usual + r end),
    m.cooccurrence("view", { last = 8 }), m.log(m.cooccurrence("any")),
    m.lua("title_length", function(item) return #item.title end), m.lua("shelf", function(item)
      if item.made then return item.price < 20 and "cheap" or "dear" end
    end, { dim = 2 }),
    m.scale(m.lua("cheapness", { "price", m.count("user", "view", "7d"), m.rate("item", "purchase", "view") }, function(price, views, rate)
      return m.when(price:lt(10) & views:ge(1), m.ln(price) * rate, price / (views + 1))
    end)),
"""


def recipe(words):
    text = shoplet.RECIPE.replace('m.history("item", { last = 5 }),', 'm.history("item", { last = 5 }),\n' + words)
    return text.replace('time = "timestamp" }', 'time = "timestamp", place = "place:number" }').replace(
        'stock = "stock" }', 'stock = "stock", made = "made:time_s" }')


def npy(rows):
    """A matrix of f4 as numpy writes it."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({len(rows)}, {len(rows[0])}), }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + b"".join(array.array("f", row).tobytes() for row in rows)


def add_column(path, name, value):
    with open(path, encoding="utf-8") as file:
        head, *rows = file.read().splitlines()
    write(os.path.dirname(path), os.path.basename(path), "\n".join([f"{head},{name}"] + [f"{row},{value(i)}" for i, row in enumerate(rows)]) + "\n")


class Features(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-features-")
        _, cls.site = shoplet.make(cls.top)
        add_column(os.path.join(cls.top, "events.csv"), "place", lambda i: i % 7 + 1 if i % 5 else "")
        add_column(os.path.join(cls.top, "items.csv"), "made", lambda i: 1_750_000_000 + 86400 * i if i % 9 else "")
        with open(os.path.join(cls.top, "titles.npy"), "wb") as file:
            file.write(npy([[i / 50, i % 5, -1] for i in range(40)]))
        write(cls.top, "titles.txt", "".join(f"i{i}\n" for i in range(40)))
        write(cls.top, "recipe.lua", recipe(WORDS))
        cls.bundle = os.path.join(cls.top, "bundle")
        cls.trained = train(cls.top, cls.bundle).stdout

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def test_what_is_planted_is_found(self):
        auc = float(re.search(r"auc\s+([0-9.]+)", self.trained)[1])  # users buy where their number and the category's go together
        self.assertGreater(auc, 0.85)

    def test_the_same_training_gives_the_same_bytes(self):
        again = os.path.join(self.top, "again")
        train(self.top, again)
        for name in sorted(os.listdir(self.bundle)):
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, name), os.path.join(again, name), shallow=False), name)

    def test_all_executors_agree_to_the_bit(self):
        shown = json.loads(run("parity", os.path.join(self.top, "recipe.lua"), "--data", self.top, "--json").stdout)
        self.assertEqual(shown["parity"]["mismatches"], [])
        self.assertTrue(shown["ok"], shown["leaks"])

    def test_the_bundle_evaluates_as_the_training_did(self):
        shown = run("evaluate", self.bundle, "--data", self.top).stdout
        for line in re.findall(r"^\s+(?:auc|logloss|recall@5) .*$", self.trained, re.M):
            self.assertIn(line.split(), [other.split() for other in shown.splitlines()])

    def test_the_server_computes_what_the_page_does(self):
        """From the bundle alone: the page as of the newest event, the server a moment later; and it goes on with the live events."""
        server = Server(self.site, self.bundle, "--clock", "data")
        try:
            before = server.get("/v1/page/home?user=u1")
            item = before["slots"][0]["items"][0]["id"]
            server.post([{"user": "u1", "item": item, "event": "purchase"} for _ in range(3)])
            after = server.get("/v1/page/home?user=u1")
        finally:
            server.stop()
        page = json.loads(run("page", self.site, "--bundle", self.bundle, "--user", "u1", "--json").stdout)
        live, offline, later = ({i["id"]: i["score"] for i in shown["slots"][0]["items"]} for shown in (before, page, after))
        self.assertEqual(live.keys(), offline.keys())
        for name, score in offline.items():
            self.assertAlmostEqual(live[name], score, delta=2e-3)
        self.assertGreater(max(abs(later.get(name, 0) - score) for name, score in live.items()), 5e-3)

    def test_what_functions_made_of_items_is_in_the_bundle(self):
        """A site uses it as any column, and serving never runs the recipe."""
        bundle = os.path.join(self.top, "alone")
        shutil.copytree(self.bundle, bundle)
        site = write(self.top, "by_length.lua", """local m = require "moonshelf"
            return m.site { home = m.page { m.slot "s" { from = m.source.popular(40), rank = true,
              rerank = m.policy.filter { title_length = { ge = 16 }, shelf = "cheap" } } } }""")
        page = json.loads(run("page", site, "--bundle", bundle, "--user", "u1", "--json").stdout)
        items = [item["id"] for item in page["slots"][0]["items"]]
        self.assertTrue(items)
        with open(os.path.join(self.top, "items.csv"), encoding="utf-8", newline="") as file:
            rows = {row["item_id"]: row for row in csv.DictReader(file)}
        for item in items:
            self.assertTrue(len(rows[item]["title"]) >= 16 and float(rows[item]["price"]) < 20 and rows[item]["made"], item)

    def test_a_function_that_fails_is_named_with_its_line_and_the_row(self):
        other = os.path.join(self.top, "failing")
        shutil.copytree(self.top, other, ignore=shutil.ignore_patterns("bundle", "again", "other", "alone"))
        for before, after, message in (
                ("#item.title", "#item.made", r"recipe\.lua:\d+: attempt to get length of a nil value \(field 'made'\) \(row 1 of items\.csv\)"),
                ('and "cheap"', "and 1", r"recipe\.lua:\d+: the function of 'shelf' answered a (string|number), and before that a (number|string) "
                                         r"\(row \d+ of items\.csv\)")):
            write(other, "recipe.lua", recipe(WORDS).replace(before, after))
            for command in (("train", "--data", other, "--out", os.path.join(other, "out")), ("check", "--data", other)):
                shown = run(command[0], os.path.join(other, "recipe.lua"), *command[1:], ok=1).stderr
                self.assertRegex(shown.replace(": error: ", ": "), message)

    def test_a_file_that_does_not_fit_is_named_with_the_line(self):
        other = os.path.join(self.top, "other")
        shutil.copytree(self.top, other, ignore=shutil.ignore_patterns("bundle", "again", "other"))
        write(other, "recipe.lua", recipe(WORDS).replace("dim = 3 }", "dim = 4 }"))
        shown = run("train", os.path.join(other, "recipe.lua"), "--data", other, "--out", os.path.join(other, "out"), ok=1).stderr
        self.assertRegex(shown, r"recipe\.lua:\d+: titles\.npy: the shape is \[40, 3\], but rows of 4 numbers \(dim\) are wanted")
        write(other, "recipe.lua", recipe(WORDS).replace('"place:number"', '"item_id"'))
        shown = run("train", os.path.join(other, "recipe.lua"), "--data", other, "--out", os.path.join(other, "out"), ok=1).stderr
        self.assertRegex(shown, r"recipe\.lua:\d+: column place of events\.csv holds strings; log\(place\) needs numbers")


if __name__ == "__main__":
    unittest.main()
