"""The command line as a user meets it: results, bad input, exit codes, and that nothing is lost."""
import fcntl
import filecmp
import gzip
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest

import shoplet
from shoplet import run, train, write


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-cli-")
        cls.data = os.path.join(cls.top, "data")
        os.mkdir(cls.data)
        cls.recipe, cls.site = shoplet.make(cls.data)
        cls.bundle = os.path.join(cls.top, "bundle")
        train(cls.data, cls.bundle)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def scratch(self, copy=None):
        folder = tempfile.mkdtemp(dir=self.top)
        if copy:
            shutil.rmtree(folder)
            shutil.copytree(copy, folder)
        return folder

    def changed_recipe(self, old, new):
        self.assertIn(old, shoplet.RECIPE)
        return write(self.scratch(), "recipe.lua", shoplet.RECIPE.replace(old, new))


class Usage(Base):
    def test_every_command_has_help(self):
        for command in ("check", "test", "train", "evaluate", "page", "serve"):
            text = run(command, "--help").stdout
            self.assertIn(f"moonshelf {command}", text)
            self.assertIn("Exit codes", text)
        self.assertIn("Commands:", run("--help").stdout)

    def test_wrong_usage_is_2_and_names_the_nearest(self):
        self.assertIn("'train'", run("trian", ok=2).stderr)
        self.assertIn("--bundle", run("page", self.site, "--bundel", "x", ok=2).stderr)
        self.assertIn("missing", run("train", ok=2).stderr)
        self.assertIn("whole number", run("serve", self.site, "--bundle", "b", "--port", "-1", ok=2).stderr)
        run(ok=2)

    def test_check_accepts_what_is_right(self):
        self.assertIn("a recipe", run("check", self.recipe, "--data", self.data).stdout)
        self.assertIn("a site", run("check", self.site, "--bundle", self.bundle).stdout)
        self.assertTrue(json.loads(run("check", self.recipe, "--json").stdout)["ok"])
        plan = json.loads(run("check", self.recipe, "--plan").stdout)
        self.assertEqual(plan["train"]["batch"], 32)


