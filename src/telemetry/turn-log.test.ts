import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Turn } from '../core/turn.ts';
import { anAttempt, anOutcome, aTurn, SPOKEN } from '../testing/a-turn.ts';
import { createLogger } from './log.ts';
import { turnLog } from './turn-log.ts';

function logged(turn: Turn): Readonly<Record<string, unknown>> {
  const lines: string[] = [];
  turnLog(createLogger({ level: 'debug', format: 'json', write: (line) => lines.push(line) })).record(turn);
  assert.equal(lines.length, 1);
  const { time: _, ...fields } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  return fields;
}

test('a turn is one line of figures and provenance at info', () => {
  assert.deepEqual(logged(aTurn()), {
    level: 'info',
    event: 'turn.finished',
    requestId: 'dlg_1',
    npcId: 'mordane',
    tier: 2,
    source: 'engine',
    engine: 'local',
    rung: 0,
    finish: 'stop',
    sentences: 2,
    promptTokens: 100,
    cachedTokens: 60,
    completionTokens: 20,
    ttftMs: 50,
    ttfsMs: 120,
    totalMs: 300,
  });
});

test('why a line came from further down, and what the guard did, are said when there is something to say', () => {
  const fields = logged(
    aTurn({
      outcome: anOutcome({
        finishReason: 'written',
        source: {
          kind: 'written',
          engine: 'written',
          model: null,
          modelVersion: null,
          adapter: null,
          rung: 1,
          cause: 'timeout',
        },
      }),
      guardHits: [
        { rule: 'leak', outcome: 'rerolled' },
        { rule: 'repeat', outcome: 'dropped' },
      ],
    }),
  );
  assert.equal(fields['cause'], 'timeout');
  assert.deepEqual(fields['guard'], ['leak:rerolled', 'repeat:dropped']);
});

test('a turn that failed is a warning with its code and its attempts', () => {
  const attempts = [anAttempt({ result: 'backend_error', durationMs: 12 })];
  assert.deepEqual(logged(aTurn({ outcome: null, error: 'store_unavailable', attempts })), {
    level: 'warn',
    event: 'turn.failed',
    requestId: 'dlg_1',
    npcId: 'mordane',
    code: 'store_unavailable',
    attempts,
  });
});

test('no word that was said or told ever stands in the log', () => {
  const turns: readonly Partial<Turn>[] = [
    {},
    { outcome: null, error: 'internal' },
    { guardHits: [{ rule: 'leak', outcome: 'replaced' }] },
    {
      outcome: anOutcome({
        finishReason: 'interrupted',
        action: { name: 'give', params: { to: SPOKEN }, ttlMs: 1 },
      }),
    },
  ];
  for (const changes of turns)
    assert.doesNotMatch(JSON.stringify(logged(aTurn(changes))), new RegExp(SPOKEN));
});
