"""Vectors of all-MiniLM-L6-v2 for the texts of a JSON list on stdin, as a JSON list of lists; the encoder is Triton's."""
import json
import sys

sys.path.insert(0, sys.argv[1])
from bert import SentenceEncoder  # noqa: E402

encoder = SentenceEncoder(sys.argv[2])
texts = json.load(sys.stdin)
vectors = []
for at in range(0, len(texts), 32):
    part, _ = encoder.encode(texts[at : at + 32])
    vectors += [[round(float(value), 5) for value in row] for row in part]
json.dump(vectors, sys.stdout)
