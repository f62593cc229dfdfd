"""What logs of the real world have in them, as CSV and as JSON Lines: a clear error, or rows that are counted and told of, and then the
model of the other rows. (A disk that is full while data spills is in test_train.py.) Then data too thin or too one-sided to learn from or
to judge by, and weights that are damaged although the manifest agrees: an error that says so, or a metric without a value."""
import csv
import filecmp
import hashlib
import json
import os
import shutil
import struct
import tempfile
import unittest

import shoplet
from shoplet import run, train, write

MIB = 1 << 20
COLUMNS = '{ user = "user_id", item = "item_id", event = "event", time = "timestamp", amount = "amount:number", note = "note:string" }'


class Csv:
    kind, name = "csv", "events.csv"
    # reason, column, the row
    bad = (
        ("time", "timestamp", b"soon,u1,i1,view,1,"), ("range", "timestamp", b"99999999999999999999,u1,i1,view,1,"),
        ("number", "amount", b"1760000000,u1,i1,view,cheap,"), ("range", "amount", b"1760000000,u1,i1,view,-1e999,"),
        ("utf8", "user_id", b"1760000000,u\xff,i1,view,1,"), ("utf8", "note", b"1760000000,u1,i1,view,1,a\0b"),
        ("long", "note", b"1760000000,u1,i1,view,1," + b"x" * (MIB + 1)), ("fields", None, b"1760000000,u1,i1,view,1,,and a column more"),
        ("fields", None, b"1760000000,u1"), ("quotes", None, b'1760000000,u1,i1,view,1,"a"b'),
    )

    @staticmethod
    def row(row):
        return ",".join(row[name] for name in ("timestamp", "user_id", "item_id", "event", "amount", "note")).encode()

    @classmethod
    def text(cls, rows):
        return b"timestamp,user_id,item_id,event,amount,note\n" + b"".join(cls.row(row) + b"\n" for row in rows)


class JsonLines:
    kind, name = "jsonl", "events.jsonl"
    bad = (
        ("time", "timestamp", b'{"timestamp":"soon","user_id":"u1"}'), ("range", "timestamp", b'{"timestamp":1e30,"user_id":"u1"}'),
        ("number", "amount", b'{"timestamp":1760000000,"amount":"cheap"}'), ("range", "amount", b'{"timestamp":1760000000,"amount":"-1e999"}'),
        ("range", None, b'{"timestamp":99999999999999999999}'), ("utf8", None, b'{"user_id":"u\xff"}'), ("utf8", None, b'{"note":"a\\u0000b"}'),
        ("long", "note", b'{"note":"' + b"x" * (MIB + 1) + b'"}'), ("type", "amount", b'{"amount":[1]}'), ("type", "note", b'{"note":{"x":1}}'),
        ("json", None, b'{"note":"never closed'), ("json", None, b'{"note":1,"note":2}'), ("json", None, b"[1]"),
    )

    @staticmethod
    def row(row):
        out = {"timestamp": int(row["timestamp"]), **{name: row[name] for name in ("user_id", "item_id", "event")}}
        out.update({"amount": float(row["amount"])} if row["amount"] else {}, **({"note": row["note"]} if row["note"] else {}))
        return json.dumps(out).encode()

    @classmethod
    def text(cls, rows):
        return b"".join(cls.row(row) + b"\n" for row in rows)


