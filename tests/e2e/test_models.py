"""The zoo of models: every recipe of examples/models trains and is judged, on ratings in MovieLens's form or on the generated shop."""
import glob
import json
import os
import random
import shutil
import subprocess
import tempfile
import unittest

from shoplet import run

MODELS = os.path.join(os.environ["MOON_SOURCE_DIR"], "examples", "models")
CLOSED = ("content", "ease", "item_knn", "popular", "trending")  # computed, not trained


def recipes(folder):
    """mlp.lua is a program of its own."""
    return [path for path in sorted(glob.glob(os.path.join(folder, "*.lua"))) if os.path.basename(path) != "mlp.lua"]


def ratings(folder):
    """A hundred and twenty people of two tastes, a hundred films, each taste rating its own half high; time runs forward."""
    draw = random.Random(7)
    with open(os.path.join(folder, "ml-100k.item"), "w", encoding="utf-8") as file:
        file.write("item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n")
        for i in range(100):
            file.write(f"{i}\tFilm {i}\t{1900 + i}\t{'Drama War' if i % 2 else 'Comedy'}\n")
    with open(os.path.join(folder, "ml-100k.inter"), "w", encoding="utf-8") as file:
        file.write("user_id:token\titem_id:token\trating:float\ttimestamp:float\n")
        pairs = [(u, i) for u in range(120) for i in range(100) if draw.random() < (0.6 if (u + i) % 2 else 0.05)]
        draw.shuffle(pairs)
        for n, (u, i) in enumerate(pairs):
            file.write(f"{u}\t{i}\t{draw.choice([4, 5]) if (u + i) % 2 else draw.choice([1, 2, 3])}\t{880000000 + n * 60}\n")


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-models-")
        cls.films, cls.shop = os.path.join(cls.top, "films"), os.path.join(cls.top, "shop")
        os.mkdir(cls.films)
        ratings(cls.films)
        subprocess.run([os.environ["MOON_SHOP"], "--out", cls.shop, "--size", "40000", "--users", "2000", "--items", "400", "--seed", "5"],
                       check=True, capture_output=True, timeout=120)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def train(self, recipe, data, epochs):
        out = os.path.join(self.top, "bundle-" + os.path.basename(recipe)[:-4])
        steps = [] if os.path.basename(recipe)[:-4] in CLOSED else ["--epochs", str(epochs)]
        result = json.loads(run("train", recipe, "--data", data, "--out", out, *steps, "--json", timeout=280).stdout)
        return result["metrics"]["model"], result["metrics"]["baselines"], out

    def test_each_learns_from_ratings(self):
        self.assertGreaterEqual(len(recipes(MODELS)), 17)
        for path in recipes(MODELS):
            with self.subTest(path):
                model, _, _ = self.train(path, self.films, 1)
                self.assertEqual([name for name, value in model.items() if value is None], [])

    def test_each_learns_from_the_shop(self):
        self.assertEqual(len(recipes(os.path.join(MODELS, "shop"))), 15)
        for path in recipes(os.path.join(MODELS, "shop")):
            with self.subTest(path):
                self.assertGreater(self.train(path, self.shop, 6)[0]["auc"], 0.5)

    def test_tasks_are_judged_each_by_its_own_label_and_pages_take_the_blend(self):
        with open(os.path.join(MODELS, "shop", "esmm.lua"), encoding="utf-8") as file:
            recipe = file.read()
        path = os.path.join(self.top, "blend.lua")
        with open(path, "w", encoding="utf-8") as file:
            file.write(recipe.replace("  train = {", "  score = { cart = 0.5, purchase = 2 },\n  train = {"))
        model, _, out = self.train(path, self.shop, 4)
        self.assertIsNone(model["logloss"])  # a blend is no probability
        self.assertTrue(min(model["cart.auc"], model["purchase.auc"], model["auc"]) > 0.6, model)
        self.assertLess(model["purchase.logloss"], 0.4)
        again = json.loads(run("evaluate", out, "--data", self.shop, "--json").stdout)
        self.assertEqual(again["model"], model)
        self.assertGreater(again["positive_rates"]["cart"], again["positive_rates"]["purchase"])
        self.assertIn("score = 0.5 cart + 2 purchase", run("summary", out).stdout)
        scores = self.page_scores(out)
        self.assertTrue(len(scores) > 5 and scores == sorted(scores, reverse=True) and 0 < scores[-1], scores)
        _, _, ctcvr = self.train(os.path.join(MODELS, "shop", "esmm.lua"), self.shop, 4)
        blend, alone = dict(self.page_items(out)), dict(self.page_items(ctcvr))
        both = set(blend) & set(alone)  # the same weights: a blend of half the cart is above twice the purchase
        self.assertTrue(both and all(2 * alone[item] < blend[item] < 2 * alone[item] + 0.5 for item in both))
        _, _, mlp = self.train(os.path.join(MODELS, "shop", "mlp_64_32.lua"), self.shop, 2)
        against = json.loads(run("evaluate", mlp, "--against", out, "--data", self.shop, "--json").stdout)["against"]["metrics"]
        self.assertEqual(sorted(against), ["auc", "logloss", "ndcg@10", "recall@10"])

    def page_items(self, bundle):
        site = os.path.join(self.top, "site.lua")
        with open(site, "w", encoding="utf-8") as file:
            file.write('local m = require "moonshelf"\nreturn m.site { home = m.page { m.slot "s" '
                       '{ take = 20, from = m.source.popular(20), rank = true } } }\n')
        page = json.loads(run("page", site, "--bundle", bundle, "--json", "--explain").stdout)
        return [(item["id"], item["explain"]["model_score"]) for item in page["slots"][0]["items"]]

    def page_scores(self, bundle):
        return [score for _, score in self.page_items(bundle)]

    def test_what_is_trained_on_sequences_finds_what_comes_next(self):
        """Films of somebody's taste are a half, so a model that knows it is twice as good as chance."""
        for name in ("sasrec.lua", "bert4rec.lua"):
            with self.subTest(name):
                model, baselines, out = self.train(os.path.join(MODELS, name), self.films, 40)
                self.assertGreater(model["recall@10"], 1.3 * baselines["random"]["recall@10"])
                with open(os.path.join(out, "metrics.json"), encoding="utf-8") as file:
                    loss = json.load(file)["loss"]["train"]
                self.assertLess(loss[-1], loss[0])

    def test_threads_do_not_show_on_sequences(self):
        bundles = []
        for threads in ("1", "2"):
            out = os.path.join(self.top, f"threads-{threads}")
            run("train", os.path.join(MODELS, "sasrec.lua"), "--data", self.films, "--out", out, "--epochs", "2", "--threads", threads, timeout=280)
            with open(os.path.join(out, "model.safetensors"), "rb") as file:
                bundles.append(file.read())
        self.assertEqual(bundles[0], bundles[1])

    def test_what_ranks_beats_chance_and_is_judged_again_the_same(self):
        for name in ("bpr_mf.lua", "gru4rec.lua", "ease.lua", "item_knn.lua"):
            with self.subTest(name):
                model, baselines, out = self.train(os.path.join(MODELS, name), self.films, 40)
                self.assertGreater(model["recall@10"], 1.3 * baselines["random"]["recall@10"])
                again = json.loads(run("evaluate", out, "--data", self.films, "--json").stdout)
                self.assertEqual(again.get("metrics", again)["model"], model)

    def test_what_is_computed_is_summed_up_paged_and_says_what_it_does_not_take(self):
        path = os.path.join(self.top, "ease.lua")
        with open(os.path.join(MODELS, "ease.lua"), encoding="utf-8") as file:
            source = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(source.replace("split = m.split", 'loss = "bpr", optimizer = m.nn.sgd(), epochs = 3, split = m.split'))
        failed = run("train", path, "--data", self.films, "--out", os.path.join(self.top, "none"), ok=1)
        self.assertIn("ease.lua:20: train: epochs is for models that are trained; m.nn.ease is computed at once and needs split alone", failed.stderr)
        whole = os.path.join(MODELS, "ease.lua")
        failed = run("train", whole, "--data", self.films, "--out", os.path.join(self.top, "none"), "--epochs", "3", ok=1)
        self.assertIn("is computed in closed form, not trained", failed.stderr)
        _, _, out = self.train(whole, self.films, 0)
        with open(os.path.join(out, "model.safetensors"), "rb") as file:
            first = file.read()
        summary = json.loads(run("summary", out, "--json").stdout)
        self.assertEqual(summary["tables"], [])
        self.assertEqual([(layer["type"], layer["parameters"]) for layer in summary["layers"]], [("sequential", 0), ("ease", 101 * 101)])
        _, _, out = self.train(whole, self.films, 0)
        with open(os.path.join(out, "model.safetensors"), "rb") as file:
            self.assertEqual(first, file.read())
        site = os.path.join(self.top, "site.lua")
        with open(site, "w", encoding="utf-8") as file:
            file.write('local m = require "moonshelf"\nreturn m.site { home = m.page {'
                       ' m.slot "you" { take = 10, rank = true, from = m.source.popular(100) }, dedupe = "item",'
                       ' fallback = m.source.popular(100) } }\n')
        page = json.loads(run("page", site, "--bundle", out, "--user", "3", "--json").stdout)
        items = page["slots"][0]["items"]
        self.assertEqual(len(items), 10)
        self.assertEqual(sum((int(item["id"]) + 3) % 2 for item in items), 10)  # the half that 3 likes


if __name__ == "__main__":
    unittest.main()
