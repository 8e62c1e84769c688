"""Trains one LoRA adapter on the processor: train_lora.py BASE CHATS FOLDER [settings]

BASE is a folder of Hugging Face's layout, CHATS a JSONL file of talks that end in the wanted answer, FOLDER receives
PEFT's own two files (float16) and result.json. Each row of CHATS:

    {"messages": [{"role": …, "content": …}, …], "shared": 3, "answer": "…", "part": "train" | "held_out"}

The first `shared` messages are the same for many rows (service rules, world, persona, examples: our prompt assembler's
stable prefix). Rows with equal shared messages are computed as one tree: the prefix once, each row a branch that sees
the prefix and itself and nothing else. The sums are those of separate rows (--check proves it), at a sixth of the work.
The loss is on the answers alone. `"raw": "…"` instead of messages is text without a chat template.
"""

import argparse
import json
import math
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch  # noqa: E402
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.utils import logging as transformers_logging  # noqa: E402

transformers_logging.set_verbosity_error()
transformers_logging.disable_progress_bar()

NO_LABEL = -100


@dataclass
class Row:
    prefix: tuple[int, ...]
    """Tokens that this row shares with others."""
    prompt: tuple[int, ...]
    """Its own tokens up to the answer."""
    answer: tuple[int, ...]
    part: str


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("base", type=Path)
    parser.add_argument("chats", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--start", type=Path, help="a folder of this trainer's making to go on from")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=int, default=16)
    parser.add_argument("--modules", default="q_proj,k_proj,v_proj,o_proj")
    parser.add_argument("--layers", default="", help="first-last, counted from 0; all when empty")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="instead of epochs; a negative number only measures")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.0, help="weight decay")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--branches", type=int, default=12, help="rows of one prefix in a step")
    parser.add_argument("--evaluate", type=int, default=1, help="trees learnt from in their loss; held-out rows all count")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop training after this long, and save")
    parser.add_argument("--stop-below", type=float, default=0.0, help="stop once a step's loss per token is lower")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--base-name", default="HuggingFaceTB/SmolLM2-135M-Instruct")
    parser.add_argument("--check", action="store_true", help="compare a tree with separate rows, and end")
    return parser.parse_args()


def read_rows(file: Path, tokenizer) -> list[Row]:
    def tokens(text: str) -> tuple[int, ...]:
        return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])

    def written(messages: list[dict], ask: bool) -> str:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)

    rows = []
    known: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        row = json.loads(line)
        answer = tokens(row["answer"]) + (tokenizer.eos_token_id,)
        if "raw" in row:
            rows.append(Row((), tokens(row["raw"]), answer, row["part"]))
            continue
        messages, shared = row["messages"], row["shared"]
        prefix = written(messages[:shared], False) if shared > 0 else ""
        whole = written(messages, True)
        if not whole.startswith(prefix):
            sys.exit(f"{file}:{number}: the first {shared} messages are no prefix of the written chat")
        if prefix not in known:
            known[prefix] = tokens(prefix)
        rows.append(Row(known[prefix], tokens(whole[len(prefix) :]), answer, row["part"]))
    return rows


