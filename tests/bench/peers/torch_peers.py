"""What users would take instead, in PyTorch; answers a line of JSON, as bench.lua does. Wants Debian's python3-torch.

  python3 torch_peers.py mlp BATCH THREADS | embeddings adam|sparseadam | sasrec DROPOUT | score ROWS eager|frozen
"""
import json, resource, statistics, sys, time

import torch
from torch import nn

RUNS = 5
bce, logits = nn.BCELoss(), nn.BCEWithLogitsLoss()


def seconds(step, calls):
    for _ in range(max(3, calls // 4)):
        step()
    now, runs = time.process_time if torch.get_num_threads() == 1 else time.perf_counter, []
    for _ in range(RUNS):
        start = now()
        for _ in range(calls):
            step()
        runs.append((now() - start) / calls)
    return statistics.median(runs)


def make_mlp():
    return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1), nn.Sigmoid())


def mlp(batch, threads):
    torch.set_num_threads(int(threads))
    batch, rows = int(batch), 1_000_000
    x = torch.randn(rows, 64)
    y = (x[:, :8].sum(1, keepdim=True) + 0.5 * torch.randn(rows, 1) > 0).float()
    net, order = make_mlp(), torch.randperm(rows)
    optimizer, at = torch.optim.Adam(net.parameters()), 0

    def step():
        nonlocal at
        at = 0 if at + batch > rows else at
        some = order[at : at + batch]
        at += batch
        optimizer.zero_grad(set_to_none=True)
        bce(net(x[some]), y[some]).backward()
        optimizer.step()

    return seconds(step, 600 if batch <= 64 else 200)


def embeddings(mode):
    rows, fields, values, d, batch = 500_000, 8, 100_000, 16, 1024
    ids, x, y = (torch.rand(rows, fields) ** 3 * values).long(), torch.randn(rows, 16), (torch.rand(rows, 1) < 0.3).float()
    tables = nn.ModuleList(nn.Embedding(values, d, sparse=mode != "adam") for _ in range(fields))
    net = nn.Sequential(nn.Linear(fields * d + 16, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 1))
    if mode == "adam":
        optimizers = [torch.optim.Adam([*tables.parameters(), *net.parameters()])]
    else:
        optimizers = [torch.optim.SparseAdam(list(tables.parameters())), torch.optim.Adam(net.parameters())]
    at = 0

    def step():
        nonlocal at
        at = 0 if at + batch > rows else at
        some = slice(at, at + batch)
        at += batch
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        seen = torch.cat([table(ids[some, f]) for f, table in enumerate(tables)] + [x[some]], 1)
        logits(net(seen), y[some]).backward()
        for optimizer in optimizers:
            optimizer.step()

    return seconds(step, 15 if mode == "adam" else 40)


class SASRec(nn.Module):
    def __init__(self, items, steps, d, heads, blocks, dropout):
        super().__init__()
        self.item, self.place, self.drop = nn.Embedding(items + 1, d), nn.Embedding(steps, d), nn.Dropout(dropout)
        self.attention = nn.ModuleList(nn.MultiheadAttention(d, heads, dropout, batch_first=True) for _ in range(blocks))
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(2 * blocks + 1))
        self.feed = nn.ModuleList(
            nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.Linear(d, d), nn.Dropout(dropout)) for _ in range(blocks)
        )
        self.register_buffer("mask", torch.triu(torch.ones(steps, steps, dtype=torch.bool), 1))

    def forward(self, before, after, drawn):
        x = self.drop(self.item(before) * self.item.weight.shape[1] ** 0.5 + self.place.weight)
        for i, (attention, feed) in enumerate(zip(self.attention, self.feed)):
            y = self.norms[2 * i](x)
            x = x + attention(y, y, y, attn_mask=self.mask, need_weights=False)[0]
            x = x + feed(self.norms[2 * i + 1](x))
        x = self.norms[-1](x)
        return (x * self.item(after)).sum(-1), (x * self.item(drawn)).sum(-1)


def sasrec(dropout):
    items, steps, batch, rows = 20_000, 50, 128, 4096
    net = SASRec(items, steps, 64, 2, 2, float(dropout))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, betas=(0.9, 0.98))
    log, ones, zeros = torch.randint(1, items + 1, (rows, steps + 1)), torch.ones(batch, steps), torch.zeros(batch, steps)

    def step():
        some = log[torch.randint(0, rows, (batch,))]
        drawn = torch.randint(1, items + 1, (batch, steps))
        optimizer.zero_grad(set_to_none=True)
        good, bad = net(some[:, :-1], some[:, 1:], drawn)
        (logits(good, ones) + logits(bad, zeros)).backward()
        optimizer.step()

    return seconds(step, 8)


def score(rows, kind):
    rows = int(rows)
    net, x = make_mlp().eval(), torch.randn(rows, 64)
    with torch.inference_mode():
        if kind == "frozen":
            net = torch.jit.freeze(torch.jit.trace(net, torch.randn(100, 64)))
        return seconds(lambda: net(x), max(100, 20_000 // (rows + 10)))


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    taken = {"mlp": mlp, "embeddings": embeddings, "sasrec": sasrec, "score": score}[sys.argv[1]](*sys.argv[2:])
    print(json.dumps({"seconds": taken, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


main()
