"""`moonshelf export`: every model of the zoo as ONNX, and the same scores from ONNX Runtime where there is one.

ONNX Runtime is looked for as Python's `onnxruntime`, and as node's onnxruntime-node on NODE_PATH or in the folder that MOONSHELF_ORT names."""
import glob
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from shoplet import run
from test_models import CLOSED, MODELS, ratings, recipes

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = 150  # more than a tile of the scorer
SCORES_OF = os.environ["MOON_SCORES_OF"]


def node_environment():
    folders = [os.environ.get("MOONSHELF_ORT"), os.environ.get("NODE_PATH")]
    return {**os.environ, "NODE_PATH": os.pathsep.join(folder for folder in folders if folder)}


def find_runtime():
    """A function from a file and rows to scores, or None."""
    if importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("numpy"):
        return by_python
    found = shutil.which("node") and subprocess.run(["node", "-e", "require('onnxruntime-node')"], env=node_environment(), capture_output=True,
                                                    timeout=60)
    return by_node if found and found.returncode == 0 else None


def by_python(model, rows):
    import numpy  # pylint: disable=import-error
    import onnxruntime  # pylint: disable=import-error
    session = onnxruntime.InferenceSession(model)
    feeds = {}
    for value in session.get_inputs():
        given = rows["inputs"][value.name]
        feeds[value.name] = numpy.array(given["data"], dtype=given["type"]).reshape(given["dims"])
    return session.run(None, feeds)[0].reshape(-1).tolist()


def by_node(model, rows):
    done = subprocess.run(["node", os.path.join(HERE, "ort.js"), model], input=json.dumps(rows), env=node_environment(), capture_output=True, text=True,
                          timeout=120)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


RUNTIME = find_runtime()


class Onnx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-onnx-")
        cls.films, cls.shop = os.path.join(cls.top, "films"), os.path.join(cls.top, "shop")
        cls.file, cls.bundle = os.path.join(cls.top, "model.onnx"), os.path.join(cls.top, "bundle")
        os.mkdir(cls.films)
        ratings(cls.films)
        subprocess.run([os.environ["MOON_SHOP"], "--out", cls.shop, "--size", "8000", "--users", "600", "--items", "200", "--seed", "5"], check=True,
                       capture_output=True, timeout=120)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def check(self, recipe, data):
        epochs = [] if os.path.basename(recipe)[:-4] in CLOSED else ["--epochs", "1"]
        run("train", recipe, "--data", data, "--out", self.bundle, *epochs, "--json", timeout=280)
        told = json.loads(run("export", self.bundle, "--out", self.file, "--json").stdout)
        self.assertEqual(told["output"]["name"], "score")
        with open(self.file, "rb") as file:
            written = file.read()
        self.assertIn(json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(), written)
        run("export", self.bundle, "--out", self.file)
        with open(self.file, "rb") as file:
            self.assertEqual(file.read(), written)
        rows = json.loads(subprocess.run([SCORES_OF, self.bundle, str(ROWS), "3"], check=True, capture_output=True, timeout=60).stdout)
        self.assertLessEqual({one["name"] for one in told["inputs"]}, set(rows["inputs"]))
        if not RUNTIME:
            return
        scores = RUNTIME(self.file, rows)
        self.assertEqual(len(scores), ROWS)
        apart = max(abs(a - b) for a, b in zip(scores, rows["scores"]))
        if os.environ.get("MOON_ONNX_TELL"):
            print(f"{os.path.relpath(recipe, MODELS):24} {len(written):9} bytes  spread {max(scores) - min(scores):.3g}  apart {apart:.3g}")
        self.assertGreater(max(scores) - min(scores), 1e-4)  # rows that all score alike would compare nothing
        self.assertLess(apart, 1e-5 * max(1, max(abs(score) for score in scores)))

    def test_each_model_of_films_scores_as_we_do(self):
        for recipe in recipes(MODELS):
            with self.subTest(recipe):
                self.check(recipe, self.films)

    def test_each_model_of_the_shop_scores_as_we_do(self):
        for recipe in sorted(glob.glob(os.path.join(MODELS, "shop", "*.lua"))):
            with self.subTest(recipe):
                self.check(recipe, self.shop)


