/** Capacities and bars from windows: what is pooled, what holds, what is not claimed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resultAsMarkdown } from '../load/result-tables.ts';
import { capacityOfWindows } from './capacity.ts';
import { windowOf } from './lines-for-tests.ts';
import { barsOf, type Material, rowsOf } from './report.ts';
import type { Side, SideKey } from './side.ts';

function side(key: SideKey, name: string): Side {
  const door = key === 'd' || key === 'e' ? 'dialogue' : 'chat';
  const start = () => Promise.reject(new Error('not started in this test'));
  return { key, name, door, useEvents: false, settings: '', versions: {}, start };
}

const SIDES = [side('a', 'llama-server'), side('b', 'ollama'), side('e', 'greenroom')];

function material(more: Partial<Material>): Material {
  return { sides: SIDES, absent: [], windows: [], baseSpeed: 1, repeats: [], ...more };
}

test('a speed that held in the search and broke in the rounds is not held', () => {
  const windows = [
    windowOf('a', 1, { good: 10 }, { part: 'search' }),
    windowOf('a', 2, { good: 20 }, { part: 'search' }),
    windowOf('a', 2, { good: 12, late: 8 }),
  ];
  assert.equal(capacityOfWindows(windows)?.speed, 1);
});

test('exactly nine tenths hold, and a window that was ended early never does', () => {
  assert.equal(capacityOfWindows([windowOf('a', 1, { good: 9, late: 1 })])?.speed, 1);
  assert.equal(capacityOfWindows([windowOf('a', 1, { good: 10 }, { isCut: true })]), null);
  assert.equal(capacityOfWindows([windowOf('a', 1, { good: 89, late: 11 })]), null);
});

test('stand-ins with a cause do not make a capacity, however many there are', () => {
  assert.equal(capacityOfWindows([windowOf('e', 1, { good: 5, 'stood-in': 5 })]), null);
});

test('goodput is compared with the best rival, each at its own capacity', () => {
  const windows = [
    windowOf('a', 1, { good: 10 }),
    windowOf('b', 0.5, { good: 5 }),
    windowOf('e', 1, { good: 10 }),
    windowOf('e', 4, { good: 40 }),
    windowOf('e', 8, { good: 40, late: 40 }),
  ];
  const [bar] = barsOf(material({ windows }));
  assert.equal(bar?.value, 4);
  assert.equal(bar?.holds, true);
  assert.match(bar?.note ?? '', /llama-server 1 good lines/);
});

test('with no rival that ran there is no ratio, and nothing is said to hold', () => {
  const [bar] = barsOf(material({ sides: SIDES.slice(2), windows: [windowOf('e', 1, { good: 10 })] }));
  assert.equal(bar?.value, null);
  assert.equal(bar?.holds, null);
});

test('at twice the capacity one late line breaks the bar, a stand-in does not and is told', () => {
  const barWith = (counts: Parameters<typeof windowOf>[2]) =>
    barsOf(material({ windows: [windowOf('a', 2, { good: 2, late: 18 }), windowOf('e', 2, counts)] }))[1];
  const broken = barWith({ good: 19, late: 1 });
  assert.equal(broken?.value, 95);
  assert.equal(broken?.holds, false);
  const held = barWith({ good: 15, 'stood-in': 5, 'not-judged': 3 });
  assert.equal(held?.holds, true);
  assert.match(held?.note ?? '', /5 of 20 lines were written stand-ins.*llama-server 10/);
});

test('a failed line of Greenroom in any window breaks its bar', () => {
  const windows = [windowOf('e', 1, { good: 9, failed: 1 }), windowOf('a', 1, { failed: 10 })];
  const bar = barsOf(material({ windows }))[2];
  assert.equal(bar?.value, 1);
  assert.equal(bar?.holds, false);
});

test('rows become tables with the absent side and the command that installs it', () => {
  const rows = rowsOf(
    material({
      windows: [1, 2].flatMap((speed) => [
        windowOf('a', speed, { good: 10, late: 1 }),
        windowOf('e', speed, { good: 11 }),
      ]),
      absent: [
        { key: 'b', name: 'ollama', reason: 'Ollama is not installed', install: 'npm run engines:ollama' },
      ],
      repeats: [{ repeats: 0.6, window: windowOf('e', 2, { good: 10 }, { part: 'repeats' }) }],
    }),
  );
  const machine = { cpu: 'cpu', cores: 2, memoryGb: 8, system: 'linux' };
  const text = resultAsMarkdown({ commit: 'c', machine, versions: {}, seed: 1, bars: [], rows });
  assert.match(text, /b ollama +\| absent/);
  assert.match(text, /b ollama is absent: Ollama is not installed/);
  assert.match(text, /2 times the best rival’s capacity/);
  assert.doesNotMatch(text, /NaN/);
});
