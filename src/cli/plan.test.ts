/** `greenroom plan` as a studio runs it: a process of its own, what it prints, and how it refuses. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

const root = mkdtempSync(path.join(tmpdir(), 'greenroom-plan-'));
const main = path.join(import.meta.dirname, '..', 'main.ts');
after(() => rmSync(root, { recursive: true, force: true }));
const SHORT = ['--warm-up-s', '10', '--settled-s', '10', '--burst-s', '10'];

interface Ended {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

function plan(...argv: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'plan', ...argv], { timeout: 90_000 }, (error, output, errors) => {
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
        output,
        errors,
      });
    });
  });
}

/** Figures come from the whole service and change with it; what is said of them does not. */
const masked = (text: string) =>
  text
    .replace(/\d[\d,]*(?:\.\d+)?/g, '#')
    .replace(/ +/g, ' ')
    .replace(/–/g, '#');

const GOLDEN = `# players, # dialogues of # turns an hour each, barks beside them: # lines a second, # in a burst.

# × l# (NVIDIA L# # GB, Qwen#-#B-Instruct BF#), and # spare.
# lines played through the service on a simulated clock (seed #): engines counted with caches # s old, as after a restart, figures with caches # s old; both over # s at # times the mean load.
`;

test('it says how many engines, what is heard, from where and for how much', async () => {
  const { code, output, errors } = await plan('--players', '40', ...SHORT);
  assert.equal(code, 0, errors);
  assert.ok(masked(output).startsWith(GOLDEN), masked(output));
  for (const said of [
    /^tier +lines +barks +TTFT p50 +TTFT p95 +TTFS p50 +TTFS p95 +limit +in time +stand-ins$/m,
    /^Lines from: engines [\d.]+ %, dialogue cache [\d.]+ %, written [\d.]+ % .*, cloud 0\.0 %\.$/m,
    /^Prompt tokens from a prefix cache: [\d.]+ %/m,
    /^Cost: \$[\d.]+ a day .* a player-hour/m,
    /^ +\$1,296\.00 {2}cloud only, naively: 9,600 dialogues a day × 150 tokens × \$0\.03/m,
    /^Pace of l4, published: vLLM 0\.23/m,
  ])
    assert.match(output, said);
  assert.match(errors, /^greenroom plan: 1 engines: [\d.]+ % of the worst tier in time, enough$/m);
});

test('as JSON it is the same each time, and a file is overruled by a flag', async () => {
  const file = path.join(root, 'game.yaml');
  writeFileSync(file, 'players: 5000\nspare: 0\nfirstSentenceMs: { 1: 900 }\n');
  const argv = ['--file', file, '--players', '40', '--json', ...SHORT];
  const [one, two] = await Promise.all([plan(...argv), plan(...argv)]);
  assert.equal(one.code, 0, one.errors);
  assert.equal(one.output, two.output);
  const found = JSON.parse(one.output) as {
    players: number;
    spare: number;
    tiers: { tier: number; limit_ms: number }[];
  };
  assert.equal(found.players, 40);
  assert.equal(found.spare, 0);
  assert.equal(found.tiers.find(({ tier }) => tier === 1)?.limit_ms, 900);
});

test('what is wrong is told with the value and what was expected, and nothing is played', async () => {
  const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
    [['--engine', 'h100'], 1, /engine: is "h100"; expected one of laptop-cpu, l4, rtx-4090, a100-40/],
    [['--tier-shares', '1=60,5=40'], 2, /has "5=40"; expected tier=number pairs with tiers 1 to 4/],
    [
      ['--tier-shares', '1=60,2=3'],
      1,
      /tierShares: is .*; expected shares of tiers 1 to 4 that add up to 100/,
    ],
    [['--players', 'many'], 2, /is "many"; expected a number, such as 1000/],
    [['--players', '0'], 1, /players: is 0; expected/],
    [
      ['--file', path.join(root, 'none.yaml')],
      1,
      /cannot read .*none\.yaml: ENOENT; name an existing file with --file/,
    ],
  ];
  for (const [argv, code, said] of cases) {
    const ended = await plan(...argv);
    assert.equal(ended.code, code, argv.join(' '));
    assert.match(ended.errors, said);
    assert.equal(ended.output, '');
  }
});

test('the classes are listed with where each figure is from', async () => {
  const { output } = await plan('--classes');
  assert.match(output, /^laptop-cpu: .*SmolLM2-135M/m);
  assert.match(output, /pace, measured by us: bench\/results\/engine\.json/);
  assert.match(output, /pace, published: vLLM 0\.23, 256\/128 tokens/);
  assert.match(output, /\$0\.78 an hour: on demand, RunPod list of March 2026/);
});
