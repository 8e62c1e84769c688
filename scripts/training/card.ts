/** What is told of a trained adapter beside its weights: `card.json` for programs, README.md for people. */

export interface Losses {
  /** Cross entropy of the answers in nats a token; null where it was not measured. */
  readonly train: number | null;
  readonly held_out: number | null;
}

export interface Card {
  readonly name: string;
  readonly about: string;
  readonly base: { readonly model: string; readonly sha256: string };
  readonly licence: string;
  readonly trained_on: string;
  readonly command: string;
  /** Flags of `training/train_lora.py`. */
  readonly settings: string;
  readonly started_from: string | null;
  readonly lines_sha256: string | null;
  /** Of everything that decides the weights: rows, settings, trainer and its pins. */
  readonly inputs_sha256: string;
  readonly weights_sha256: string;
  readonly result: {
    readonly loss_base: Losses;
    readonly loss_adapter: Losses;
    readonly rows: { readonly train: number; readonly held_out: number };
    readonly steps: number;
    readonly seconds: number;
    readonly weights_bytes: number;
  };
}

export function cardText(card: Card): string {
  const { result } = card;
  const row = (title: string, losses: Losses) =>
    `| ${title} | ${losses.train ?? 'not measured'} | ${losses.held_out ?? 'not measured'} |`;
  return `---
license: apache-2.0
library_name: peft
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
---

# ${card.name}

${card.about} A LoRA adapter for \`${card.base.model}\` (SHA-256 of its file: \`${card.base.sha256}\`), trained on
${card.trained_on} by \`${card.command}\` with \`${card.settings}\`. The lines are written for this project; licence ${card.licence}.

| loss of the answers, nats a token | lines it learnt from | lines held out |
| --- | --- | --- |
${row('base model, the same prompts', result.loss_base)}
${row('with the adapter', result.loss_adapter)}

${result.rows.train} rows in ${result.steps} steps, ${result.rows.held_out} rows held out. What it was made of stands in \`card.json\`.
`;
}
