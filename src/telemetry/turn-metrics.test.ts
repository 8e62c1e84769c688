import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Turn } from '../core/turn.ts';
import { anAttempt, anOutcome, aRequest, aTurn, SPOKEN } from '../testing/a-turn.ts';
import { Metrics } from './metrics.ts';
import { turnMetrics } from './turn-metrics.ts';

/** Every series that is not zero, by name and labels. */
async function seriesAfter(...turns: readonly Turn[]): Promise<Readonly<Record<string, number>>> {
  using metrics = new Metrics();
  const sink = turnMetrics(metrics);
  for (const turn of turns) sink.record(turn);
  const { text } = await metrics.expose();
  assert.doesNotMatch(text, new RegExp(SPOKEN));
  return Object.fromEntries(
    text
      .split('\n')
      .filter((line) => line !== '' && !/^#|_bucket|event_loop/.test(line))
      .map(
        (line) =>
          [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))] as const,
      )
      .filter(([, value]) => value !== 0),
  );
}

test('a generated turn is counted with its times, tokens and attempts', async () => {
  assert.deepEqual(await seriesAfter(aTurn(), aTurn()), {
    'greenroom_attempts_total{engine="local",result="stop"}': 2,
    'greenroom_dialogues_total{tier="2",source="engine",finish="stop"}': 2,
    'greenroom_dialogue_duration_seconds_sum{tier="2",source="engine"}': 0.6,
    'greenroom_dialogue_duration_seconds_count{tier="2",source="engine"}': 2,
    'greenroom_time_to_first_token_seconds_sum{tier="2"}': 0.1,
    'greenroom_time_to_first_token_seconds_count{tier="2"}': 2,
    'greenroom_time_to_first_sentence_seconds_sum{tier="2",source="engine"}': 0.24,
    'greenroom_time_to_first_sentence_seconds_count{tier="2",source="engine"}': 2,
    'greenroom_prompt_tokens_total{tier="2"}': 200,
    'greenroom_cached_tokens_total{tier="2"}': 120,
    'greenroom_prefix_prompt_tokens_total{npc="mordane"}': 200,
    'greenroom_prefix_cached_tokens_total{npc="mordane"}': 120,
    'greenroom_completion_tokens_total{tier="2"}': 40,
  });
});

test('a written line counts as a fallback with its cause, and has no first token', async () => {
  const series = await seriesAfter(
    aTurn({
      outcome: anOutcome({
        tier: 4,
        finishReason: 'written',
        source: {
          kind: 'written',
          engine: 'written',
          model: null,
          modelVersion: null,
          adapter: null,
          rung: 1,
          cause: 'offline',
        },
        usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0, costMicroUsd: 0 },
        timing: { queueMs: 0, ttftMs: null, ttfsMs: 1, totalMs: 2 },
      }),
    }),
  );
  assert.equal(series['greenroom_fallbacks_total{tier="4",cause="offline"}'], 1);
  assert.equal(series['greenroom_dialogues_total{tier="4",source="written",finish="written"}'], 1);
  assert.ok(!Object.keys(series).some((name) => name.includes('first_token') || name.includes('tokens')));
});

test('a prompt that was kept short is counted by its tier', async () => {
  const outcome = anOutcome({ tier: 2 });
  const source = { ...outcome.source, leanPrompt: true } as const;
  const series = await seriesAfter(aTurn({ outcome: { ...outcome, source } }));
  assert.equal(series['greenroom_lean_prompts_total{tier="2"}'], 1);
});

test('each call of an engine is counted by how it ended, and its cost by engine and tier', async () => {
  const attempts = [
    anAttempt({ result: 'backend_error' }),
    anAttempt({ engine: 'cloud', result: 'stop', costMicroUsd: 2_500 }),
  ];
  const series = await seriesAfter(aTurn({ attempts }));
  assert.equal(series['greenroom_attempts_total{engine="local",result="backend_error"}'], 1);
  assert.equal(series['greenroom_attempts_total{engine="cloud",result="stop"}'], 1);
  assert.equal(series['greenroom_attempt_cost_usd_total{engine="cloud",tier="2"}'], 0.0025);
});

test('a turn that failed is counted by its code, and nothing else is', async () => {
  assert.deepEqual(
    await seriesAfter(
      aTurn({ outcome: null, error: 'bad_request', attempts: [] }),
      aTurn({ outcome: null, error: null, request: aRequest({ tier: 3 }), attempts: [] }),
    ),
    {
      'greenroom_dialogues_total{tier="none",source="none",finish="bad_request"}': 1,
      'greenroom_dialogues_total{tier="3",source="none",finish="internal"}': 1,
    },
  );
});

test('every hit of the guard is counted by rule and outcome, also of a turn that failed', async () => {
  const guardHits = [
    { rule: 'leak', outcome: 'rerolled' },
    { rule: 'leak', outcome: 'rerolled' },
    { rule: 'repeat', outcome: 'dropped' },
  ] as const;
  const series = await seriesAfter(aTurn({ outcome: null, error: 'internal', guardHits }));
  assert.equal(series['greenroom_guard_hits_total{rule="leak",outcome="rerolled"}'], 2);
  assert.equal(series['greenroom_guard_hits_total{rule="repeat",outcome="dropped"}'], 1);
});

test('of NPCs beyond the two hundredth the tokens are counted together', async () => {
  const turns = Array.from({ length: 202 }, (_, at) =>
    aTurn({ outcome: { ...anOutcome(), npcId: `npc-${at}` } }),
  );
  const series = await seriesAfter(...turns);
  assert.equal(series['greenroom_prefix_prompt_tokens_total{npc="npc-199"}'], 100);
  assert.equal(series['greenroom_prefix_prompt_tokens_total{npc="other"}'], 200);
});

test('what was left to another voice is counted by its reason, and takes no time', async () => {
  const source = { ...anOutcome().source, kind: 'none' as const };
  const unspoken = { reason: 'coalesced' as const, voice: null };
  const outcome = { ...anOutcome(), source, finishReason: 'unspoken' as const, unspoken };
  const series = await seriesAfter(aTurn({ outcome, attempts: [] }));
  assert.deepEqual(series, {
    'greenroom_dialogues_total{tier="2",source="none",finish="unspoken"}': 1,
    'greenroom_events_unspoken_total{reason="coalesced"}': 1,
  });
});
