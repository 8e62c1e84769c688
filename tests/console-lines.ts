/**
 * Learned lines in the console: a designer who never opens a terminal reads what players heard, decides from the keyboard
 * and takes the files along. Against a real door, store and pool where it works; the double shows what goes wrong.
 * Part of console.test.ts, which owns the browser and builds the page.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Page } from 'playwright-core';
import { candidate, type LineState, learnedLine, lineState } from '../console/double-lines.ts';
import type { Cast } from '../src/cast/cast.ts';
import type { LineLearning } from '../src/cast/line-learning.ts';
import { parseLinesCsv } from '../src/cast/written-lines.ts';
import { type DoorHarness, doorHarness } from '../src/testing/door-harness.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { aSmallCast, hearing, learningOver } from '../src/testing/line-learning.ts';
import type { ConsoleBrowser } from './console-operator.ts';

const DIST = join(import.meta.dirname, '../console/dist');
const WINE = 'Sit down, the wine will not drink itself.';
const STAIR = 'Mind the third stair, it remembers people.';
const WHO = 'They call me the lady of the cold store.';

/** A night with everything in it that a line can be, long and hostile words too. */
export function everyLine(): LineState {
  const evil = '<img src=x onerror="window.pwned=1">';
  return {
    ...lineState(),
    known: 1_204,
    refused: { too_few_players: 31, secret: 2, near_duplicate: 7, 'something-new': 1 },
    candidates: [
      candidate(STAIR, { variants: ['Mind the third step, it remembers people.'] }),
      candidate(WHO, { trigger: null }),
      candidate(`${'w'.repeat(240)} ${evil}`, {
        speaker: 'w'.repeat(64),
        npcs: { vampire_odile: 9, [`vampire_${'w'.repeat(50)}`]: 3 },
        places: { ['w'.repeat(64)]: 9, crypt: 1 },
        voice: 'w'.repeat(80),
      }),
    ],
    learned: [
      learnedLine(3, { text: `${'w'.repeat(200)} ${evil}`, when: ['health<30', 'weather=rain'] }),
      learnedLine(2, { original: 'The cold comes in with you.' }),
      learnedLine(1, { status: 'retired', retired_by: 'Ivo', retired_at_ms: 1_795_050_000_000 }),
    ],
  };
}

interface Stage {
  readonly door: DoorHarness;
  readonly learning: LineLearning;
  readonly cast: Cast;
}

/** A real door over a real store; players have heard three lines. */
async function aStage(t: TestContext): Promise<Stage> {
  const cast = aSmallCast();
  const made: LineLearning[] = [];
  const door = await doorHarness(
    {
      lines: (store) => {
        made.push(learningOver(store, cast));
        return made[0];
      },
    },
    { consoleDirectory: DIST },
  );
  leftovers(t).use(door);
  const [learning] = made;
  assert.ok(learning);
  return { door, learning, cast };
}

async function focusedText(page: Page): Promise<string> {
  return await page.evaluate(
    '(document.activeElement.closest("li")?.querySelector(".candidate-text") ?? document.activeElement).textContent',
  );
}

