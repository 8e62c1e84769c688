import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ERRORS, type ErrorCode, ServiceError } from '../core/errors.ts';
import { outcomeOf } from './outcome.ts';

const TABLE: readonly (readonly [ErrorCode, Record<string, unknown>, object])[] = [
  ['overloaded', { retryAfterMs: 1_500 }, { kind: 'throttled', retryAfterMs: 1_500 }],
  ['overloaded', {}, { kind: 'throttled', retryAfterMs: null }],
  ['overloaded', { retryAfterMs: -5 }, { kind: 'throttled', retryAfterMs: null }],
  ['overloaded', { retryAfterMs: Number.NaN }, { kind: 'throttled', retryAfterMs: null }],
  ['overloaded', { retryAfterMs: 'soon' }, { kind: 'throttled', retryAfterMs: null }],
  ['overloaded', { queue: 'ours', retryAfterMs: 10 }, { kind: 'left' }],
  ['draining', {}, { kind: 'throttled', retryAfterMs: null }],
  ['deadline_exceeded', { phase: 'first_token' }, { kind: 'failed', code: 'deadline_exceeded' }],
  ['deadline_exceeded', { phase: 'gap' }, { kind: 'failed', code: 'deadline_exceeded' }],
  ['deadline_exceeded', { phase: 'total' }, { kind: 'left' }],
  ['engine_unavailable', {}, { kind: 'failed', code: 'engine_unavailable' }],
  ['engine_error', {}, { kind: 'failed', code: 'engine_error' }],
  ['unknown_model', {}, { kind: 'failed', code: 'unknown_model' }],
  ['engine_account', {}, { kind: 'refused', code: 'engine_account' }],
  ['context_length_exceeded', {}, { kind: 'refused', code: 'context_length_exceeded' }],
  ['bad_request', {}, { kind: 'refused', code: 'bad_request' }],
  ['client_closed', {}, { kind: 'left' }],
  ['budget_exceeded', {}, { kind: 'left' }],
  ['spending_off', {}, { kind: 'left' }],
];

for (const [code, details, expected] of TABLE)
  test(`${code} ${JSON.stringify(details)} is ${JSON.stringify(expected)}`, () =>
    assert.deepEqual(outcomeOf(new ServiceError(code, 'x', { details })), expected));

test('every code has an outcome, and a bug of ours is no fault of the engine', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[])
    assert.notEqual(outcomeOf(new ServiceError(code, 'x')).kind, 'served');
  assert.deepEqual(outcomeOf(new TypeError('a bug')), { kind: 'left' });
});
