#!/usr/bin/env python3
"""Moonshelf's text encoder beside PyTorch's operations on one core: texts a second of processor time, MiniLM's size, titles of 12 tokens.

  /usr/bin/python3 tests/bench/peers/encode.py build/release/tests/bench_encode [ROUNDS]

Rounds take turns; a figure is the best of all. PyTorch gets what suits it best: texts of one length in batches of 64, no mask, its fused
layer (torch.nn.TransformerEncoderLayer, fast path) and the layer's parts as Hugging Face's BertModel calls them.
"""
import json
import subprocess
import sys
import time

import torch
from torch import nn

HIDDEN, LAYERS, HEADS, FEED, TOKENS, TEXTS = 384, 6, 12, 1536, 12, 64


class Layer(nn.Module):
    """As BertLayer: three products, scores, softmax, mix; then the net for each token."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.out = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.up, self.down = nn.Linear(HIDDEN, FEED), nn.Linear(FEED, HIDDEN)
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN, eps=1e-12) for _ in range(2))

    def forward(self, x):
        q, k, v = (part(x).view(*x.shape[:2], HEADS, HIDDEN // HEADS).transpose(1, 2) for part in (self.q, self.k, self.v))
        p = torch.softmax(q @ k.transpose(2, 3) / (HIDDEN // HEADS) ** 0.5, -1)
        x = self.norms[0](x + self.out((p @ v).transpose(1, 2).reshape(x.shape)))
        return self.norms[1](x + self.down(nn.functional.gelu(self.up(x))))


def rate(layers, words, places, ids, seconds):
    best, start = 0, time.perf_counter()
    with torch.inference_mode():
        while time.perf_counter() - start < seconds:
            before = time.process_time()
            nn.functional.normalize(layers(words(ids) + places).mean(1))
            best = max(best, TEXTS / (time.process_time() - before))
    return best


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    parts = nn.Sequential(*(Layer() for _ in range(LAYERS))).eval()
    fused = nn.TransformerEncoder(nn.TransformerEncoderLayer(HIDDEN, HEADS, FEED, activation="gelu", batch_first=True), LAYERS).eval()
    words, places, ids = nn.Embedding(1000, HIDDEN), torch.randn(TOKENS, HIDDEN), torch.randint(1000, (TEXTS, TOKENS))
    best = {"moonshelf": 0, "PyTorch, as BertModel": 0, "PyTorch, fused": 0}
    for _ in range(rounds):
        told = json.loads(subprocess.run([sys.argv[1], "4"], capture_output=True, check=True).stdout)
        best["moonshelf"] = max(best["moonshelf"], told["texts_per_second"])
        best["PyTorch, as BertModel"] = max(best["PyTorch, as BertModel"], rate(parts, words, places, ids, 4))
        best["PyTorch, fused"] = max(best["PyTorch, fused"], rate(fused, words, places, ids, 4))
    for name, value in best.items():
        print(f"{name:24} {value:8.1f} texts/s  {best['moonshelf'] / value:5.2f} x")


main()
