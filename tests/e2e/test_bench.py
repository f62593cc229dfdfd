"""`moonshelf bench`, and the choice of OpenBLAS's kernels that all computing commands make first."""
import json
import os
import subprocess
import tempfile
import time
import unittest

import shoplet
from shoplet import MOONSHELF


def with_clean(environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "XDG_CACHE_HOME", "HOME")}
    return {**clean, **environment}


def run(*arguments, **environment):
    return subprocess.run([MOONSHELF, "bench", *arguments], env=with_clean(environment), capture_output=True, text=True, timeout=120)


def kernels(**environment):
    done = run("--seconds", "0", "--kernels", "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["kernels"]


class Bench(unittest.TestCase):
    nothing_kept = "its own choice: a measurement could not be remembered"

    def test_says_what_was_chosen_and_how_fast_it_is(self):
        result = json.loads(run("--seconds", "0", "--json").stdout)
        peak = result["processor"]["peak_gflops"]
        self.assertGreater(peak, 0)
        self.assertTrue(result["processor"]["name"])
        self.assertIn(result["kernels"]["openblas_reason"], ("the only candidate", self.nothing_kept))
        self.assertIn(result["kernels"]["panel_columns"], (16, 32))
        self.assertEqual(len(result["products"]), 7)
        for product in result["products"]:
            self.assertIn(product["takes"], ("own", "openblas"))
            for way in ("packed", "own", "openblas"):
                self.assertGreater(product[way]["gflops"], 0)
                self.assertAlmostEqual(product[way]["percent"], 100 * product[way]["gflops"] / peak, places=3)
        self.assertEqual([line["batch"] for line in result["training"]], [32, 1024])
        self.assertEqual([line["precision"] for line in result["scoring"]], ["f32", "bf16", "int8"])
        for line in result["scoring"]:
            self.assertEqual([time["rows"] for time in line["times"]], [1, 100, 1000, 5000])
        self.assertEqual(result["scoring"][0]["max_difference"], 0)
        self.assertGreater(result["scoring"][2]["max_difference"], 0)
        text = run("--seconds", "0").stdout
        for words in ("GFLOP/s on one core", "OpenBLAS  ", "1024 x  512 x  512", "batch  1024", "int8 "):
            self.assertIn(words, text)

    def test_wrong_usage(self):
        self.assertEqual(run("--secnods", "1").returncode, 2)
        self.assertIn("did you mean '--seconds'?", run("--secnods", "1").stderr)
        self.assertEqual(run("extra").returncode, 2)
        self.assertIn("--json", run("--help").stdout)

    def test_kernels_alone(self):
        text = run("--kernels", "--seconds", "0").stdout
        self.assertEqual([line.split()[0] for line in text.splitlines()], ["processor", "panels", "OpenBLAS"])


class Choice(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.own = kernels()["openblas"]
        cls.others = [name for name in ("Haswell", "Sandybridge", "Prescott") if cls.answers(name) and name != cls.own][:2]
        if not cls.others:
            raise unittest.SkipTest("this OpenBLAS has one kind of kernels")

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = os.path.join(self.folder.name, "moonshelf", "kernels.json")

    @staticmethod
    def answers(name):
        """Older kernels run on any newer processor; a build of OpenBLAS need not have them."""
        done = subprocess.run([MOONSHELF, "--measure-blas"], env={**os.environ, "OPENBLAS_CORETYPE": name}, capture_output=True, text=True)
        return done.returncode == 0 and done.stdout.split()[0] == name

    def environment(self):
        return {"XDG_CACHE_HOME": self.folder.name, "MOONSHELF_BLAS_CANDIDATES": ",".join(self.others)}

    def choose(self):
        return kernels(**self.environment())

    def read(self):
        with open(self.cache) as file:
            return json.load(file)

    def write(self, known):
        with open(self.cache, "w") as file:
            file.write(known if isinstance(known, str) else json.dumps(known))

    def remembered(self):
        """The one machine that is there, and its speeds."""
        (machine, speeds), = self.read().items()
        return machine, speeds

    def rewrite(self, **speeds):
        machine, known = self.remembered()
        self.write({machine: {**known, **speeds}})

    def let_another_win(self):
        self.choose()
        self.rewrite(**{**{name: 1 for name in self.others}, self.own: 10, self.others[0]: 13})

    def test_candidates_are_measured_once_and_remembered(self):
        first = self.choose()["openblas_reason"]
        speeds = self.remembered()[1]
        self.assertEqual(set(speeds), {self.own, *self.others})
        self.assertTrue(all(speed > 0 for speed in speeds.values()))
        self.assertRegex(first, f"^measured: GFLOP/s {self.own} [0-9.]+, {self.others[0]} [0-9.]+")
        self.assertEqual(self.choose()["openblas_reason"], first.replace("measured", "remembered"))
        self.assertEqual(self.remembered()[1], speeds)

    def test_who_starts_at_once_chooses_alike(self):
        many = [subprocess.Popen([MOONSHELF, "bench", "--kernels", "--seconds", "0", "--json"], env=with_clean(self.environment()),
                                 stdout=subprocess.PIPE, text=True) for _ in range(4)]
        chosen = [json.loads(process.communicate(timeout=120)[0])["kernels"] for process in many]
        self.assertEqual(sorted(one["openblas_reason"].split(":")[0] for one in chosen), ["measured"] + 3 * ["remembered"])
        self.assertEqual(len({one["openblas_reason"].split(":")[1] for one in chosen}), 1)
        self.assertEqual(len({one["openblas"] for one in chosen}), 1)

    def test_only_what_is_clearly_faster_is_taken(self):
        self.let_another_win()
        chosen = self.choose()
        self.assertEqual(chosen["openblas"], self.others[0])
        self.assertIn(f"remembered: GFLOP/s {self.own} 10, {self.others[0]} 13", chosen["openblas_reason"])
        self.rewrite(**{self.others[0]: 11.9})
        self.assertEqual(self.choose()["openblas"], self.own)

    def test_a_broken_or_foreign_file_is_measured_anew(self):
        self.choose()
        machine, speeds = self.remembered()
        part = {name: speed for name, speed in speeds.items() if name != self.others[0]}
        unfinished = {machine: {name: 0 for name in speeds}}
        endless = {machine: speeds, "x": "x" * 70000}
        for known in ("", "{", "[]", "\0", {machine: []}, {machine: part}, unfinished, {machine: {**speeds, self.own: "9"}}, endless):
            self.write(known)
            self.assertIn("measured", self.choose()["openblas_reason"], known)
            self.assertTrue(all(speed > 0 for speed in self.remembered()[1].values()))

    def test_machines_with_one_home_do_not_forget_each_other(self):
        self.choose()
        known = {**self.read(), "another": {"Haswell": 5}}
        self.write(known)
        self.assertIn("remembered", self.choose()["openblas_reason"])
        self.write({"another": {"Haswell": 5}})
        self.assertIn("measured", self.choose()["openblas_reason"])
        self.assertEqual(self.read()["another"], {"Haswell": 5})
        self.assertEqual(set(self.read()), set(known))

    def test_kernels_that_openblas_has_not_are_never_taken(self):
        done = run("--kernels", "--seconds", "0", XDG_CACHE_HOME=self.folder.name, MOONSHELF_BLAS_CANDIDATES="Abacus")
        self.assertIn("Abacus 0)", done.stdout)
        self.assertEqual(done.stderr, "")
        self.assertEqual(self.remembered()[1]["Abacus"], 0)

    def test_the_command_that_starts_again_is_the_same_one(self):
        self.let_another_win()
        again = with_clean(self.environment())
        done = subprocess.run([MOONSHELF, "bench", "--secnods"], env=again, capture_output=True, text=True)
        self.assertEqual((done.returncode, "did you mean '--seconds'?" in done.stderr), (2, True))
        process = subprocess.Popen([MOONSHELF, "bench", "--seconds", "60"], env=again, stdout=subprocess.DEVNULL)
        try:
            deadline, environ = time.monotonic() + 60, b""
            while f"OPENBLAS_CORETYPE={self.others[0]}\0".encode() not in environ and time.monotonic() < deadline:
                time.sleep(0.01)
                with open(f"/proc/{process.pid}/environ", "rb") as file:
                    environ = file.read()
            self.assertLess(time.monotonic(), deadline)
            with open(f"/proc/{process.pid}/comm") as file:
                self.assertEqual(file.read().strip(), os.path.basename(MOONSHELF)[:15])
        finally:
            process.kill()
            process.wait()

    def test_only_commands_that_compute_choose(self):
        def asks(*arguments):
            subprocess.run([MOONSHELF, *arguments], env=with_clean(self.environment()), capture_output=True)
            return os.path.exists(self.cache)
        self.assertFalse(asks("--help") or asks("--version") or asks("check", "nowhere.lua") or asks("nothing"))
        self.assertTrue(asks("evaluate", "nowhere", "--data", "."))

    def test_a_bundle_says_by_which_kernels(self):
        shoplet.make(self.folder.name, events=600)
        for name in (self.own, self.others[0]):
            out = os.path.join(self.folder.name, name)
            shoplet.train(self.folder.name, out, "--epochs", "1", env=with_clean({"OPENBLAS_CORETYPE": name}))
            with open(os.path.join(out, "manifest.json")) as file:
                self.assertEqual(json.load(file)["kernels"]["openblas"], name)

    def test_the_user_stands_above_it(self):
        self.choose()
        self.rewrite(**{self.own: 1, self.others[0]: 100})
        pinned = kernels(XDG_CACHE_HOME=self.folder.name, MOONSHELF_BLAS_CANDIDATES=self.others[0], OPENBLAS_CORETYPE=self.own)
        self.assertEqual((pinned["openblas"], pinned["openblas_reason"]), (self.own, "OPENBLAS_CORETYPE says so"))
        wrong = kernels(OPENBLAS_CORETYPE="Abacus")
        self.assertEqual(wrong["openblas_reason"], "OPENBLAS_CORETYPE names what it has not")

    def test_nothing_is_chosen_where_nothing_can_be_remembered(self):
        for nowhere in ({}, {"XDG_CACHE_HOME": "/proc/nowhere"}, {"XDG_CACHE_HOME": "relative"}):
            chosen = kernels(MOONSHELF_BLAS_CANDIDATES=",".join(self.others), **nowhere)
            self.assertEqual((chosen["openblas"], chosen["openblas_reason"]), (self.own, Bench.nothing_kept))


if __name__ == "__main__":
    unittest.main()