export function lineTests({ open, openDouble }: ConsoleBrowser): void {
  test('a page without lines says how they come to be here', async (t) => {
    const { door } = await aStage(t);
    const page = await open(t, `${door.url}/#/lines`);
    await page.getByText('No line waits for you.').waitFor();
    await page.getByText('5 players have heard 10 times').waitFor();
    await page.getByText('Nothing is counted yet').waitFor();
    await page.getByText('Nothing was approved yet.').waitFor();
  });

  test('a designer approves, edits and rejects with the keyboard alone, and players hear it', async (t) => {
    const { door, learning, cast } = await aStage(t);
    hearing(learning, STAIR, 12);
    hearing(learning, WINE, 9);
    hearing(learning, WHO, 7, { occasion: 'answer', prompt: 'Who are you?' });
    hearing(learning, 'The bell is my heart, you know.', 20);
    const page = await open(t, `${door.url}/#/lines`);
    await page.getByRole('listitem', { name: STAIR }).waitFor();
    assert.equal(await page.getByText('The bell is my heart').count(), 0);
    await page.getByText('Not offered: 1 near a secret.').waitFor();

    await page.getByLabel('Your name').focus();
    await page.keyboard.press('Tab');
    assert.equal(await focusedText(page), STAIR);
    assert.notEqual(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'none');
    await page.keyboard.press('a');
    await page.getByText('Say who decides first.').waitFor();
    assert.equal(await page.evaluate('document.activeElement.tagName'), 'INPUT');
    await page.keyboard.type('Mara');
    await page.keyboard.press('Tab');
    await page.keyboard.press('a');
    await page.getByRole('status').getByText('Approved as ilse.greet.learned-001').waitFor();
    assert.ok(
      cast.lines.served.some((line) => line.text === STAIR),
      'the pool serves it',
    );

    await page.getByRole('listitem', { name: STAIR }).waitFor({ state: 'detached' });
    assert.equal(await focusedText(page), WINE, 'the focus goes on to the next line');
    await page.keyboard.press('ArrowDown');
    assert.equal(await focusedText(page), WHO);
    await page.keyboard.press('a');
    const upon = page.getByLabel('Upon');
    await upon.waitFor();
    assert.equal(await page.evaluate('document.activeElement.tagName'), 'TEXTAREA');
    await page.keyboard.press('Control+a');
    await page.keyboard.type('I am the lady of the cold store.');
    await upon.selectOption('idle');
    await page.getByLabel('Only if').fill('health<30; weather=rain');
    await page.getByLabel('Words').press('Enter');
    await page.getByRole('status').getByText('Approved as ilse.idle.learned-001').waitFor();
    const kept = cast.lines.served.find((line) => line.id === 'ilse.idle.learned-001');
    assert.equal(kept?.text, 'I am the lady of the cold store.');
    assert.equal(kept?.specificity, 2);

    await page.getByRole('listitem', { name: WHO }).waitFor({ state: 'detached' });
    assert.equal(await focusedText(page), WINE);
    await page.keyboard.press('r');
    await page.getByText('No line waits for you.').waitFor();
    assert.equal(await page.evaluate('document.activeElement.id'), 'main');
    const rows = page.locator('.learned-table tbody tr');
    assert.equal(await rows.count(), 2);
    assert.match((await rows.first().textContent()) ?? '', /Heard as “They call me.*Mara, /);
    assert.equal((await door.store.learnedLines.decisions()).length, 3);
  });

  test('what was a mistake is retired after a question, and the name is remembered', async (t) => {
    const { door, learning, cast } = await aStage(t);
    hearing(learning, WINE, 9);
    const { candidates } = await learning.offer({ limit: 1 });
    await learning.approve(candidates[0]?.evidence.id ?? '', {}, 'Ivo');
    const page = await open(t, `${door.url}/#/lines`);
    await page.getByLabel('Your name').fill('Mara');
    await page.reload();
    assert.equal(await page.getByLabel('Your name').inputValue(), 'Mara');
    await page.getByRole('button', { name: 'Retire ilse.greet.learned-001' }).click();
    await page.getByRole('dialog').getByText(WINE).waitFor();
    await page.getByRole('button', { name: 'Keep it' }).click();
    assert.ok(cast.lines.served.some((line) => line.text === WINE));
    await page.getByRole('button', { name: 'Retire ilse.greet.learned-001' }).click();
    await page.getByRole('button', { name: 'Retire it' }).click();
    await page.getByText('Retired by Mara').waitFor();
    assert.ok(!cast.lines.served.some((line) => line.text === WINE));
  });

  test('the files that are taken along are whole', async (t) => {
    const { door, learning } = await aStage(t);
    hearing(learning, 'Ah, “you”, again, über.', 9);
    const { candidates } = await learning.offer({ limit: 1 });
    await learning.approve(candidates[0]?.evidence.id ?? '', {}, 'Ivo');
    const page = await open(t, `${door.url}/#/lines`);
    const take = async (name: string): Promise<{ name: string; text: string }> => {
      const coming = page.waitForEvent('download');
      await page.getByRole('button', { name }).click();
      const download = await coming;
      return { name: download.suggestedFilename(), text: readFileSync(await download.path(), 'utf8') };
    };
    const table = await take('Table (CSV)');
    assert.equal(table.name, 'greenroom-lines-learned.csv');
    const { lines, problems } = parseLinesCsv(table.text, table.name);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      lines.map(({ id, text, source }) => [id, text, source]),
      [['ilse.greet.learned-001', 'Ah, “you”, again, über.', 'generated_approved']],
    );
    await page.getByRole('status').getByText('greenroom-lines-learned.csv: 1 line.').waitFor();
    const yarn = await take('Yarn Spinner');
    assert.match(
      yarn.text,
      /^title: ilse_greet\n---\n=> ilse: Ah, “you”, again, über\. #line:ilse\.greet\.learned-001/,
    );
    await page.getByLabel('Lines', { exact: true }).selectOption('all');
    const unreal = await take('Unreal string table');
    assert.equal(unreal.name, 'greenroom-lines-all-unreal.csv');
    assert.equal(unreal.text.split('\n').length, 1 + 4 + 1);
  });

  test('who comes second is told who was first; a refused edit stays open with its reason', async (t) => {
    const lines = everyLine();
    const { page, state } = await openDouble(t, { lines }, { hash: '#/lines' });
    await page.getByLabel('Your name').fill('Mara');
    const item = page.getByRole('listitem', { name: STAIR });
    await item.getByRole('button', { name: 'Edit' }).click();
    await page.getByLabel('Words').fill('Mind the *third* stair.');
    await page.getByLabel('Words').press('Enter');
    await item.getByRole('alert').getByText('holds markup').waitFor();
    assert.equal(await page.getByLabel('Words').inputValue(), 'Mind the *third* stair.');
    await page.keyboard.press('Escape');
    await page.getByLabel('Words').waitFor({ state: 'detached' });
    assert.equal(await focusedText(page), STAIR);
    state.lines.first = 'Ivo';
    await item.getByRole('button', { name: 'Approve' }).click();
    await page.getByRole('status').getByText('Ivo approved this line').waitFor();
    await item.waitFor({ state: 'detached' });
    assert.equal(state.lines.decided.at(-1)?.['by'], 'Mara');
  });

  test('with a key the label of the key decides; a key that may only talk is told so', async (t) => {
    const { page, state } = await openDouble(
      t,
      { lines: { ...everyLine() }, key: 'gr_right' },
      { hash: '#/lines' },
    );
    await page.getByLabel('API key').fill('gr_right');
    await page.keyboard.press('Enter');
    await page.getByRole('listitem', { name: STAIR }).getByRole('button', { name: 'Reject' }).click();
    await page.getByRole('status').getByText('Rejected').waitFor();
    assert.equal(await page.getByLabel('Your name').count(), 0);
    assert.equal(state.lines.decided.at(-1)?.['by'], undefined);
    state.lines.isForbidden = true;
    await page.reload();
    await page.getByText('This key may not do that.').waitFor();
    assert.equal(await page.getByText('In the pool').count(), 0);
  });

  test('markup in a line stays text, and keys mean nothing while somebody types', async (t) => {
    const { page, state } = await openDouble(t, { lines: everyLine() }, { hash: '#/lines' });
    await page.getByLabel('Your name').fill('are');
    await page.getByRole('listitem', { name: STAIR }).getByRole('button', { name: 'Edit' }).click();
    await page.keyboard.type('are');
    await page.getByLabel('Only if').fill('are');
    assert.deepEqual(state.lines.decided, []);
    assert.equal(await page.evaluate('window.pwned'), undefined);
    assert.equal(await page.locator('#root img').count(), 0);
  });
}
