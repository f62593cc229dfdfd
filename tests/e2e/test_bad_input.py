"""What logs of the real world have in them, as CSV and as JSON Lines: a clear error, or rows that are counted and told of, and then the
model of the other rows. (A disk that is full while data spills is in test_train.py.)"""
import csv
import filecmp
import json
import os
import shutil
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


if __name__ == "__main__":
    unittest.main()
