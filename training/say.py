"""Asks the base model and adapters the same chats, greedily: say.py BASE CHATS OUT.json ADAPTER_FOLDER …

CHATS holds rows as train_lora.py reads them. For each answer OUT tells its text, and `sure`: the beginning up to the first
token that leads the second by less than --margin nats. So far every engine with these weights must agree, whatever its
arithmetic; what follows may differ by rounding.
"""

import argparse
import json
import os
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import torch  # noqa: E402
from peft import PeftModel  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()


def say(model, tokenizer, row: dict, tokens_max: int, margin: float) -> dict:
    text = row.get("raw") or tokenizer.apply_chat_template(row["messages"], tokenize=False, add_generation_prompt=True)
    given = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    made = model.generate(
        **given,
        max_new_tokens=tokens_max,
        do_sample=False,
        pad_token_id=tokenizer.eos_token_id,
        output_logits=True,
        return_dict_in_generate=True,
    )
    tokens = made.sequences[0][given.input_ids.shape[1] :].tolist()
    sure = 0
    for logits in made.logits:
        first, second = torch.topk(logits[0].float().log_softmax(-1), 2).values.tolist()
        if first - second < margin:
            break
        sure += 1

    def written(ids: list[int]) -> str:
        return tokenizer.decode(ids, skip_special_tokens=True)

    return {"text": written(tokens), "sure": written(tokens[:sure]), "sure_tokens": sure, "tokens": len(tokens)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("chats", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("adapters", type=Path, nargs="*")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--margin", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    tokenizer = AutoTokenizer.from_pretrained(given.base)
    model = AutoModelForCausalLM.from_pretrained(given.base, dtype=torch.float32).eval()
    rows = [json.loads(line) for line in given.chats.read_text(encoding="utf-8").splitlines()]
    said = [{key: row[key] for key in ("messages", "raw") if key in row} | {"answers": {}} for row in rows]
    for folder in [None, *given.adapters]:
        name = "base" if folder is None else folder.name
        voice = model
        if folder is not None:
            voice = PeftModel.from_pretrained(model, folder, adapter_name=name).eval()
        for row in said:
            row["answers"][name] = say(voice, tokenizer, row, given.tokens, given.margin)
            asked = row.get("raw") or row["messages"][-1]["content"]
            print(f"{name:9} {asked[-50:]!r} -> {row['answers'][name]['text']!r}", flush=True)
        if folder is not None:
            model = voice.unload()
    given.out.write_text(json.dumps(said, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


main()
