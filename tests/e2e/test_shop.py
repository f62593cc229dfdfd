"""The generator of the example shop: the same seed is the same shop, time runs forward, and the events follow the recorded truth."""
import collections
import csv
import datetime
import gzip
import json
import math
import os
import subprocess
import tempfile
import unittest

SHOP = os.environ["MOON_SHOP"]


def make(folder, *args, ok=0):
    done = subprocess.run([SHOP, "--out", folder, *args], capture_output=True, text=True, timeout=120)
    if done.returncode != ok:
        raise AssertionError(f"{args}: exit {done.returncode}, expected {ok}\n{done.stdout}{done.stderr}")
    return done


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def seconds(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc).timestamp()


def logistic(x):
    return 1 / (1 + math.exp(-x))


def ranked_pairs(scores, labels):
    """The share of (positive, negative) pairs that the scores put in the right order."""
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    ranks = sum(rank for rank, i in enumerate(order, 1) if labels[i])
    positives = sum(labels)
    return (ranks - positives * (positives + 1) / 2) / (positives * (len(labels) - positives))


class Shop(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.TemporaryDirectory()
        cls.data = os.path.join(cls.top.name, "shop")
        make(cls.data, "--size", "60k", "--seed", "11")
        cls.events = read(cls.data, "events.csv")
        cls.items = {row["item_id"]: row for row in read(cls.data, "items.csv")}

    @classmethod
    def tearDownClass(cls):
        cls.top.cleanup()

    def test_time_runs_forward_and_ends_before_november(self):
        times = [row["timestamp"] for row in self.events]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], "2026-09-02T00:00:00Z")
        self.assertLess(times[-1], "2026-11-01T00:00:00Z")

    def test_about_as_many_events_as_asked(self):
        self.assertAlmostEqual(len(self.events) / 60000, 1, delta=0.01)

    def test_a_click_leads_to_a_view_and_only_what_was_viewed_is_bought(self):
        viewed, kinds = set(), collections.Counter()
        for row in self.events:
            kinds[row["event"]] += 1
            pair = row["user_id"], row["item_id"]
            if row["event"] == "view":
                viewed.add(pair)
            elif row["event"] in ("cart", "purchase"):
                self.assertIn(pair, viewed)
        self.assertEqual(set(kinds), {"view", "click", "cart", "purchase"})
        self.assertGreater(kinds["view"], kinds["click"])
        self.assertGreater(kinds["click"], kinds["cart"])

    def test_positions_are_biased_to_the_top_and_empty_without_a_list(self):
        clicks = collections.Counter(int(row["position"]) for row in self.events if row["event"] == "click")
        self.assertEqual((min(clicks), max(clicks) <= 20), (1, True))
        self.assertGreater(clicks[1], 1.8 * clicks[5])
        self.assertIn("", {row["position"] for row in self.events if row["event"] == "view"})

    def test_nothing_is_seen_before_its_launch(self):
        for row in self.events:
            self.assertLessEqual(self.items[row["item_id"]]["launched"], row["timestamp"][:10])

    def test_items_are_a_believable_catalogue(self):
        rows = list(self.items.values())
        self.assertEqual(len({row["category"] for row in rows}), 12)
        empty = sum(row["stock"] == "0" for row in rows) / len(rows)
        self.assertTrue(0.01 < empty < 0.06, empty)
        by_product = collections.Counter(row["product"] for row in rows)
        self.assertTrue(all(1 <= n <= 4 for n in by_product.values()))
        self.assertTrue(all(float(row["price"]) > 0 for row in rows))
        titles = collections.defaultdict(set)
        for row in rows:
            self.assertNotIn(row["title"], titles[row["product"]], "two variants look the same")
            titles[row["product"]].add(row["title"])

    def test_purchases_follow_the_truth(self):
        with open(os.path.join(self.data, "truth.json"), encoding="utf-8") as file:
            truth = json.load(file)
        users = {row["user_id"]: row for row in read(self.data, "truth_users.csv")}
        items = {row["item_id"]: row for row in read(self.data, "truth_items.csv")}
        bought = collections.defaultdict(list)
        for row in self.events:
            if row["event"] == "purchase":
                bought[row["user_id"], row["item_id"]].append(seconds(row["timestamp"]))
        scores, labels = [], []
        for row in self.events:
            if row["event"] != "view":
                continue
            user, item, at = users[row["user_id"]], items[row["item_id"]], seconds(row["timestamp"])
            affinity = math.sqrt(truth["dims"]) * sum(float(user[f"v{d}"]) * float(item[f"v{d}"]) for d in range(1, truth["dims"] + 1))
            chance = 1
            for step in ("cart", "buy"):
                c = truth[step]
                chance *= logistic(c["bias"] + float(user["decisiveness"]) + c["affinity"] * affinity + c["quality"] * float(item["quality"])
                                   - c["price"] * float(user["price_sensitivity"]) * float(item["price_z"]))
            scores.append(chance)
            labels.append(any(at <= t <= at + 86400 for t in bought.get((row["user_id"], row["item_id"]), ())))
        rate = sum(labels) / len(labels)
        self.assertTrue(0.03 < rate < 0.08, rate)
        self.assertAlmostEqual(sum(scores) / len(scores) / rate, 1, delta=0.25)
        self.assertGreater(ranked_pairs(scores, labels), 0.78)

    def test_gzip_holds_the_same_events(self):
        folder = os.path.join(self.top.name, "gz")
        make(folder, "--size", "60k", "--seed", "11", "--gzip")
        with gzip.open(os.path.join(folder, "events.csv.gz")) as packed, open(os.path.join(self.data, "events.csv"), "rb") as plain:
            self.assertEqual(packed.read(), plain.read())
        self.assertFalse([name for name in os.listdir(folder) if name.endswith(".part")])

    def test_a_new_shop_leaves_no_events_of_the_old(self):
        folder = os.path.join(self.top.name, "again")
        make(folder, "--size", "1000")
        make(folder, "--size", "1000", "--seed", "9", "--gzip")
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("events")], ["events.csv.gz"])
        make(folder, "--size", "1000")
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("events")], ["events.csv"])

    def test_another_seed_is_another_shop(self):
        folder = os.path.join(self.top.name, "other")
        make(folder, "--size", "1000", "--seed", "12")
        other = {row["item_id"]: row["title"] for row in read(folder, "items.csv")}
        self.assertNotEqual(other, {key: self.items[key]["title"] for key in other})

    def test_tiny_shops_end(self):
        for args in (["--size", "1", "--users", "1", "--items", "50", "--days", "1"], ["--size", "2k", "--users", "2", "--items", "50"]):
            make(os.path.join(self.top.name, "tiny"), *args)

    def test_exit_codes(self):
        target = os.path.join(self.top.name, "never")
        for args in (["--size", "huge"], ["--size", "-5"], ["--days", "0"], ["--sise", "1"], ["--seed"], ["stray"]):
            self.assertIn("--help", make(target, *args, ok=2).stderr)
        self.assertFalse(os.path.exists(target))
        self.assertEqual(subprocess.run([SHOP], capture_output=True).returncode, 2)
        self.assertEqual(subprocess.run([SHOP, "--help"], capture_output=True).returncode, 0)
        blocked = os.path.join(self.data, "items.csv", "inside")
        self.assertIn("items.csv", make(blocked, ok=1).stderr)


if __name__ == "__main__":
    unittest.main()
