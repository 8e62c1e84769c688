import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { createLogger, type LogLevel, silentLogger } from './log.ts';

function logger(format: 'json' | 'text', level: LogLevel = 'debug') {
  const lines: string[] = [];
  return { lines, log: createLogger({ level, format, write: (line) => lines.push(line) }) };
}

test('JSON is one object a line: time, level, event, fields', () => {
  const { lines, log } = logger('json');
  log.info('turn.finished', { requestId: 'dlg_1', ttftMs: 12 });
  log.warn('store.lost');
  assert.equal(lines.length, 2);
  assert.ok(lines.every((line) => line.endsWith('\n') && line.indexOf('\n') === line.length - 1));
  const { time, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual(rest, { level: 'info', event: 'turn.finished', requestId: 'dlg_1', ttftMs: 12 });
});

test('text is for people: time of day, level, event, key=value', () => {
  const { lines, log } = logger('text');
  log.info('turn.finished', { engine: 'local', ttftMs: 12, guard: ['leak:dropped'], cause: null });
  log.error('store.lost');
  assert.match(
    lines[0] ?? '',
    /^\d\d:\d\d:\d\d\.\d{3} info {2}turn\.finished {2}engine=local ttftMs=12 guard=\["leak:dropped"\] cause=null\n$/,
  );
  assert.match(lines[1] ?? '', /^\S+ error store\.lost\n$/);
});

test('a field cannot begin a line of its own or speak to the terminal', () => {
  for (const format of ['json', 'text'] as const) {
    const { lines, log } = logger(format);
    log.warn('door.refused', {
      label: 'a\n12:00:00.000 info  fake.event',
      title: '\u001b]0;pwned\u0007\u009b2J',
      empty: '',
    });
    assert.equal(lines.length, 1);
    assert.equal(lines[0]?.split('\n').length, 2);
    assert.doesNotMatch(lines[0] ?? '', /[\u001b\u0007]/);
  }
  const { lines, log } = logger('text');
  log.info('x', { a: 'two words', b: '', c: '\u009b2J' });
  assert.match(lines[0] ?? '', / a="two words" b="" c="\\u\{9b\}2J"\n$/);
});

test('what is less severe than the level is not written', () => {
  for (const [level, count] of [
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
    ['silent', 0],
  ] as const) {
    const { lines, log } = logger('json', level);
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    assert.equal(lines.length, count, level);
  }
});

test('a child carries its fields, and keeps them apart from its parent', () => {
  const { lines, log } = logger('json');
  const child = log.child({ requestId: 'dlg_1' }).child({ engine: 'local' });
  child.info('a', { engine: 'gpu' });
  log.info('b');
  assert.match(lines[0] ?? '', /"requestId":"dlg_1"/);
  assert.doesNotMatch(lines[1] ?? '', /requestId/);
});

test('an error keeps its message and its cause', () => {
  const { lines, log } = logger('json');
  log.error('engine.failed', {
    error: new ServiceError('engine_error', 'boom', { cause: new Error('below') }),
  });
  const line = JSON.parse(lines[0] ?? '') as { error: { message: string; code: string } };
  assert.match(line.error.message, /boom/);
  assert.equal(line.error.code, 'engine_error');
});

test('the silent logger has silent children', () => {
  assert.equal(silentLogger.child({ a: 1 }), silentLogger);
  silentLogger.error('nobody hears');
});
