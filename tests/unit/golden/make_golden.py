#!/usr/bin/env python3
"""Writes PyTorch's answers as C headers beside this file, for test_autograd_ops_golden.c.

    python3 tests/unit/golden/make_golden.py

Inputs come from a formula of whole numbers, so that they have few digits and any machine writes the same files; values and gradients
are computed in double precision and written with eight digits. Needs PyTorch (1.13 made the files in the repository).
"""
import math
import pathlib
import textwrap

import torch
import torch.nn.functional as F

HERE = pathlib.Path(__file__).resolve().parent


def numbers(*shape, seed, scale=1.0, grad=True):
    """Numbers in (-scale, scale) with three digits: a linear congruential sequence (Park & Miller 1988)."""
    state, out = seed * 7919 + 12345, []
    for _ in range(math.prod(shape)):
        state = state * 48271 % 2147483647
        out.append(round((state / 2147483647 * 2 - 1) * scale, 3))
    return torch.tensor(out, dtype=torch.float64).reshape(shape).requires_grad_(grad)


class Header:
    """One file: named float arrays."""

    def __init__(self, name, about):
        self.name, self.lines = name, [f"/* {about}", " * Written by make_golden.py; do not edit. */"]

    def add(self, **arrays):
        for name, tensor in arrays.items():
            flat = tensor.detach().reshape(-1).tolist()
            body = textwrap.fill(", ".join(f"{x:.8g}" for x in flat), 126, initial_indent="    ", subsequent_indent="    ")
            self.lines.append(f"static const float {self.name}_{name}[{len(flat)}] = {{\n{body}}};")

    def case(self, y, weights=None, **inputs):
        """Inputs, value, and the gradients of sum(value * weights)."""
        loss = y if weights is None else (y * weights).sum()
        loss.backward()
        self.add(**inputs)
        self.add(y=y)
        if weights is not None:
            self.add(dy=weights)
        self.add(**{f"d_{name}": t.grad for name, t in inputs.items() if t.grad is not None})

    def write(self):
        (HERE / f"{self.name}.h").write_text("\n".join(self.lines) + "\n")


def layer_norm():
    h = Header("layer_norm", "layer_norm of [3, 2, 7] over the last dimension, epsilon 1e-5.")
    x, gamma, beta = numbers(3, 2, 7, seed=1, scale=3), numbers(7, seed=2), numbers(7, seed=3)
    h.case(F.layer_norm(x, (7,), gamma, beta, 1e-5), numbers(3, 2, 7, seed=4, grad=False), x=x, gamma=gamma, beta=beta)
    h.write()


def batch_norm():
    h = Header("batch_norm", "batch_norm of [6, 3] in training, momentum 0.1, epsilon 1e-5; the running statistics start at 0.5 and 2.")
    x, gamma, beta = numbers(6, 3, seed=5, scale=3), numbers(3, seed=6), numbers(3, seed=7)
    mean, var = torch.full((3,), 0.5, dtype=torch.float64), torch.full((3,), 2.0, dtype=torch.float64)
    y = F.batch_norm(x, mean, var, gamma, beta, True, 0.1, 1e-5)
    h.case(y, numbers(6, 3, seed=8, grad=False), x=x, gamma=gamma, beta=beta)
    h.add(mean=mean, var=var)
    h.write()


def attention():
    h = Header("attention", "causal attention of [2, 2, 4, 3], scale 1 / sqrt(3); of the second batch only 2 keys are real.")
    q, k, v = (numbers(2, 2, 4, 3, seed=s, scale=2) for s in (9, 10, 11))
    seen = torch.tril(torch.ones(4, 4, dtype=torch.bool)).repeat(2, 1, 1, 1)
    seen[1, :, :, 2:] = False
    scores = (q @ k.transpose(-1, -2) / math.sqrt(3)).masked_fill(~seen, -math.inf)
    h.case(torch.softmax(scores, -1) @ v, numbers(2, 2, 4, 3, seed=12, grad=False), q=q, k=k, v=v)
    h.write()


def gru():
    h = Header("gru", "GRU of [3, 4, 2] to 3 units; lengths 4, 2, 3. w, u: PyTorch's weight_ih and weight_hh, turned; b, c: their biases.")
    net = torch.nn.GRU(2, 3, batch_first=True).double()
    w, u, b, c = numbers(2, 9, seed=13), numbers(3, 9, seed=14), numbers(9, seed=15), numbers(9, seed=16)
    x = numbers(3, 4, 2, seed=17, scale=2)
    for name, value in (("weight_ih_l0", w.T), ("weight_hh_l0", u.T), ("bias_ih_l0", b), ("bias_hh_l0", c)):
        getattr(net, name).data.copy_(value.detach())
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([4, 2, 3]), batch_first=True, enforce_sorted=False)
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(net(packed)[0], batch_first=True)
    dy = numbers(3, 4, 3, seed=18, grad=False)
    (y * dy).sum().backward()
    h.add(x=x, w=w, u=u, b=b, c=c, y=y, dy=dy, d_x=x.grad, d_w=net.weight_ih_l0.grad.T, d_u=net.weight_hh_l0.grad.T)
    h.add(d_b=net.bias_ih_l0.grad, d_c=net.bias_hh_l0.grad)
    h.write()


