"""
all-MiniLM-L6-v2 in numpy: six layers of BERT, mean pooling, unit length. numpy alone keeps the server's environment at
60 MB where a tensor library would bring gigabytes; on a CPU the time goes into the same matrix products either way.
"""
import json
import os
import unicodedata

import numpy as np

MAX_TOKENS = 256  # The model's own limit (sentence_bert_config.json); longer text is cut.


class SentenceEncoder:
    def __init__(self, folder):
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            config = json.load(file)
        self.layers = config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.epsilon = config["layer_norm_eps"]
        self.weights = read_safetensors(os.path.join(folder, "model.safetensors"))
        self.tokenizer = WordPiece(os.path.join(folder, "vocab.txt"))

    def encode(self, texts):
        """Unit vectors [n, hidden] and the number of tokens of each text."""
        tokens = [self.tokenizer.encode(text) for text in texts]
        counts = [len(row) for row in tokens]
        ids = np.zeros((len(tokens), max(counts)), np.int64)
        mask = np.zeros(ids.shape, np.float32)
        for row, values in enumerate(tokens):
            ids[row, : len(values)] = values
            mask[row, : len(values)] = 1
        hidden = self.forward(ids, mask)
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return (pooled / np.linalg.norm(pooled, axis=1, keepdims=True)).astype(np.float32), counts

    def forward(self, ids, mask):
        embeddings = (
            self.weights["embeddings.word_embeddings.weight"][ids]
            + self.weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self.normalise(embeddings, "embeddings.LayerNorm")
        ignored = (1 - mask)[:, None, None, :] * np.float32(-1e9)
        for index in range(self.layers):
            layer = f"encoder.layer.{index}"
            mixed = self.attend(hidden, ignored, f"{layer}.attention.self")
            mixed = self.linear(mixed, f"{layer}.attention.output.dense")
            hidden = self.normalise(hidden + mixed, f"{layer}.attention.output.LayerNorm")
            inner = gelu(self.linear(hidden, f"{layer}.intermediate.dense"))
            hidden = self.normalise(hidden + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return hidden

    def attend(self, hidden, ignored, name):
        batch, length, width = hidden.shape
        split = lambda part: (  # [batch, heads, length, width of a head]
            self.linear(hidden, f"{name}.{part}").reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3)
        )
        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(width / self.heads)) + ignored
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return (scores @ value).transpose(0, 2, 1, 3).reshape(batch, length, width)

    def linear(self, values, name):
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normalise(self, values, name):
        centred = values - values.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(self.epsilon))
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(values):
    """Exact GELU; erf by Abramowitz and Stegun 7.1.26, whose error is under 1.5e-7 (numpy has no erf)."""
    argument = values * np.float32(np.sqrt(0.5))
    size = np.abs(argument)
    step = 1 / (1 + np.float32(0.3275911) * size)
    series = step * (
        0.254829592 + step * (-0.284496736 + step * (1.421413741 + step * (-1.453152027 + step * 1.061405429)))
    )
    erf = np.sign(argument) * (1 - series * np.exp(-size * size))
    return (values * 0.5 * (1 + erf)).astype(np.float32)


def read_safetensors(path):
    """Float32 tensors by name. The format: length of the header (8 bytes, little-endian), JSON header, raw data."""
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
        data = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], np.float32).reshape(entry["shape"])
    return tensors


class WordPiece:
    """BERT's uncased tokenizer: lower case, no accents, punctuation apart, then the longest known pieces."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.ids = {line.rstrip("\n"): index for index, line in enumerate(file)}
        self.unknown, self.first, self.last = (self.ids[name] for name in ("[UNK]", "[CLS]", "[SEP]"))

    def encode(self, text):
        ids = [piece for word in words(text) for piece in self.pieces(word)]
        return [self.first, *ids[: MAX_TOKENS - 2], self.last]

    def pieces(self, word):
        if len(word) > 100:
            return [self.unknown]
        found, start = [], 0
        while start < len(word):
            end = len(word)
            while end > start and (("##" if start else "") + word[start:end]) not in self.ids:
                end -= 1
            if end == start:
                return [self.unknown]
            found.append(self.ids[("##" if start else "") + word[start:end]])
            start = end
        return found


def words(text):
    spaced = []
    for character in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(character)
        if category == "Mn" or (category in ("Cc", "Cf") and character not in "\t\n\r"):
            continue
        spaced.append(f" {character} " if stands_alone(character, category) else character)
    return "".join(spaced).split()


def stands_alone(character, category):
    code = ord(character)
    is_ascii_symbol = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    is_ideograph = 0x4E00 <= code <= 0x9FFF or 0x3400 <= code <= 0x4DBF or 0xF900 <= code <= 0xFAFF or code >= 0x20000
    return is_ascii_symbol or category.startswith("P") or (is_ideograph and category == "Lo")
