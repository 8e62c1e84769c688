/**
 * The console in headless Chromium: against the real gateway where a healthy one shows it, and against the double of
 * its wire for what a healthy gateway never shows (starting, refused keys, cut streams, hostile text).
 * Needs a Chromium; without one the browser tests say how to get it and are skipped.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, type TestContext, test } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { type DoubleState, doubleState, startDouble } from '../console/double.ts';
import { fail, replicaView, residency } from '../console/double-adapters.ts';
import { EventStreamParser } from '../console/src/event-stream.ts';
import { adapterTests, everyStage } from './console-adapters.ts';
import { everyLine, lineTests } from './console-lines.ts';
import { operatorTests } from './console-operator.ts';
import { everyRecall, recallTests } from './console-recall.ts';

const ROOT = join(import.meta.dirname, '..');
const BROWSER = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path !== undefined && existsSync(path));
const WITHOUT_BROWSER = BROWSER ? false : 'no Chromium: apt-get install chromium, or set CHROMIUM_PATH';
const BROWSER_FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Longer than a gateway drains. */
const END_PATIENCE_MS = 60_000;
const LICH = 'lich_ossuary_keeper';

/** The page is built again when a source is newer than it, so that the test never judges an old page. */
function buildConsole(): void {
  const built = join(ROOT, 'console/dist/index.html');
  const builtMs = existsSync(built) ? statSync(built).mtimeMs : 0;
  const sources = globSync('console/{src/**/*,public/*,index.html,vite.config.ts}', { cwd: ROOT });
  if (sources.every((file) => statSync(join(ROOT, file)).mtimeMs <= builtMs)) return;
  const build = spawnSync('npm', ['run', 'build', '-w', 'console'], { cwd: ROOT, encoding: 'utf8' });
  assert.equal(build.status, 0, build.stderr);
}

describe('the event stream parser', () => {
  const text =
    ': heartbeat\n\nevent: sentence\r\ndata: {"text":"Größe…"}\r\n\r\nevent: a\ndata: 1\ndata: 2\n\ndata:\n\nevent: lost\n\n';
  const expected = [
    { event: 'sentence', data: '{"text":"Größe…"}' },
    { event: 'a', data: '1\n2' },
    { event: 'message', data: '' },
  ];

  test('gives the same events wherever the text is cut', () => {
    for (let cut = 0; cut <= text.length; cut++) {
      const parser = new EventStreamParser();
      assert.deepEqual([...parser.push(text.slice(0, cut)), ...parser.push(text.slice(cut))], expected);
    }
    const single = new EventStreamParser();
    assert.deepEqual(
      [...text].flatMap((character) => single.push(character)),
      expected,
    );
  });

  test('refuses an event without end before it fills the memory', () => {
    const parser = new EventStreamParser();
    assert.throws(() => {
      for (;;) parser.push('data: '.padEnd(100_000, 'x'));
    }, /million characters/);
  });
});

