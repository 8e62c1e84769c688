/**
 * Money on the whole gateway: a paid engine in the ladder, its price on the reply, the switch from the command line that
 * ends calls in flight, and that it is still off after kill -9.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startChatServer } from '../src/testing/chat-server.ts';
import { startGateway, temporaryFolder } from './gateway-process.ts';

const NPC = 'vampire_salon_keeper';
const LINE = 'The bell has not rung since the flood.';

describe('a gateway with a paid engine', () => {
  const dataDirectory = temporaryFolder();
  let cloud: Awaited<ReturnType<typeof startChatServer>>;
  let hangs = false;
  before(async () => {
    cloud = await startChatServer(async (body, response, closed) => {
      if (body['stream'] !== true) {
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'big', object: 'model' }] }));
        return;
      }
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const send = (value: unknown) => response.write(`data: ${JSON.stringify(value)}\n\n`);
      if (hangs) {
        send({ choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] });
        await new Promise((done) => closed.addEventListener('abort', done));
        return;
      }
      send({ choices: [{ index: 0, delta: { content: LINE } }] });
      send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
      send({ choices: [], usage: { prompt_tokens: 1_000, completion_tokens: 10 } });
      response.end('data: [DONE]\n\n');
    });
  });
  after(async () => {
    await cloud[Symbol.asyncDispose]();
    rmSync(dataDirectory, { recursive: true, force: true });
  });

  const config = () => {
    const quick = { rungs: ['cloud'], fillerAfterMs: 0, deadlineMs: 20_000 };
    return {
      engines: { cloud: { kind: 'openai-compatible', baseUrl: cloud.origin, model: 'big', isPaid: true } },
      tiers: { '1': quick, '2': quick, '3': quick, '4': quick },
      spending: {
        tiers: { '3': { dailyUsd: 0.05 } },
        prices: [{ model: 'big', effectiveFrom: '2026-01-01', inputUsd: 2, outputUsd: 10 }],
      },
    };
  };
  const cli = (...flags: string[]) =>
    spawnSync(process.execPath, [resolve(import.meta.dirname, '..', 'bin/greenroom.js'), ...flags], {
      encoding: 'utf8',
      timeout: 60_000,
    });
  const ask = (prompt: string) => ({ npc_id: NPC, prompt, context: { player_id: prompt } });

  test('costs what its price says, is switched off with calls in flight, and stays off after kill -9', async () => {
    await using gateway = await startGateway({ config: config(), dataDirectory });
    await gateway.untilReady();
    const paid = await gateway.say(ask('Has the bell rung?'));
    assert.equal(paid.text, LINE);
    assert.equal((paid.usage as unknown as { cost_usd: number }).cost_usd, 0.0021);
    const status = cli('spending', '--url', gateway.url);
    assert.match(status.stdout, /on; 0 paid calls in flight[\s\S]*\$0\.0021 spent, \$0\.0000 held/);

    hangs = true;
    const silenced = gateway.say(ask('And the ropes?'));
    await cloud.untilRunning(1);
    assert.match(cli('spending', 'off', '--url', gateway.url).stdout, /Paid engines are off; 0 paid calls/);
    const written = await silenced;
    assert.equal(written.source.kind, 'written');
    assert.equal(written.source.cause, 'disabled');
    await cloud.untilRunning(0);
    process.kill(gateway.pid, 'SIGKILL');
  });

  test('a gateway that was switched off and killed asks no paid engine until it is switched on', async () => {
    hangs = false;
    await using gateway = await startGateway({ config: config(), dataDirectory });
    await gateway.untilReady();
    const before = cloud.asked.filter((body) => body['stream'] === true).length;
    const off = await gateway.say(ask('Who carried the ropes?'));
    assert.equal(off.source.cause, 'disabled');
    assert.equal(cloud.asked.filter((body) => body['stream'] === true).length, before);
    assert.match(cli('spending', 'on', '--url', gateway.url).stdout, /Paid engines are on/);
    assert.equal((await gateway.say(ask('Who has the sexton seen?'))).text, LINE);
  });

  test('a paid engine without a price does not start, in words', async () => {
    const folder = temporaryFolder();
    try {
      const { writeFileSync } = await import('node:fs');
      const file = join(folder, 'greenroom.yaml');
      const bare = {
        ...config(),
        spending: {},
        cast: resolve(import.meta.dirname, '../examples/body-broker/cast'),
      };
      writeFileSync(file, JSON.stringify({ ...bare, port: 0, dataDirectory: folder }));
      const refused = cli('serve', '--config', file);
      assert.equal(refused.status, 1);
      assert.match(refused.stderr, /engines\.cloud: its model "big" costs money and has no price/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
