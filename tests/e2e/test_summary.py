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


if __name__ == "__main__":
    unittest.main()
