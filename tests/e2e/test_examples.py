"""The examples that the project ships run as their READMEs say: the generated shop, the article's model, MovieLens where it is present."""
import collections
import csv
import filecmp
import glob
import json
import os
import shutil
import tempfile
import unittest
import subprocess

from shoplet import run

SOURCE = os.environ["MOON_SOURCE_DIR"]
DATA = os.environ.get("MOONSHELF_DATA", os.path.join(SOURCE, "..", "shared", "data"))


class Shop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-shop-")
        cls.data = os.path.join(cls.top, "data")
        cls.make(cls.data)
        cls.bundle = os.path.join(cls.top, "bundle")
        cls.result = json.loads(run("train", os.path.join(SOURCE, "examples/shop/recipe.lua"), "--data", cls.data, "--out", cls.bundle,
                                    "--json", timeout=280).stdout)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    @staticmethod
    def make(folder, *more):
        subprocess.run([os.environ["MOON_SHOP"], "--out", folder, "--size", "40000", "--users", "2000", "--items", "600", "--seed", "5", *more],
                       check=True, capture_output=True, timeout=120)

    def test_same_seed_same_shop(self):
        again = os.path.join(self.top, "again")
        self.make(again)
        for name in os.listdir(self.data):
            self.assertTrue(filecmp.cmp(os.path.join(self.data, name), os.path.join(again, name), shallow=False), name)

    def test_the_model_learns_more_than_popularity(self):
        metrics = self.result["metrics"]
        self.assertGreater(metrics["model"]["auc"], metrics["baselines"]["popular"]["auc"])

    def test_pages_of_every_surface(self):
        site = os.path.join(SOURCE, "examples/shop/site.lua")
        with open(os.path.join(self.data, "items.csv"), encoding="utf-8") as file:
            item = file.readlines()[5].split(",")[0]
        for more in (["--surface", "home"], ["--surface", "product", "--item", item], ["--surface", "cart", "--cart", item]):
            page = json.loads(run("page", site, "--bundle", self.bundle, *more, "--json").stdout)
            self.assertTrue(page["slots"], more)
            self.assertNotIn("degraded", page)

    def test_every_site_of_the_examples_fits_the_shop(self):
        sites = [os.path.join(SOURCE, "examples/shop/site.lua"), *glob.glob(os.path.join(SOURCE, "examples/policies/*.lua"))]
        for site in sites:
            run("check", site, "--bundle", self.bundle)

    def test_the_merchandisers_page_keeps_its_promises(self):
        site = os.path.join(SOURCE, "examples/policies/merchandising.lua")
        with open(os.path.join(self.data, "items.csv"), encoding="utf-8") as file:
            items = {row["item_id"]: row for row in csv.DictReader(file)}
        page = json.loads(run("page", site, "--bundle", self.bundle, "--surface", "home", "--user", "u1", "--explain", "--json").stdout)
        self.assertNotIn("degraded", page)
        slots = {slot["name"]: slot["items"] for slot in page["slots"]}
        self.assertEqual(set(slots), {"hero", "for_you", "discover", "varied"})
        shown = [item["id"] for slot in slots.values() for item in slot]
        self.assertEqual(len(shown), len(set(shown)))
        self.assertTrue(all(float(items[i]["stock"]) > 0 for i in shown))
        for name in ("for_you", "discover", "varied"):
            self.assertTrue(all(0 < item["propensity"] <= 1 for item in slots[name]), name)
        policies = {effect["policy"] for slot in slots.values() for item in slot for effect in item["explain"]["effects"]}
        self.assertTrue({"debunch(brand)", "mix(price)", "thompson"} <= policies, policies)
        again = run("page", site, "--bundle", self.bundle, "--surface", "home", "--user", "u1", "--explain", "--json").stdout
        self.assertEqual(page, json.loads(again))

    def test_the_page_that_is_laid_out_as_a_whole_keeps_what_it_says(self):
        site = os.path.join(SOURCE, "examples/policies/layout.lua")
        ask = ("page", site, "--bundle", self.bundle, "--surface", "home", "--user", "u1", "--json", "--explain")
        page = json.loads(run(*ask, "--params", "device=phone").stdout)
        items = [item for slot in page["slots"] for item in slot["items"]]
        products = [item["product"] for item in items if item["product"] is not None]
        self.assertEqual(len(products), len(set(products)))
        self.assertLessEqual(max(collections.Counter(item["brand"] for item in items).values()), 4)
        self.assertGreaterEqual(sum(1 for item in items if item["new"]), 2)
        self.assertEqual(page["slots"][0]["name"], "hero")
        self.assertRegex(page["slots"][0]["title"], "^More .* for you$")
        self.assertIn("Because you looked at", " ".join(slot["title"] for slot in page["slots"]))
        self.assertTrue({cell["rule"] for cell in page["displaced"]} <= {"dedupe", "cap", "floor", "other slots", "no more candidates"}, page["displaced"])
        stranger = json.loads(run(*[part.replace("u1", "nobody") for part in ask]).stdout)
        self.assertEqual(stranger["absent"][0]["slot"], "hero")

    def test_the_articles_model_is_a_recipe(self):
        out = os.path.join(self.top, "article")
        result = json.loads(run("train", os.path.join(SOURCE, "examples/shop/article.lua"), "--data", self.data, "--out", out, "--epochs", "2",
                                "--json", timeout=280).stdout)
        with open(os.path.join(out, "plan.json"), encoding="utf-8") as file:
            plan = json.load(file)
        self.assertEqual([layer["units"] for layer in plan["model"]["layers"]], [64, 32, 1])
        self.assertEqual(plan["train"]["batch"], 32)
        self.assertGreater(result["metrics"]["model"]["auc"], 0.5)


@unittest.skipUnless(os.path.isdir(os.path.join(DATA, "ml-100k")), "MovieLens 100K is not here (set MOONSHELF_DATA)")
class MovieLens(unittest.TestCase):
    def test_beats_popularity_by_time(self):
        with tempfile.TemporaryDirectory() as top:
            result = json.loads(run("train", os.path.join(SOURCE, "examples/movielens/recipe.lua"), "--data", os.path.join(DATA, "ml-100k"),
                                    "--out", os.path.join(top, "bundle"), "--json", timeout=280).stdout)
            self.assertGreater(result["metrics"]["model"]["auc"], result["metrics"]["baselines"]["popular"]["auc"])
            page = json.loads(run("page", os.path.join(SOURCE, "examples/movielens/site.lua"), "--bundle", os.path.join(top, "bundle"),
                                  "--user", "196", "--json").stdout)
            self.assertFalse(page["cold"])


if __name__ == "__main__":
    unittest.main()
