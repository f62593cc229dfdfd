"""Training as a user meets it: threads, checkpoints that survive a kill, functions of the recipe that watch."""
import filecmp
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import shoplet
from shoplet import MOONSHELF, run, write

TRAIN = """train = { loss = "bce", epochs = 6, batch = 300, seed = 1, patience = 2, checkpoint = 5,
            optimizer = m.nn.adamw { lr = 0.02, clip_norm = 1, schedule = m.nn.schedule("cosine", { warmup = 10 }) },
            %s split = m.split.by_time { 0.8, 0.1, 0.1 } },"""


def recipe_with(extra=""):
    start = shoplet.RECIPE.index("train = {")
    end = shoplet.RECIPE.index("evaluate = {")
    return shoplet.RECIPE[:start] + TRAIN % extra + "\n  " + shoplet.RECIPE[end:]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-train-")
        cls.data = os.path.join(cls.top, "data")
        os.mkdir(cls.data)
        shoplet.make(cls.data, events=9000)
        cls.recipe = write(cls.top, "recipe.lua", recipe_with())
        cls.bundle = os.path.join(cls.top, "bundle")
        run("train", cls.recipe, "--data", cls.data, "--out", cls.bundle, "--threads", "1")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def out(self):
        return os.path.join(tempfile.mkdtemp(dir=self.top), "out")

    def command(self, out, *more, recipe=None):
        return ["train", recipe or self.recipe, "--data", self.data, "--out", out, *more]

    def assert_same_bundle(self, out):
        names = sorted(os.listdir(self.bundle))
        self.assertEqual(names, sorted(os.listdir(out)))
        for name in names:
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, name), os.path.join(out, name), shallow=False), name)


class Threads(Base):
    def test_threads_give_the_same_bundle(self):
        for threads in ("2", "3"):
            out = self.out()
            run(*self.command(out, "--threads", threads))
            self.assert_same_bundle(out)
        self.assertIn("at most 64", run(*self.command(self.out(), "--threads", "65"), ok=2).stderr)


class Checkpoints(Base):
    def start(self, out, *more):
        return subprocess.Popen([MOONSHELF, *self.command(out, *more)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)

    def test_killed_again_and_again_it_ends_with_the_same_bundle(self):
        rng = random.Random(7)
        resumed = 0
        for every in ("1", "4", "9"):
            out = self.out()
            checkpoint = out + ".checkpoint"
            for _ in range(4):
                process = self.start(out, "--checkpoint-every", every, "--resume", "--threads", rng.choice("12"))
                deadline = time.monotonic() + 60
                before = os.stat(checkpoint).st_mtime_ns if os.path.exists(checkpoint) else 0
                while process.poll() is None and time.monotonic() < deadline:
                    try:
                        if os.stat(checkpoint).st_mtime_ns != before:
                            break
                    except FileNotFoundError:
                        pass
                    time.sleep(0.0005)
                time.sleep(rng.random() * 0.01)  # in the middle of a step, or of writing
                process.kill()
                process.wait()
                resumed += os.path.exists(checkpoint)
            done = run(*self.command(out, "--checkpoint-every", every, "--resume"))
            self.assert_same_bundle(out)
            self.assertEqual(os.listdir(os.path.dirname(out)), ["out"], done.stderr)  # the checkpoint has gone
        self.assertGreater(resumed, 2)

    def test_interrupted_it_says_where_it_is_kept(self):
        out = self.out()
        process = subprocess.Popen([MOONSHELF, *self.command(out, "--checkpoint-every", "1000000", "--epochs", "500")],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        seen = ""
        for line in process.stderr:
            seen += line
            if "fit:" in line:
                process.send_signal(signal.SIGINT)
                break
        seen += process.stderr.read()
        self.assertEqual(process.wait(), 1)
        process.stderr.close()
        self.assertIn("out.checkpoint holds what was done", seen)
        self.assertTrue(os.path.exists(out + ".checkpoint"))
        self.assertFalse(os.path.exists(out))
        refusal = run(*self.command(out, "--resume", "--epochs", "499"), ok=1).stderr
        self.assertIn("epochs was 500 and is 499 now", refusal)

    def test_another_recipe_is_refused_and_a_diary_is_spared(self):
        out = self.out()
        process = self.start(out, "--checkpoint-every", "1", "--epochs", "500")
        while not os.path.exists(out + ".checkpoint"):
            time.sleep(0.001)
        process.kill()
        process.wait()
        other = write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe_with().replace('within = "24h"', 'within = "2h"'))
        stderr = run(*self.command(out, "--resume", "--epochs", "500", recipe=other), ok=1).stderr
        self.assertIn("label", stderr)
        diary = write(os.path.dirname(out), "diary.txt", "dear diary")
        self.assertIn("is not a checkpoint", run(*self.command(out, "--checkpoint", diary), ok=1).stderr)
        with open(diary, encoding="utf-8") as file:
            self.assertEqual(file.read(), "dear diary")

    def test_resume_without_a_checkpoint_begins(self):
        out = self.out()
        self.assertIn("begins anew", run(*self.command(out, "--resume")).stderr)
        self.assert_same_bundle(out)


class Functions(Base):
    def train_with(self, extra, ok=0):
        recipe = write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe_with(extra))
        return run(*self.command(self.out(), "--json", recipe=recipe), ok=ok)

    def test_they_see_the_training(self):
        done = self.train_with('on_epoch = function(i) print("E", i.epoch, i.epochs, i.loss < 1, i.validation_loss < 1, i.lr > 0) end,'
                               'on_step = { every = 10, function(i) print("S", i.step, i.validation_loss) end },')
        self.assertIn("E\t1\t6\ttrue\ttrue\ttrue\n", done.stderr)
        self.assertIn("S\t10\tnil\n", done.stderr)
        self.assertNotIn("S\t11", done.stderr)

    def test_they_can_stop_it(self):
        for answer in ("false", '"stop"'):
            done = self.train_with("on_epoch = function(i) if i.epoch == 2 then return %s end end," % answer)
            self.assertIn('"epochs": 2', done.stdout)
        done = self.train_with("on_step = { function(i) return i.step < 3 end },")
        self.assertIn('"steps": 3', done.stdout)

    def test_their_mistakes_name_the_line(self):
        self.assertRegex(self.train_with("on_epoch = function(i) return i.los + 1 end,", ok=1).stderr, r"recipe\.lua:\d+: .*los")
        self.assertIn('not "halt"', self.train_with('on_epoch = function() return "halt" end,', ok=1).stderr)
        self.assertIn("every = 100", self.train_with("on_step = 3,", ok=1).stderr)


