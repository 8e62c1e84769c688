/**
 * The dialogue cache in the console: an operator sees at a glance what costs nothing and what that saved, and has an NPC
 * forget what it said. Against a real door and cache where it works; the double shows what goes wrong.
 * Part of console.test.ts, which owns the browser and builds the page.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type RecallDouble, recallDouble, recallNpc } from '../console/double-recall.ts';
import { startChatServer } from '../src/testing/chat-server.ts';
import { type DoorHarness, doorHarness } from '../src/testing/door-harness.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { aRecallHouse, type RecallHouse } from '../src/testing/recall-desk.ts';
import { type ConsoleBrowser, listModel, speak } from './console-operator.ts';
import { type Gateway, startGateway } from './gateway-process.ts';

/** It names no adapter: one that is named and missing would keep its lines out of the cache. */
const NPC = 'human_brass_merchant';
const LINE = 'The bell has not rung since the flood.';
const DIST = join(import.meta.dirname, '../console/dist');

/** An evening with everything in it that the page can show, long and hostile names too. */
export function everyRecall(): RecallDouble {
  const npcs = [
    recallNpc('lich_ossuary_keeper', 1_840, 212, 35, 12.4071),
    recallNpc('broker_marrow', 912, 140, 12, 0.0821),
    recallNpc('ghoul_tally', 300, 900),
    recallNpc(`npc_${'w'.repeat(80)}`, 3, 1),
    recallNpc('<img src=x onerror="window.pwned=1">', 0, 9),
  ];
  return recallDouble({
    memory: { bytes: 52_428_800, bytes_max: 67_108_864, keys: 18_402, variants: 31_077, evictions: 1_204 },
    flights: 3,
    shared: 'unreachable',
    recent: { hits: 412, joined: 31, misses: 57, bypassed: 20, hit_share: 0.886, window_s: 300 },
    total: {
      ...recallNpc('', 3_055, 1_262, 47, 12.4892),
      hit_share: 0.7108,
      wait_s: 3_971.5,
    },
    prefix: { prompt_tokens: 631_000, cached_tokens: 542_660, cached_share: 0.86 },
    npcs,
    npcs_known: 240,
    options: {
      variants_max: 4,
      variants_min: 2,
      ttl_s: 86_400,
      join_equal: true,
      barks_by_meaning: true,
      shared_wait_ms: 2,
    },
  });
}

async function aStage(t: TestContext): Promise<{ door: DoorHarness; house: RecallHouse }> {
  const house = aRecallHouse();
  const door = await doorHarness({ recall: house.desk }, { consoleDirectory: DIST });
  leftovers(t).use(door);
  return { door, house };
}

/** The real gateway before a small true engine that costs money. */
async function aPaidHouse(t: TestContext): Promise<Gateway> {
  const server = await startChatServer(async (body, response) => {
    if (!('messages' in body)) return listModel(response, 'big');
    speak(response, LINE);
  });
  const left = leftovers(t);
  left.use(server);
  const tier = { rungs: ['cloud'], fillerAfterMs: 0, deadlineMs: 60_000 };
  const gateway = await startGateway({
    config: {
      engines: { cloud: { kind: 'openai-compatible', baseUrl: server.origin, model: 'big', isPaid: true } },
      tiers: { '1': tier, '2': tier, '3': tier, '4': tier },
      spending: { prices: [{ model: 'big', effectiveFrom: '2026-01-01', inputUsd: 2, outputUsd: 10 }] },
    },
  });
  left.use(gateway);
  await gateway.untilReady();
  return gateway;
}