class Results(Base):
    def test_same_seed_same_bytes_other_seed_other_bytes(self):
        other, third = os.path.join(self.top, "again"), os.path.join(self.top, "seeded")
        train(self.data, other)
        names = sorted(os.listdir(self.bundle))
        self.assertEqual(names, sorted(os.listdir(other)))
        for name in names:
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, name), os.path.join(other, name), shallow=False), name)
        train(self.data, third, "--seed", "9")
        same = filecmp.cmp(os.path.join(self.bundle, "model.safetensors"), os.path.join(third, "model.safetensors"), shallow=False)
        self.assertFalse(same)

    def test_evaluate_repeats_what_train_measured(self):
        result = json.loads(run("evaluate", self.bundle, "--data", self.data, "--json").stdout)
        with open(os.path.join(self.bundle, "metrics.json"), encoding="utf-8") as file:
            trained = json.load(file)
        for name in ("auc", "logloss", "accuracy", "recall@5", "ndcg@5"):
            self.assertAlmostEqual(result["model"][name], trained["model"][name], places=6)
        self.assertLessEqual({"popular", "random", "item-knn"}, set(result["baselines"]))

    def test_gzipped_and_crlf_data_train_the_same_model(self):
        folder = self.scratch()
        shutil.copy(self.recipe, folder)
        for name in ("events.csv", "items.csv"):
            with open(os.path.join(self.data, name), "rb") as file:
                text = b"\xef\xbb\xbf" + file.read().replace(b"\n", b"\r\n")
            with gzip.open(os.path.join(folder, name + ".gz"), "wb") as out:
                out.write(text)
        train(folder, os.path.join(folder, "out"))
        self.assertTrue(filecmp.cmp(os.path.join(folder, "out", "model.safetensors"),
                                    os.path.join(self.bundle, "model.safetensors"), shallow=False))

    def test_page_in_json_text_and_explained(self):
        page = json.loads(run("page", self.site, "--bundle", self.bundle, "--user", "u1", "--json").stdout)
        ids = [item["id"] for slot in page["slots"] for item in slot["items"]]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertNotIn("i16", ids)  # stock 0
        self.assertIn("For you", run("page", self.site, "--bundle", self.bundle, "--user", "u1").stdout)
        page = json.loads(run("page", self.site, "--bundle", self.bundle, "--user", "u1", "--json", "--explain").stdout)
        first = page["slots"][0]["items"][0]
        self.assertEqual(first["explain"]["position"], 1)
        again = run("page", self.site, "--bundle", self.bundle, "--user", "u1", "--json").stdout
        self.assertEqual(again, run("page", self.site, "--bundle", self.bundle, "--user", "u1", "--json").stdout)

    def test_unknown_user_gets_the_cold_start_page(self):
        page = json.loads(run("page", self.site, "--bundle", self.bundle, "--user", "nobody-knows", "--json").stdout)
        self.assertTrue(page["cold"])
        self.assertTrue(page["slots"])

    def test_product_and_cart_pages(self):
        product = json.loads(run("page", self.site, "--bundle", self.bundle, "--surface", "product", "--item", "i3", "--json").stdout)
        self.assertNotIn("i3", [i["id"] for s in product["slots"] for i in s["items"]])
        run("page", self.site, "--bundle", self.bundle, "--surface", "cart", "--cart", "i1,i2", "--json")

    def test_progress_in_a_pipe_is_plain_lines(self):
        out = train(self.data, os.path.join(self.top, "plain"))
        self.assertNotIn("\r", out.stderr)
        self.assertIn("epoch", out.stderr)

    def test_progress_on_a_terminal_is_a_bar_that_fits_it(self):
        out = os.path.join(self.top, "drawn")
        try:
            here, there = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminal to be had here: {error}")
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        process = subprocess.Popen([shoplet.MOONSHELF, "train", self.recipe, "--data", self.data, "--out", out], stderr=there,
                                   stdout=subprocess.DEVNULL)
        os.close(there)
        drawn = b""
        while True:
            try:
                part = os.read(here, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            drawn += part
        os.close(here)
        self.assertEqual(process.wait(timeout=60), 0)
        bars = [text.split(b"\r\n")[0] for text in drawn.split(b"\r\x1b[K")[1:]]
        self.assertTrue(any(b"[####" in bar and b"epoch" in bar for bar in bars), drawn)
        self.assertLess(max(len(bar) for bar in bars), 60)


class BadInput(Base):
    def fails(self, *args):
        return run(*args, ok=1).stderr

    def train_fails(self, folder, recipe=None):
        keep = self.scratch(self.bundle)
        stderr = self.fails("train", recipe or self.recipe, "--data", folder, "--out", keep)
        for name in os.listdir(self.bundle):  # the bundle that was there is whole
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, name), os.path.join(keep, name), shallow=False), name)
        left = [n for n in os.listdir(os.path.dirname(keep)) if n.startswith(os.path.basename(keep) + ".")]
        self.assertEqual(left, [])
        return stderr

    def test_missing_column_names_the_nearest(self):
        recipe = self.changed_recipe('item = "item_id", event', 'item = "itemid", event')
        message = self.train_fails(self.data, recipe)
        self.assertIn("itemid", message)
        self.assertIn("item_id", message)
        self.assertIn("recipe.lua:3", message)

    def test_malformed_row_gives_row_column_and_value(self):
        folder = self.scratch(self.data)
        path = os.path.join(folder, "items.csv")
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        lines[4] = lines[4].rsplit(",", 2)[0] + ",cheap,3"
        write(folder, "items.csv", "\n".join(lines))
        message = self.train_fails(folder)
        for part in ("items.csv:5", "price", "cheap", "--max-bad-rows"):
            self.assertIn(part, message)
        out = os.path.join(folder, "out")
        self.assertIn("1 malformed", train(folder, out, "--max-bad-rows", "1").stderr)

    def test_rejected_rows_are_told_of_in_a_file(self):
        folder, out = self.scratch(self.data), None
        with open(os.path.join(folder, "events.csv"), "ab") as file:
            file.write(b"yesterday,u1,i1,view\n1790000000,u1,\xff\xfe,view\nu1,i1\n" + b"x" * 5000 + b",u1,i1,view\n")
        rejects, out = os.path.join(folder, "rejects.jsonl"), os.path.join(folder, "out")
        done = train(folder, out, "--max-bad-rows", "9", "--rejects", rejects)
        self.assertIn("4 malformed rows left out (fields 1, time 2, utf8 1)", done.stderr)
        with open(rejects, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual([row["reason"] for row in rows], ["time", "utf8", "fields", "time"])
        self.assertEqual(rows[0]["row"], "yesterday,u1,i1,view")
        self.assertIn("'yesterday' is not a time", rows[0]["message"])
        self.assertEqual({row["file"] for row in rows}, {"events.csv"})
        self.assertEqual([rows[i + 1]["line"] - rows[i]["line"] for i in range(3)], [1, 1, 1])
        self.assertEqual((rows[0]["column"], rows[2]["column"]), ("timestamp", None))
        self.assertEqual((len(rows[3]["row"]), rows[3]["bytes"]), (500, 5011))
        self.assertEqual(self.train_fails(folder).count("events.csv:"), 1)

    def test_empty_and_missing_files(self):
        folder = self.scratch(self.data)
        write(folder, "events.csv", "")
        self.assertIn("empty", self.train_fails(folder))
        os.remove(os.path.join(folder, "events.csv"))
        self.assertIn("events.csv", self.train_fails(folder))

    def test_typos_in_a_recipe_give_line_and_nearest_name(self):
        for old, new, line, near in (
            ('m.log "price"', 'm.lgo "price"', 9, "log"),
            ("drop_missing", "drop_mising", 6, "drop_missing"),
            ('dense(8, "relu")', 'dense(8, "rellu")', 13, "relu"),
            ("epochs = 2", "epoch = 2", 14, "epochs"),
            ('m.log "price"', 'm.log "prise"', 9, "price"),
            ('"auc"', '"acu"', 16, "auc"),
        ):
            message = self.train_fails(self.data, self.changed_recipe(old, new))
            self.assertIn(near, message, new)
            self.assertRegex(message, rf"recipe\.lua:{line}: ", new)

    def test_recipe_that_is_not_lua_or_not_a_recipe(self):
        folder = self.scratch()
        self.assertIn("recipe.lua:1", self.fails("train", write(folder, "recipe.lua", "return ]"), "--out", folder + "/b"))
        self.assertIn("m.recipe", self.fails("train", write(folder, "r2.lua", "return 7"), "--out", folder + "/b"))
        self.assertIn("endless.lua", self.fails("check", write(folder, "endless.lua", "while true do end")))

    def test_broken_bundle_files_are_named(self):
        for name in os.listdir(self.bundle):
            broken = self.scratch(self.bundle)
            path = os.path.join(broken, name)
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
            self.assertIn(name, self.fails("page", self.site, "--bundle", broken), name)
            os.remove(path)
            self.assertIn(name, self.fails("page", self.site, "--bundle", broken), name)
        self.assertIn("no-such", self.fails("page", self.site, "--bundle", os.path.join(self.top, "no-such")))

    def test_site_errors(self):
        folder = self.scratch()
        bad = write(folder, "site.lua", shoplet.SITE.replace("category = 3", "categroy = 3"))
        message = self.fails("page", bad, "--bundle", self.bundle)
        self.assertIn("categroy", message)
        self.assertIn("category", message)
        self.assertIn("home", self.fails("page", self.site, "--bundle", self.bundle, "--surface", "hoem"))
        self.assertIn("i9999", self.fails("page", self.site, "--bundle", self.bundle, "--surface", "product", "--item", "i9999"))

    def test_labels_of_one_class_are_refused(self):
        recipe = self.changed_recipe('positive = "purchase"', 'positive = "pruchase"')
        self.assertIn("positive", self.train_fails(self.data, recipe))

    def test_ctrl_c_keeps_the_old_bundle(self):
        keep = self.scratch(self.bundle)
        process = subprocess.Popen([shoplet.MOONSHELF, "train", self.recipe, "--data", self.data, "--out", keep, "--epochs", "500"],
                                   stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in process.stderr:  # the first line of fitting
            if "epoch" in line:
                break
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(timeout=30), 1)
        self.assertIn("moonshelf: interrupted", rest)
        self.assertIn(f"{keep} is as it was", rest)
        for name in os.listdir(self.bundle):
            self.assertTrue(filecmp.cmp(os.path.join(self.bundle, name), os.path.join(keep, name), shallow=False), name)


if __name__ == "__main__":
    unittest.main()