NUMBERS = """\
local m = require "moonshelf"
return m.recipe "numbers" {
  events = m.tsv "ml-100k.inter" { user = "user_id", item = "item_id", rating = "rating:number", time = "timestamp:time_s" },
  items = m.tsv "ml-100k.item" { item = "item_id", year = "release_year:number" },
  label = m.label { column = "rating", at_least = 4 },
  features = { m.count("item", "any", { "7d", "all" }), m.count("user", "any", "all"), m.numeric "year" },
  model = MODEL,
  train = { optimizer = m.nn.adam { lr = 1e-2 }, epochs = 1, batch = 256, split = m.split.random { 0.8, 0.1, 0.1 }, STANDARDISE },
  evaluate = { "auc", "logloss" },
}
"""


class FromElsewhere(unittest.TestCase):
    """A net of numbers that is exported, standardisation and all, and comes back into another recipe as a file from elsewhere would."""

    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-onnx-")
        ratings(cls.top)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def train(self, model, standardise="", ok=0):
        recipe, out = os.path.join(self.top, "recipe.lua"), os.path.join(self.top, "bundle")
        with open(recipe, "w", encoding="utf-8") as file:
            file.write(NUMBERS.replace("MODEL", model).replace("STANDARDISE", standardise))
        done = run("train", recipe, "--data", self.top, "--out", out, "--json", ok=ok)
        return json.loads(done.stdout)["metrics"]["model"] if not ok else done.stderr

    def test_a_net_that_comes_back_is_judged_the_same(self):
        first = self.train('m.nn.sequential { m.nn.dense(8, "relu"), m.nn.batch_norm(), m.nn.dense(1, "sigmoid") }')
        run("export", os.path.join(self.top, "bundle"), "--out", os.path.join(self.top, "net.onnx"))
        again = self.train('m.nn.onnx("net.onnx", { freeze = true })', "standardise = false")
        for name, value in first.items():
            self.assertAlmostEqual(again[name], value, places=6)
        run("export", os.path.join(self.top, "bundle"), "--out", os.path.join(self.top, "again.onnx"))  # a bundle needs its file no more
        trained = self.train('m.nn.onnx "net.onnx"', "standardise = false")
        self.assertNotEqual(trained, first)
        self.train('m.nn.sequential { m.nn.onnx("net.onnx", { input = "numbers" }), m.nn.dense(1, "sigmoid") }')

    def test_what_does_not_fit_is_told_at_its_line(self):
        self.train('m.nn.sequential { m.nn.dense(1, "sigmoid") }')
        run("export", os.path.join(self.top, "bundle"), "--out", os.path.join(self.top, "small.onnx"))
        self.assertRegex(self.train('m.nn.sequential { m.nn.dense(3), m.nn.onnx "small.onnx", m.nn.dense(1, "sigmoid") }', ok=1), r"recipe.lua:7: .*small.onnx takes \[n, 4\].*\[n, 3\]")
        self.assertIn("recipe.lua:7: m.nn.onnx: recipe.lua: these bytes are not an ONNX file", self.train('m.nn.onnx "recipe.lua"', ok=1))
        self.assertIn("recipe.lua:7: m.nn.onnx", self.train('m.nn.onnx "../small.onnx"', ok=1))
        self.assertIn("missing.onnx", self.train('m.nn.onnx "missing.onnx"', ok=1))


if __name__ == "__main__":
    if "without ONNX" in run("export", "nowhere", "--out", "nowhere", ok=1).stderr:
        print("built without ONNX", file=sys.stderr)
        sys.exit(77)
    if not RUNTIME:
        print("there is no ONNX Runtime here (onnxruntime, or onnxruntime-node on NODE_PATH): files are written and not run", file=sys.stderr)
    unittest.main()