class Precision(Base):
    def test_a_bundle_in_fewer_bits_says_what_that_costs_and_serves_so(self):
        site = write(self.top, "site.lua", shoplet.SITE)
        full = json.loads(run("evaluate", self.bundle, "--data", self.data, "--json").stdout)
        self.assertNotIn("precision", full)
        for precision in ("bf16", "int8"):
            out = self.out()
            text = run(*self.command(out, "--precision", precision)).stdout
            self.assertRegex(text, r"Scores in %s: \d+ bytes of layers instead of \d+; from f32 at most [\d.e-]+, in the mean [\d.e-]+ apart" % precision)
            self.assertRegex(text, r"auc 0\.\d+, f32 0\.\d+ \([+-]0\.\d+\)   logloss 0\.\d+, f32 0\.\d+ \([+-]0\.\d+\)")
            with open(os.path.join(out, "metrics.json"), encoding="utf-8") as file:
                trained = json.load(file)
            report = trained["precision"]
            self.assertEqual(report["name"], precision)
            self.assertLess(report["bytes"][precision], report["bytes"]["f32"])
            self.assertTrue(0 < report["difference"]["mean"] <= report["difference"]["most"] < 0.05)
            self.assertAlmostEqual(report["auc"]["f32"], full["model"]["auc"], places=8)  # --json prints fewer digits
            self.assertAlmostEqual(report["auc"][precision], trained["model"]["auc"], places=12)
            self.assertAlmostEqual(report["logloss"][precision], trained["model"]["logloss"], places=12)
            again = json.loads(run("evaluate", out, "--data", self.data, "--json").stdout)
            self.assertAlmostEqual(again["model"]["logloss"], trained["model"]["logloss"], places=8)
            self.assertEqual(again["precision"]["bytes"], report["bytes"])
            self.assertAlmostEqual(again["precision"]["difference"]["most"], report["difference"]["most"], places=8)
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, "model.safetensors"), os.path.join(out, "model.safetensors"), shallow=False))
            page = json.loads(run("page", site, "--bundle", out, "--user", "u1", "--json").stdout)
            self.assertTrue(page["slots"])
            recipe = write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe_with('precision = "%s",' % precision))
            again = self.out()
            run(*self.command(again, recipe=recipe))
            for name in ("plan.json", "metrics.json"):
                with open(os.path.join(out, name), encoding="utf-8") as a, open(os.path.join(again, name), encoding="utf-8") as b:
                    self.assertEqual(json.load(a)["train" if name == "plan.json" else "precision"], json.load(b)["train" if name == "plan.json" else "precision"])

    def test_what_cannot_be_is_said_before_the_work(self):
        self.assertIn('did you mean "int8"?', run(*self.command(self.out(), "--precision", "int7"), ok=2).stderr)
        recipe = recipe_with().replace('m.nn.dense(8, "relu")', 'm.nn.cross()')
        line = recipe[:recipe.index("m.nn.cross")].count("\n") + 1
        path = write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe)
        out = self.out()
        error = run(*self.command(out, "--precision", "int8", recipe=path), ok=1).stderr
        self.assertIn("recipe.lua:%d: cross: does not compile" % line, error)
        self.assertNotIn("fit:", error)
        self.assertFalse(os.path.exists(out))
        wrong = write(tempfile.mkdtemp(dir=self.top), "recipe.lua", recipe_with('precision = "int7",'))
        self.assertRegex(run("check", wrong, ok=1).stderr, r"recipe\.lua:\d+: .*precision.*did you mean 'int8'\?")


