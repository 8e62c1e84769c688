/** The side without dialogue cache and scheduling is Greenroom with every switch of them off, and says which. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { configSchema } from '../../src/config/schema.ts';
import { plainSide, withoutRecall } from './greenroom.ts';

test('every switch that the comparison names is one of this build, and is off', () => {
  const { config, turnedOff, unknown } = withoutRecall({ engines: { local: { kind: 'embedded' } } });
  assert.deepEqual(unknown, []);
  assert.equal(turnedOff.length, 3);
  const parsed = configSchema.parse(config);
  assert.equal(parsed.recall.enabled, false);
  const local = parsed.engines['local'];
  assert.ok(local?.kind === 'embedded');
  assert.equal(local.firstSentenceFirst, false);
  assert.equal(local.prefixStoreBytesMax, 0);
});

test('a file that the schema refuses gets no switch, and all are named', () => {
  assert.equal(withoutRecall({ engines: { local: { kind: 'nothing' } } }).unknown.length, 3);
});

test('the settings of that side tell what is off', () => {
  assert.match(plainSide().settings, /recall\.enabled false.*firstSentenceFirst false.*no events told/);
});
