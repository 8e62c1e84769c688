/**
 * Adapters behind a gateway in front of llm-d's simulator: vLLM's calls for loading and unloading, from a hand that is not
 * ours, and no model. It answers whatever adapter is named with the same words, so nothing may come to be served by it: what
 * is published must fail, with that reason. Given a voice for each adapter, by a relay that puts the model's name before what
 * is said to it, a hundred of them share four places.
 */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import type { RunningEngine } from '../../scripts/engines/child.ts';
import { openEngine } from '../../scripts/engines/frame.ts';
import { llmDSim, SIMULATED_MODEL } from '../../scripts/engines/llm-d-sim.ts';
import { hubConfig, TINY_BASES, writePeftFolder } from '../../src/testing/peft-folder.ts';
import { type Gateway, type Reply, startGateway, temporaryFolder, until } from '../gateway-process.ts';
import { skipUnlessAsked } from './when-asked.ts';

const skip = skipUnlessAsked(llmDSim, 2);
const never = new AbortController().signal;
const SLOTS = 4;
const ADAPTERS = 100;
const AT_ONCE = 8;

interface Spoken extends Reply {
  readonly source: Reply['source'] & {
    readonly adapter: string | null;
    readonly adapter_missing?: { readonly adapter: string; readonly reason: string };
  };
}

interface Operation {
  readonly id: string;
  readonly outcome: string | null;
  readonly failure: { readonly code: string; readonly message: string } | null;
}