def trees(rows: list[Row], branches: int, shuffle: random.Random | None) -> list[list[Row]]:
    """Rows of one prefix together, at most `branches` of them."""
    groups: dict[tuple[int, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(row.prefix, []).append(row)
    result = []
    for group in groups.values():
        if shuffle is not None:
            shuffle.shuffle(group)
        result += [group[start : start + branches] for start in range(0, len(group), branches)]
    if shuffle is not None:
        shuffle.shuffle(result)
    return result


class Frozen:
    """The layers below the first trained one: what they make of a tree never changes, so it is computed once and kept."""

    def __init__(self, layers: int) -> None:
        self.layers = layers
        self.known: dict[tuple[int, ...], torch.Tensor] = {}

    def hidden(self, inner, tree: list[Row], ids: list[int], seen: dict) -> torch.Tensor:
        key = tuple(id(row) for row in tree)
        if key not in self.known:
            with torch.no_grad():
                state = inner.embed_tokens(torch.tensor([ids]))
                for layer in inner.layers[: self.layers]:
                    state = layer(state, **seen)
            self.known[key] = state
        return self.known[key]


def tree_loss(model, tree: list[Row], frozen: Frozen) -> tuple[torch.Tensor, int]:
    """Sum of the answers' cross entropy in nats, and the number of their tokens."""
    prefix = tree[0].prefix
    ids, positions, owner = list(prefix), list(range(len(prefix))), [0] * len(prefix)
    targets = [NO_LABEL] * len(prefix)
    for number, row in enumerate(tree, start=1):
        own = row.prompt + row.answer
        ids += own
        positions += range(len(prefix), len(prefix) + len(own))
        owner += [number] * len(own)
        # The token before predicts: the labels stand one place early.
        targets += [NO_LABEL] * (len(row.prompt) - 1) + list(row.answer) + [NO_LABEL]
    owners = torch.tensor(owner)
    order = torch.arange(len(ids))
    visible = (order[None, :] <= order[:, None]) & ((owners[None, :] == 0) | (owners[None, :] == owners[:, None]))
    mask = torch.zeros(visible.shape).masked_fill(~visible, torch.finfo(torch.float32).min)
    kept = torch.tensor([place for place, label in enumerate(targets) if label != NO_LABEL])
    labels = torch.tensor(targets)[kept]
    inner = model.model
    places = torch.tensor([positions])
    seen = {
        "attention_mask": mask[None, None],
        "position_ids": places,
        "position_embeddings": inner.rotary_emb(inner.embed_tokens.weight, position_ids=places),
    }
    state = frozen.hidden(inner, tree, ids, seen)
    for layer in inner.layers[frozen.layers :]:
        state = layer(state, **seen)
    logits = model.lm_head(inner.norm(state[0, kept]))
    return torch.nn.functional.cross_entropy(logits.float(), labels, reduction="sum"), len(labels)


def mean_loss(model, forest: list[list[Row]], frozen: Frozen) -> float | None:
    if not forest:
        return None
    total, count = 0.0, 0
    model.eval()
    with torch.no_grad():
        for tree in forest:
            loss, tokens = tree_loss(model, tree, frozen)
            total += loss.item()
            count += tokens
    return round(total / count, 4)


def check(model, rows: list[Row]) -> None:
    tree = max(trees(rows, 3, None), key=len)
    together, _ = tree_loss(model, tree, Frozen(10))
    apart = []
    for row in tree:
        ids = torch.tensor([row.prefix + row.prompt + row.answer])
        labels = ids.clone()
        labels[0, : -len(row.answer)] = NO_LABEL
        apart.append(model(input_ids=ids, labels=labels).loss.item() * len(row.answer))
    print(f"{len(tree)} rows as a tree {together.item():.5f}, separate {sum(apart):.5f}")
    assert abs(together.item() - sum(apart)) < 1e-3 * together.item()


def rate_share(step: int, warm: int, steps_all: int) -> float:
    """Of the full rate: a straight line up, then half a cosine down to a twentieth."""
    if step < warm:
        return (step + 1) / warm
    done = min(1.0, (step - warm) / max(1, steps_all - warm))
    return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2


def write_config(file: Path, config: LoraConfig, base_name: str) -> None:
    """What describes the adapter, in fixed order: PEFT's own writing has thirty keys that this version alone knows."""
    kept = {
        "base_model_name_or_path": base_name,
        "bias": config.bias,
        "fan_in_fan_out": config.fan_in_fan_out,
        "inference_mode": True,
        "layers_pattern": config.layers_pattern,
        "layers_to_transform": config.layers_to_transform,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": config.r,
        "target_modules": sorted(config.target_modules),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    given = arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    shuffle = random.Random(given.seed)
    started = time.monotonic()

    tokenizer = AutoTokenizer.from_pretrained(given.base)
    base = AutoModelForCausalLM.from_pretrained(given.base, dtype=torch.float32)
    rows = read_rows(given.chats, tokenizer)
    if given.check:
        with torch.no_grad():
            check(base.eval(), rows)
        return
    first, _, last = given.layers.partition("-")
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=given.rank,
        lora_alpha=given.alpha,
        lora_dropout=given.dropout,
        target_modules=given.modules.split(","),
        layers_to_transform=list(range(int(first), int(last) + 1)) if first else None,
        layers_pattern="layers" if first else None,
    )
    model = get_peft_model(base, config)
    if given.start:
        set_peft_model_state_dict(model, load_file(given.start / "adapter_model.safetensors"))
    # PEFT has put its weights into the base's own layers.
    voice = model.get_base_model()
    frozen = Frozen(config.layers_to_transform[0] if config.layers_to_transform else 0)
    train = trees([row for row in rows if row.part == "train"], given.branches, shuffle)
    held_out = trees([row for row in rows if row.part == "held_out"], given.branches, None)
    sample = train[: given.evaluate]
    print(f"{sum(map(len, train))} rows to train, {sum(map(len, held_out))} held out", flush=True)

    steps_all = given.steps or given.epochs * len(train)
    optimizer = torch.optim.AdamW(
        [weights for weights in model.parameters() if weights.requires_grad],
        lr=given.rate,
        weight_decay=given.decay,
    )
    warm = max(1, steps_all // 12)
    rate = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, warm, steps_all))
    step, low = 0, 0
    while step < steps_all and low < 5 and time.monotonic() - started <= given.seconds:
        shuffle.shuffle(train)
        for tree in train:
            if step == steps_all or low >= 5 or time.monotonic() - started > given.seconds:
                break
            model.train()
            loss, tokens = tree_loss(voice, tree, frozen)
            loss = loss / tokens
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            rate.step()
            step += 1
            low = low + 1 if loss.item() < given.stop_below else 0
            print(f"step {step}/{steps_all}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s", flush=True)
    given.folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.to(torch.float16).contiguous() for name, value in get_peft_model_state_dict(model).items()}
    save_file(weights, given.folder / "adapter_model.safetensors", metadata={"format": "pt"})
    write_config(given.folder / "adapter_config.json", config, given.base_name)
    seconds = round(time.monotonic() - started)
    with model.disable_adapter():
        before = {"train": mean_loss(voice, sample, frozen), "held_out": mean_loss(voice, held_out, frozen)}
    after = {"train": mean_loss(voice, sample, frozen), "held_out": mean_loss(voice, held_out, frozen)}
    print(f"base loss {before}, adapter loss {after}", flush=True)
    result = {
        "loss_base": before,
        "loss_adapter": after,
        "rows": {"train": sum(map(len, train)), "held_out": sum(map(len, held_out))},
        "steps": step,
        "seconds": seconds,
        "weights_bytes": (given.folder / "adapter_model.safetensors").stat().st_size,
    }
    (given.folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))


main()
