"""A search as a user meets it: grids, random trials, halving; killed and gone on with; on any number of workers."""
import filecmp
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import shoplet
from shoplet import MOONSHELF, run, write

LR = "lr = m.tune.log(1e-4, 1e-1, { points = 2, default = 0.01 })"


def recipe(lr=LR, units="m.tune { 8, 16, 4 }", epochs="2"):
    return (shoplet.RECIPE.replace("lr = 0.01", lr).replace('m.nn.dense(8, "relu")', f'm.nn.dense({units}, "relu")')
            .replace("epochs = 2", f"epochs = {epochs}"))


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def timeless(value):
    """Without what a clock said."""
    if isinstance(value, dict):
        return {key: timeless(inner) for key, inner in value.items() if key != "seconds"}
    return [timeless(inner) for inner in value] if isinstance(value, list) else value


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-tune-")
        cls.data = os.path.join(cls.top, "data")
        os.mkdir(cls.data)
        shoplet.make(cls.data)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def out(self):
        return os.path.join(tempfile.mkdtemp(dir=self.top), "search")

    def recipe(self, *args, **kwargs):
        return write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe(*args, **kwargs))

    def command(self, path, out, *more, data=None):
        return ["tune", path, "--data", data or self.data, "--out", out, *more]

    def tune(self, path, out, *more, **kwargs):
        data = kwargs.pop("data", None)
        return run(*self.command(path, out, *more, data=data), **kwargs)

    def result(self, path, *more, **kwargs):
        return timeless(json.loads(self.tune(path, self.out(), "--json", *more, **kwargs).stdout))

    def assert_same_bundle(self, a, b):
        for name in sorted(os.listdir(a)):
            self.assertTrue(filecmp.cmp(os.path.join(a, name), os.path.join(b, name), shallow=False), name)


