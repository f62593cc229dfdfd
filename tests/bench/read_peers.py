#!/usr/bin/env python3
"""Import of 1M rows x 8 columns: ours beside pandas' C reader and SQLite's .import, in one run, on one core.

read_peers.py build/release [ROWS] makes the files in a folder that it removes, reads them with each in turn, 5 rounds, and prints the
medians: seconds on the clock, seconds of the processor, and the median of each round's ratio of processor time to ours. pandas
(python3-pandas) and sqlite3 are optional: what is missing is left out.
"""
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 5
PANDAS = """
import io, sys, time, pandas
kinds = {"user_id": "category", "item_id": "category", "event": "category", "timestamp": "int64", "price": "float64",
         "quantity": "int64", "session": "category", "score": "float64"}
if sys.argv[2] == "str":
    kinds = {name: str if kind == "category" else kind for name, kind in kinds.items()}
pandas.read_csv(sys.argv[1], engine="c", dtype=kinds, nrows=1000)
start = time.monotonic(), time.process_time()
pandas.read_csv(sys.argv[1], engine="c", dtype=kinds)
print(time.monotonic() - start[0], time.process_time() - start[1])
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


def pinned(command):
    """What it printed, and the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["taskset", "-c", "0", *command], check=True, capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# Each answers the seconds that one import took: on the clock, and of the processor.

def ours(build, path):
    wall, cpu = pinned([os.path.join(build, "tests", "bench_read"), path, "1"])[0].split()
    return float(wall), float(cpu)


def pandas(path, texts):
    wall, cpu = pinned(["/usr/bin/python3", "-c", PANDAS, path, texts])[0].split()
    return float(wall), float(cpu)


def sqlite(database, path):
    if os.path.exists(database):
        os.remove(database)
    start = time.monotonic()
    _, cpu = pinned(["sqlite3", database, "pragma journal_mode=off", "pragma synchronous=off", ".mode csv", f".import {path} e"])
    return time.monotonic() - start, cpu


def has_pandas():
    return subprocess.run(["/usr/bin/python3", "-c", "import pandas"], capture_output=True, check=False).returncode == 0


def main():
    build, rows = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="moonshelf-read-") as folder:
        csv, jsonl = write_files(folder, rows)
        database = os.path.join(folder, "import.db")
        runs = {"moonshelf csv": (csv, lambda: ours(build, csv))}
        if has_pandas():
            runs["pandas csv, texts as str"] = csv, lambda: pandas(csv, "str")
            runs["pandas csv, texts as category"] = csv, lambda: pandas(csv, "category")
        if shutil.which("sqlite3"):
            runs["sqlite3 .import"] = csv, lambda: sqlite(database, csv)
            runs["moonshelf sqlite"] = csv, lambda: ours(build, database)
        runs["moonshelf jsonl"] = jsonl, lambda: ours(build, jsonl)
        for tool, ending in (("gzip", ".gz"), ("zstd", ".zst")):
            if shutil.which(tool):
                subprocess.run([tool, "-qk", csv], check=True)
                runs["moonshelf csv" + ending] = csv, lambda ending=ending: ours(build, csv + ending)
        took = {name: [] for name in runs}
        for _ in range(ROUNDS):  # in turn, so that a busy moment of the machine is everybody's
            for name, (_, run) in runs.items():
                took[name].append(run())
        print(f"{rows} rows x 8 columns, {os.path.getsize(csv) / 1e6:.0f} MB of CSV, one core, median of {ROUNDS} rounds")
        print(f"  {'':32} {'clock':>9} {'processor':>11} {'':>9} {'to ours':>9}")
        for name, (path, _) in runs.items():
            wall, cpu = (statistics.median(column) for column in zip(*took[name]))
            ratio = statistics.median(theirs[1] / base[1] for theirs, base in zip(took[name], took["moonshelf csv"]))
            print(f"  {name:32} {wall:7.3f} s {cpu:9.3f} s {os.path.getsize(path) / 1e6 / cpu:4.0f} MB/s {ratio:9.1f}")


if __name__ == "__main__":
    main()
