/**
 * What an operator does in the console: stops all paid calls, reads why an engine takes no lines, sees which rung a line
 * came from, sends a job. Against the real gateway with two small true engines behind it; the double shows the rest.
 * Part of console.test.ts, which owns the browser and builds the page.
 */
import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { type TestContext, test } from 'node:test';
import type { BrowserContextOptions, Page } from 'playwright-core';
import type { DoubleState } from '../console/double.ts';
import { startChatServer } from '../src/testing/chat-server.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { type Gateway, startGateway } from './gateway-process.ts';

const NPC = 'vampire_salon_keeper';
const LINE = 'The bell has not rung since the flood.';

export interface ConsoleBrowser {
  open(t: TestContext, url: string, options?: BrowserContextOptions): Promise<Page>;
  openDouble(
    t: TestContext,
    change?: Partial<DoubleState>,
    options?: BrowserContextOptions & { hash?: string },
  ): Promise<{ page: Page; state: DoubleState }>;
  say(page: Page, text: string): Promise<void>;
}

/** The first rung is a local engine that fails after its warm-up, the second a paid one. */
async function startLadder(t: TestContext): Promise<{ gateway: Gateway; cloud: Cloud }> {
  let isWarm = false;
  const house = await startChatServer(async (body, response) => {
    if (!('messages' in body)) return listModel(response, 'small');
    if (isWarm) response.writeHead(500).end('{"error":{"message":"out of slots"}}');
    else speak(response, 'Yes.');
    isWarm = true;
  });
  const left = leftovers(t);
  left.use(house);
  const cloud: Cloud = { isHanging: false, running: () => server.running };
  const server = await startChatServer(async (body, response, closed) => {
    if (!('messages' in body)) return listModel(response, 'big');
    if (!cloud.isHanging) return speak(response, LINE);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write('data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n');
    await new Promise((resolve) => closed.addEventListener('abort', resolve));
  });
  left.use(server);
  const tier = { rungs: ['house', 'cloud'], fillerAfterMs: 0, deadlineMs: 60_000 };
  const gateway = await startGateway({
    config: {
      engines: {
        house: { kind: 'openai-compatible', baseUrl: house.origin, model: 'small' },
        cloud: {
          kind: 'openai-compatible',
          baseUrl: server.origin,
          model: 'big',
          version: '2026-05',
          isPaid: true,
        },
      },
      tiers: { '1': tier, '2': tier, '3': tier, '4': tier },
      // One failure takes it out for the whole test.
      // No canary line may do the same to the other one on a busy machine.
      routing: {
        breaker: { consecutiveFailures: 1, openMs: 600_000, openMaxMs: 600_000 },
        canary: { idleMs: 600_000, stallMs: 600_000, timeoutMs: 600_000, unknownMs: 600_000 },
      },
      spending: { prices: [{ model: 'big', effectiveFrom: '2026-01-01', inputUsd: 2, outputUsd: 10 }] },
    },
  });
  left.use(gateway);
  await gateway.untilReady();
  return { gateway, cloud };
}

interface Cloud {
  isHanging: boolean;
  /** Calls it has under way. */
  running(): number;
}

export async function listModel(response: ServerResponse, id: string): Promise<void> {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ object: 'list', data: [{ id, object: 'model' }] }));
}

export function speak(response: ServerResponse, text: string): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const data of [
    { choices: [{ index: 0, delta: { content: text } }] },
    { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
    { choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 10 } },
  ])
    response.write(`data: ${JSON.stringify(data)}\n\n`);
  response.end('data: [DONE]\n\n');
}

/** Every state that the status can tell of an engine, and what the row must say. */
const STATES: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
  [{ stage: 'ready', breaker: 'closed', unusable: null }, /Takes lines/],
  [{ stage: 'ready', breaker: 'open', unusable: 'backend_error' }, /Taken out after failures.*by itself/],
  [{ stage: 'ready', breaker: 'half_open', unusable: 'backend_error' }, /Being tried again after failures/],
  [{ stage: 'ready', breaker: 'half_open', unusable: null }, /Being tried again after failures/],
  [{ stage: 'ready', breaker: 'closed', unusable: 'overload' }, /Pausing: rate limit.*by itself/],
  [
    { stage: 'ready', breaker: 'closed', unusable: 'disabled' },
    /Switched off: it refused our account.*credit/,
  ],
  [{ stage: 'ready', breaker: 'closed', unusable: 'offline' }, /No connection/],
  [
    { stage: 'ready', breaker: 'closed', unusable: 'of_a_newer_gateway' },
    /Takes no lines: of a newer gateway/,
  ],
  [{ stage: 'failed', reason: 'no reply: ECONNREFUSED' }, /Down.*by itself.*no reply: ECONNREFUSED/],
  [{ stage: 'restarting', reason: 'restarting 40 %', restarts: 3 }, /Down: restarting.*restarting 40 %/],
  [{ stage: 'warming', reason: 'warming' }, /Starting: warming/],
];