/** Says to the simulator, which repeats what it hears, who is spoken to. */
async function startVoice(target: string): Promise<{ readonly origin: string } & AsyncDisposable> {
  const relay = createServer((request, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      let body = Buffer.concat(chunks).toString();
      if (request.url === '/v1/chat/completions') {
        const asked = JSON.parse(body) as {
          readonly model: string;
          readonly messages: readonly { readonly role: string; readonly content: string }[];
        };
        const last = asked.messages.at(-1);
        const said = { role: 'user', content: `${asked.model} hears this: ${last?.content ?? ''}` };
        body = JSON.stringify({ ...asked, messages: [...asked.messages.slice(0, -1), said] });
      }
      const answer = await fetch(`${target}${request.url ?? '/'}`, {
        method: request.method ?? 'GET',
        headers: { 'content-type': 'application/json' },
        ...(body === '' ? {} : { body }),
      });
      response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
      for await (const chunk of answer.body ?? []) response.write(chunk);
      response.end();
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => {
    relay.listen(0, '127.0.0.1', resolve);
  });
  return {
    origin: `http://127.0.0.1:${(relay.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        relay.close(() => resolve());
        relay.closeAllConnections();
      }),
  };
}

describe('A gateway in front of the simulator with adapters', { skip, timeout: 400_000 }, () => {
  const folder = temporaryFolder();
  const patient = { fillerAfterMs: 0, deadlineMs: 60_000 };
  const base = TINY_BASES.llama;
  let server: RunningEngine;
  let voice: Awaited<ReturnType<typeof startVoice>>;

  before(async () => {
    mkdirSync(path.join(folder, 'base'));
    writeFileSync(path.join(folder, 'base/config.json'), JSON.stringify(hubConfig(base)));
    for (let index = 0; index < ADAPTERS; index++)
      await writePeftFolder(path.join(folder, `npc-${index}`), { seed: index, rank: 2, base });
    server = await openEngine(
      llmDSim,
      { flags: { mode: 'echo', 'max-num-seqs': '8', 'max-loras': `${SLOTS}` }, lifeMs: 400_000 },
      never,
    );
    voice = await startVoice(server.origin);
  });
  after(async () => {
    await voice[Symbol.asyncDispose]();
    process.kill(server.pid, 'SIGKILL');
    await server[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (origin: string, name: string): Promise<Gateway> =>
    startGateway({
      dataDirectory: path.join(folder, name),
      config: {
        engines: {
          local: {
            kind: 'vllm',
            baseUrl: origin,
            model: SIMULATED_MODEL,
            baseFiles: path.join(folder, 'base'),
            adapterSlots: SLOTS,
            maxInFlight: 8,
          },
        },
        adapters: { pollMs: 100, waitMs: 20_000, swapsPerMinuteMax: 10_000 },
        tiers: { '1': patient, '2': patient, '3': patient, '4': patient },
      },
    });

  async function operate(gateway: Gateway, address: string, body: object = {}): Promise<Operation> {
    const reply = await gateway.post(`/admin/v1/${address}`, body);
    const text = await reply.text();
    assert.equal(reply.status, 202, text);
    const { id } = JSON.parse(text) as Operation;
    return await until(`${address} ends`, async () => {
      const { body: now } = await gateway.get(`/admin/v1/adapter-operations/${id}`);
      return (now as Operation).outcome === null ? null : (now as Operation);
    });
  }

  async function succeed(gateway: Gateway, address: string, body: object = {}): Promise<void> {
    const { outcome, failure } = await operate(gateway, address, body);
    assert.equal(outcome, 'succeeded', `${address}: ${failure?.message}`);
  }

  const say = async (gateway: Gateway, adapter: string, player: string): Promise<Spoken> =>
    (await gateway.say({
      npc_id: 'vampire_salon_keeper',
      prompt: 'Who are you?',
      adapter,
      temperature: 0,
      context: { player_id: player },
    })) as Spoken;

  const heldAt = async (): Promise<readonly string[]> => {
    const { data } = (await (await fetch(`${server.origin}/v1/models`)).json()) as {
      readonly data: readonly { readonly id: string; readonly parent: string | null }[];
    };
    return data.filter(({ parent }) => parent !== null && parent !== '').map(({ id }) => id);
  };

  test('an engine that answers every adapter as the base is never believed, and nothing is routed to it', async () => {
    await using gateway = await open(server.origin, 'liar');
    await gateway.untilReady();
    await succeed(gateway, 'adapters', { source: path.join(folder, 'npc-0'), name: 'npc-0', version: '1' });
    const { outcome, failure } = await operate(gateway, 'adapters/npc-0@1/publish');
    assert.deepEqual([outcome, failure?.code], ['failed', 'adapter_failed']);
    assert.match(failure?.message ?? '', /answers as the base does/);
    const spoken = await say(gateway, 'npc-0', 'p');
    assert.equal(spoken.source.kind, 'engine');
    assert.equal(spoken.source.adapter, null);
    assert.equal(spoken.source.adapter_missing?.adapter, 'npc-0');
    const loads = gateway.log.filter(({ event }) => event === 'adapter.load-failed');
    assert.equal(loads.length, 3);
    await until('it was unloaded again', async () => (await heldAt()).length === 0);
  });

  test('a hundred adapters share four places, and each line is spoken by the one that it names', async (context: TestContext) => {
    await using gateway = await open(voice.origin, 'honest');
    await gateway.untilReady();
    const publishMs: number[] = [];
    for (let index = 0; index < ADAPTERS; index++) {
      const name = `npc-${index}`;
      await succeed(gateway, 'adapters', { source: path.join(folder, name), name, version: '1' });
      const startedMs = performance.now();
      await succeed(gateway, `adapters/${name}@1/publish`);
      publishMs.push(performance.now() - startedMs);
    }
    publishMs.sort((a, b) => a - b);
    let isOver = false;
    let most = 0;
    const watch = async () => {
      while (!isOver) most = Math.max(most, (await heldAt()).length);
    };
    const watching = watch();
    let next = 0;
    const missing = new Map<string, number>();
    const totalsMs: number[] = [];
    const talk = async () => {
      while (next < 2 * ADAPTERS) {
        // Another order than that in which they were published.
        const name = `npc-${(next++ * 37) % ADAPTERS}`;
        const { text, source, timing } = await say(gateway, name, `${name} ${next}`);
        assert.equal(source.kind, 'engine', `${source.cause}: ${text}`);
        if (source.adapter === null) {
          const reason = source.adapter_missing?.reason ?? '';
          missing.set(reason, (missing.get(reason) ?? 0) + 1);
          continue;
        }
        assert.equal(source.adapter, `${name}@1`);
        assert.ok(text.startsWith(`${name}@1-`), text);
        totalsMs.push(timing.total_ms);
      }
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, talk));
    } finally {
      isOver = true;
      await watching;
    }
    totalsMs.sort((a, b) => a - b);
    const middle = (values: readonly number[]) => Math.round(values[values.length >> 1] ?? 0);
    context.diagnostic(
      `publish ${middle(publishMs)} ms at the median; ${totalsMs.length} of ${2 * ADAPTERS} lines by their own adapter, ${middle(totalsMs)} ms at the median; missing: ${JSON.stringify([...missing])}; at most ${most} held`,
    );
    assert.ok(most <= SLOTS, `${most} were held at once`);
    assert.ok(totalsMs.length > ADAPTERS, 'most lines found theirs');
  });
});
