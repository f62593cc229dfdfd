"""A bundle's model, drawn: what it says is what the weights' file holds."""
import json
import os
import shutil
import struct
import tempfile
import unittest

import shoplet
from shoplet import run, train, write


class Summary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-summary-")
        shoplet.make(cls.top)
        cls.bundle = os.path.join(cls.top, "bundle")
        train(cls.top, cls.bundle)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def header(self, bundle):
        with open(os.path.join(bundle, "model.safetensors"), "rb") as file:
            return json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))

    def test_tables_and_layers_are_those_of_the_weights(self):
        model = json.loads(run("summary", self.bundle, "--json").stdout)
        header = self.header(self.bundle)
        sizes = {name: header[name]["shape"][0] * (header[name]["shape"] + [1])[1] for name in header
                 if name != "__metadata__" and not name.startswith("normalise.")}
        for table in model["tables"]:
            self.assertEqual([table["rows"], table["dim"]], header[table["table"]]["shape"])
        self.assertEqual([table["feature"] for table in model["tables"]], ["user", "item", "category"])
        for layer in model["layers"]:
            own = sum(n for name, n in sizes.items() if name.startswith(layer["layer"] + "."))
            self.assertEqual(layer["parameters"], own, layer)
        self.assertEqual([layer["output"] for layer in model["layers"][1:]], ["[n, 8]", "[n, 1]"])
        self.assertEqual(model["parameters"], sum(sizes.values()))
        self.assertEqual(model["in_tables"], sum(n for name, n in sizes.items() if name.startswith("embedding.")))
        self.assertEqual((model["trained"], model["bytes"], model["output"], model["name"]),
                         (model["parameters"], 4 * model["parameters"], "sigmoid", "shoplet"))

    def test_the_text_says_the_same(self):
        model = json.loads(run("summary", self.bundle, "--json").stdout)
        text = run("summary", self.bundle).stdout
        self.assertIn("Model of shoplet: %d inputs, %d of them numbers; sigmoid output" % (model["inputs"], model["numbers"]), text)
        for table in model["tables"]:
            self.assertRegex(text, r"(?m)^%s +table +%d x %d +%d$" % (table["feature"], table["rows"], table["dim"], table["parameters"]))
        self.assertRegex(text, r"(?m)^0 +dense +\[n, 8\] +%d$" % model["layers"][1]["parameters"])
        self.assertIn("layers compiled for scoring in f32", text)

    def test_precision_and_what_does_not_compile_are_told(self):
        out = os.path.join(self.top, "int8")
        train(self.top, out, "--precision", "int8")
        scoring = json.loads(run("summary", out, "--json").stdout)["scoring"]
        full = json.loads(run("summary", self.bundle, "--json").stdout)["scoring"]
        self.assertEqual((scoring["precision"], full["precision"]), ("int8", "f32"))
        self.assertNotEqual(scoring["layer_bytes"], full["layer_bytes"])
        recipe = write(self.top, "gru.lua", shoplet.RECIPE.replace(
            'm.nn.dense(8, "relu")', 'm.nn.gru(4, { input = "history" }), m.nn.pool "last"'))
        run("train", recipe, "--data", self.top, "--out", out)
        self.assertIn("scored on a tape", run("summary", out).stdout)
        self.assertEqual(json.loads(run("summary", out, "--json").stdout)["scoring"], {"compiled": False, "layer_bytes": None, "precision": "f32"})

    def test_what_is_no_bundle_is_refused(self):
        self.assertIn("is not a bundle", run("summary", self.top, ok=1).stderr)
        run("summary", ok=2)
        self.assertIn("--data is for a recipe", run("summary", self.bundle, "--data", self.top, ok=2).stderr)

    def test_a_recipe_with_its_data_is_as_its_bundle_will_be(self):
        recipe = os.path.join(self.top, "recipe.lua")
        self.assertEqual(json.loads(run("summary", recipe, "--data", self.top, "--json").stdout), json.loads(run("summary", self.bundle, "--json").stdout))
        self.assertEqual(run("summary", recipe, "--data", self.top).stdout, run("summary", self.bundle).stdout)

    def test_a_recipe_without_its_data_says_what_it_can(self):
        recipe = write(self.top, "known.lua", shoplet.RECIPE.replace('m.id "user" { dim = 4 }', 'm.id "user" { dim = 4, hash = 100 }').replace(
            'm.nn.dense(8, "relu")', 'm.nn.parallel { m.nn.dense(8, "relu"), m.nn.embedding(1, { input = "item.id" }), m.nn.embedding(1, { input = "user.id" }) }'))
        model = json.loads(run("summary", recipe, "--json").stdout)
        self.assertEqual([(t["feature"], t["rows"], t["dim"], t["parameters"]) for t in model["tables"]],
                         [("user", 100, 4, 400), ("item", None, 4, None), ("category", None, 2, None)])
        layers = {layer["layer"]: (layer["type"], layer["output"], layer["parameters"]) for layer in model["layers"]}
        self.assertEqual(layers["0.0"], ("dense", "[n, 8]", (model["inputs"] + 1) * 8))
        self.assertEqual((layers["0.1"][2], layers["0.2"][2]), (None, 100))
        for total in ("parameters", "trained", "in_tables", "bytes"):
            self.assertIsNone(model[total])
        self.assertEqual((model["name"], model["output"]), ("shoplet", "sigmoid"))
        text = run("summary", recipe).stdout
        self.assertRegex(text, r"(?m)^item +table +\? x 4 +\?$")
        self.assertRegex(text, r"(?m)^user +table +100 x 4 +400$")
        self.assertIn("? parameters, ? of them trained; ? in tables\n?: only the training part tells; --data DIR counts it\n? bytes", text)
        exact = json.loads(run("summary", recipe, "--data", self.top, "--json").stdout)
        run("train", recipe, "--data", self.top, "--out", os.path.join(self.top, "known"))
        self.assertEqual(exact, json.loads(run("summary", os.path.join(self.top, "known"), "--json").stdout))

    def test_a_recipe_whose_tables_are_all_hashed_is_known_whole(self):
        recipe = write(self.top, "hashed.lua", """\
local m = require "moonshelf"
return m.recipe "hashed" {
  events = m.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp" },
  label = m.label { positive = "purchase", of = "view", within = "24h" },
  features = { m.id "user" { dim = 4, hash = 50 }, m.id "item" { dim = 4, hash = 70 }, m.hour { dim = 2 } },
  model = m.nn.sequential { m.nn.dense(8, "relu"), m.nn.dense(1, "sigmoid") },
  train = { precision = "int8" },
}
""")
        model = json.loads(run("summary", recipe, "--json").stdout)
        tables = sum(t["rows"] * t["dim"] for t in model["tables"])
        self.assertEqual((model["in_tables"], model["parameters"]), (tables, tables + 11 * 8 + 9))
        self.assertEqual((model["bytes"], model["scoring"]["precision"]), (4 * model["parameters"], "int8"))
        self.assertEqual(json.loads(run("summary", recipe, "--data", self.top, "--json").stdout), model)

    def test_a_recipe_that_does_not_fit_is_refused_with_its_line(self):
        recipe = write(self.top, "wrong.lua", shoplet.RECIPE.replace('m.nn.dense(8, "relu")', "m.nn.gru(4)"))
        self.assertRegex(run("summary", recipe, ok=1).stderr, r"wrong.lua:\d+: gru: takes ")
        self.assertIn("nowhere.lua", run("summary", os.path.join(self.top, "nowhere.lua"), ok=1).stderr)
        self.assertIn("items.csv", run("summary", os.path.join(self.top, "recipe.lua"), "--data", self.bundle, ok=1).stderr)


if __name__ == "__main__":
    unittest.main()