def losses():
    h = Header("bce", "binary cross-entropy of 7 logits with weights and positive weight 2.5.")
    z, t, w = numbers(7, seed=19, scale=4), numbers(7, seed=20, grad=False).gt(0).double(), numbers(7, seed=21, grad=False).abs()
    h.case(F.binary_cross_entropy_with_logits(z, t, w, pos_weight=torch.tensor(2.5, dtype=torch.float64)), z=z, t=t, w=w)
    h.write()

    h = Header("cross_entropy", "cross-entropy of [5, 4] logits; classes 1, 3, 0, 2, 1 and class 2 is ignored.")
    z = numbers(5, 4, seed=22, scale=4)
    h.case(F.cross_entropy(z, torch.tensor([1, 3, 0, 2, 1]), ignore_index=2), z=z)
    h.write()

    h = Header("info_nce", "in-batch softmax of [5, 3] queries and keys, temperature 0.2, less log q of the keys' items.")
    q, k, log_q = numbers(5, 3, seed=23), numbers(5, 3, seed=24), numbers(5, seed=25, grad=False) - 2
    h.case(F.cross_entropy(q @ k.T / 0.2 - log_q, torch.arange(5)), q=q, k=k, log_q=log_q)
    h.write()

    h = Header("sampled", "sampled softmax of 4 positives and [4, 3] negatives, less log q [4] and [3].")
    pos, neg = numbers(4, seed=26, scale=3), numbers(4, 3, seed=27, scale=3)
    q_pos, q_neg = numbers(4, seed=28, grad=False) - 2, numbers(3, seed=29, grad=False) - 2
    logits = torch.cat([(pos - q_pos)[:, None], neg - q_neg], 1)
    h.case(F.cross_entropy(logits, torch.zeros(4, dtype=torch.long)), pos=pos, neg=neg, q_pos=q_pos, q_neg=q_neg)
    h.write()

    h = Header("bpr", "BPR of 6 pairs.")
    pos, neg = numbers(6, seed=30, scale=3), numbers(6, seed=31, scale=3)
    h.case(-F.logsigmoid(pos - neg).mean(), pos=pos, neg=neg)
    h.write()


def elementwise():
    h = Header("gelu", "gelu by tanh.")
    x = numbers(9, seed=32, scale=4)
    h.case(F.gelu(x, approximate="tanh"), numbers(9, seed=33, grad=False), x=x)
    h.write()

    h = Header("normalise", "rows of [4, 3] by their length.")
    x = numbers(4, 3, seed=34, scale=2)
    h.case(F.normalize(x, dim=-1), numbers(4, 3, seed=35, grad=False), x=x)
    h.write()


def mlp():
    """Weights are numbers(.., scale 0.3) with the seeds below, which the test makes again; of the middle gradient each 17th is kept."""
    h = Header("mlp", "an MLP 6 -> 64 -> 32 -> 1 with relu on 16 examples, binary cross-entropy; weights by the formula of make_golden.py.")
    sizes = [(6, 64), (64, 32), (32, 1)]
    weights = [numbers(*s, seed=40 + i, scale=0.3) for i, s in enumerate(sizes)]
    biases = [numbers(s[1], seed=50 + i, scale=0.3) for i, s in enumerate(sizes)]
    x, t = numbers(16, 6, seed=60, scale=2, grad=False), numbers(16, seed=61, grad=False).gt(0).double()
    y = x
    for i, (w, b) in enumerate(zip(weights, biases)):
        y = y @ w + b
        y = torch.relu(y) if i < 2 else y
    loss = F.binary_cross_entropy_with_logits(y.reshape(-1), t)
    loss.backward()
    h.add(y=loss, t=t, d_w0=weights[0].grad, d_w1_each_17th=weights[1].grad.reshape(-1)[::17], d_w2=weights[2].grad)
    h.add(**{f"d_b{i}": b.grad for i, b in enumerate(biases)})
    h.write()


if __name__ == "__main__":
    for make in (layer_norm, batch_norm, attention, gru, losses, elementwise, mlp):
        make()
