"""Checkpoints in the Hugging Face layout, made by dice: what test_encoder.py and the peers' benchmark encode by. Plain Python; the numbers are
drawn by a generator of its own, so a seed gives the same bytes anywhere."""
import array
import json
import os
import random
import struct

WORDS = ("the red blue green small large shoe boot lamp chair table desk of for and with wood steel cotton shirt pan ring dog cat toy box set "
         "super extra new old men women kids 2 3 4 , . ! - ( ) & ' $ ä 日 本 é").split()
PIECES = "##s ##es ##y ##ing ##er ##a ##b ##c ##d ##e ##i ##n ##o ##r ##t ##1 ##2 s a b c d e i n o r t".split()
VOCAB = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + list(dict.fromkeys(WORDS + PIECES))


def shapes(config):
    """Name -> shape, as Hugging Face's BertModel has them."""
    h, f = config["hidden_size"], config["intermediate_size"]
    out = {"embeddings.word_embeddings.weight": (config["vocab_size"], h),
           "embeddings.position_embeddings.weight": (config["max_position_embeddings"], h),
           "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], h)}

    def norm(name):
        out[f"{name}.weight"], out[f"{name}.bias"] = (h,), (h,)

    def linear(name, units, inputs):
        out[f"{name}.weight"], out[f"{name}.bias"] = (units, inputs), (units,)

    norm("embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        at = f"encoder.layer.{i}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", h, h)
        linear(f"{at}.attention.output.dense", h, h)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", f, h)
        linear(f"{at}.output.dense", h, f)
        norm(f"{at}.output.LayerNorm")
    return out


def count(shape):
    n = 1
    for size in shape:
        n *= size
    return n


def draw(config, seed=1, deviation=0.2):
    """Name -> array of floats. Norms are around 1, all else around 0."""
    dice = random.Random(seed)
    out = {}
    for name, shape in shapes(config).items():
        middle = 1 if name.endswith("LayerNorm.weight") else 0
        out[name] = array.array("f", (middle + deviation * (2 * dice.random() - 1) for _ in range(count(shape))))
    return out


def safetensors(tensors):
    """Bytes of {name: (dtype, shape, bytes)}."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, shape, part) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def bf16(values):
    """Cut, not rounded: the bytes, and the numbers that they mean."""
    words = struct.unpack(f"<{len(values)}I", values.tobytes())
    halves = struct.pack(f"<{len(values)}H", *(w >> 16 for w in words))
    return halves, array.array("f", struct.pack(f"<{len(values)}I", *(w & 0xFFFF0000 for w in words)))


def config(hidden=32, layers=2, heads=4, feed=64, act="gelu", positions=40, vocab=len(VOCAB)):
    return {"model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": feed,
            "hidden_act": act, "layer_norm_eps": 1e-12, "max_position_embeddings": positions, "type_vocab_size": 2, "vocab_size": vocab}


def write(folder, conf, weights, prefix="", old_norms=False, tokenizer=None, vocab=None, half=False):
    """half: in BF16; old_norms: gamma and beta."""
    os.makedirs(folder, exist_ok=True)
    tensors = {"embeddings.position_ids": ("I64", (1, 2), struct.pack("<2q", 0, 1))}
    for name, shape in shapes(conf).items():
        if old_norms and "LayerNorm" in name:
            to = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        else:
            to = name
        tensors[prefix + to] = ("BF16", shape, bf16(weights[name])[0]) if half else ("F32", shape, weights[name].tobytes())
    with open(os.path.join(folder, "model.safetensors"), "wb") as file:
        file.write(safetensors(tensors))
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(conf, file)
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8") as file:
        file.write("".join(f"{token}\n" for token in (vocab or VOCAB)))
    if tokenizer is not None:
        with open(os.path.join(folder, "tokenizer_config.json"), "w", encoding="utf-8") as file:
            json.dump(tokenizer, file)
