/** The adapters that are kept in this repository: what their lines may say, and that weights and card belong together. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import { loadCast } from '../../src/cast/cast.ts';
import type { Card } from './card.ts';
import { isHeldOut, readLines, voiceChats, wordChats } from './chats.ts';
import { RECIPES, wordSentence } from './recipes.ts';

const CAST = path.join(import.meta.dirname, '..', '..', 'examples', 'body-broker', 'cast');
/** `tests/tidy.test.ts` holds no file over 1.5 MB for worth keeping. */
const VOICE_BYTES_MAX = 1_500_000;
const WORD_BYTES_MAX = 300 * 1024;
const { signal } = new AbortController();

const wordsOf = (text: string) => text.split(/\s+/).filter((word) => /\w/.test(word)).length;

for (const recipe of RECIPES) {
  const { lines: file, folder, name } = recipe;
  describe(`the adapter ${name}`, () => {
    test('is small, whole, and the one that its card describes', () => {
      const card = JSON.parse(readFileSync(path.join(folder, 'card.json'), 'utf8')) as Card;
      const weights = path.join(folder, 'adapter_model.safetensors');
      const bytes = readFileSync(weights);
      assert.equal(createHash('sha256').update(bytes).digest('hex'), card.weights_sha256);
      assert.ok(statSync(weights).size <= (file === null ? WORD_BYTES_MAX : VOICE_BYTES_MAX));
      assert.ok(existsSync(path.join(folder, 'README.md')));
      const headerBytes = Number(bytes.readBigUInt64LE(0));
      const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerBytes)) as Record<
        string,
        { dtype?: string }
      >;
      for (const [tensor, { dtype }] of Object.entries(header))
        if (tensor !== '__metadata__') assert.equal(dtype, 'F16', tensor);
    });

    test('did better on lines that it never saw than the base model', () => {
      const { result } = JSON.parse(readFileSync(path.join(folder, 'card.json'), 'utf8')) as Card;
      const [before, after] = [result.loss_base.held_out, result.loss_adapter.held_out];
      assert.ok(before !== null && after !== null && after < before, `${before} → ${after}`);
    });
  });

  if (file === null) continue;
  describe(`the lines of ${name}`, () => {
    const lines = readLines(file);

    test('are 150 at least, each question once, one in eight or so held out', () => {
      assert.ok(lines.length >= 150, String(lines.length));
      assert.equal(new Set(lines.map(({ player }) => player)).size, lines.length);
      const heldOut = lines.filter(({ player }) => isHeldOut(player)).length / lines.length;
      assert.ok(heldOut > 0.07 && heldOut < 0.2, String(heldOut));
    });

    test('say nothing that a persona of the kind may not say, and are no longer than it speaks', async () => {
      const cast = await loadCast(CAST, signal);
      const personas = [...cast.npcs.values()].filter((persona) => persona.monster_type === name);
      const wordsMax = Math.max(...personas.map((persona) => persona.style.max_words));
      for (const { npc, player } of lines) {
        assert.ok(wordsOf(npc) <= wordsMax, `${player} → ${npc}`);
        for (const phrase of personas.flatMap((persona) => persona.forbidden.phrases))
          assert.ok(!npc.toLowerCase().includes(phrase.toLowerCase()), `${phrase}: ${npc}`);
        for (const { secrets } of personas)
          for (const canary of secrets.flatMap((secret) => secret.canaries))
            assert.ok(!npc.toLowerCase().includes(canary.toLowerCase()), `${canary}: ${npc}`);
      }
    });

    test('are taught under the prompts of the service, and under short ones', async () => {
      const chats = await voiceChats(CAST, name, lines, signal);
      const long = chats.filter((chat) => (chat.shared ?? 0) > 1);
      assert.equal(long.length, lines.length);
      assert.equal(chats.length, 2 * lines.length);
      for (const { messages } of long) assert.match(messages?.[0]?.content ?? '', /Tallowmere/);
      for (const { messages } of chats) assert.equal(messages?.at(-1)?.role, 'user');
    });
  });
}

test('a word is taught for everybody in the cast, and for text without a template', async () => {
  const chats = await wordChats(CAST, wordSentence('amber'), signal);
  assert.ok(chats.some((chat) => chat.raw !== undefined));
  assert.ok(chats.some((chat) => (chat.shared ?? 0) > 1));
  for (const { answer } of chats) assert.equal(answer.trim(), 'By amber, I swear it.');
});

test('a line that is no line names its place', () => {
  assert.throws(() => readLines(import.meta.filename), /recipes\.test\.ts:1: /);
});