describe('the console', { skip: WITHOUT_BROWSER }, () => {
  let browser: Browser;
  before(async () => {
    buildConsole();
    browser = await chromium.launch({ executablePath: BROWSER ?? '', args: BROWSER_FLAGS });
  });
  after(() => browser.close());

  async function open(t: TestContext, url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
    t.after(() => context.close());
    context.setDefaultTimeout(20_000);
    const page = await context.newPage();
    page.on('pageerror', (error) => assert.fail(`the page threw: ${error.message}`));
    await page.goto(url);
    return page;
  }

  async function openDouble(
    t: TestContext,
    change: Partial<DoubleState> = {},
    options: BrowserContextOptions & { hash?: string } = {},
  ): Promise<{ page: Page; state: DoubleState; drop: () => void }> {
    const state = { ...doubleState(), ...change };
    const double = await startDouble(state);
    t.after(() => double.close());
    const { hash = `#/talk/${LICH}`, ...rest } = options;
    return { page: await open(t, `${double.url}/${hash}`, rest), state, drop: double.drop };
  }

  async function say(page: Page, text: string): Promise<void> {
    const box = page.getByLabel(/^Say to/);
    await box.fill(text);
    await box.press('Enter');
  }

  test('somebody talks to an NPC with the keyboard alone and sees sentences and provenance', async (t) => {
    const { page, state } = await openDouble(t, {}, { hash: '' });
    await page.locator('.cast-link').first().waitFor();
    const focused = 'document.activeElement?.getAttribute("type") ?? document.activeElement?.tagName';
    for (let presses = 0; presses < 12 && (await page.evaluate(focused)) !== 'search'; presses++)
      await page.keyboard.press('Tab');
    await page.keyboard.type('lich tier 3');
    await page.keyboard.press('ArrowDown');
    assert.notEqual(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle'), 'none');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'Veyra of the Ninth Ossuary' }).waitFor();
    assert.equal(await page.evaluate(focused), 'TEXTAREA');
    await page.keyboard.type('What are you?');
    await page.keyboard.press('Enter');
    const margin = page.getByRole('complementary', { name: 'Where this reply came from' });
    await margin.waitFor();
    assert.deepEqual(await page.locator('.script .sentence').allTextContents(), state.sentences);
    const note = (await margin.textContent()) ?? '';
    for (const part of [
      'Generated',
      'embedded',
      'smollm2-135m',
      '612',
      '540',
      '118 ms',
      '342 ms',
      '1.20 s',
      'first choice',
    ])
      assert.ok(note.includes(part), `the note lacks ${part}: ${note}`);
    assert.ok(!note.includes('cost'), 'a line that cost nothing says nothing of cost');
    const spoken = page.getByRole('log', { name: 'Spoken lines' });
    assert.equal(await spoken.getAttribute('aria-live'), 'polite');
    assert.ok(((await spoken.textContent()) ?? '').includes(state.sentences[2] ?? '?'));
  });

  test('Esc hangs up; what was heard stays and is marked as cut', async (t) => {
    const hungUp = Promise.withResolvers<void>();
    const { page } = await openDouble(t, { mode: 'held', onHangUp: hungUp.resolve });
    await say(page, 'Go on.');
    await page.locator('.script .sentence').waitFor();
    await page.keyboard.press('Escape');
    await page.getByText('(cut off after 1 sentence)').waitFor();
    await hungUp.promise;
    assert.deepEqual(await page.locator('.script .sentence').allTextContents(), ['Late.']);
    assert.equal(await page.getByRole('button', { name: /Interrupt/ }).count(), 0);
  });

  test('speaking while the NPC speaks interrupts it and asks again', async (t) => {
    const { page, state } = await openDouble(t, { mode: 'held' });
    await say(page, 'First.');
    await page.locator('.script .sentence').waitFor();
    state.mode = 'speak';
    await say(page, 'Second.');
    await page.getByText('Generated').waitFor();
    assert.equal(await page.getByText('(cut off after 1 sentence)').count(), 1);
    assert.deepEqual(
      state.asked.map((body) => body['prompt']),
      ['First.', 'Second.'],
    );
  });

  test('a trigger asks for a bark, and the scene and the conversation go along', async (t) => {
    const { page, state } = await openDouble(t);
    await page.getByText('Scene', { exact: false }).first().click();
    await page.getByLabel('Player name').fill('Ash');
    await page.getByLabel('Location').fill('ossuary');
    await page.getByLabel('Mood').fill('tense');
    await page.getByLabel('or set off').selectOption('low_health');
    await page.getByRole('button', { name: 'Bark' }).click();
    await page.getByText('Written line').waitFor();
    await say(page, 'Hold still.');
    await page.getByText('Generated').waitFor();
    const [bark, talk] = state.asked;
    assert.equal(bark?.['prompt'], '');
    assert.equal(bark?.['trigger'], 'low_health');
    assert.deepEqual(talk?.['context'], { player_id: 'Ash', location: 'ossuary', mood: 'tense' });
    assert.equal(talk?.['conversation_id'], bark?.['conversation_id']);
    assert.ok(await page.getByText(String(talk?.['conversation_id'])).isVisible());
    await page.getByRole('button', { name: 'New conversation' }).click();
    assert.equal(await page.locator('.exchange').count(), 0);
    await say(page, 'Again.');
    await page.getByText('Generated').waitFor();
    assert.notEqual(state.asked[2]?.['conversation_id'], talk?.['conversation_id']);
  });

  test('a fallback says its cause and a filler is shown as one', async (t) => {
    const { page } = await openDouble(t, { mode: 'written', filler: 'Hm.' });
    await say(page, 'Well?');
    await page.getByText('Fell back: no engine is up.').waitFor();
    assert.equal((await page.locator('.filler .mark').textContent()) ?? '', 'filler');
  });

  test('a cut stream and an error are sentences that say what to do, and keep what was heard', async (t) => {
    const { page, state, drop } = await openDouble(t, { mode: 'held' });
    await say(page, 'One.');
    await page.locator('.script .sentence').waitFor();
    drop();
    await page.getByText('The connection broke in mid-line.').waitFor();
    assert.equal(await page.locator('.script .sentence').count(), 1);
    state.mode = 'error';
    await say(page, 'Two.');
    await page.getByText('The engine failed at this line.').waitFor();
    await page.getByText('out of slots').waitFor();
  });

  test('an address of nobody says so', async (t) => {
    const { page } = await openDouble(t, {}, { hash: '#/talk/nobody%' });
    await page.getByText('There is no NPC with this id.').waitFor();
  });

  test('the stages of the first start are shown until the service is ready', async (t) => {
    const readiness = { ready: false, stage: 'fetching', detail: '38 of 93 MB', percent: 41 };
    const { page, state } = await openDouble(t, { readiness });
    await page.getByRole('status').getByText('Fetching 41 %').waitFor();
    assert.equal(await page.locator('.stages progress').getAttribute('value'), '41');
    assert.equal((await page.locator('.stages [aria-current=step]').textContent()) ?? '', 'fetching 41 %');
    state.readiness = { ready: false, stage: 'warming', detail: null };
    await page.getByRole('status').getByText('Warming').waitFor();
    state.readiness = { ready: true, stage: 'ready', detail: null };
    await page.getByRole('status').getByText('Ready').waitFor();
    assert.equal(await page.locator('.stages').count(), 0);
  });

  test('a lost connection is said and healed without a reload', async (t) => {
    const state = doubleState();
    const first = await startDouble(state);
    const page = await open(t, `${first.url}/#/talk/${LICH}`);
    await say(page, 'Before.');
    await page.getByText('Generated').waitFor();
    await first.close();
    await page.getByText('The gateway does not answer.').waitFor();
    const second = await startDouble(state, first.port);
    t.after(() => second.close());
    await page.getByRole('status').getByText('Ready').waitFor();
    await page.getByText('The gateway does not answer.').waitFor({ state: 'detached' });
    assert.equal(await page.locator('.exchange').count(), 1);
  });

  test('a gateway with keys asks for one, refuses a wrong one, and keeps the right one in the tab only', async (t) => {
    const { page } = await openDouble(t, { key: 'gr_right' });
    await page.getByLabel('API key').fill('gr_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The gateway did not accept this key.').waitFor();
    await page.getByLabel('API key').fill('gr_right');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: /Veyra/ }).waitFor();
    await say(page, 'Hello.');
    await page.getByText('Generated').waitFor();
    assert.equal(await page.evaluate('localStorage.length'), 0);
    assert.equal(await page.evaluate('sessionStorage.length'), 1);
    assert.ok(!page.url().includes('gr_right'));
    await page.getByRole('button', { name: 'Forget key' }).click();
    await page.getByText('This gateway asks for an API key.').waitFor();
  });

  test('markup in an NPC and in a player stays text', async (t) => {
    const evil = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
    const npc = { npc_id: 'evil', name: evil, kind: evil, tier: 1, summary: evil };
    const { page } = await openDouble(
      t,
      { npcs: [npc], sentences: [evil], filler: evil },
      { hash: '#/talk/evil' },
    );
    await say(page, evil);
    await page.getByText('Generated').waitFor();
    assert.equal((await page.locator('.script .sentence').textContent()) ?? '', evil);
    assert.equal((await page.locator('.line-player .speech').textContent()) ?? '', evil);
    for (const sheet of ['persona', 'prompt']) {
      await page.evaluate(`location.hash = '#/cast/evil/${sheet}'`);
      await page.locator('.part, .message').first().waitFor();
    }
    assert.equal(await page.evaluate('window.pwned'), undefined);
    assert.equal(await page.locator('#root img, #root script').count(), 0);
  });

  test('a designer reads persona, prompt and written lines, and secrets stay covered until asked for', async (t) => {
    const { page } = await openDouble(t, {}, { hash: `#/cast/${LICH}` });
    const reveal = page.getByRole('button', { name: 'Reveal the secret' });
    await reveal.waitFor();
    assert.equal(await page.getByText('Her phylactery').count(), 0);
    await reveal.press('Enter');
    await page.getByText('Her phylactery').waitFor();
    await page.getByText('That door has no hinge.').waitFor();
    await page.getByRole('link', { name: 'Prompt' }).click();
    await page.getByText('You speak as Veyra').waitFor();
    assert.match((await page.locator('.prompt-count').textContent()) ?? '', /571 tokens/);
    await page.getByRole('link', { name: 'Written lines' }).click();
    await page.getByText('32 lines').waitFor();
    await page.getByLabel('Trigger').selectOption('fallback:offline');
    await page.getByText('8 lines').waitFor();
    await page.getByLabel('Search').fill('dust');
    await page.getByText('1 line', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Hear it' }).click();
    assert.equal((await page.locator('.subtitle .sentence').textContent()) ?? '', 'The dust was here first.');
    await page.getByRole('button', { name: 'Hear it' }).waitFor();
  });

  const VIEWS = [
    '#/talk',
    `#/talk/${LICH}`,
    ...['persona', 'prompt', 'lines'].map((sheet) => `#/cast/${LICH}/${sheet}`),
    '#/compare',
    '#/lines',
    '#/recall',
    '#/adapters',
    '#/jobs',
    '#/service',
  ];

  /** A night that needs every colour: engines down, money stopped. */
  const troubled = (): Partial<DoubleState> => ({
    adapters: everyStage(),
    lines: everyLine(),
    recall: everyRecall(),
    filler: 'Hm.',
    spending: { off: true, callsInFlight: 1, isStoreAway: false, isForbidden: false },
    engines: [
      { name: 'big', stage: 'ready', breaker: 'open', unusable: 'backend_error', restarts: 2, pid: null },
      { name: 'gone', stage: 'failed', reason: `warm-up: no reply from http://${'w'.repeat(60)}:8000` },
      { name: 'small', stage: 'ready', model: 'llama-3.1-8b', model_version: 'llama-3.1-8b@2026-05' },
    ],
  });

  /** A take that was spoken, one by somebody else than wanted, and one that failed. */
  async function hearAll(page: Page, state: DoubleState): Promise<void> {
    state.mode = 'speak';
    state.adapters.replicas = [replicaView('embedded', [residency('vampire@1')])];
    await page.getByRole('article', { name: 'zombie@1' }).waitFor();
    await page.getByLabel(/^Question to/).fill('W'.repeat(300));
    await page.getByRole('button', { name: 'Ask all of them' }).click();
    await page.getByText('zombie@1 is not published').waitFor();
    await page.getByText('Spoken by vampire@1').waitFor();
    state.mode = 'error';
    await page.getByRole('button', { name: 'New take' }).first().click();
    await page.getByText('out of slots').waitFor();
    state.adapters.replicas = everyStage().replicas;
  }

  /** A version opened whose operation failed, and the form to add one. */
  async function openAndFail(page: Page, { adapters }: DoubleState): Promise<void> {
    await page.getByRole('button', { name: 'vampire@1', exact: true }).click();
    adapters.onAction = () => fail(adapters, 'adapter_failed', `no answer from ${'w'.repeat(80)}`);
    await page.getByRole('button', { name: 'Verify' }).click();
    await page.getByText('Verifying vampire@1: failed').waitFor();
    await page.getByRole('button', { name: 'Add an adapter' }).click();
  }

  /** A line whose form is open, and one that nobody may decide about yet. */
  async function openLine(page: Page): Promise<void> {
    await page.getByRole('button', { name: 'Approve', exact: true }).first().click();
    await page.getByText('Say who decides first.').waitFor();
    await page.getByRole('button', { name: 'Approve as…' }).click();
    await page.getByLabel('Upon').waitFor();
  }

  /** Runs `look` on every view, the talk with replies of each sort in it. */
  async function onEveryView(
    page: Page,
    state: DoubleState,
    look: (view: string) => Promise<void>,
  ): Promise<void> {
    for (const view of VIEWS) {
      await page.evaluate(`location.hash = '${view}'`);
      await page
        .locator(view === '#/talk' ? '.cast-link' : 'main h1')
        .first()
        .waitFor();
      if (view === `#/talk/${LICH}`) {
        await say(page, 'W'.repeat(300));
        await page.getByText('Generated').waitFor();
        state.mode = 'written';
        await say(page, 'And now?');
        await page.getByText('Fell back').waitFor();
        state.mode = 'held';
        await say(page, 'Stay.');
        await page.getByRole('button', { name: /Interrupt/ }).waitFor();
        await page.keyboard.press('Escape');
        await page.getByText('(cut off').waitFor();
        state.mode = 'error';
        await say(page, 'Stay.');
        await page.getByText('out of slots').waitFor();
      }
      if (view.endsWith('persona')) await page.getByRole('button', { name: 'Reveal the secret' }).click();
      if (view.startsWith('#/cast') && view.endsWith('lines')) await page.getByText('32 lines').waitFor();
      if (view === '#/compare') await hearAll(page, state);
      if (view === '#/lines') await openLine(page);
      if (view === '#/recall') await page.getByText('cost nothing:').waitFor();
      if (view === '#/adapters') await openAndFail(page, state);
      if (view === '#/service') await page.getByText('Taken out after failures').waitFor();
      await look(view);
    }
  }

  test('nothing scrolls sideways at 360 pixels', async (t) => {
    const { page, state } = await openDouble(t, troubled(), { viewport: { width: 360, height: 740 } });
    await onEveryView(page, state, async (view) => {
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, view);
    });
  });

  for (const colorScheme of ['light', 'dark'] as const)
    test(`text has the contrast of WCAG AA in ${colorScheme}`, async (t) => {
      const options = { colorScheme, reducedMotion: 'reduce' } as const;
      const { page, state } = await openDouble(t, troubled(), options);
      await onEveryView(page, state, async (view) => {
        const { count, poor } = await page.evaluate<{ count: number; poor: string[] }>(CONTRAST);
        assert.ok(count > 15, `${view}: only ${count} texts were seen`);
        assert.deepEqual(poor, [], view);
      });
      state.readiness = { ready: false, stage: 'fetching', detail: 'some', percent: 3 };
      await page.locator('.stages').waitFor();
      assert.deepEqual((await page.evaluate<{ poor: string[] }>(CONTRAST)).poor, []);
    });

  test('nothing moves for those who asked for less motion', async (t) => {
    const { page } = await openDouble(t, {}, { reducedMotion: 'reduce' });
    await say(page, 'Hello.');
    await page.getByText('Generated').waitFor();
    assert.equal(
      await page.evaluate('getComputedStyle(document.querySelector(".sentence")).animationName'),
      'none',
    );
    assert.equal(await page.evaluate('document.getAnimations().length'), 0);
  });

  describe('for an operator', () => operatorTests({ open, openDouble, say }));
  describe('of adapters', () => adapterTests({ open, openDouble, say }));
  describe('of lines', () => lineTests({ open, openDouble, say }));
  describe('of the dialogue cache', () => recallTests({ open, openDouble, say }));

  const isGatewayThere =
    existsSync(join(ROOT, 'src/cli/serve.ts')) &&
    existsSync(join(ROOT, 'examples/body-broker/greenroom.yaml'));

  test('the real gateway serves the page and an NPC answers on it', { skip: !isGatewayThere }, async (t) => {
    const data = mkdtempSync(join(tmpdir(), 'greenroom-console-'));
    const gateway = spawn(
      process.execPath,
      ['src/main.ts', 'serve', '--config', 'examples/body-broker/greenroom.yaml'],
      {
        cwd: ROOT,
        env: { ...process.env, PORT: '0', GREENROOM_DATA: data },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const exited = new Promise<NodeJS.Signals | null>((resolve) =>
      gateway.once('exit', (_code, signal) => resolve(signal)),
    );
    const said: string[] = [];
    t.after(async () => {
      gateway.kill('SIGTERM');
      // No timeout of the runner ends a process: one that stays would keep the whole run from its end, without a word.
      const timer = setTimeout(() => gateway.kill('SIGKILL'), END_PATIENCE_MS);
      const signal = await exited;
      clearTimeout(timer);
      rmSync(data, { recursive: true, force: true });
      assert.notEqual(signal, 'SIGKILL', `the gateway did not end: ${said.slice(-10).join('\n')}`);
    });
    const listening = Promise.withResolvers<string>();
    for (const stream of [gateway.stdout, gateway.stderr])
      createInterface({ input: stream }).on('line', (line) => {
        said.push(line);
        const found = /listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
        if (found) listening.resolve(found);
      });
    void exited.then(() => listening.reject(new Error(`the gateway ended: ${said.slice(-10).join('\n')}`)));
    const url = await listening.promise;

    const page = await open(t, url);
    page.context().setDefaultTimeout(120_000);
    await page.getByRole('status').getByText('Ready').waitFor();
    await page.locator('.cast-link').first().click();
    await say(page, 'Who are you?');
    await page.getByRole('complementary', { name: 'Where this reply came from' }).waitFor();
    assert.ok((await page.locator('.script .sentence').count()) > 0);
    await page.getByRole('link', { name: 'Cast', exact: true }).first().click();
    await page.getByRole('heading', { level: 2, name: 'Identity' }).waitFor();
    await page.getByRole('link', { name: 'Prompt' }).click();
    await page.locator('.message pre').first().waitFor();
    await page.getByRole('link', { name: 'Written lines' }).click();
    await page.locator('.lines-table tbody tr').first().waitFor();
  });
});

/**
 * Runs in the page: every visible text against the colour behind it, by the formula of WCAG 2.2 (1.4.3): 4.5, or 3 for
 * large text. Disabled controls are exempt there.
 */
const CONTRAST = `(() => {
  const parse = (colour) => {
    const [r = 0, g = 0, b = 0, a = 1] = (colour.match(/[\\d.]+/g) ?? []).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => Object.fromEntries(
    ['r', 'g', 'b'].map((c) => [c, top[c] * top.a + below[c] * (1 - top.a)]).concat([['a', 1]]));
  const luminance = (colour) => {
    const [r, g, b] = [colour.r, colour.g, colour.b].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    if (!element) return { r: 255, g: 255, b: 255, a: 1 };
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.a === 1 ? own : over(own, behind(element.parentElement));
  };
  let count = 0;
  const poor = [];
  for (const element of document.querySelectorAll('body *')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (!hasText && !('value' in element && element.value)) continue;
    if (!element.checkVisibility() || element.closest('.unseen') || element.matches(':disabled, option, optgroup')) continue;
    const style = getComputedStyle(element);
    const back = behind(element);
    const [high, low] = [luminance(over(parse(style.color), back)), luminance(back)].sort((a, b) => b - a);
    const ratio = (high + 0.05) / (low + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    count += 1;
    if (ratio < (isLarge ? 3 : 4.5)) poor.push(element.className + ' ' + element.textContent.slice(0, 40) + ' ' + ratio.toFixed(2));
  }
  return { count, poor };
})()`;
