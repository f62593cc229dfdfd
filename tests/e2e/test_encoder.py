"""`moonshelf embed` beside the same model in plain PyTorch operations, with a tokenizer written apart; and from titles to a trained recipe."""
import array
import csv
import json
import math
import os
import random
import shutil
import struct
import subprocess
import tempfile
import unicodedata
import unittest

import checkpoint
import shoplet
from shoplet import run, train, write

try:
    import torch
except ImportError:
    torch = None

TITLES = [
    "The red shoes", "Larger lamps, small tables & super-extra boxes!", "", "   ", "naïve Äpfel CAFÉ é ä ÄÄ", "日本 lamp日", "new\tshirt\nfor men",
    "o" * 100, "o" * 101, "boot" * 30 + " red", "[SEP] red [MASK][CLS]shoe[PAD] [UNK] [sep]", "zero\u200bwidth so\u00adft \ufffd\u0001x",
    "İstanbul ΣΑΣ ǅ ﬁne Å", "한국어 red", "a\u0301\u0327b n\u0303", "3.5 (2-3) $4 «red»—blue… don't", "red\u2028blue\u3000green\u00a0box",
    "\U0001f600 toy \U00020000", "the " * 60, "２ ３ red", "a" * 50 + "b" * 49,
]


# ---------------------------------------------------------------------------------------------------- BERT's tokenizer by its description

def is_control(c):
    return c not in "\t\n\r" and unicodedata.category(c)[0] == "C"


def is_blank(c):
    return c in " \t\n\r" or unicodedata.category(c)[0] == "Z"


def is_punctuation(c):
    return (ord(c) < 128 and c.isprintable() and not c.isalnum() and c != " ") or unicodedata.category(c)[0] == "P"


def is_cjk(c):
    return any(low <= ord(c) <= high for low, high in ((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0xF900, 0xFAFF),
                                                       (0x2F800, 0x2FA1F)))


def words_of(text, lower, strip, cjk):
    text = "".join(" " if is_blank(c) else c for c in text if c not in "\0\ufffd" and not is_control(c))
    if cjk:
        text = "".join(f" {c} " if is_cjk(c) else c for c in text)
    if strip:
        text = "".join(c for c in unicodedata.normalize("NFD", text) if unicodedata.category(c) != "Mn")
    if lower:
        text = "".join(c.lower() for c in text)
    return "".join(f" {c} " if is_punctuation(c) else c for c in text).split()


def pieces_of(word, vocab):
    out, start = [], 0
    while start < len(word):
        end = next((end for end in range(len(word), start, -1) if ("##" if start else "") + word[start:end] in vocab), None)
        if end is None or len(word) > 100:
            return ["[UNK]"]
        out.append(("##" if start else "") + word[start:end])
        start = end
    return out


def tokens_of(text, vocab, most, lower=True, strip=None, cjk=True):
    specials, tokens = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], []

    def plain(part):
        for word in words_of(part, lower, lower if strip is None else strip, cjk):
            tokens.extend(pieces_of(word, vocab))

    while text:
        at, name = min(((text.find(s), s) for s in specials if s in text), default=(len(text), ""))
        plain(text[:at])
        tokens.extend([name] if name else [])
        text = text[at + len(name):]
    return [vocab[token] for token in ["[CLS]"] + tokens[:most - 2] + ["[SEP]"]]


# ---------------------------------------------------------------------------------------------------- BERT in PyTorch

