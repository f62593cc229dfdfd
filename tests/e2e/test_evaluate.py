"""Evaluation as a user meets it: intervals, slices, two bundles, a report; and the metrics beside scikit-learn's."""
import json
import math
import os
import random
import re
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import shoplet
from shoplet import run, write

METRICS = ["accuracy", "precision", "recall", "f1", "auc", "gauc", "logloss", "calibration", "recall@5", "ndcg@5", "hit@5", "mrr@5", "map@5",
           "coverage", "gini", "novelty", "diversity@5"]
RECIPE = shoplet.RECIPE.replace('{ "accuracy", "auc", "logloss", "recall@5", "ndcg@5" }', "{ %s }" % ", ".join('"%s"' % m for m in METRICS))
LISTS = [m for m in METRICS if "@" in m] + ["coverage", "gini", "novelty"]


class Evaluate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-evaluate-")
        shoplet.make(cls.top)
        write(cls.top, "recipe.lua", RECIPE)
        cls.bundle, cls.other = os.path.join(cls.top, "bundle"), os.path.join(cls.top, "other")
        shoplet.train(cls.top, cls.bundle)
        shoplet.train(cls.top, cls.other, "--seed", "9", "--epochs", "5")
        cls.result = json.loads(run("evaluate", cls.bundle, "--data", cls.top, "--json").stdout)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def evaluate(self, *more, ok=0, bundle=None):
        return run("evaluate", bundle or self.bundle, "--data", self.top, *more, ok=ok)

    def test_every_metric_stands_beside_the_baselines_within_its_interval(self):
        self.assertEqual(sorted(self.result["model"]), sorted(METRICS))
        for name, value in self.result["model"].items():
            if value is None:
                self.assertEqual(name, "precision")  # where the model calls nothing positive
            elif name in ("calibration", "coverage", "gini"):
                self.assertNotIn(name, self.result["intervals"]["model"])
            else:
                low, high = self.result["intervals"]["model"][name]
                self.assertTrue(low <= value <= high, name)
        for baseline in ("popular", "random", "item-knn"):
            for name in LISTS:
                self.assertIsInstance(self.result["baselines"][baseline][name], float, name)
        self.assertEqual(sum(b["examples"] for b in self.result["calibration"]), self.result["examples"]["test"])

    def test_curves_pass_through_the_metrics(self):
        for name in ("recall", "ndcg", "hit", "mrr", "map"):
            for who, curve in self.result["by_k"][name].items():
                values = self.result["model"] if who == "model" else self.result["baselines"][who]
                self.assertEqual(len(curve), 20)
                self.assertAlmostEqual(curve[4], values[name + "@5"], places=8)

    def test_slices_are_named_and_counted(self):
        names = [s["name"] for s in self.result["slices"]]
        self.assertEqual(sorted(n for n in names if n.startswith("category = ")), ["category = cat%d" % i for i in range(5)])
        self.assertEqual(sum(s["examples"] for s in self.result["slices"] if s["name"].startswith("category")), self.result["examples"]["test"])
        shown = self.evaluate("--slice", "brand").stdout
        self.assertRegex(shown, r"(?m)^  brand = acme +0\.\d{4} ±0\.\d{4}")
        self.assertIn("did you mean 'brand'?", self.evaluate("--slice", "brnd", ok=1).stderr)

    def test_the_same_command_prints_the_same(self):
        self.assertEqual(self.evaluate().stdout, self.evaluate().stdout)

    def test_two_bundles_are_compared_on_the_same_examples(self):
        same = json.loads(self.evaluate("--against", self.bundle, "--json").stdout)["against"]["metrics"]
        self.assertTrue(all(one["difference"] in (0, None) for one in same.values()))
        self.assertEqual(same["auc"]["p"], 1)
        one = json.loads(self.evaluate("--against", self.other, "--json").stdout)["against"]["metrics"]
        back = json.loads(run("evaluate", self.other, "--data", self.top, "--against", self.bundle, "--json").stdout)["against"]["metrics"]
        for name in METRICS:
            if one[name]["difference"] is not None:
                self.assertAlmostEqual(one[name]["difference"], -back[name]["difference"], places=6)
            if one[name]["p"] is not None:
                low, high = one[name]["interval"]
                self.assertEqual(low <= 0 <= high, one[name]["p"] > 0.05 or low == 0 or high == 0, name)
        self.assertRegex(self.evaluate("--against", self.other).stdout, r"(?m)^  logloss .* [+-]0\.\d{4}  \[[+-]0\.\d{4}, [+-]0\.\d{4}\]    \d\.\d{3}$")
        folder = tempfile.mkdtemp(dir=self.top)
        write(folder, "recipe.lua", RECIPE.replace("{ 0.8, 0.1, 0.1 }", "{ 0.7, 0.1, 0.2 }"))
        out = os.path.join(folder, "bundle")
        run("train", os.path.join(folder, "recipe.lua"), "--data", self.top, "--out", out)
        self.assertIn("--against %s: the two are judged on different examples" % out, self.evaluate("--against", out, ok=1).stderr)

    def test_the_report_is_one_file_that_asks_for_nothing(self):
        path = os.path.join(self.top, "out.html")
        self.assertIn("Report written: " + path, self.evaluate("--against", self.other, "--report", path).stdout)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for outside in ("<script", "<link", "<img", "src=", "href=", "url(", "@import"):
            self.assertNotIn(outside, text)
        self.assertEqual(set(re.findall(r"https?://[^\"<]*", text)), {"http://www.w3.org/2000/svg"})
        titles = []
        for svg in re.findall(r"<svg.*?</svg>", text, re.S):
            root = ElementTree.fromstring(svg)
            titles.append(root.findtext("{http://www.w3.org/2000/svg}title"))
            self.assertNotIn("nan", svg)
        for title in ("Loss", "Calibration", "recall@k", "map@k", "auc", "logloss", "ndcg@5"):
            self.assertIn(title, titles)
        HTMLParser().feed(text)
        self.assertIn("--report: ", self.evaluate("--report", os.path.join(self.top, "no", "r.html"), ok=1).stderr)

    def test_the_report_escapes_what_stands_in_the_data(self):
        folder = tempfile.mkdtemp(dir=self.top)
        shoplet.make(folder)
        with open(os.path.join(folder, "items.csv"), encoding="utf-8") as file:
            items = file.read().replace(",cat1,", ",<script>&'x',")
        write(folder, "items.csv", items)
        out, path = os.path.join(folder, "bundle"), os.path.join(folder, "r.html")
        shoplet.train(folder, out, "--epochs", "1")
        run("evaluate", out, "--data", folder, "--report", path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertNotIn("<script", text)
        self.assertIn("category = &lt;script&gt;&amp;&#39;x&#39;", text)

    def strange(self, keep, split="m.split.by_time { 0.8, 0.1, 0.1 }"):
        """A data set of the events that `keep` keeps, trained and evaluated with a report."""
        folder = tempfile.mkdtemp(dir=self.top)
        shoplet.make(folder)
        with open(os.path.join(folder, "events.csv"), encoding="utf-8") as file:
            head, *rows = file.read().splitlines()
        write(folder, "events.csv", "\n".join([head] + keep(rows)) + "\n")
        write(folder, "recipe.lua", RECIPE.replace("m.split.by_time { 0.8, 0.1, 0.1 }", split))
        out = os.path.join(folder, "bundle")
        shoplet.train(folder, out)
        run("evaluate", out, "--data", folder, "--report", os.path.join(folder, "r.html"))
        return json.loads(run("evaluate", out, "--data", folder, "--json").stdout)

    def test_one_user_has_metrics_without_intervals(self):
        result = self.strange(lambda rows: [re.sub(",u[0-9]+,", ",u1,", row) for row in rows])
        self.assertIsInstance(result["model"]["auc"], float)
        self.assertEqual(result["intervals"]["model"], {})

    def test_no_positives_have_no_auc_and_nobody_to_rank_for(self):
        def none_late(rows):
            early = len(rows) * 7 // 10
            return rows[:early] + [row for row in rows[early:] if row.endswith("view")]
        result = self.strange(none_late)
        self.assertEqual(result["users"], 0)
        for name in ("auc", "gauc", "recall", "recall@5", "coverage", "gini", "novelty"):
            self.assertIsNone(result["model"][name], name)
        self.assertIsInstance(result["model"]["logloss"], float)

    def test_all_positives_have_no_auc(self):
        def bought(rows):
            early = len(rows) * 7 // 10
            late = [row.split(",") for row in rows[early:] if row.endswith("view")]
            return rows[:early] + [row for t, u, i, _ in late for row in ("%s,%s,%s,view" % (t, u, i), "%d,%s,%s,purchase" % (int(t) + 1, u, i))]
        result = self.strange(bought)
        self.assertIsNone(result["model"]["auc"])
        self.assertEqual(result["examples"]["positive_rate"], 1)
        self.assertIsInstance(result["model"]["recall"], float)

    def test_recboles_splits_evaluate(self):
        for split in ("m.split.ratio { 0.8, 0.1, 0.1 }", "m.split.leave_one_out()"):
            result = self.strange(lambda rows: rows[:900], split)  # later everybody knows everything
            self.assertGreater(result["users"], 3, split)
            self.assertIsInstance(result["model"]["ndcg@5"], float)


class Required(unittest.TestCase):
    """A recipe in several files: the bundle keeps them, and is measured where the others are gone."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="moonshelf-required-")
        shoplet.make(self.top, events=1500)
        self.bundle = os.path.join(self.top, "bundle")
        os.makedirs(os.path.join(self.top, "rules", "deep"))
        write(self.top, "rules/people.lua", 'local bots = require "rules.deep.bots"\nreturn function(e) return e.event ~= bots.kind end\n')
        write(self.top, "rules/deep/bots.lua", 'return { kind = "bot" }\n')
        recipe = shoplet.RECIPE.replace('m.filter(function(e) return e.event ~= "bot" end)', 'm.filter(require "rules.people")')
        assert recipe != shoplet.RECIPE
        write(self.top, "recipe.lua", recipe)
        shoplet.train(self.top, self.bundle)

    def tearDown(self):
        shutil.rmtree(self.top)

    def test_a_bundle_is_measured_without_its_folder(self):
        there = json.loads(run("evaluate", self.bundle, "--data", self.top, "--json").stdout)
        shutil.rmtree(os.path.join(self.top, "rules"))
        os.remove(os.path.join(self.top, "recipe.lua"))
        self.assertEqual(json.loads(run("evaluate", self.bundle, "--data", self.top, "--json").stdout), there)
        with open(os.path.join(self.bundle, "metrics.json"), encoding="utf-8") as file:
            for name, value in json.load(file)["model"].items():
                self.assertAlmostEqual(value, there["model"][name], places=7)

    def test_what_is_required_is_under_the_manifest(self):
        with open(os.path.join(self.bundle, "manifest.json"), encoding="utf-8") as file:
            files = json.load(file)["files"]
        self.assertEqual(sorted(name for name in files if "/" in name), ["lua/rules/deep/bots.lua", "lua/rules/people.lua"])
        with open(os.path.join(self.bundle, "lua", "rules", "people.lua"), "a", encoding="utf-8") as file:
            file.write("-- changed\n")
        said = run("evaluate", self.bundle, "--data", self.top, ok=1).stderr
        self.assertIn("lua/rules/people.lua: larger than", said)

    def test_what_a_bundle_does_not_keep_is_named(self):
        path = os.path.join(self.bundle, "manifest.json")
        with open(path, encoding="utf-8") as file:
            manifest = json.load(file)
        del manifest["files"]["lua/rules/people.lua"]
        write(self.bundle, "manifest.json", json.dumps(manifest))
        said = run("evaluate", self.bundle, "--data", self.top, ok=1).stderr
        self.assertIn("keeps no rules/people.lua: the recipe did not require it when it was trained", said)
        self.assertIn("recipe.lua:", said)


class AgainstScikitLearn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        try:
            from sklearn import calibration, metrics
        except ImportError:
            raise unittest.SkipTest("there is no scikit-learn")
        cls.metrics, cls.calibration = metrics, calibration

    def measure(self, groups, scores, labels):
        text = "".join("%d %.9g %d\n" % row for row in zip(groups, scores, labels))
        return json.loads(subprocess.run([os.environ["MOON_METRICS_OF"]], input=text, capture_output=True, text=True, check=True).stdout)

    def same(self, got, want, said):
        for name, value in want.items():
            if value is None:
                self.assertIsNone(got[name], (name, said))
            else:
                self.assertIsNotNone(got[name], (name, said))
                self.assertTrue(math.isclose(got[name], value, rel_tol=1e-6, abs_tol=1e-12), (name, got[name], value, said))

    def check_examples(self, groups, scores, labels, said):
        """Everything that scikit-learn has, and gauc and calibration by its parts; None where a metric is not defined."""
        import numpy
        sk, n = self.metrics, len(labels)
        positive, chosen = sum(labels), [s >= 0.5 for s in scores]
        got = self.measure(groups, scores, labels)
        want = {"accuracy": sk.accuracy_score(labels, chosen), "precision": sk.precision_score(labels, chosen) if any(chosen) else None,
                "recall": sk.recall_score(labels, chosen) if positive else None,
                "f1": sk.f1_score(labels, chosen) if positive or any(chosen) else None,
                "auc": sk.roc_auc_score(labels, scores) if 0 < positive < n else None,
                "logloss": sk.log_loss(labels, numpy.array(scores, dtype=numpy.float64), labels=[0, 1])}
        over = under = 0
        for group in set(groups):
            mine = [i for i in range(n) if groups[i] == group]
            if len({labels[i] for i in mine}) == 2:
                over += len(mine) * sk.roc_auc_score([labels[i] for i in mine], [scores[i] for i in mine])
                under += len(mine)
        want["gauc"] = over / under if under else None
        rate, score = self.calibration.calibration_curve(labels, scores, n_bins=10)
        bins = [b for b in got["bins"] if b[0]]
        self.assertEqual(len(bins), len(rate), said)
        for b, r, s in zip(bins, rate, score):
            self.assertAlmostEqual(b[1], s, places=6)
            self.assertAlmostEqual(b[2], r, places=9)
        want["calibration"] = sum(b[0] * abs(r - s) for b, r, s in zip(bins, rate, score)) / n
        falling = [n - i for i in range(n)]
        want["ndcg"] = sk.ndcg_score([labels], [falling], k=10) if positive else None
        want["map"] = sk.average_precision_score(labels, falling) if positive else None
        self.same(got, want, said)

    def test_random_examples_with_ties(self):
        import numpy
        for seed in range(16):
            rng = random.Random(seed)
            for n in (2, 7, 40, 300):
                for distinct in (1, 2, 7, 10 ** 6):
                    groups = sorted(rng.randrange(1 + n // 20) for _ in range(n))
                    scores = [float(numpy.float32((rng.randrange(distinct) + 0.5) / distinct * 0.97 + 0.013)) for _ in range(n)]
                    share = rng.choice((0, 0.02, 0.3, 0.9))
                    labels = [int(rng.random() < share + (0.1 * s if 0 < share < 0.9 else 0)) for s in scores]
                    self.check_examples(groups, scores, labels, (seed, n, distinct))

    def test_one_kind_of_examples_and_scores_at_the_ends(self):
        for labels in ([0] * 9, [1] * 9, [0, 1] * 5):
            for scores in ([0.0] * 10, [1.0] * 10, [0.25, 0.75] * 5, [0.75, 0.25] * 5):
                scores = scores[:len(labels)]
                got = self.measure([0] * len(labels), scores, labels)
                self.assertIs(got["auc"] is None, len(set(labels)) == 1)
                eps = 1e-7  # where ours clips
                clipped = [min(max(s, eps), 1 - eps) for s in scores]
                want = -sum(math.log(s if y else 1 - s) for y, s in zip(labels, clipped)) / len(labels)
                self.assertTrue(math.isclose(got["logloss"], want, rel_tol=1e-6), (labels, scores, got["logloss"], want))
                self.assertIs(got["ndcg"] is None, not any(labels))


if __name__ == "__main__":
    unittest.main()