export function operatorTests({ open, openDouble, say }: ConsoleBrowser): void {
  test('a line that fell a rung says why, from where, and what it cost; the failing engine is a row in words', async (t) => {
    const { gateway } = await startLadder(t);
    const page = await open(t, `${gateway.url}/#/talk/${NPC}`);
    await say(page, 'Has the bell rung?');
    const margin = page.getByRole('complementary', { name: 'Where this reply came from' });
    await margin.waitFor();
    const note = (await margin.textContent()) ?? '';
    for (const part of [
      /Generated/,
      /Fell back: the engine failed at this line/,
      /cloud \/ big/,
      /version 2026-05/,
      /rung1/,
      /prompt[\d,]+ tokens/,
      /completion\d+ tokens/,
      /cost\$0\.0\d+/,
    ])
      assert.match(note, part);
    await page.getByRole('link', { name: 'Engines and spending' }).click();
    const row = page.getByRole('row', { name: /^house/ });
    await row.waitFor();
    assert.equal(await page.evaluate('document.activeElement?.id'), 'main');
    await row.getByText('Taken out after failures').waitFor();
    await row.getByText('It comes back by itself').waitFor();
    await page
      .getByRole('row', { name: /^cloud/ })
      .getByText('Takes lines')
      .waitFor();
    await page.getByRole('row', { name: /^3/ }).getByText('$0.0021').waitFor();
  });

  test('the switch asks first, ends the call in flight, is seen on every page, and is taken back', async (t) => {
    const { gateway, cloud } = await startLadder(t);
    const isOff = async () => ((await gateway.get('/admin/v1/spending')).body as { off: boolean }).off;
    const page = await open(t, `${gateway.url}/#/service`);
    const focused = 'document.activeElement?.textContent';
    cloud.isHanging = true;
    const cutShort = gateway.say({ npc_id: NPC, prompt: 'And the ropes?' });
    await page.getByText('1 paid call in flight').waitFor();

    // With the keyboard alone: Esc is no, and gives the focus back.
    await page.getByRole('button', { name: 'Stop all paid calls' }).press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Stop all paid calls?' });
    await dialog.getByText('1 in flight ends at once.').waitFor();
    assert.equal(await page.evaluate(focused), 'Keep them running');
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.equal(await page.evaluate(focused), 'Stop all paid calls');
    assert.equal(await isOff(), false);

    await page.keyboard.press('Enter');
    await dialog.waitFor();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    const banner = page.getByRole('alert').getByText('All paid calls are stopped.');
    await banner.waitFor();
    assert.equal(await isOff(), true);
    assert.equal((await cutShort).source.cause, 'disabled');
    await page.getByText('0 paid calls in flight').waitFor();
    assert.equal(cloud.running(), 0);
    assert.equal(await page.evaluate(focused), 'Allow again');
    for (const view of ['talk', `talk/${NPC}`, `cast/${NPC}`, 'jobs']) {
      await page.evaluate(`location.hash = '#/${view}'`);
      await page.getByRole('link', { name: 'See Service' }).waitFor();
    }
    await page.reload();
    await banner.waitFor();
    await page.getByRole('link', { name: 'See Service' }).click();
    await page.getByRole('button', { name: 'Allow again' }).press('Enter');
    await banner.waitFor({ state: 'detached' });
    assert.equal(await isOff(), false);
    assert.equal(await page.evaluate(focused), 'Stop all paid calls');
  });

  test('a job is sent, followed to its end, and one that waits is cancelled', async (t) => {
    const { gateway } = await startLadder(t);
    const page = await open(t, `${gateway.url}/#/jobs`);
    const send = async (text: string): Promise<void> => {
      await page.getByLabel('What is to be written').fill(text);
      await page.getByRole('button', { name: 'Send job' }).press('Enter');
    };
    await send('   ');
    assert.equal(await page.locator('.job').count(), 0);
    await page.getByLabel('In the voice of').selectOption(NPC);
    await send('Write a quest about a stolen bell.');
    // The first may have been given to the engine that fails; the next goes past it.
    await page.locator('.job .lamp', { hasText: /Done|Failed/ }).waitFor();
    await send('Write another.');
    const job = page.locator('.job').first();
    await job.getByText(LINE).waitFor();
    assert.match(
      (await job.textContent()) ?? '',
      /Done.*Write another\..*tier 4, .*cloud \/ big.*\$0\.\d+.*job_/,
    );
    assert.equal(await page.getByLabel('What is to be written').inputValue(), '');
    await gateway.post('/admin/v1/spending', { off: true });
    await send('Write a third.');
    await job.getByText('Waiting for its turn').waitFor();
    // Another page does not end the following.
    await page.getByRole('link', { name: 'Cast', exact: true }).click();
    await page.getByRole('link', { name: 'Jobs', exact: true }).click();
    await job.getByRole('button', { name: 'Cancel' }).click();
    await job.getByText('Cancelled').waitFor();
  });

  test('each state of an engine is said in words, and by a shape beside its colour', async (t) => {
    const engines = STATES.map(([fields], place) => ({ name: `engine-${place}.`, kind: 'vllm', ...fields }));
    const { page } = await openDouble(t, { engines }, { hash: '#/service' });
    await page.locator('.engines tbody tr').first().waitFor();
    for (const [place, [, wanted]] of STATES.entries()) {
      const row = page.locator('.engines tbody tr').nth(place);
      assert.match((await row.locator('.engine-state').textContent()) ?? '', wanted);
    }
    const fills = await page.evaluate<string[]>(
      `['go', 'standby', 'dark'].map((tone) => {
        const style = getComputedStyle(document.querySelector('.engines [data-tone=' + tone + '] .lamp-shape'));
        return (style.backgroundImage === 'none') + ' ' + (style.backgroundColor === 'rgba(0, 0, 0, 0)');
      })`,
    );
    assert.equal(new Set(fills).size, 3, `shapes differ only by colour: ${fills.join(' · ')}`);
  });

  test('a store that is away, and a key that may not look, are said; the switch works without the store', async (t) => {
    const { page, state } = await openDouble(t, {}, { hash: '#/service' });
    await page.getByText('$1,204.5021').waitFor();
    state.spending.isStoreAway = true;
    await page.getByText('The store does not answer: what was spent today is not known.').waitFor();
    await page.getByRole('button', { name: 'Stop all paid calls' }).click();
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.getByText('The switch holds in this gateway.').waitFor();
    await page.getByRole('alert').getByText('All paid calls are stopped.').waitFor();
    state.spending.isForbidden = true;
    await page.getByText('This key may talk, but not see or stop what is spent.').waitFor();
    // What was last known of the switch stays in sight.
    assert.equal(await page.locator('.off-banner').count(), 1);
  });

  test('without a connection the engines stay as they last stood, and it is said', async (t) => {
    const { page } = await openDouble(t, {}, { hash: '#/service' });
    const row = page.getByRole('row', { name: /^embedded/ });
    await row.waitFor();
    await page.context().setOffline(true);
    await page.getByText('No answer: this is how it last stood.').waitFor();
    await page.getByText('The gateway does not answer.').waitFor();
    assert.equal(await row.count(), 1);
    await page.context().setOffline(false);
    await page.getByText('No answer: this is how it last stood.').waitFor({ state: 'detached' });
  });

  test('what was asked before the switch was thrown does not undo it on the page', async (t) => {
    const { page, state } = await openDouble(t, {}, { hash: '#/service' });
    await page.getByText('$1,204.5021').waitFor();
    const asked = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    state.beforeSpendingIsTold = () => {
      asked.resolve();
      return held.promise;
    };
    await asked.promise;
    await page.getByRole('button', { name: 'Stop all paid calls' }).click();
    await page.getByRole('button', { name: 'Stop them' }).click();
    await page.locator('.off-banner').waitFor();
    await page.evaluate(
      `window.bannersGone = 0;
       new MutationObserver(() => { if (!document.querySelector('.off-banner')) window.bannersGone += 1; })
         .observe(document.body, { childList: true, subtree: true })`,
    );
    state.beforeSpendingIsTold = () => Promise.resolve();
    const late = page.waitForResponse((response) => response.url().endsWith('/admin/v1/spending'));
    held.resolve();
    await (await late).finished();
    // The next look comes after the late answer was taken in.
    await page.waitForResponse((response) => response.url().endsWith('/admin/v1/spending'));
    assert.equal(await page.evaluate('window.bannersGone'), 0);
    assert.equal(await page.locator('.off-banner').count(), 1);
  });
}
