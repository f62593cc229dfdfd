"""The scripts keep their promises: help and wrong usage, and a floor check that does catch what it is for."""
import os
import subprocess
import tempfile
import unittest

SCRIPTS = os.path.join(os.environ["MOON_SOURCE_DIR"], "scripts")


def run(name, *args):
    return subprocess.run([os.path.join(SCRIPTS, name), *args], capture_output=True, text=True, timeout=60)


class Usage(unittest.TestCase):
    def test_help_is_0(self):
        for name in ("setup", "run", "test"):
            done = run(name, "--help")
            self.assertEqual(done.returncode, 0, name)
            self.assertIn(f"usage: scripts/{name}", done.stdout)

    def test_wrong_usage_is_2(self):
        for args in (["setup", "x"], ["run", "--onse"], ["run", "--port", "x"], ["run", "--port", "99999"], ["run", "--port"], ["test", "--fast"]):
            done = run(*args)
            self.assertEqual(done.returncode, 2, args)
            self.assertIn("--help", done.stderr)


class Floors(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            for name, text in files.items():
                path = os.path.join(root, "core", name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
            return run("check-floors", root)

    def test_down_beside_and_public_pass(self):
        done = self.check({"page/a.c": '#include "page/page.h"\n#include "base/base.h"\n#include "moonshelf/status.h"\n#include <stdio.h>\n',
                           "retrieve/b.c": '#include "feature/feature.h"\n'})
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_up_is_named_with_its_line(self):
        done = self.check({"data/a.c": '#include "base/base.h"\n#include "rank/rank.h"\n'})
        self.assertEqual(done.returncode, 1)
        self.assertIn("core/data/a.c:2:", done.stdout)
        self.assertIn("upwards", done.stdout)

    def test_sideways_is_named(self):
        for room, other in (("data", "nn"), ("feature", "retrieve"), ("nn", "data")):
            done = self.check({f"{room}/a.h": f'  #  include "{other}/{other}.h"\n'})
            self.assertEqual(done.returncode, 1, (room, other))
            self.assertIn("sideways", done.stdout)

    def test_a_path_around_the_rooms_and_an_unknown_room_are_named(self):
        self.assertEqual(self.check({"base/a.c": '#include "../rank/rank.h"\n'}).returncode, 1)
        self.assertEqual(self.check({"attic/a.c": "\n"}).returncode, 1)

    def test_no_files_at_all_is_no_pass(self):
        with tempfile.TemporaryDirectory() as root:
            self.assertNotEqual(run("check-floors", root).returncode, 0)


if __name__ == "__main__":
    unittest.main()