export function recallTests({ open, openDouble, say }: ConsoleBrowser): void {
  test('what one player paid for another hears for nothing, and the page says so; then it is forgotten', async (t) => {
    const gateway = await aPaidHouse(t);
    const askAs = async (name: string): Promise<string> => {
      const page = await open(t, `${gateway.url}/#/talk/${NPC}`);
      await page.getByText('as the persona sets it').click();
      await page.getByLabel('Player name').fill(name);
      await say(page, 'Has the bell rung?');
      const margin = page.getByRole('complementary', { name: 'Where this reply came from' });
      await margin.waitFor();
      return (await margin.textContent()) ?? '';
    };
    assert.match(await askAs('Ada'), /Generated/);
    assert.doesNotMatch(await askAs('Bob'), /Generated/);
    const page = await open(t, `${gateway.url}/#/recall`);
    await page.getByText('of the lines of the last minute cost nothing: 1 of 2.').waitFor();
    assert.equal(await page.locator('.recall-saved dd').nth(1).textContent(), '$0.0021');
    assert.equal(await page.getByText('Your own machine charges nothing').count(), 0);
    await page.getByText('1 answer to 1 question').waitFor();
    await page.getByRole('button', { name: /^Forget what/ }).click();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByText('0 answers to 0 questions').waitFor();
    assert.match(await askAs('Cid'), /Generated/);
  });

  test('an empty cache says what brings hits, and figures come by themselves when lines do', async (t) => {
    const { door, house } = await aStage(t);
    const page = await open(t, `${door.url}/#/recall`);
    await page.getByText('Nobody asked for a line in the last minute.').waitFor();
    await page.getByText('Nothing was said again yet.').waitFor();
    await page.getByText('None. This gateway remembers for itself.').waitFor();
    assert.equal(await page.locator('.recall-table').count(), 0);
    house.heard('vey', 'bypass');
    await page.getByText('No line of the last minute was for the cache.').waitFor();
    await page.getByText('1 line was not for the cache: nobody had said a word').waitFor();
    house.heard('ilse', 'miss');
    house.heard('ilse', 'hit');
    house.heard('ilse', 'hit');
    house.heard('ilse', 'joined');
    house.generated('ilse', 450);
    await page.getByText('of the lines of the last minute cost nothing: 3 of 4.').waitFor();
    assert.equal(await page.locator('.recall-figure').textContent(), '75 %');
    assert.equal(await page.getByText('Nothing was said again yet.').count(), 0);
    const row = page.getByRole('row', { name: /^ilse/ });
    assert.deepEqual(await row.getByRole('cell').allTextContents(), [
      ...['75 %', '2', '1', '1', '2.4 s', '90 %'],
      'Forget',
    ]);
    const saved = await page.locator('.recall-saved dd').allTextContents();
    assert.deepEqual(saved, ['2.4 s', '$0', '860']);
    await page.getByText('Your own machine charges nothing for a line').waitFor();
  });

  test('an NPC forgets after a question, with the keyboard alone, and nobody else does', async (t) => {
    const { door, house } = await aStage(t);
    for (const npcId of ['ilse', 'vey']) {
      house.heard(npcId, 'hit');
      house.keep(npcId, 'who');
    }
    const page = await open(t, `${door.url}/#/recall`);
    const button = page.getByRole('button', { name: 'Forget what ilse said' });
    await button.press('Enter');
    await page.getByRole('dialog').getByText('generated anew').waitFor();
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Keep it');
    await page.keyboard.press('Escape');
    assert.equal(house.desk.report(0).state.keys, 2);
    await button.press('Enter');
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('status').getByText('Forgotten: what ilse said to 1 question.').waitFor();
    assert.equal(house.desk.report(0).state.keys, 1);
    assert.equal(
      await page.evaluate('document.activeElement.getAttribute("aria-label")'),
      'Forget what ilse said',
      'the focus stays',
    );
    await page.getByText('1 answer to 1 question').waitFor();
    await page.getByRole('button', { name: 'Forget everything' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Forget everything' }).click();
    await page.getByRole('status').getByText('what everybody said to 1 question').waitFor();
    await page.getByText('0 answers to 0 questions').waitFor();
  });

  test('a shared tier that is away is said in words, also when it did not hear of forgetting', async (t) => {
    const { page, state } = await openDouble(t, { recall: everyRecall() }, { hash: '#/recall' });
    await page.getByText('Does not answer. This gateway goes on with its own memory').waitFor();
    await page.getByText('The first 5 of 240 are shown.').waitFor();
    await page.getByRole('button', { name: 'Forget what Mister Marrow said' }).click();
    await page.getByRole('dialog').getByText('other gateways keep').waitFor();
    await page.getByRole('button', { name: 'Forget it' }).click();
    await page.getByRole('alert').getByText('the shared tier has not').waitFor();
    assert.deepEqual(state.recall.forgotten, [{ npc_id: 'broker_marrow' }]);
    assert.equal(await page.evaluate('window.pwned'), undefined);
  });

  test('a cache that is off says how to switch it on; a key that may only talk is told so', async (t) => {
    const recall = recallDouble({ enabled: false });
    const { page, state } = await openDouble(t, { recall }, { hash: '#/recall' });
    await page.getByText('The dialogue cache is off').waitFor();
    assert.equal(await page.getByText('By NPC').count(), 0);
    state.recall.isForbidden = true;
    await page.getByText('This key may talk, but not see the cache.').waitFor();
  });
}
