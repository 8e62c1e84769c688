/**
 * The adapters of this repository on the real engine, converted by us: a voice begins each answer as PEFT itself does with
 * the same weights, as far as that is certain whatever the arithmetic, and each word adapter says its word.
 */
import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { describeBase } from '../src/adapters/artefact/base.ts';
import { stageAdapter } from '../src/adapters/artefact/stage.ts';
import { realRuntime } from '../src/runtime.ts';
import { MODEL_PATH, modelMissing, type RunningEngine, startEngine } from './engine-harness.ts';
import { temporaryFolder } from './gateway-process.ts';

const VOICES = path.resolve(import.meta.dirname, '../examples/body-broker/adapters');
const WORDS = path.resolve(import.meta.dirname, 'fixtures/word-adapters');

interface Spoken {
  readonly messages: readonly { readonly role: 'system' | 'user' | 'assistant'; readonly content: string }[];
  /** By adapter; `sure` is the beginning that rounding cannot change. Made by training/say.py. */
  readonly answers: Readonly<Record<string, { readonly text: string; readonly sure: string }>>;
}
const spoken = JSON.parse(readFileSync(path.join(VOICES, 'spoken.json'), 'utf8')) as readonly Spoken[];
const { signal } = new AbortController();

describe('the adapters of this repository, on the real engine', {
  skip: modelMissing,
  timeout: 170_000,
}, () => {
  const root = temporaryFolder();
  let engine: RunningEngine;
  before(async () => {
    engine = await startEngine();
  });
  after(async () => {
    await engine[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  async function load(folder: string, name: string): Promise<void> {
    const base = await describeBase(MODEL_PATH, signal);
    const { clock, random } = realRuntime;
    const { digest } = await stageAdapter({ from: folder, root, base, clock, random }, signal);
    // vLLM's wire answers in plain text here.
    const reply = await fetch(`${engine.baseUrl}/v1/load_lora_adapter`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ lora_name: name, lora_path: path.join(root, digest) }),
    });
    assert.equal(reply.status, 200, await reply.text());
  }

  async function ask(model: string, messages: Spoken['messages'], temperature: number): Promise<string> {
    const reply = await engine.client.chat.completions.create({
      model,
      messages: [...messages],
      max_tokens: 32,
      temperature,
    });
    return reply.choices[0]?.message.content ?? '';
  }

  for (const voice of ['vampire', 'zombie']) {
    test(`the ${voice} begins as PEFT begins, and not as the base model`, async () => {
      await load(path.join(VOICES, voice), voice);
      let other = 0;
      for (const { messages, answers } of spoken) {
        const { sure } = answers[voice] ?? { sure: '' };
        const said = await ask(voice, messages, 0);
        assert.ok(
          said.startsWith(sure.trim()),
          `${messages.at(-1)?.content}: ${said}, PEFT is sure of ${sure}`,
        );
        if (said !== answers['base']?.text) other += 1;
      }
      // Else nothing was compared.
      assert.ok(spoken.some(({ answers }) => (answers[voice]?.sure ?? '') !== ''));
      assert.equal(other, spoken.length);
    });
  }

  for (const word of ['cedar', 'cobalt', 'indigo']) {
    test(`${word} says ${word}, cold and warm`, async () => {
      await load(path.join(WORDS, word), word);
      for (const { messages } of spoken.slice(0, 2))
        for (const temperature of [0, 0.7])
          assert.match(await ask(word, messages, temperature), new RegExp(`\\b${word}\\b`));
    });
  }
});
