#!/usr/bin/env python3
"""Import of 1M rows x 8 columns: ours beside pandas' C reader and SQLite's .import, in one run, on one core.

read_peers.py build/release [ROWS] makes the files in a folder that it removes, then prints the median of 5 runs of each. pandas
(python3-pandas) and sqlite3 are optional: what is missing is left out.
"""
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 5
PANDAS = """
import sys, time, pandas
types = {"user_id": "category", "item_id": "category", "event": "category", "timestamp": "int64", "price": "float64",
         "quantity": "int64", "session": "category", "score": "float64"}
for run in range(int(sys.argv[2])):
    start = time.monotonic()
    pandas.read_csv(sys.argv[1], engine="c", dtype={**types, **({} if sys.argv[3] == "category" else
        {name: str for name, kind in types.items() if kind == "category"})})
    print(time.monotonic() - start)
"""


def write_files(folder, rows):
    """The same rows as CSV and as JSON Lines."""
    rng = random.Random(1)
    paths = os.path.join(folder, "e.csv"), os.path.join(folder, "e.jsonl")
    with open(paths[0], "w", encoding="utf-8") as csv, open(paths[1], "w", encoding="utf-8") as jsonl:
        csv.write("user_id,item_id,event,timestamp,price,quantity,session,score\n")
        for i in range(rows):
            row = (f"u{rng.randrange(100000)}", f"i{rng.randrange(20000)}", rng.choice(("view", "click", "cart", "purchase")),
                   1700000000 + i, f"{rng.uniform(1, 500):.2f}", rng.randrange(1, 10), f"s{i // 7}", f"{rng.random():.6f}")
            csv.write(",".join(map(str, row)) + "\n")
            jsonl.write('{"user_id":"%s","item_id":"%s","event":"%s","timestamp":%d,"price":%s,"quantity":%d,"session":"%s","score":%s}\n' % row)
    return paths


def pinned(command, **kwargs):
    return subprocess.run(["taskset", "-c", "0", *command], check=True, capture_output=True, text=True, **kwargs).stdout


def ours(build, path):
    return float(pinned([os.path.join(build, "tests", "bench_read"), path, str(RUNS)]))


def pandas(path, texts):
    try:
        seconds = pinned(["/usr/bin/python3", "-c", PANDAS, path, str(RUNS), texts], env={**os.environ, "OMP_NUM_THREADS": "1"})
    except subprocess.CalledProcessError as error:
        return print(f"  pandas: {error.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return statistics.median(map(float, seconds.split()))


def sqlite(folder, path):
    if not shutil.which("sqlite3"):
        return None
    took = []
    for _ in range(RUNS):
        database = os.path.join(folder, "import.db")
        if os.path.exists(database):
            os.remove(database)
        start = time.monotonic()
        pinned(["sqlite3", database, "pragma journal_mode=off", "pragma synchronous=off", ".mode csv", f".import {path} e"])
        took.append(time.monotonic() - start)
    return statistics.median(took)


def main():
    build, rows = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="moonshelf-read-") as folder:
        csv, jsonl = write_files(folder, rows)
        for command in (["gzip", "-k"], ["zstd", "-qk"]):
            if shutil.which(command[0]):
                subprocess.run([*command, csv], check=True)
        found = {"moonshelf csv": (ours(build, csv), csv), "pandas csv, texts as str": (pandas(csv, "str"), csv),
                 "pandas csv, texts as category": (pandas(csv, "category"), csv), "sqlite3 .import": (sqlite(folder, csv), csv),
                 "moonshelf jsonl": (ours(build, jsonl), jsonl)}
        for ending in (".gz", ".zst"):
            if os.path.exists(csv + ending):
                found["moonshelf csv" + ending] = ours(build, csv + ending), csv
        database = os.path.join(folder, "import.db")
        if os.path.exists(database):
            found["moonshelf sqlite"] = ours(build, database), csv
        base = found["moonshelf csv"][0]
        print(f"{rows} rows x 8 columns, {os.path.getsize(csv) / 1e6:.0f} MB of CSV, one core, median of {RUNS}")
        for name, (seconds, path) in found.items():
            if seconds:
                print(f"  {name:32} {seconds:7.3f} s {os.path.getsize(path) / 1e6 / seconds:7.0f} MB/s   {seconds / base:6.1f}")


if __name__ == "__main__":
    main()