class BadInput:
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-bad-")
        shoplet.make(cls.top, events=1500)
        with open(os.path.join(cls.top, "events.csv"), encoding="utf-8", newline="") as file:
            cls.rows = [{**row, "amount": "", "note": ""} for row in csv.DictReader(file)]
        old = 'm.csv "events.csv" { user = "user_id", item = "item_id", event = "event", time = "timestamp" }'
        assert old in shoplet.RECIPE
        write(cls.top, "recipe.lua", shoplet.RECIPE.replace(old, 'm.%s "%s" %s' % (cls.kind, cls.name, COLUMNS)))
        # Both columns appear half-way, where nobody expects them; huge, negative and long is no fault.
        middle = len(cls.rows) // 2
        cls.rows[middle].update(amount="-1e308", note="y" * MIB)
        cls.rows[middle + 1].update(amount="0.1", note="\u00e9")
        cls.good = cls.train_on(cls.text(cls.rows))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    @classmethod
    def train_on(cls, text, *more, ok=0):
        """The folder of the bundle and what was said."""
        with open(os.path.join(cls.top, cls.name), "wb") as file:
            file.write(text)
        out = tempfile.mkdtemp(dir=cls.top)
        os.rmdir(out)
        return out, train(cls.top, out, *more, ok=ok).stderr

    def same_model(self, out):
        self.assertTrue(filecmp.cmp(os.path.join(out, "model.safetensors"), os.path.join(self.good[0], "model.safetensors"), shallow=False))

    def test_columns_that_appear_half_way_and_extreme_values_are_no_fault(self):
        self.assertIn("events: %d rows\n" % len(self.rows), self.good[1])
        self.assertNotIn("malformed", self.good[1])

    def test_bad_rows_are_counted_and_told_of_and_change_nothing(self):
        lines = self.text(self.rows).split(b"\n")
        step = (len(lines) - 2) // len(self.bad)
        for i, (_, _, row) in enumerate(self.bad):
            lines.insert(2 + i * (step + 1), row)
        rejects = os.path.join(self.top, "rejects.jsonl")
        out, said = self.train_on(b"\n".join(lines), "--max-bad-rows", str(len(self.bad)), "--rejects", rejects)
        self.same_model(out)
        self.assertIn("events: %d rows, %d malformed rows left out (" % (len(self.rows), len(self.bad)), said)
        with open(rejects, encoding="utf-8") as file:
            told = [json.loads(line) for line in file]
        self.assertEqual([(row["reason"], row["column"]) for row in told], [(reason, column) for reason, column, _ in self.bad])
        self.assertEqual([row["line"] for row in told], [3 + i * (step + 1) for i in range(len(self.bad))])
        self.assertEqual([row["bytes"] for row in told], [len(row) for _, _, row in self.bad])
        self.assertEqual([row["row"] for row in told], [row[:500].decode(errors="replace") for _, _, row in self.bad])
        for reason in {reason for reason, _, _ in self.bad}:
            self.assertIn("%s %d" % (reason, sum(reason == other for other, _, _ in self.bad)), said)

    def test_one_bad_row_is_an_error_that_names_it(self):
        for reason, column, row in self.bad:
            text = self.text(self.rows[:40])
            out, said = self.train_on(text + row + b"\n" + self.text(self.rows[40:]).split(b"\n", 1)[1], ok=1)
            self.assertIn("%s:%d: " % (self.name, text.count(b"\n") + 1), said, reason)
            self.assertIn("column %s: " % column if column else "", said)
            self.assertIn("--max-bad-rows N leaves out", said)
            self.assertLess(len(said), 2000)
            self.assertFalse(os.path.exists(out))

    def test_order_duplicates_and_clocks_are_told_of(self):
        rows = list(self.rows)
        rows[10], rows[500] = rows[500], rows[10]
        _, said = self.train_on(self.text(rows))
        self.assertRegex(said, r"4\d\d events out of order; they were sorted by time")
        rows = self.rows[:100] + self.rows[90:]
        self.assertIn("10 events are the same as another in every column", self.train_on(self.text(rows))[1])
        rows = [{**self.rows[0], "timestamp": "-5"}, *self.rows, {**self.rows[0], "timestamp": "4102444800"}]
        said = self.train_on(self.text(rows))[1]
        self.assertIn("1 events are from before 1970", said)
        self.assertIn("1 events follow a gap of over a year", said)

    def test_rejects_that_cannot_be_written_are_an_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("there is no full device")
        out, said = self.train_on(self.text(self.rows) + self.bad[0][2] + b"\n", "--max-bad-rows", "1", "--rejects", "/dev/full", ok=1)
        self.assertIn("/dev/full: cannot write: No space left on device", said)
        self.assertFalse(os.path.exists(out))
        self.assertIn("cannot create", run("check", os.path.join(self.top, "recipe.lua"), "--data", self.top, "--rejects", self.top, ok=1).stderr)