class Searches(Base):
    def test_a_grid_tries_all_and_keeps_the_best(self):
        out, path = self.out(), self.recipe()
        text = self.tune(path, out, "--search", "grid", "--workers", "2").stdout
        result = json.loads(read(out, "tune.json"))
        trials = result["trials"]
        self.assertEqual([(t["values"]["dense"], round(t["values"]["lr"], 6)) for t in trials],
                         [(units, lr) for units in (8, 16, 4) for lr in (1e-4, 1e-1)])
        best = max(trials, key=lambda t: t["value"])
        self.assertEqual(result["best"]["trial"], best["trial"])
        self.assertRegex(text, r"(?m)^Best on the validation part: trial %d, auc %.4f$" % (best["trial"], best["value"]))
        self.assertEqual(re.search(r"\n +(\d+) ", text).group(1), str(best["trial"]))  # the first line of the table
        self.assertEqual([(t["name"], t["value"]) for t in result["best"]["tune"]],
                         [("dense", best["values"]["dense"]), ("lr", best["values"]["lr"])])
        plan = json.loads(read(out, "best", "plan.json"))
        self.assertEqual(plan["train"]["optimizer"]["lr"], best["values"]["lr"])
        self.assertEqual(plan["model"]["layers"][0]["units"], best["values"]["dense"])

    def test_the_values_found_make_the_same_bundle_and_it_evaluates(self):
        out, path = self.out(), self.recipe()
        self.tune(path, out, "--trials", "3")
        again = self.out()
        run("train", path, "--data", self.data, "--out", again, "--tuned", os.path.join(out, "tune.json"))
        self.assert_same_bundle(os.path.join(out, "best"), again)
        metrics = json.loads(run("evaluate", again, "--data", self.data, "--json").stdout)
        for name, value in json.loads(read(out, "best", "metrics.json"))["model"].items():
            self.assertAlmostEqual(metrics["model"][name], value, places=6)
        self.assertIn("has no values that a search chose",
                      run("train", path, "--data", self.data, "--out", again, "--tuned", os.path.join(again, "metrics.json"), ok=1).stderr)

    def test_a_recipe_with_open_values_trains_with_the_first(self):
        out = self.out()
        run("train", self.recipe(), "--data", self.data, "--out", out)
        plain = self.out()
        run("train", self.recipe("lr = 0.01", "8"), "--data", self.data, "--out", plain)
        self.assertTrue(filecmp.cmp(os.path.join(out, "model.safetensors"), os.path.join(plain, "model.safetensors"), shallow=False))

    def test_workers_do_not_change_a_result_and_seeds_do(self):
        path = self.recipe(units="m.tune.range(2, 40, 2)")
        one = self.result(path, "--trials", "5", "--workers", "1", "--seed", "7")
        self.assertEqual(one, self.result(path, "--trials", "5", "--workers", "3", "--seed", "7"))
        more = self.result(path, "--trials", "6", "--seed", "7")
        self.assertEqual(one["trials"], more["trials"][:5])
        self.assertEqual(one["trials"][0]["values"], {"dense": 2, "lr": 0.01})  # the recipe as it is
        other = self.result(path, "--trials", "5", "--seed", "8")
        self.assertNotEqual([t["values"] for t in one["trials"]], [t["values"] for t in other["trials"]])

    def test_random_trials_end_where_there_is_nothing_new(self):
        trials = self.result(self.recipe(lr="lr = 0.01"), "--trials", "9")["trials"]
        self.assertEqual(sorted(t["values"]["dense"] for t in trials), [4, 8, 16])

    def test_halving_gives_more_epochs_to_the_better_third(self):
        out, path = self.out(), self.recipe(units="m.tune.range(2, 40, 2)", epochs="9")
        self.tune(path, out, "--search", "halving", "--trials", "9", "--workers", "2")
        result = json.loads(read(out, "tune.json"))
        runs = {t["trial"]: [(r["until"], r["epochs"]) for r in t["runs"]] for t in result["trials"]}
        self.assertEqual(sorted(map(len, runs.values())), [1] * 6 + [2] * 2 + [3])
        winner = result["best"]["trial"]
        self.assertEqual(runs[winner], [(1, 1), (3, 3), (0, 9)])
        first = sorted(result["trials"], key=lambda t: -t["runs"][0]["value"])
        self.assertEqual({t["trial"] for t in first[:3]}, {trial for trial, r in runs.items() if len(r) > 1})
        self.assertFalse([name for name in os.listdir(os.path.join(out, "trials")) if "checkpoint" in name])
        # Broken off and gone on with, the winner's training is what one piece would have been.
        whole = self.out()
        values = os.path.join(out, "trials", "%03d.json" % winner)
        run("train", path, "--data", self.data, "--out", whole, "--tuned", values)
        self.assert_same_bundle(os.path.join(out, "best"), whole)
        alone = json.loads(read(values))
        alone["runs"] = []
        one = write(tempfile.mkdtemp(dir=self.top), "one.json", json.dumps(alone))
        run("train", path, "--data", self.data, "--trial", one)
        self.assertEqual(json.loads(read(one))["runs"][0]["value"], result["best"]["value"])

    def test_the_test_part_is_not_looked_at(self):
        other = os.path.join(tempfile.mkdtemp(dir=self.top), "data")
        shutil.copytree(self.data, other)
        head, *rows = read(self.data, "events.csv").splitlines()
        tail = len(rows) // 50  # well after the labels of the validation part are decided
        for i in range(len(rows) - tail, len(rows)):
            time_, user, _, event = rows[i].split(",")
            rows[i] = f"{time_},{user},i{i % 7},{event}"
        write(other, "events.csv", "\n".join([head, *rows]) + "\n")
        for metric in ("auc", "ndcg@5"):
            more = ["--trials", "2", "--metric", metric]
            mine, theirs = self.result(self.recipe(), *more), self.result(self.recipe(), *more, data=other)
            self.assertEqual(mine["trials"], theirs["trials"])
            self.assertNotEqual(mine["best"]["test"], theirs["best"]["test"])

    def test_losses_are_better_where_they_are_lower(self):
        result = self.result(self.recipe(), "--search", "grid", "--metric", "logloss")
        self.assertEqual(result["better"], "lower")
        self.assertEqual(result["best"]["value"], min(t["value"] for t in result["trials"]))

    def test_a_trial_that_fails_is_told_of_and_spoils_nothing(self):
        result = self.result(self.recipe(lr="lr = m.tune { 0.01, 1e30 }", units="8"), "--search", "grid")
        self.assertEqual(result["best"]["trial"], 1)
        self.assertRegex(result["trials"][1]["error"], "the loss is .*nan|not finite")
        self.assertNotIn("value", result["trials"][1])

    def test_the_page_is_whole_in_itself(self):
        out = self.out()
        self.tune(self.recipe(lr='lr = m.tune { 0.01, 0.1, name = "a<b" }'), out, "--search", "grid")
        page = read(out, "tune.html")
        self.assertNotRegex(page, r"https?://|<script|src=|a<b")
        self.assertEqual(page.count("<svg"), 3)
        self.assertEqual(page.count("<circle"), 3 * 6)
        self.assertEqual(page.count('class="best"'), 4)
        self.assertNotRegex(page, r"\b(nan|inf)\b")