def forward(conf, weights, ids, pooling="mean", normalize=False):
    """One text's vector, in f64."""
    shape = checkpoint.shapes(conf)
    w = {name: torch.tensor(values, dtype=torch.float64).reshape(shape[name]) for name, values in weights.items()}
    h, heads, eps = conf["hidden_size"], conf["num_attention_heads"], conf["layer_norm_eps"]
    act = {"gelu": torch.nn.functional.gelu, "relu": torch.relu,
           "gelu_new": lambda x: 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))}[conf["hidden_act"]]

    def linear(x, name):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(x, name):
        return torch.nn.functional.layer_norm(x, (h,), w[f"{name}.weight"], w[f"{name}.bias"], eps)

    def split(x):
        return x.reshape(len(ids), heads, h // heads).transpose(0, 1)

    x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:len(ids)] + w["embeddings.token_type_embeddings.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for i in range(conf["num_hidden_layers"]):
        at = f"encoder.layer.{i}"
        q, k, v = (split(linear(x, f"{at}.attention.self.{part}")) for part in ("query", "key", "value"))
        p = torch.softmax(q @ k.transpose(1, 2) / math.sqrt(h // heads), -1)
        x = norm(x + linear((p @ v).transpose(0, 1).reshape(len(ids), h), f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
        x = norm(x + linear(act(linear(x, f"{at}.intermediate.dense")), f"{at}.output.dense"), f"{at}.output.LayerNorm")
    y = x.mean(0) if pooling == "mean" else x[0]
    return (y / y.norm() if normalize else y).tolist()


# ---------------------------------------------------------------------------------------------------- files

def read_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    entry = json.loads(data[8:8 + size])["embeddings"]
    rows, dim = entry["shape"]
    numbers = array.array("f", data[8 + size:])
    return [numbers[i * dim:(i + 1) * dim] for i in range(rows)]


class Encoder(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp(prefix="moonshelf-encoder-")
        self.folder, self.out = os.path.join(self.top, "model"), os.path.join(self.top, "titles.safetensors")
        self.items = os.path.join(self.top, "items.csv")
        with open(self.items, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("item_id", "title"), *((f"i{i}", title) for i, title in enumerate(TITLES))])

    def tearDown(self):
        shutil.rmtree(self.top)

    def embed(self, *more, code=0):
        return run("embed", self.folder, "--input", self.items, "--out", self.out, *more, ok=code)

    def same(self, conf, weights, tokenizer=None, most=40, pooling="mean", normalize=False, more=()):
        self.embed(*more)
        vocab = {token: i for i, token in enumerate(checkpoint.VOCAB)}
        for title, got in zip(TITLES, read_safetensors(self.out)):
            want = forward(conf, weights, tokens_of(title, vocab, most, **(tokenizer or {})), pooling, normalize)
            size = max(map(abs, want))
            for a, b in zip(got, want):
                self.assertLess(abs(a - b), 1e-5 * size, title)

    @unittest.skipUnless(torch, "there is no PyTorch")
    def test_vectors_are_pytorchs(self):
        shapes = [dict(), dict(hidden=48, heads=3, feed=100, act="relu", layers=1), dict(hidden=40, heads=4, feed=33, act="gelu_new", layers=3),
                  dict(hidden=128, heads=2, feed=600, layers=4)]
        for seed, shape in enumerate(shapes):
            conf = checkpoint.config(**shape)
            weights = checkpoint.draw(conf, seed)
            checkpoint.write(self.folder, conf, weights)
            self.same(conf, weights)

    @unittest.skipUnless(torch, "there is no PyTorch")
    def test_names_precision_and_options_are_heeded(self):
        conf = checkpoint.config()
        weights = checkpoint.draw(conf, 9)
        checkpoint.write(self.folder, conf, weights, prefix="bert.", old_norms=True)
        self.same(conf, weights, pooling="cls", normalize=True, more=("--pooling", "cls", "--normalize"))
        self.same(conf, weights, most=7, more=("--max-length", "7", "--batch", "1", "--threads", "2"))
        checkpoint.write(self.folder, conf, weights, half=True)
        self.same(conf, {name: checkpoint.bf16(values)[1] for name, values in weights.items()})
        for given, means in (({"do_lower_case": False}, dict(lower=False)), ({"strip_accents": False}, dict(strip=False)),
                             ({"do_lower_case": False, "strip_accents": True}, dict(lower=False, strip=True)),
                             ({"tokenize_chinese_chars": False, "model_max_length": 10 ** 30}, dict(cjk=False))):
            checkpoint.write(self.folder, conf, weights, tokenizer=given)
            self.same(conf, weights, tokenizer=means)

    def test_batch_and_threads_change_no_byte(self):
        conf = checkpoint.config(hidden=40, heads=4, feed=33)
        checkpoint.write(self.folder, conf, checkpoint.draw(conf))
        seen = set()
        for more in ((), ("--batch", "1"), ("--batch", "100", "--threads", "3"), ("--threads", "1")):
            self.embed(*more)
            with open(self.out, "rb") as file:
                seen.add(file.read())
        self.assertEqual(len(seen), 1)
        with open(os.path.join(self.top, "titles.ids"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "".join(f"i{i}\n" for i in range(len(TITLES))))

    def test_titles_enter_a_recipe(self):
        shoplet.make(self.top)
        conf = checkpoint.config()
        checkpoint.write(self.folder, conf, checkpoint.draw(conf))
        told = json.loads(self.embed("--json").stdout)
        self.assertEqual((told["dim"], told["ids"]), (32, os.path.join(self.top, "titles.ids")))
        words = 'm.embedding_file "item" { file = "titles.safetensors", ids = "titles.ids", dim = 32 },'
        write(self.top, "recipe.lua", shoplet.RECIPE.replace('m.history("item", { last = 5 }),', f'm.history("item", {{ last = 5 }}), {words}'))
        train(self.top, os.path.join(self.top, "bundle"))

    def test_a_recipe_embeds_by_itself(self):
        """m.text_embedding and m.embedding_file of what `embed` wrote: the same vectors, so the same metrics; and the bundle serves without either."""
        _, site = shoplet.make(self.top)
        conf = checkpoint.config()
        checkpoint.write(self.folder, conf, checkpoint.draw(conf))
        run("embed", self.folder, "--input", os.path.join(self.top, "items.csv"), "--out", self.out, "--pooling", "cls", "--normalize", "--max-length", "9")
        by_file = 'm.embedding_file "item" { file = "titles.safetensors", ids = "titles.ids", dim = 32 },'
        by_column = 'm.text_embedding "title" { checkpoint = "model", dim = 32, pooling = "cls", normalize = true, max_length = 9 },'
        told = []
        for i, words in enumerate((by_file, by_column)):
            write(self.top, "recipe.lua", shoplet.RECIPE.replace('m.history("item", { last = 5 }),', f'm.history("item", {{ last = 5 }}), {words}'))
            told.append(json.loads(train(self.top, os.path.join(self.top, f"bundle{i}"), "--json").stdout)["metrics"])
        self.assertEqual(*told)
        self.assertIn("32, frozen from model over title", run("check", os.path.join(self.top, "recipe.lua"), "--plan").stdout)
        self.assertIn("nothing wrong found", run("check", os.path.join(self.top, "recipe.lua"), "--data", self.top).stdout)
        run("parity", os.path.join(self.top, "recipe.lua"), "--data", self.top)
        shutil.rmtree(self.folder)
        run("page", site, "--bundle", os.path.join(self.top, "bundle1"), "--user", "u1")
        write(self.top, "recipe.lua", shoplet.RECIPE.replace('m.history("item", { last = 5 }),', f'm.history("item", {{ last = 5 }}), {by_column}'))
        self.assertIn("model/config.json", train(self.top, os.path.join(self.top, "none"), ok=1).stderr)
        checkpoint.write(self.folder, conf, checkpoint.draw(conf))
        write(self.top, "recipe.lua", shoplet.RECIPE.replace('m.history("item", { last = 5 }),', by_column.replace("dim = 32", "dim = 31")))
        self.assertIn("model makes vectors of 32 numbers, but dim is 31", train(self.top, os.path.join(self.top, "none"), ok=1).stderr)

    def test_what_is_wrong_is_named(self):
        conf = checkpoint.config()
        weights = checkpoint.draw(conf)

        def refused(text, *more, code=1, items=None):
            self.assertIn(text, self.embed(*more, *(("--input", items) if items else ()), code=code).stderr)

        refused("config.json: No such file")
        for change, text in (({"model_type": "roberta"}, 'model_type is "roberta"; bert and distilbert are known'), ({"hidden_act": "silu"}, 'hidden_act is "silu"'),
                             ({"num_attention_heads": 5}, "cannot be shared out to 5 heads"), ({"num_hidden_layers": 3}, 'no tensor "encoder.layer.2.'),
                             ({"intermediate_size": 65}, '"encoder.layer.0.intermediate.dense.weight" is F32 [64, 32] in the file'),
                             ({"vocab_size": 10 ** 9}, '"embeddings.word_embeddings.weight" is'), ({"hidden_size": -1}, "hidden_size is -1"),
                             ({"layer_norm_eps": 0}, "layer_norm_eps"), ({"position_embedding_type": "relative_key"}, "position_embedding_type")):
            checkpoint.write(self.folder, conf, weights)
            with open(os.path.join(self.folder, "config.json"), "w", encoding="utf-8") as file:
                json.dump({**conf, **change}, file)
            refused(text)
        checkpoint.write(self.folder, conf, weights, vocab=["red", "[UNK]", "[CLS]"])
        refused("vocab.txt: there is no token [SEP]")
        checkpoint.write(self.folder, conf, weights)
        refused("longer than the checkpoint's 40 positions", "--max-length", "41")
        refused("at least 2 tokens", "--max-length", "1")
        refused("did you mean mean", "--pooling", "man", code=2)
        refused("no column 'titel'", "--text", "titel")
        for rows, text in (("item_id,title\na,x\na,y\n", "'a' is there twice"), ("item_id,title\n,x\n", "row 1 has no item_id"), ("item_id,title\n", "has no rows")):
            refused(text, items=write(self.top, "bad.csv", rows))
        self.assertFalse(os.path.exists(self.out))

    def test_a_broken_header_is_refused(self):
        conf = checkpoint.config(layers=1)
        checkpoint.write(self.folder, conf, checkpoint.draw(conf))
        path = os.path.join(self.folder, "model.safetensors")
        with open(path, "rb") as file:
            good = file.read()
        size, dice = struct.unpack("<Q", good[:8])[0], random.Random(4)
        cases = [(struct.pack("<Q", 2 ** 63) + good[8:], "over the limit"), (struct.pack("<Q", 10 ** 7) + good[8:], "a header of 10000000 bytes in a file of"),
                 (good[:5], "too few"), (good[:-4], "outside the data")]
        cases += [(good[:8 + at] + bytes([good[8 + at] ^ 1 << dice.randrange(8)]) + good[9 + at:], "") for at in dice.sample(range(size), 40)]
        for data, text in cases:
            with open(path, "wb") as file:
                file.write(data)
            told = subprocess.run([shoplet.MOONSHELF, "embed", self.folder, "--input", self.items, "--out", self.out], capture_output=True, text=True)
            self.assertIn(told.returncode, (1,) if text else (0, 1))  # a bit of a name that nobody reads may be any
            self.assertIn(text, told.stderr)
            if told.returncode:
                self.assertIn("model.safetensors: ", told.stderr)


if __name__ == "__main__":
    unittest.main()
