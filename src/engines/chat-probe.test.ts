import assert from 'node:assert/strict';
import { describe, it, test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { CHAT_CASES, openChatDouble } from '../testing/chat-doubles.ts';
import { lineRequest } from '../testing/engine-conformance.ts';
import { replying } from '../testing/wire-faults.ts';
import { DOUBLE_MODEL } from '../testing/wires/chat-double.ts';
import { createChatProbe, gauges, member, type Questions } from './chat-probe.ts';
import type { DriverDefinition } from './driver.ts';
import { DRIVERS } from './index.ts';
import { estimateTokens } from './token-counter.ts';

const never = new AbortController().signal;

const VERSIONS: Readonly<Record<string, string>> = {
  vllm: '0.29.0',
  sglang: '0.5.9',
  'tensorrt-llm': '1.3.0rc27',
  tgi: '3.3.7',
  'llama-server': 'b6600-1a2b3c4d',
};
const isCode = (code: string) => (error: unknown) => error instanceof ServiceError && error.code === code;

for (const chatCase of CHAT_CASES.filter(({ options }) => Object.keys(options).length === 0)) {
  const { kind, wire } = chatCase;
  const isServerOfOnes = VERSIONS[kind] !== undefined;

  describe(`the questions of ${kind} to ${wire.title}`, () => {
    it('tell its version, or that its wire has none', async () => {
      await using opened = await openChatDouble(chatCase);
      assert.equal(await opened.probe.version(never), VERSIONS[kind] ?? 'unknown');
    });

    it('tell the names that it answers to', async () => {
      await using opened = await openChatDouble(chatCase);
      const [model] = await opened.probe.models(never);
      // Azure lists models, not deployments.
      assert.equal(model?.id, kind === 'azure-openai' ? 'gpt-5-mini-2025-08-07' : DOUBLE_MODEL);
      const saysContext = kind === 'vllm' || kind === 'sglang';
      assert.equal(model.maxModelTokens, saysContext ? 8_192 : null);
      assert.equal(model.parent, null);
    });

    it('find it alive and ready', async () => {
      await using opened = await openChatDouble(chatCase);
      await opened.probe.live(never);
      await opened.probe.ready(never);
    });

    it('find a model that is listed and not loaded, where its wire can tell', async (context) => {
      if (!isServerOfOnes) return context.skip('a cloud has its models always');
      await using opened = await openChatDouble(chatCase);
      opened.double.state.isLoaded = false;
      if (kind !== 'tgi' && wire.checksModel) await opened.probe.live(never);
      assert.equal((await opened.probe.models(never)).length, 1);
      await assert.rejects(opened.probe.ready(never), (error) =>
        // A hung vLLM has no word for it: the token that does not come is the answer.
        isCode(kind === 'vllm' ? 'engine_error' : 'not_ready')(error),
      );
    });

    it('tell what runs while it runs, where its wire has it', async () => {
      await using opened = await openChatDouble(chatCase);
      if (!isServerOfOnes) return assert.equal(await opened.probe.load(never), null);
      assert.deepEqual(await opened.probe.load(never), { running: 0, waiting: 0 });
      const line = opened.engine.generate(lineRequest({ model: opened.model }), never);
      for await (const event of line)
        if (event.type === 'text') {
          assert.deepEqual(await opened.probe.load(never), { running: 1, waiting: 0 });
          break;
        }
    });

    it('count tokens as it does, where it can be asked', async () => {
      await using opened = await openChatDouble(chatCase);
      const text = 'You keep a pawn shop.';
      assert.equal(await opened.counter.count(text, never), isServerOfOnes ? 5 : estimateTokens(text));
      assert.equal(await opened.counter.count('', never), 0);
    });

    it('say so when nobody answers', async () => {
      const opened = await openChatDouble(chatCase);
      await using _opened = opened;
      await opened.double[Symbol.asyncDispose]();
      const { probe } = opened;
      for (const question of [probe.version, probe.models, probe.live, probe.ready, probe.load]) {
        if (!isServerOfOnes && (question === probe.version || question === probe.load)) continue;
        await assert.rejects(question(never), isCode('engine_unavailable'));
      }
    });

    it('end with who asked', async () => {
      await using opened = await openChatDouble(chatCase);
      const reason = new Error('gone');
      const gone = AbortSignal.abort(reason);
      for (const question of [opened.probe.models, opened.probe.live, opened.probe.ready])
        await assert.rejects(question(gone), (error) => error === reason);
    });

    it('tell of a wrong key, where there are keys', async (context) => {
      if (wire.unauthorized === undefined) return context.skip('no keys');
      await using opened = await openChatDouble(chatCase, { apiKey: 'wrong' });
      await assert.rejects(opened.probe.ready(never), isCode('engine_account'));
      await assert.rejects(
        Array.fromAsync(opened.engine.generate(lineRequest({ model: DOUBLE_MODEL }), never)),
        isCode('engine_account'),
      );
    });
  });
}

/** A probe that hears one answer to everything. */
function asking(text: string, questions: Partial<Questions> = {}, status = 200) {
  const { sent, transport } = replying([text], { status });
  const probe = createChatProbe({
    name: 'tested',
    model: 'm',
    transport: () => transport,
    questions: { modelsPath: '/v1/models', ...questions },
  });
  return { sent, probe };
}

test('a model that the list does not have is not there, and the error names what is', async () => {
  const { probe } = asking('{"data":[{"id":"a"},{"id":"b","parent":"a","max_model_len":9},{"id":7},null]}');
  await assert.rejects(probe.ready(never), /does not list the model m; it has a, b/);
  assert.deepEqual(await probe.models(never), [
    { id: 'a', maxModelTokens: null, parent: null },
    { id: 'b', maxModelTokens: 9, parent: 'a' },
  ]);
  await assert.rejects(asking('{"data":[]}').probe.ready(never), /it has none/);
});

for (const [what, text] of [
  ['a page of HTML', '<html>Sign in</html>'],
  ['null', 'null'],
  ['an object without a list', '{"object":"list"}'],
  ['a number', '17'],
  ['nothing', ''],
] as const)
  test(`${what} instead of a model list is an engine_error`, async () => {
    await assert.rejects(asking(text).probe.models(never), isCode('engine_error'));
  });

test('an answer without end is given up', async () => {
  async function* endless() {
    for (;;) yield Buffer.alloc(1_000_000, ' ');
  }
  const { transport } = replying(endless());
  const probe = createChatProbe({
    name: 'tested',
    model: 'm',
    transport: () => transport,
    questions: { modelsPath: '/v1/models' },
  });
  await assert.rejects(probe.models(never), /broke off: body over 8000000 bytes/);
});

test('a version that is no text is unknown', async () => {
  const version = { path: '/version', read: member('version') };
  for (const text of ['{}', '[]', 'null', '{"version":7}', '{"version":""}'])
    assert.equal(await asking(text, { version }).probe.version(never), 'unknown');
});

test('a version page that is not there leaves it unknown; one that fails is a failure', async () => {
  const version = { path: '/version', read: member('version') };
  assert.equal(await asking('Not Found', { version }, 404).probe.version(never), 'unknown');
  await assert.rejects(asking('oh', { version }, 500).probe.version(never), isCode('engine_error'));
});

test('counts that are switched off are not told, and are no failure', async () => {
  const load = [gauges('/metrics', 'running', 'waiting')];
  assert.equal(await asking('running 3', { load }, 404).probe.load(never), null);
  assert.equal(await asking('<html>', { load }).probe.load(never), null);
  assert.deepEqual(await asking('running 3', { load }).probe.load(never), { running: 3, waiting: 0 });
  assert.deepEqual(await asking('waiting 2\nrunning 3', { load }).probe.load(never), {
    running: 3,
    waiting: 2,
  });
});

test('vLLM is asked for one token of the model that is served', async () => {
  const { sent, transport } = replying(['{"choices":[{"text":"x"}]}']);
  const definition: DriverDefinition = DRIVERS.vllm;
  const { probe } = definition.create({
    name: 'v',
    model: 'guard@1',
    options: definition.options.parse({}),
    transport: () => transport,
  });
  await probe.ready(never);
  assert.equal(sent[0]?.path, '/v1/completions');
  assert.deepEqual(JSON.parse(String(sent[0].body)), {
    model: 'guard@1',
    prompt: 'Hi',
    max_tokens: 1,
    temperature: 0,
  });
});