class Memory(Base):
    """A log of which a few MiB do not fit: sizes are such that the file is needed and the small blocks have room."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.big = os.path.join(cls.top, "big")
        os.mkdir(cls.big)
        shoplet.make(cls.big, events=60000)
        cls.spill = tempfile.mkdtemp(dir=os.environ["MOON_BUILD_DIR"])  # on a disk, where the top folder may be memory
        error = run("train", cls.recipe, "--data", cls.data, "--out", os.path.join(cls.top, "none"), "--memory", "1K", ok=1).stderr
        value, unit = re.search(r"the process has ([\d.]+) (\w+) before it begins", error).groups()
        cls.held = int(float(value) * {"KiB": 1, "MiB": 1024}[unit])  # much, under a sanitizer

    def budget(self, room):
        """A budget in KiB of which large blocks can have `room`: three quarters less what the process has."""
        return (self.held + room) * 4 // 3

    @classmethod
    def tearDownClass(cls):
        os.rmdir(cls.spill)  # which fails where a file was left in it
        super().tearDownClass()

    def train(self, *more, ok=0, folder=None):
        self.out_path = self.out()
        environment = dict(os.environ, TMPDIR=folder or self.spill)
        return run("train", os.path.join(self.big, "recipe.lua"), "--data", self.big, "--out", self.out_path, "--epochs", "1", *more,
                   ok=ok, env=environment)

    def test_a_budget_changes_where_data_lies_and_nothing_else(self):
        self.assertIsNone(json.loads(self.train("--json").stdout)["memory"])
        whole = self.out_path
        budget = self.budget(6 << 10)
        memory = json.loads(self.train("--memory", "%dK" % budget, "--json").stdout)["memory"]
        self.assertEqual(memory["budget"], budget << 10)
        self.assertLessEqual(memory["peak"], budget << 10)
        self.assertGreater(memory["spilled"], 1 << 20)
        for name in os.listdir(whole):
            self.assertTrue(filecmp.cmp(os.path.join(whole, name), os.path.join(self.out_path, name), shallow=False), name)
        self.assertRegex(self.train("--memory", "1G").stdout, r"Memory: \d+ of 1024 MiB at most, 0 MiB spilled to disk")

    def test_evaluate_keeps_to_a_budget_too(self):
        self.train()
        command = "evaluate", self.out_path, "--data", self.big, "--json"
        environment = dict(os.environ, TMPDIR=self.spill)
        whole = json.loads(run(*command).stdout)
        self.assertNotIn("memory", whole)
        within = json.loads(run(*command, "--memory", "%dK" % self.budget(6 << 10), env=environment).stdout)
        memory = within.pop("memory")
        self.assertEqual(within, whole)
        self.assertLessEqual(memory["peak"], memory["budget"])
        self.assertGreater(memory["spilled"], 1 << 20)
        self.assertIn("a memory budget of 100 KiB is too small", run(*command, "--memory", "100K", ok=1, env=environment).stderr)

    def test_what_cannot_spill_fails_and_names_the_budget(self):
        if self.held > 8 << 10:
            self.skipTest("a quarter of what a sanitizer takes is room for all small blocks")
        error = self.train("--memory", "%dK" % self.budget(1500), ok=1).stderr
        self.assertRegex(error, r"moonshelf: .*no memory .*: the memory budget of [\d.]+ MiB is used up")
        self.assertFalse(os.path.exists(self.out_path))

    def test_a_disk_without_room_fails_before_anything_is_written(self):
        limit = "ulimit -f 1024; exec \"$@\""  # a file of at most 1 MiB, as a full disk would have it
        done = subprocess.run(["bash", "-c", limit, "sh", MOONSHELF, "train", os.path.join(self.big, "recipe.lua"), "--data", self.big, "--out",
                               self.out(), "--epochs", "1", "--memory", "%dK" % self.budget(5 << 10)], capture_output=True, text=True, timeout=120,
                              env=dict(os.environ, TMPDIR=self.spill))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, r"moonshelf: .*no memory .*: past the memory budget of [\d.]+ MiB, and .* has no room to spill [\d.]+ MiB: ")

    def test_sizes_and_folders_are_checked_first(self):
        for size in ("2Q", "2GB", "-1M", "M", "99999999999G", ""):
            self.assertIn("--memory wants a size such as 512M or 2G, not '%s'" % size, self.train("--memory", size, ok=2).stderr)
        self.assertIn("--memory: a memory budget of 100 KiB is too small", self.train("--memory", "100K", ok=1).stderr)
        self.assertIn("--memory: /nowhere: no file to spill to", self.train("--memory", "64M", ok=1, folder="/nowhere").stderr)


if __name__ == "__main__":
    unittest.main()