class CsvTest(BadInput, Csv, unittest.TestCase):
    pass


class JsonLinesTest(BadInput, JsonLines, unittest.TestCase):
    pass


START = 1_760_000_000


def no_nan(value):
    raise AssertionError("%s is not JSON" % value)


class ThinData(unittest.TestCase):
    """A log of few users or of one kind of outcome: i-th event (user, item, kind), a minute after the one before it."""

    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="moonshelf-thin-")
        shoplet.make(self.top, events=10, items=10)
        self.bundle = os.path.join(self.top, "bundle")

    def tearDown(self):
        shutil.rmtree(self.top)

    def log(self, n, event, step=60):
        write(self.top, "events.csv", "timestamp,user_id,item_id,event\n" + "".join("%d,%s,%s,%s\n" % (START + i * step, *event(i)) for i in range(n)))

    def recipe(self, *changes):
        text = shoplet.RECIPE
        for old, new in changes:
            self.assertIn(old, text)
            text = text.replace(old, new)
        return write(self.top, "recipe.lua", text)

    def refused(self, says, *more):
        """By train, with the line; by check, if the data alone say so; by tune, for each trial."""
        said = train(self.top, self.bundle, ok=1).stderr
        self.assertIn("recipe.lua:7: label: " + says, said)
        self.assertFalse(os.path.exists(self.bundle))
        found = run("check", os.path.join(self.top, "recipe.lua"), "--data", self.top, ok=1).stderr
        self.assertRegex(found, r"(?m)^recipe\.lua:7: error: ")
        self.recipe(("epochs = 2", "epochs = m.tune { 1, 2 }"))
        said = run("tune", os.path.join(self.top, "recipe.lua"), "--data", self.top, "--out", os.path.join(self.top, "tune"), ok=1).stderr
        self.assertIn("no trial has a result; the first: recipe.lua:7: label: " + says, said)

    def measured(self):
        train(self.top, self.bundle)
        done = run("evaluate", self.bundle, "--data", self.top, "--json")
        return json.loads(done.stdout, parse_constant=no_nan), run("evaluate", self.bundle, "--data", self.top).stdout

    def test_one_user_is_enough(self):
        self.log(400, lambda i: ("u0", "i%d" % (i // 4 % 10), "purchase" if i % 80 == 3 else "view"), step=7000)
        result, text = self.measured()
        self.assertIn(result["users"], (0, 1))
        self.assertEqual(set(result["model"]), {"accuracy", "auc", "logloss", "recall@5", "ndcg@5"})
        self.assertIsInstance(result["model"]["logloss"], float)
        self.assertNotIn("nan", text.lower())

    def test_no_success_is_refused(self):
        self.log(400, lambda i: ("u%d" % (i % 7), "i%d" % (i % 10), "view"))
        self.refused("positive: no event is of the kind 'purchase'")

    def test_successes_that_come_too_late_are_none(self):
        self.log(60, lambda i: ("u%d" % (i % 7), "i%d" % (i % 10), "view" if i < 30 else "purchase"), step=90000)
        self.refused("none of ")

    def test_nothing_but_successes_is_refused_unless_others_are_drawn(self):
        self.log(400, lambda i: ("u%d" % (i // 2 % 7), "i%d" % (i // 2 % 10), "purchase" if i % 2 else "view"))
        self.refused("each of ")
        self.recipe(('within = "24h"', 'within = "24h", negatives = 2'))
        train(self.top, self.bundle)

    def test_a_judged_part_of_one_kind_has_metrics_without_a_value(self):
        cases = ((lambda i: "view" if i % 4 < 3 or i > 280 else "purchase", 0, "The test part has no good example"),
                 (lambda i: "purchase" if i % 2 and (i > 280 or i % 4 == 3) else "view", 1, "The test part has no bad example"))
        for kind, rate, says in cases:
            self.log(400, lambda i, kind=kind, part=4 - 2 * rate: ("u%d" % (i // part % 7), "i%d" % (i // part % 10), kind(i)))
            result, text = self.measured()
            self.assertEqual(result["examples"]["positive_rate"], rate)
            self.assertIsNone(result["model"]["auc"])
            self.assertIsInstance(result["model"]["accuracy"], float)
            self.assertIn(says, text)
            self.assertNotIn("nan", text.lower())
            html = os.path.join(self.top, "report.html")
            run("evaluate", self.bundle, "--data", self.top, "--report", html, "--against", self.bundle)
            with open(html, encoding="utf-8") as file:
                self.assertNotRegex(file.read(), r"(?i)\bnan\b")

    def test_a_search_says_why_a_metric_has_no_value(self):
        self.log(400, lambda i: ("u%d" % (i // 4 % 7), "i%d" % (i // 4 % 10), "view" if i % 4 < 3 or i > 280 else "purchase"))
        self.recipe(("epochs = 2", "epochs = m.tune { 1, 2 }"))
        said = run("tune", os.path.join(self.top, "recipe.lua"), "--data", self.top, "--out", os.path.join(self.top, "tune"), "--metric", "auc", ok=1).stderr
        self.assertRegex(said, r"the first: auc has no value on the validation part: of its \d+ examples 0 % are good")

    def test_a_log_of_one_moment_cannot_be_split_by_time(self):
        self.log(200, lambda i: ("u%d" % (i % 7), "i%d" % (i % 10), "purchase" if i % 4 == 3 else "view"), step=0)
        self.assertRegex(train(self.top, self.bundle, ok=1).stderr, r"the split leaves no example to train on \(of \d+; by time, those of one moment stay together\)")

    def test_items_and_users_that_training_never_saw_are_scored(self):
        shoplet.make(self.top, events=1200)
        train(self.top, self.bundle)
        more = os.path.join(self.top, "more")
        os.mkdir(more)
        shoplet.make(more, events=3000, users=200, items=900, seed=9)
        result = json.loads(run("evaluate", self.bundle, "--data", more, "--json").stdout, parse_constant=no_nan)
        self.assertGreater(result["users"], 0)
        self.assertIsInstance(result["model"]["auc"], float)
        self.recipe(('m.id "user" { dim = 4 }', 'm.id "user" { dim = 4, min_count = 100000 }'), ('m.id "item" { dim = 4 }', 'm.id "item" { dim = 4, hash = 3 }'))
        train(self.top, self.bundle)  # all users unknown, 50 items share two rows
        rows = {table["feature"]: table["rows"] for table in json.loads(run("summary", self.bundle, "--json").stdout)["tables"]}
        self.assertEqual((rows["user"], rows["item"]), (1, 3))
        self.assertTrue(json.loads(run("index", self.bundle, "--least", "0", "--json").stdout)["written"])
        self.assertTrue(json.loads(run("page", os.path.join(self.top, "site.lua"), "--bundle", self.bundle, "--json").stdout)["slots"])


class DamagedBundle(unittest.TestCase):
    """Files that are wrong in themselves, with a manifest that agrees: every command that opens the bundle names file and fault."""

    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp(prefix="moonshelf-damaged-")
        shoplet.make(cls.top, events=800)
        cls.good = os.path.join(cls.top, "good")
        train(cls.top, cls.good)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.top)

    def bundle(self, name, change):
        out = os.path.join(self.top, "bundle")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(self.good, out)
        with open(os.path.join(out, name), "rb") as file:
            changed = change(file.read())
        with open(os.path.join(out, name), "wb") as file:
            file.write(changed)
        with open(os.path.join(out, "manifest.json"), encoding="utf-8") as file:
            manifest = json.load(file)
        manifest["files"][name] = {"bytes": len(changed), "sha256": hashlib.sha256(changed).hexdigest()}
        write(out, "manifest.json", json.dumps(manifest))
        return out

    def refused(self, name, change, says):
        bundle = self.bundle(name, change)
        site = os.path.join(self.top, "site.lua")
        for command in (("evaluate", bundle, "--data", self.top), ("index", bundle), ("page", site, "--bundle", bundle), ("summary", bundle),
                        ("check", site, "--bundle", bundle)):
            said = run(*command, ok=1).stderr
            self.assertRegex(said, r"bundle/%s: .*%s" % (name, says), command)

    @staticmethod
    def header(change):
        """change(header, data) -> header, data"""
        def whole(file):
            n = struct.unpack("<Q", file[:8])[0]
            header, data = change(json.loads(file[8:8 + n]), file[8 + n:])
            text = json.dumps(header).encode()
            return struct.pack("<Q", len(text)) + text + data
        return whole

    def test_a_header_that_is_no_header(self):
        weights = "model.safetensors"
        self.refused(weights, lambda b: b"", "0 bytes are too few")
        self.refused(weights, lambda b: struct.pack("<Q", 2 ** 60) + b[8:], "a header of 1152921504606846976 bytes is over the limit")
        self.refused(weights, lambda b: struct.pack("<Q", len(b)) + b[8:], "a header of [0-9]+ bytes in a file of ")
        self.refused(weights, lambda b: b[:8] + b"{" + b"x" * 50 + b[59:], "the header is not JSON")
        self.refused(weights, lambda b: b[:8] + b"[" + b[9:], "the header does not begin with")
        self.refused(weights, lambda b: b[:len(b) // 2], "are outside the data of ")
        self.refused(weights, lambda b: b + b"\0", "1 bytes after the last tensor")

    def test_tensors_that_are_not_the_models(self):
        name = "0.weight"

        def changed(**fields):
            return self.header(lambda h, d: ({**h, name: {**h[name], **fields}}, d))

        def overlapping(h, d):
            size = h[name]["data_offsets"][1] - h[name]["data_offsets"][0]
            return {**h, name: {**h[name], "data_offsets": [0, size]}}, d

        weights = "model.safetensors"
        self.refused(weights, changed(dtype="I32"), 'tensor "0.weight" is I32 .* but F32 .* is needed')
        self.refused(weights, changed(dtype="F31"), "unknown dtype")
        self.refused(weights, changed(shape=[2 ** 40, 2 ** 40]), "does not fit in memory")
        self.refused(weights, changed(shape=[1]), "bytes of data, but F32")
        self.refused(weights, changed(data_offsets=[10, 2]), "outside the data")
        self.refused(weights, self.header(overlapping), "overlap|that belong to no tensor")
        self.refused(weights, self.header(lambda h, d: ({(k + "s" if k == name else k): v for k, v in h.items()}, d)), 'there is no tensor "0.weight"')

    def test_weights_that_are_no_numbers(self):
        for number in ("nan", "inf"):
            self.refused("model.safetensors", self.header(lambda h, d, x=number: (h, d[:-4] + struct.pack("<f", float(x)))), "a number that is not finite")

    def test_a_vocabulary_of_another_size_than_the_tables(self):
        def shorter(text):
            vocab = json.loads(text)
            of = next(v for v in (vocab if isinstance(vocab, list) else vocab.values()) if isinstance(v, list) and len(v) > 5)
            of.pop()
            return json.dumps(vocab).encode()
        run("summary", self.bundle("vocab.json", lambda b: b))  # what is whole is taken
        bundle = self.bundle("vocab.json", shorter)
        self.assertRegex(run("summary", bundle, ok=1).stderr, r"model.safetensors: .* is needed")


if __name__ == "__main__":
    unittest.main()
