import assert from 'node:assert/strict';
import { test } from 'node:test';
import { METRICS, Metrics } from './metrics.ts';

const NAMES = Object.keys(METRICS) as (keyof typeof METRICS)[];

/** The value of one line of the exposition. */
function figure(text: string, series: string): number | undefined {
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

test('every row of the catalogue is in the exposition, with its help and kind, and has a value after use', async () => {
  using metrics = new Metrics();
  for (const name of NAMES) {
    const row = METRICS[name];
    const labels = Object.fromEntries(row.labels.map((label) => [label, 'x']));
    if (row.kind === 'counter') metrics.count(name as 'greenroom_dialogues_total', labels as never);
    else if (row.kind === 'gauge') metrics.gauge(name as 'greenroom_ready', labels as never, 1);
    else metrics.observe(name as 'greenroom_queue_seconds', labels as never, 0.2);
  }
  const { contentType, text } = await metrics.expose();
  assert.match(contentType, /^text\/plain; version=0\.0\.4/);
  for (const name of NAMES) {
    const row = METRICS[name];
    assert.ok(text.includes(`# HELP ${name} ${row.help}\n`), name);
    assert.ok(text.includes(`# TYPE ${name} ${row.kind}\n`), name);
    const labels = row.labels.map((label) => `${label}="x"`).join(',');
    const suffix = row.kind === 'histogram' ? '_count' : '';
    assert.equal(figure(text, `${name}${suffix}${labels === '' ? '' : `{${labels}}`}`), 1, name);
  }
});

test('names say their unit as Prometheus does, and each row answers a question', () => {
  for (const name of NAMES) {
    const row = METRICS[name];
    assert.match(name, /^greenroom_[a-z_]+$/);
    assert.equal(row.kind === 'counter', name.endsWith('_total'), `${name}: counters end in _total`);
    if (row.kind === 'histogram') assert.match(name, /_seconds$/);
    assert.match(row.question, /\?$/);
    assert.match(row.help, /\.$/);
  }
});

test('a counter grows by what it is given, and never by nothing', async () => {
  using metrics = new Metrics();
  metrics.count('greenroom_prompt_tokens_total', { tier: '2' }, 0);
  assert.equal(figure((await metrics.expose()).text, 'greenroom_prompt_tokens_total{tier="2"}'), undefined);
  metrics.count('greenroom_prompt_tokens_total', { tier: '2' }, 40);
  metrics.count('greenroom_prompt_tokens_total', { tier: '2' });
  assert.equal(figure((await metrics.expose()).text, 'greenroom_prompt_tokens_total{tier="2"}'), 41);
});

test('two apps in one process share no series', async () => {
  using first = new Metrics();
  using second = new Metrics();
  first.gauge('greenroom_ready', {}, 1);
  second.gauge('greenroom_ready', {}, 0);
  assert.equal(figure((await first.expose()).text, 'greenroom_ready'), 1);
  assert.equal(figure((await second.expose()).text, 'greenroom_ready'), 0);
});

test('the delay of the event loop is a finite number at every scrape', async () => {
  using metrics = new Metrics();
  for (let scrape = 0; scrape < 3; scrape += 1) {
    const { text } = await metrics.expose();
    for (const quantile of ['0.5', '0.99', '1'])
      assert.ok(
        Number.isFinite(figure(text, `greenroom_event_loop_delay_seconds{quantile="${quantile}"}`)),
        `quantile ${quantile}`,
      );
    assert.ok(Number.isFinite(metrics.eventLoopDelayP99Ms()));
  }
});
