"""Rules, splits and negatives through the real binary, and what it says of the rows that went."""
import json
import os
import shutil
import tempfile
import unittest

import shoplet
from shoplet import run, write

RULES = """preprocess = {
    m.drop_missing { "user", "item", "time" },
    m.time_zone { time = "+01:00" },
    m.bots { over = "1m", most = 20 },
    m.join(m.csv "users.csv" { user = "user_id", country = "country" }, { on = "user" }),
    m.fill { country = "unknown" },
    m.sessionize "30m",
    m.k_core { user = 3, item = 3 },
  },"""


def recipe_with(rules=RULES, split="m.split.by_time { 0.8, 0.1, 0.1 }", negatives="0"):
    start, end = shoplet.RECIPE.index("preprocess = {"), shoplet.RECIPE.index("label = ")
    text = shoplet.RECIPE[:start] + rules + "\n  " + shoplet.RECIPE[end:]
    return text.replace("m.split.by_time { 0.8, 0.1, 0.1 }", split).replace('within = "24h"', f'within = "24h", negatives = {negatives}')


class Rules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-rules-")
        shoplet.make(cls.top, events=4000)
        with open(os.path.join(cls.top, "events.csv"), encoding="utf-8") as file:
            head, *rows = file.read().splitlines()
        names = head.split(",")
        first = dict(zip(names, rows[0].split(",")))
        for i in range(40):  # 40 looks in one moment
            rows.append(",".join({**first, "user_id": "robot", "item_id": f"i{i}"}[name] for name in names))
        write(cls.top, "events.csv", "\n".join([head, *rows]) + "\n")
        write(cls.top, "users.csv", "user_id,country\n" + "".join(f"u{i},{'NL' if i % 2 else 'BE'}\n" for i in range(50)))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def train(self, text, *more, ok=0):
        folder = tempfile.mkdtemp(dir=self.top)
        recipe, out = write(folder, "recipe.lua", text), os.path.join(folder, "out")
        done = run("train", recipe, "--data", self.top, "--out", out, "--epochs", "1", *more, ok=ok)
        return done, out

    def test_each_rule_says_what_it_did(self):
        done, out = self.train(recipe_with(), "--json")
        self.assertRegex(done.stderr, r"bots \(recipe\.lua:9\): \d+ -> \d+ rows: 1 user did more\n    such as .*user=robot")
        self.assertRegex(done.stderr, r"join \(recipe\.lua:10\): .* rows found no user, the first 'u5\d'")
        self.assertRegex(done.stderr, r"fill \(recipe\.lua:11\): .* country = 'unknown' in [1-9]")
        self.assertRegex(done.stderr, r"sessionize \(recipe\.lua:12\): .* [1-9]\d* sessions")
        rules = json.loads(done.stdout)["data"]["rules"]
        self.assertEqual([rule["rule"].split(" ")[0] for rule in rules],
                         ["drop_missing", "time_zone", "bots", "join", "fill", "sessionize", "k_core"])
        bots = rules[2]
        self.assertEqual(bots["before"] - bots["after"], 40)
        self.assertEqual(len(bots["dropped"]), 3)
        for sample in bots["dropped"]:
            self.assertIn("user=robot", sample)
        with open(os.path.join(out, "manifest.json"), encoding="utf-8") as file:
            kept = json.load(file)["data"]["rules"]
        for rule in rules:
            del rule["dropped"]
        self.assertEqual(kept, rules)

    def test_every_split_and_sampling_trains(self):
        users = {}
        for split in ("m.split.by_user { 0.6, 0.2, 0.2 }", "m.split.leave_one_out()", "m.split.random { 0.8, 0.2 }"):
            for negatives in ("2", '{ 2, by = "popularity" }', '{ 2, by = "batch" }'):
                done, out = self.train(recipe_with(split=split, negatives=negatives), "--json")
                metrics = json.loads(done.stdout)["metrics"]
                self.assertGreater(metrics["examples"]["sampled_negatives"], 100)
                users[split] = metrics["users"]
                again = run("evaluate", out, "--data", self.top, "--json")
                self.assertEqual(json.loads(again.stdout)["model"], metrics["model"])
        self.assertTrue(users["m.split.by_user { 0.6, 0.2, 0.2 }"] and users["m.split.leave_one_out()"], users)

    def test_mistakes_name_the_line(self):
        for right, wrong, message in (
            ('time = "+01:00"', 'time = "Europe/Amsterdm"', "recipe.lua:8: 'Europe/Amsterdm' is no time zone"),
            ('country = "unknown"', 'contry = "unknown"', "recipe.lua:11: m.fill: the events have no column 'contry'; did you mean 'country'?"),
            ("most = 20", "mots = 20", "recipe.lua:9: m.bots: unknown option 'mots'; did you mean 'most'?"),
            ('"users.csv"', '"user.csv"', "recipe.lua:10: "),
            ("m.sessionize", "m.sesionize", "recipe.lua:12: there is no word 'm.sesionize'; did you mean 'm.sessionize'?"),
            ("user = 3, item = 3", "user = 30000", "left no event"),
        ):
            with self.subTest(wrong=wrong):
                done, _ = self.train(recipe_with(RULES.replace(right, wrong)), ok=1)
                self.assertIn(message, done.stderr)
        lines = 'm.cast {\n      country = "string",\n      session = "nubmer",\n    },'
        done, _ = self.train(recipe_with(RULES.replace('m.k_core { user = 3, item = 3 },', lines)), ok=1)
        self.assertIn("recipe.lua:15: m.cast: session: there is no \"nubmer\"; did you mean 'number'?", done.stderr)

    def test_check_reads_the_joined_table_too(self):
        folder = tempfile.mkdtemp(dir=self.top)
        recipe = write(folder, "recipe.lua", recipe_with())
        run("check", recipe, "--data", self.top)
        recipe = write(folder, "recipe.lua", recipe_with(RULES.replace('country = "country"', 'country = "contry"')))
        self.assertIn("contry", run("check", recipe, "--data", self.top, ok=1).stderr)


if __name__ == "__main__":
    unittest.main()