class Ends(Base):
    def start(self, path, out, *more):
        return subprocess.Popen([MOONSHELF, *self.command(path, out, *more)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True)

    def done(self, out):
        """The trials that have a run, and when they were written."""
        folder, found = os.path.join(out, "trials"), {}
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if re.fullmatch(r"\d+\.json", name) and json.loads(read(folder, name))["runs"]:
                found[name] = os.stat(os.path.join(folder, name)).st_mtime_ns
        return found

    def wait_for(self, out, n):
        deadline = time.monotonic() + 60
        while len(self.done(out)) < n and time.monotonic() < deadline:
            time.sleep(0.002)

    def test_killed_and_resumed_it_ends_with_the_same_result(self):
        path = self.recipe(units="m.tune.range(2, 40, 2)", epochs="6")
        for search in ("random", "halving"):
            more = ["--search", search, "--trials", "9", "--workers", "2", "--seed", "3"]
            whole, out = self.out(), self.out()
            self.tune(path, whole, *more)
            for n in (2, 5):
                process = self.start(path, out, *more, "--resume")
                self.wait_for(out, n)
                process.kill()
                process.communicate()
                time.sleep(0.05)  # its workers go with it
            before = self.done(out)
            time.sleep(0.3)
            self.assertEqual(before, self.done(out))
            self.assertIn("--resume goes on with it", self.tune(path, out, *more, ok=1).stderr)
            self.tune(path, out, *more, "--resume", "--workers", "1")
            if search == "random":
                self.assertEqual(before, {name: at for name, at in self.done(out).items() if name in before})  # none ran twice
            self.assertEqual(timeless(json.loads(read(whole, "tune.json"))), timeless(json.loads(read(out, "tune.json"))))
            self.assert_same_bundle(os.path.join(whole, "best"), os.path.join(out, "best"))

    def test_interrupted_it_keeps_what_is_done(self):
        path, out = self.recipe(epochs="400"), self.out()
        short = self.recipe()
        process = self.start(path, out, "--search", "grid", "--workers", "1")
        self.wait_for(out, 1)
        process.send_signal(signal.SIGINT)
        stderr = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 1)
        self.assertIn("--resume goes on", stderr)
        kept = json.loads(read(out, "tune.json"))
        self.assertGreaterEqual(sum("value" in t for t in kept["trials"]), 1)
        self.assertLess(sum("value" in t for t in kept["trials"]), 6)
        self.assertIn("the recipe has changed", self.tune(short, out, "--search", "grid", "--resume", ok=1).stderr)
        self.assertIn("seed was 0 and is 1 now", self.tune(path, out, "--search", "grid", "--resume", "--seed", "1", ok=1).stderr)
        self.assertIn("metric was auc and is logloss now",
                      self.tune(path, out, "--search", "grid", "--resume", "--metric", "logloss", ok=1).stderr)

    def test_more_trials_go_on_where_fewer_ended(self):
        path, out = self.recipe(units="m.tune.range(2, 40, 2)"), self.out()
        self.tune(path, out, "--trials", "3")
        before = self.done(out)
        self.tune(path, out, "--trials", "5", "--resume")
        after = self.done(out)
        self.assertEqual(len(after), 5)
        self.assertEqual(before, {name: at for name, at in after.items() if name in before})

    def test_what_fails_for_all_fails(self):
        out = self.out()
        error = self.tune(self.recipe(), out, "--trials", "2", "--metric", "acu", ok=1).stderr
        self.assertRegex(error, "no trial has a result; the first: .*there is no metric 'acu'; did you mean 'auc'")
        nowhere = self.tune(self.recipe(), self.out(), "--trials", "2", data="/nowhere", ok=1).stderr
        self.assertRegex(nowhere, "no trial has a result; the first: .*/nowhere")
        bare = self.recipe().replace("recipe.lua", "bare.lua")
        with open(bare, "w", encoding="utf-8") as file:
            file.write(shoplet.RECIPE)
        self.assertIn("has nothing to search: write m.tune", self.tune(bare, self.out(), ok=1).stderr)
        split = self.recipe()
        with open(split, "w", encoding="utf-8") as file:
            file.write(recipe().replace("{ 0.8, 0.1, 0.1 }", "{ 0.9, 0, 0.1 }"))
        self.assertIn("no validation part", self.tune(split, self.out(), "--trials", "1", ok=1).stderr)

    def test_a_folder_of_the_users_is_spared(self):
        folder = tempfile.mkdtemp(dir=self.top)
        write(folder, "diary.txt", "dear diary")
        self.assertIn("is not the folder of a search", self.tune(self.recipe(), folder, ok=1).stderr)
        self.assertEqual(os.listdir(folder), ["diary.txt"])

    def test_wrong_usage_is_said_first(self):
        for more, text in ((["--search", "gird"], "did you mean 'grid'"), (["--search", "grid", "--trials", "3"], "a grid tries all"),
                           (["--workers", "65"], "at most 64"), (["--seed", "x"], "--seed wants")):
            self.assertIn(text, self.tune(self.recipe(), self.out(), *more, ok=2).stderr)
        self.assertIn("--out is missing", run("tune", self.recipe(), ok=2).stderr)
        self.assertNotIn("--until", run("train", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
