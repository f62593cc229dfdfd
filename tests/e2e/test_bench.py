"""`moonshelf bench`, and the choice of OpenBLAS's kernels that all computing commands make first."""
import json
import os
import subprocess
import tempfile
import unittest

MOONSHELF = os.environ.get("MOONSHELF", "moonshelf")


def run(*arguments, **environment):
    clean = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "XDG_CACHE_HOME", "HOME")}
    return subprocess.run([MOONSHELF, "bench", *arguments], env={**clean, **environment}, capture_output=True, text=True, timeout=120)


def kernels(**environment):
    done = run("--seconds", "0", "--kernels", "--json", **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["kernels"]


class Bench(unittest.TestCase):
    def test_says_what_was_chosen_and_how_fast_it_is(self):
        result = json.loads(run("--seconds", "0", "--json").stdout)
        self.assertGreater(result["processor"]["peak_gflops"], 1)
        self.assertIn(result["kernels"]["panel_columns"], (16, 32))
        self.assertEqual(len(result["products"]), 7)
        for product in result["products"]:
            self.assertIn(product["takes"], ("own", "openblas"))
            self.assertGreater(product["own_gflops"], 0)
            self.assertGreater(product["openblas_gflops"], 0)
        self.assertEqual([line["batch"] for line in result["training"]], [32, 1024])
        self.assertEqual([line["precision"] for line in result["scoring"]], ["f32", "bf16", "int8"])
        for line in result["scoring"]:
            self.assertEqual([time["rows"] for time in line["times"]], [1, 100, 1000, 5000])
        self.assertEqual(result["scoring"][0]["max_difference"], 0)
        self.assertGreater(result["scoring"][2]["max_difference"], 0)
        text = run("--seconds", "0").stdout
        for words in ("GFLOP/s on one core", "OpenBLAS's", "1024 x  512 x  512", "batch  1024", "int8 "):
            self.assertIn(words, text)

    def test_wrong_usage(self):
        self.assertEqual(run("--secnods", "1").returncode, 2)
        self.assertIn("did you mean '--seconds'?", run("--secnods", "1").stderr)
        self.assertEqual(run("extra").returncode, 2)
        self.assertIn("--json", run("--help").stdout)

    def test_kernels_alone(self):
        text = run("--kernels", "--seconds", "0").stdout
        self.assertEqual([line.split()[0] for line in text.splitlines()], ["processor", "kernels"])


class Choice(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.cache = os.path.join(self.folder.name, "moonshelf", "kernels.json")
        self.own = kernels()["openblas"]
        self.others = [name for name in ("Prescott", "Sandybridge", "Haswell") if self.answers(name) and name != self.own]
        if not self.others:
            self.skipTest("this OpenBLAS has one kind of kernels")

    def answers(self, name):
        """Older kernels run on any newer processor; a build of OpenBLAS need not have them."""
        done = subprocess.run([MOONSHELF, "--measure-blas"], env={**os.environ, "OPENBLAS_CORETYPE": name}, capture_output=True, text=True)
        return done.returncode == 0 and done.stdout.split()[0] == name

    def choose(self):
        return kernels(XDG_CACHE_HOME=self.folder.name, MOONSHELF_BLAS_CANDIDATES=",".join(self.others))

    def rewrite(self, **speeds):
        with open(self.cache) as file:
            known = json.load(file)
        known["gflops"].update(speeds)
        with open(self.cache, "w") as file:
            json.dump(known, file)

    def test_candidates_are_measured_once_and_remembered(self):
        self.choose()
        with open(self.cache) as file:
            first = file.read()
        self.assertEqual(set(json.loads(first)["gflops"]), {self.own, *self.others})
        self.assertTrue(all(speed > 0 for speed in json.loads(first)["gflops"].values()))
        self.choose()
        with open(self.cache) as file:
            self.assertEqual(file.read(), first)

    def test_only_what_is_clearly_faster_is_taken(self):
        self.choose()
        slow = {name: 1 for name in self.others}
        self.rewrite(**{**slow, self.own: 10, self.others[0]: 11})
        self.assertEqual(self.choose()["openblas"], self.own)
        self.rewrite(**{**slow, self.own: 10, self.others[0]: 13})
        chosen = self.choose()
        self.assertEqual(chosen["openblas"], self.others[0])
        self.assertEqual(chosen["openblas_reason"], f"13.0 GFLOP/s against 10.0 of {self.own}")

    def test_a_broken_or_foreign_file_is_measured_anew(self):
        self.choose()
        with open(self.cache) as file:
            whole = json.load(file)
        for text in ("", "{", "[]", json.dumps({**whole, "machine": "another"}), json.dumps({**whole, "gflops": {}})):
            with open(self.cache, "w") as file:
                file.write(text)
            self.choose()
            with open(self.cache) as file:
                self.assertEqual(json.load(file)["machine"], whole["machine"])

    def test_the_user_stands_above_it(self):
        self.choose()
        self.rewrite(**{self.own: 1, self.others[0]: 100})
        pinned = kernels(XDG_CACHE_HOME=self.folder.name, MOONSHELF_BLAS_CANDIDATES=self.others[0], OPENBLAS_CORETYPE=self.own)
        self.assertEqual((pinned["openblas"], pinned["openblas_reason"]), (self.own, "OPENBLAS_CORETYPE says so"))

    def test_nothing_is_chosen_where_nothing_can_be_remembered(self):
        for nowhere in ({}, {"XDG_CACHE_HOME": "/proc/nowhere"}, {"XDG_CACHE_HOME": "relative"}):
            chosen = kernels(MOONSHELF_BLAS_CANDIDATES=",".join(self.others), **nowhere)
            self.assertEqual((chosen["openblas"], chosen["openblas_reason"]), (self.own, "its own choice"))


if __name__ == "__main__":
    unittest.main()
