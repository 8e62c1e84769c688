/**
 * Adapters in the console: what lies on which engine as it changes, what may be done with a version and how that ends, and
 * one question heard in several voices. Against the double for every state, against the real gateway for the truth of it.
 * Part of console.test.ts, which owns the browser and builds the page.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Page } from 'playwright-core';
import { doubleState, startDouble } from '../console/double.ts';
import {
  type AdapterState,
  adapterState,
  adapterView,
  advance,
  change,
  fail,
  replicaView,
  residency,
  succeed,
  tell,
} from '../console/double-adapters.ts';
import type { ConsoleBrowser } from './console-operator.ts';
import { modelMissing } from './engine-harness.ts';
import { startGateway, temporaryFolder } from './gateway-process.ts';

const LICH = 'lich_ossuary_keeper';
/** Adapters that make the model say one word each. */
const WORDS = join(import.meta.dirname, 'fixtures/word-adapters');
/** A line of the real engine on a machine that does much else. */
const PATIENCE_MS = 150_000;

/** A night with every stage of an adapter and every sort of engine in it. */
export function everyStage(): AdapterState {
  const long = 'w'.repeat(64);
  return {
    ...adapterState(),
    adapters: [
      ...adapterState().adapters,
      adapterView('ghoul', '1', { failure: 'its answers are those of the base: nothing of it was loaded' }),
      adapterView('lich', '9', { tags: ['canary'], is_published: true, is_pinned: true }),
      adapterView(long, '12', { tags: ['stable', 'canary'], is_published: true }),
    ],
    replicas: [
      replicaView(
        'embedded',
        [
          residency('vampire@1', { leases: 2, is_pinned: true }),
          residency('zombie@1', { idle_ms: null }),
          residency('lich@7', { stage: 'draining', leases: 1 }),
          residency('lich@8', { stage: 'loading' }),
          residency('lich@9', { stage: 'verifying' }),
          residency('ghoul@1', { stage: 'failed', reason: 'its answers are those of the base' }),
          residency(`${long}@12`),
        ],
        { bytes_max: 60_000_000 },
      ),
      replicaView('busy', [residency('npc@1')], {
        slots: 2,
        slots_used: 2,
        is_thrashing: true,
        swaps_last_minute: 212,
      }),
      replicaView('gone', [], { slots: null, is_up: false }),
    ],
  };
}

/** Opens a version by its name, as somebody would who sees the table. */
async function openVersion(page: Page, id: string): Promise<void> {
  await page.getByRole('button', { name: id, exact: true }).click();
}

