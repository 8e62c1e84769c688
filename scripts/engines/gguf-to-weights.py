"""Makes a folder of Hugging Face's layout from one GGUF file: gguf-to-weights.py FILE.gguf FOLDER DTYPE

vLLM's CPU build reads safetensors and not GGUF. The quantised weights are widened, not restored: the model speaks as
its GGUF does. Nothing is fetched (HF_HUB_OFFLINE).
"""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: E402

source, folder, dtype = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
tokenizer = AutoTokenizer.from_pretrained(**where)
model = AutoModelForCausalLM.from_pretrained(
    **where, dtype=getattr(torch, dtype), quantization_config=GgufConfig(dequantize=True)
)
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)

# The words survive a tokenizer's round trip, or the folder is worth nothing.
line = "<|im_start|>user\nWho goes there?<|im_end|>\n"
again = AutoTokenizer.from_pretrained(folder)
assert again.decode(again(line)["input_ids"]) == line, again.decode(again(line)["input_ids"])
assert again.chat_template, "the GGUF has no chat template"
print(json.dumps({"parameters": model.num_parameters(), "tokens": len(again), "eos": again.eos_token}))
