#!/usr/bin/env python3
"""Moonshelf beside what users would take instead, in one run: a table of times, ratios and peak memory.

  python3 tests/bench/peers/run.py [--build build/release] [--rounds 5] [--only mlp] [--json FILE] [--python /usr/bin/python3]

Each line is measured in rounds: ours, then each peer, and again, so that a neighbour's load falls on all of them; a figure is the median
of the rounds, each the median of five runs, in processor time (with two threads, in that of the wall clock). Peers that are not installed are left out, and the table says so: PyTorch is Debian's
python3-torch; ONNX Runtime the npm package onnxruntime-node (npm install --ignore-scripts onnxruntime-node, NODE_PATH on its
node_modules).
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))

# name, ours, peers: (name, command, how many times faster we mean to be)
CASES = [
    ("mlp 64/32/1, batch 32, a step", "mlp.lua 32", [("PyTorch", "torch mlp 32 1", 20)]),
    ("mlp 64/32/1, batch 1024, a step", "mlp.lua 1024", [("PyTorch", "torch mlp 1024 1", 2)]),
    ("mlp 64/32/1, batch 1024, 2 threads", "mlp.lua 1024 2", [("1 thread", "mlp.lua 1024 1", 1.7), ("PyTorch, 2", "torch mlp 1024 2", 2)]),
    ("8 embeddings + mlp 256/128/1, a step", "embeddings.lua",
     [("PyTorch SparseAdam", "torch embeddings sparseadam", 5), ("PyTorch Adam", "torch embeddings adam", 20)]),
    ("SASRec, a step", "sasrec.lua 0", [("PyTorch", "torch sasrec 0", 1.5)]),
    ("SASRec, dropout 0.2, a step", "sasrec.lua 0.2", [("PyTorch", "torch sasrec 0.2", 1.5)]),
] + [
    (f"scoring {rows} rows", f"score.lua {rows}",
     [("PyTorch", f"torch score {rows} eager", wanted), ("TorchScript", f"torch score {rows} frozen", wanted),
      ("ONNX Runtime", f"onnx {rows}", wanted)])
    for rows, wanted in ((1, 2), (100, 2), (1000, 1), (5000, 1))
]

ONNX_MODEL = """
import sys, torch
from torch import nn
net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid()).eval()
torch.onnx.export(net, torch.randn(2, 64), sys.argv[1], input_names=["x"], output_names=["y"], opset_version=13,
                  dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
"""


class Peers:
    def __init__(self, options, folder):
        self.python, self.onnx = options.python, None
        self.environment = dict(
            os.environ, OMP_NUM_THREADS="1", LUA_PATH=f"{HERE}/?.lua;{ROOT}/lua/?.lua;;", LUA_CPATH=f"{options.build}/lua/?.so;;"
        )
        self.has_torch = subprocess.run([self.python, "-c", "import torch"], capture_output=True).returncode == 0
        has_onnx = shutil.which("node") and subprocess.run(["node", "-e", "require('onnxruntime-node')"], capture_output=True).returncode == 0
        if self.has_torch and has_onnx:
            self.onnx = os.path.join(folder, "mlp.onnx")
            subprocess.run([self.python, "-c", ONNX_MODEL, self.onnx], check=True, capture_output=True)

    def command(self, text):
        kind, *rest = text.split()
        if kind == "torch":
            return [self.python, f"{HERE}/torch_peers.py", *rest] if self.has_torch else None
        if kind == "onnx":
            return ["node", f"{HERE}/onnx_peer.js", self.onnx, *rest] if self.onnx else None
        return ["lua5.4", f"{HERE}/{kind}", *rest]

    def measure(self, text):
        command = self.command(text)
        if not command:
            return None
        environment = dict(self.environment, OMP_NUM_THREADS="2") if text.startswith("torch") and text.endswith(" 2") else self.environment
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def measure_case(peers, rounds, ours, others):
    taken = {ours: [], **{command: [] for _, command, _ in others}}
    for _ in range(rounds):
        for command, figures in taken.items():
            figures.append(peers.measure(command))
    return {command: figures if figures[0] else None for command, figures in taken.items()}


def median(figures, key):
    return statistics.median(figure[key] for figure in figures)


def microseconds(seconds):
    return f"{seconds * 1e6:.2f} us" if seconds < 1e-4 else f"{seconds * 1e3:.2f} ms"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build/release"))
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="the cases whose name has this in it")
    parser.add_argument("--json", help="write all figures to this file, too")
    options = parser.parse_args()
    options.build = os.path.abspath(options.build)
    table = []
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(options, folder)
        print(f"{'':38} {'ours':>10}  {'peer':20} {'':>10} {'ratio':>6} {'wanted':>6}  peak memory")
        for name, ours, others in CASES:
            if options.only not in name:
                continue
            taken = measure_case(peers, options.rounds, ours, others)
            own = median(taken[ours], "seconds")
            for peer, command, wanted in others:
                if not taken[command]:
                    print(f"{name:38} {microseconds(own):>10}  {peer:20} not installed")
                    continue
                # each round's own ratio: both of its sides had the same neighbours
                ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(taken[ours], taken[command]))
                memory = f"{median(taken[ours], 'peak_mib'):.0f} / {median(taken[command], 'peak_mib'):.0f} MiB"
                theirs = median(taken[command], "seconds")
                print(f"{name:38} {microseconds(own):>10}  {peer:20} {microseconds(theirs):>10} {ratio:6.2f} {wanted:6g}  {memory}", flush=True)
                table.append({"case": name, "ours": own, "peer": peer, "theirs": theirs, "ratio": ratio, "wanted": wanted})
    if options.json:
        with open(options.json, "w") as file:
            json.dump(table, file, indent=2)


main()