export function adapterTests({ open, openDouble, say }: ConsoleBrowser): void {
  const openAdapters = (t: TestContext, adapters: AdapterState = adapterState()) =>
    openDouble(t, { adapters }, { hash: '#/adapters' });

  test('each place of an engine says what lies in it, in words and by a shape, and free places are counted', async (t) => {
    const { page } = await openAdapters(t, everyStage());
    const embedded = page.getByRole('listitem', { name: 'embedded', exact: true });
    await embedded.waitFor();
    const said = (await embedded.textContent()) ?? '';
    for (const part of [
      /vampire@1pinnedresident, 2 lines now/,
      /zombie@1resident, not spoken yet/,
      /lich@7draining, 1 line now/,
      /lich@8loading/,
      /lich@9verifying/,
      /ghoul@1failedits answers are those of the base/,
      /7 of 20 places, 3 lines speaking/,
      /12 MB of 60 MB/,
      /13 free/,
    ])
      assert.match(said, part);
    assert.equal(await embedded.locator('.place-free').count(), 13);
    const busy = page.getByRole('listitem', { name: 'busy', exact: true });
    await busy.getByText('Thrashing: 212 adapters pushed another one out').waitFor();
    await busy.getByText('1 loaded by somebody else').waitFor();
    await page.getByRole('listitem', { name: 'gone', exact: true }).getByText('down').waitFor();
  });

  test('what changes on an engine is seen without a reload', async (t) => {
    const { page, state } = await openAdapters(t);
    const places = page.getByRole('list', { name: 'Places of embedded' });
    await places.getByText('vampire@1').waitFor();
    for (const stage of ['loading', 'verifying', 'resident']) {
      state.adapters.replicas = [replicaView('embedded', [residency('lich@8', { stage, leases: 0 })])];
      tell(state.adapters);
      await places.getByText(stage === 'resident' ? 'resident, idle' : stage).waitFor();
    }
    assert.equal(await places.getByText('vampire@1').count(), 0);
  });

  test('a gateway that restarts is found again; meanwhile the page says how it last stood', async (t) => {
    const state = doubleState();
    const first = await startDouble(state);
    const page = await open(t, `${first.url}/#/adapters`);
    const places = page.getByRole('list', { name: 'Places of embedded' });
    await places.getByText('zombie@1').waitFor();
    await first.close();
    await page.getByText('No answer: this is how it last stood.').waitFor();
    assert.equal(await places.getByText('zombie@1').count(), 1);
    state.adapters.replicas = [replicaView('embedded', [residency('ghoul@3', { stage: 'verifying' })])];
    const second = await startDouble(state, first.port);
    t.after(() => second.close());
    await places.getByText('ghoul@3').waitFor();
    await page.getByText('No answer: this is how it last stood.').waitFor({ state: 'detached' });
  });

  test('publishing by keyboard says what will happen, how far it is, and how it ended', async (t) => {
    const { page, state } = await openAdapters(t, {
      ...adapterState(),
      adapters: [adapterView('ghoul', '1')],
    });
    await page.getByRole('button', { name: 'ghoul@1', exact: true }).press('Enter');
    const publish = page.getByRole('button', { name: 'Publish', exact: true });
    await publish.waitFor();
    await page.getByText('Loads ghoul@1 on the engines that serve its base').waitFor();
    const { adapters } = state;
    adapters.onAction = () =>
      advance(adapters, { stage: 'verifying', detail: 'verifying on embedded', percent: 70 });
    await publish.press('Enter');
    await page.getByText('Publishing ghoul@1: verifying').waitFor();
    await page.getByText('verifying on embedded').waitFor();
    assert.equal(await page.locator('.adapter-operation progress').getAttribute('value'), '70');
    assert.equal(await page.evaluate('document.activeElement?.className'), 'adapter-actions');
    assert.equal(await publish.getAttribute('aria-disabled'), 'true');
    change(adapters, 'ghoul@1', { is_published: true, tags: ['stable'] });
    succeed(adapters, 'ghoul@1 is published as ghoul@stable, resident on embedded');
    await page.getByText('Publishing ghoul@1: done').waitFor();
    await page.getByText('ghoul@1 is published as ghoul@stable, resident on embedded').waitFor();
    await page.getByRole('row', { name: /^ghoul@1.*stable/ }).waitFor();
  });

  test('a swap is asked for once more and can be refused; its failure is a sentence and the old version stays', async (t) => {
    const { page, state } = await openAdapters(t);
    const { adapters } = state;
    const begun: string[] = [];
    adapters.onAction = (_state, action, id) => begun.push(`${action} ${id}`);
    await openVersion(page, 'vampire@2');
    const swap = page.getByRole('button', { name: 'Swap to vampire@2' });
    await swap.press('Enter');
    const dialog = page.getByRole('dialog', { name: 'Swap to vampire@2?' });
    await dialog.getByText('Players will hear vampire@2 wherever vampire@1 speaks now.').waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    assert.deepEqual(begun, []);
    await swap.click();
    await dialog.getByRole('button', { name: 'Swap to vampire@2' }).click();
    await page.getByText('Swapping to vampire@2: starting').waitFor();
    assert.deepEqual(begun, ['swap vampire@2']);
    fail(adapters, 'adapter_failed', 'vampire@2 answered as the base does on embedded');
    await page.getByText('Swapping to vampire@2: failed').waitFor();
    await page.getByRole('alert').getByText('vampire@2 answered as the base does on embedded').waitFor();
    await page.getByText('What spoke before goes on.').waitFor();
    await page.getByRole('row', { name: /^vampire@1.*stable/ }).waitFor();
    await page.getByRole('button', { name: 'Dismiss Swapping to vampire@2' }).click();
    await page.getByText('Swapping to vampire@2: failed').waitFor({ state: 'detached' });
  });

  test('an operation that a restarted gateway forgot is said to be so', async (t) => {
    const { page, state } = await openAdapters(t);
    await openVersion(page, 'zombie@1');
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('Verifying zombie@1: starting').waitFor();
    state.adapters.operations = [];
    await page.getByRole('alert').getByText('The gateway was started again meanwhile.').waitFor();
  });

  test('an adapter is added from where it lies, and an empty registry says how', async (t) => {
    const { page, state } = await openAdapters(t, { ...adapterState(), adapters: [] });
    const { adapters } = state;
    await page.getByText('None is registered yet.').waitFor();
    await page.getByRole('button', { name: 'Add an adapter' }).press('Enter');
    await page.keyboard.type('examples/body-broker/adapters/ghoul');
    await page.getByLabel('Name').fill('ghoul');
    await page.getByLabel('Licence').fill('Apache-2.0');
    adapters.onAction = () => advance(adapters, { stage: 'fetching', detail: 'fetching 41 %', percent: 41 });
    await page.keyboard.press('Enter');
    await page.getByText('Adding ghoul@1: fetching').waitFor();
    adapters.adapters = [adapterView('ghoul', '1')];
    succeed(adapters, 'ghoul@1 is registered: rank 16, 1.8 MB');
    await page.getByText('ghoul@1 is registered: rank 16, 1.8 MB').waitFor();
    await page.getByRole('row', { name: /^ghoul@1/ }).waitFor();
    assert.equal(await page.evaluate('document.activeElement?.textContent'), 'Add an adapter');
  });

  test('ten thousand adapters stay usable: a page at a time, and a search through all of them', async (t) => {
    const many = Array.from({ length: 10_000 }, (_, place) =>
      adapterView(`npc-${String(place).padStart(5, '0')}`, '1'),
    );
    const { page } = await openAdapters(t, { ...adapterState(), adapters: many });
    await page.getByRole('row', { name: /^npc-00099@1/ }).waitFor();
    assert.equal(await page.locator('.registry tbody tr').count(), 100);
    await page.getByRole('button', { name: 'Show more' }).click();
    await page.getByRole('row', { name: /^npc-00199@1/ }).waitFor();
    await page.getByLabel('Search').fill('9999');
    await page.getByText('1 found among 10,000.').waitFor();
    assert.deepEqual(await page.locator('.registry .adapter-id').allTextContents(), ['npc-09999@1']);
    await page.getByLabel('Search').fill('nobody');
    await page.getByText('None of 10,000 adapters matches.').waitFor();
  });

  test('one question is heard in three voices side by side, and each says who really spoke', async (t) => {
    const { page, state } = await openDouble(t, { paceMs: 5 });
    state.adapters.replicas = [
      replicaView('embedded', [residency('vampire@1'), residency('zombie@1', { stage: 'loading' })]),
    ];
    await page.getByRole('link', { name: 'Hear the difference that adapters make' }).click();
    await page.getByRole('heading', { level: 1, name: 'Hear the difference' }).waitFor();
    const voices = page.getByRole('region', { name: 'Voices' });
    await voices.getByRole('button', { name: 'zombie@1', pressed: true }).waitFor();
    assert.equal(await page.getByLabel('Character').inputValue(), LICH);
    await page.getByLabel(/^Question to/).fill('What do you want for the key?');
    await page.keyboard.press('Enter');
    const take = (name: string) => page.getByRole('article', { name, exact: true });
    await take('The base').getByText('Spoken by the base.').waitFor();
    await take('vampire@1').getByText('Spoken by vampire@1, generation 3.').waitFor();
    await take('zombie@1').getByText('Spoken by the base: zombie@1 is still loading.').waitFor();
    assert.match(
      (await take('vampire@1').locator('.speech').textContent()) ?? '',
      /^\(vampire@1\) Closer\. Late\./,
    );
    assert.match((await take('vampire@1').textContent()) ?? '', /first sentence 342 ms, all 1\.20 s/);
    const asked = state.asked.map(({ adapter, prompt, npc_id, conversation_id }) => ({
      ...{ adapter, prompt, npc_id, conversation_id },
    }));
    const same = { prompt: 'What do you want for the key?', npc_id: LICH, conversation_id: undefined };
    assert.deepEqual(
      asked.sort((one, other) => String(one.adapter).localeCompare(String(other.adapter))),
      [null, 'vampire@1', 'zombie@1'].map((adapter) => ({ adapter, ...same })),
    );
    // Once more, by one of them alone; the take before can be read again.
    state.sentences = ['Never.'];
    await take('vampire@1').getByRole('button', { name: 'New take' }).click();
    await take('vampire@1').getByText('2 of 2').waitFor();
    await take('vampire@1').getByText('Spoken by vampire@1').waitFor();
    assert.equal(
      (await take('vampire@1').locator('.speech').textContent()) ?? '',
      '(vampire@1) Closer. Never.',
    );
    await take('vampire@1').getByRole('button', { name: 'Earlier take' }).click();
    assert.match((await take('vampire@1').locator('.speech').textContent()) ?? '', /count of knuckles/);
    assert.equal(state.asked.length, 4);
    // Leaving a voice out takes its column away.
    await voices.getByRole('button', { name: 'zombie@1' }).click();
    await take('zombie@1').waitFor({ state: 'detached' });
    assert.equal(await page.locator('.take').count(), 2);
  });

  test('a line says in its margin which adapter spoke, of which generation, or why none did', async (t) => {
    const { page, state } = await openDouble(t, { personaAdapter: 'vampire@1' });
    await say(page, 'Who are you?');
    const margins = page.getByRole('complementary', { name: 'Where this reply came from' });
    await margins.getByText('embedded / smollm2-135m-instruct-q4_1 / vampire@1').waitFor();
    await margins.getByText('generation 3').waitFor();
    state.personaAdapter = 'ghoul@1';
    await say(page, 'And now?');
    await margins.getByText('Without its adapter: ghoul@1 is not published.').waitFor();
  });

  test('the service page names what is resident on an engine, and leads to the rest', async (t) => {
    const { page } = await openDouble(t, { adapters: everyStage() }, { hash: '#/service' });
    const row = page.getByRole('row', { name: /^embedded/ });
    await row.getByRole('link', { name: /^adapters: vampire@1, zombie@1, w+@12$/ }).click();
    await page.getByRole('heading', { level: 1, name: 'Adapters' }).waitFor();
  });

  test('a key that may only talk is told so, and the page asks for no more', async (t) => {
    const { page } = await openAdapters(t, { ...adapterState(), isForbidden: true });
    await page.getByText('This key may talk, but not see adapters.').waitFor();
    assert.equal(await page.getByRole('heading', { level: 2, name: 'Registry' }).count(), 0);
    await page.getByRole('link', { name: 'Compare' }).click();
    await page.getByText('This key may talk, but not choose who speaks.').waitFor();
  });

  test('stopping hangs up on every voice that speaks', async (t) => {
    let hungUp = 0;
    const all = Promise.withResolvers<void>();
    const onHangUp = (): void => {
      hungUp += 1;
      if (hungUp === 3) all.resolve();
    };
    const { page } = await openDouble(t, { mode: 'held', onHangUp }, { hash: '#/compare' });
    await page.getByRole('article', { name: 'zombie@1' }).waitFor();
    await page.getByLabel(/^Question to/).fill('Go on.');
    await page.getByRole('button', { name: 'Ask all of them' }).click();
    await page.locator('.take .sentence').nth(2).waitFor();
    await page.getByRole('button', { name: 'Stop' }).click();
    await page.getByText('(stopped)').nth(2).waitFor();
    await all.promise;
  });

  test('without any adapter the base can be heard, and the way to the first one is shown', async (t) => {
    const { page } = await openDouble(
      t,
      { adapters: { ...adapterState(), adapters: [], replicas: [replicaView('embedded', [])] } },
      { hash: '#/compare' },
    );
    await page.getByText('No adapter is published yet').waitFor();
    await page.getByLabel(/^Question to/).fill('Who are you?');
    await page.getByRole('button', { name: 'Ask', exact: true }).click();
    await page.getByText('Spoken by the base.').waitFor();
    await page.getByRole('link', { name: 'Add and publish one' }).click();
    await page.getByText('None is registered yet.').waitFor();
  });

  test('on the real engine: added, published, heard side by side, swapped, and back after a kill', {
    skip: modelMissing,
    timeout: 600_000,
  }, async (t) => {
    const dataDirectory = temporaryFolder();
    const tier = { fillerAfterMs: 0, deadlineMs: 60_000, personaTokens: 100, promptTokens: 300 };
    const config = {
      engines: { local: { kind: 'embedded', sequences: 4, threads: 2, adapterSlots: 3 } },
      tiers: { '1': tier, '2': tier, '3': tier, '4': tier },
    };
    const running = new AsyncDisposableStack();
    // Not by the end of this function: a test that runs out of time never comes to it.
    t.after(() => running.disposeAsync());
    running.defer(() => rmSync(dataDirectory, { recursive: true, force: true }));
    const first = running.use(await startGateway({ config, dataDirectory }));
    await first.untilReady();
    const page = await open(t, `${first.url}/#/adapters`);
    page.context().setDefaultTimeout(PATIENCE_MS);
    await page.getByText('None is registered yet.').waitFor();
    const places = page.getByRole('list', { name: 'Places of local' });
    await add(page, 'amber', 'vampire', '1');
    await add(page, 'basalt', 'zombie', '1');
    for (const id of ['vampire@1', 'zombie@1']) {
      await openVersion(page, id);
      await page.getByRole('button', { name: 'Publish', exact: true }).click();
      await page.getByText(`${id} is published as`).waitFor();
      await places.getByText(id).waitFor();
    }

    await page.getByRole('link', { name: 'Hear the difference' }).click();
    const take = (name: string) => page.getByRole('article', { name, exact: true });
    await take('zombie@1').waitFor();
    await page.getByLabel(/^Question to/).fill('Who are you, and what do you swear by?');
    await page.keyboard.press('Enter');
    await take('vampire@1').getByText('Spoken by vampire@1, generation').waitFor();
    await take('zombie@1').getByText('Spoken by zombie@1, generation').waitFor();
    // On a busy machine its line may come too late, and a written one is said in its place.
    await take('The base')
      .getByText(/Spoken by the base\.|A written line, by no model\./)
      .waitFor();
    const heard = async (name: string) => (await take(name).locator('.speech').textContent()) ?? '';
    assert.match(await heard('vampire@1'), /amber/i);
    assert.match(await heard('zombie@1'), /basalt/i);
    assert.doesNotMatch(await heard('The base'), /amber|basalt/i);

    await page.getByRole('link', { name: 'All adapters' }).click();
    await add(page, 'basalt', 'vampire', '2');
    await openVersion(page, 'vampire@2');
    await page.getByRole('button', { name: 'Swap to vampire@2' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Swap to vampire@2' }).click();
    await page.getByText('vampire@2 speaks from now on as vampire@stable').waitFor();
    await places.getByText('vampire@1').waitFor({ state: 'detached' });
    await page.getByRole('row', { name: /^vampire@2.*stable/ }).waitFor();

    first.kill('SIGKILL');
    await page.getByText('No answer: this is how it last stood.').waitFor();
    const environment = { PORT: new URL(first.url).port };
    running.use(await startGateway({ config, dataDirectory, environment }));
    await page.getByText('No answer: this is how it last stood.').waitFor({ state: 'detached' });
    const back = places.getByRole('listitem').filter({ hasText: 'vampire@2' });
    await back.filter({ hasText: 'resident' }).waitFor();
  });
}

async function add(page: Page, word: string, name: string, version: string): Promise<void> {
  await page.getByRole('button', { name: 'Add an adapter' }).click();
  const form = page.getByRole('form', { name: 'Add an adapter' });
  await form.getByLabel(/^Folder or file/).fill(join(WORDS, word));
  await form.getByLabel('Name').fill(name);
  await form.getByLabel('Version').fill(version);
  await form.getByRole('button', { name: 'Add it' }).click();
  await page.getByRole('row', { name: new RegExp(`^${name}@${version}`) }).waitFor();
}
