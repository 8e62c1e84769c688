/**
 * How `greenroom serve` starts, refuses to start, and lives with parts that are away: one clear error and exit code 1
 * where nothing can be done, written lines and a said reason where something still can.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { POSTGRES_MISSING, startPostgres } from '../src/testing/postgres.ts';
import {
  remoteConfig,
  serveInterrupted,
  serveUntilExit,
  startGateway,
  temporaryFolder,
  until,
} from './gateway-process.ts';
import { always, scriptedEngine } from './scripted-engine.ts';

/** Nobody listens on it: the discard port. */
const NOWHERE = remoteConfig('http://127.0.0.1:9');
const ASK = { npc_id: 'vampire_salon_keeper', prompt: 'Is anybody home?', context: { player_id: 'p' } };

/** The two lines of a refusal: what is wrong, and what to do. */
function saidOf(error: string): string[] {
  return error.split('\n').filter((line) => line !== '' && !line.startsWith('{'));
}

describe('serve refuses to start, in words', () => {
  test('a port that is taken is named, with what to do', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as { port: number };
    const exit = await serveUntilExit({ config: NOWHERE, environment: { PORT: String(port) } });
    other.close();
    assert.equal(exit.code, 1, exit.error);
    assert.equal(exit.out, '');
    assert.match(saidOf(exit.error)[0] ?? '', new RegExp(`port ${port} .*is in use`));
    assert.match(exit.error, /--port or PORT/);
  });

  test('an unknown key is named, every one at once', async () => {
    const exit = await serveUntilExit({ config: { ...NOWHERE, prot: 80, limits: { bodyMax: 3 } } });
    assert.equal(exit.code, 1);
    assert.match(exit.error, /prot: no such key/);
    assert.match(exit.error, /limits\.bodyMax: no such key/);
  });

  test('a rung that is no engine is named', async () => {
    const exit = await serveUntilExit({ config: { ...NOWHERE, tiers: { '2': { rungs: ['lokal'] } } } });
    assert.equal(exit.code, 1);
    assert.match(exit.error, /tiers\.2\.rungs\.0: "lokal" is no pool; expected one of local/);
  });

  test('a PORT that is no number is named with where it came from', async () => {
    const exit = await serveUntilExit({ config: NOWHERE, environment: { PORT: 'eighty' } });
    assert.equal(exit.code, 1);
    assert.match(exit.error, /port \(from the environment\): is "eighty"/);
  });

  test('an address that others can reach needs a key first', async () => {
    const exit = await serveUntilExit({ config: NOWHERE, environment: { HOST: '0.0.0.0' } });
    assert.equal(exit.code, 1);
    assert.match(exit.error, /0\.0\.0\.0/);
    assert.match(exit.error, /greenroom keys create/);
  });

  test('a data folder that cannot be written is named', async () => {
    const folder = temporaryFolder();
    const inTheWay = join(folder, 'file');
    writeFileSync(inTheWay, 'not a folder');
    const exit = await serveUntilExit({ config: NOWHERE, dataDirectory: join(inTheWay, 'data') });
    rmSync(folder, { recursive: true });
    assert.equal(exit.code, 1);
    assert.ok((saidOf(exit.error)[0] ?? '').includes(inTheWay), exit.error);
    assert.ok(!/\bat \S+ \(/.test(exit.error), `a stack trace is no advice: ${exit.error}`);
  });

  test('a cast that is not there is named', async () => {
    const exit = await serveUntilExit({ config: { ...NOWHERE, cast: './nowhere' } });
    assert.equal(exit.code, 1);
    assert.match(exit.error, /nowhere/);
    assert.ok(!/\bat \S+ \(/.test(exit.error), exit.error);
  });

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} while it starts is no failure, and leaves no part of a model`, async () => {
      const folder = temporaryFolder();
      const exit = await serveInterrupted(
        {
          config: { engines: { local: { kind: 'embedded' } } },
          environment: { GREENROOM_CACHE: join(folder, 'cache'), GREENROOM_MODEL_SOURCES: 'none' },
          dataDirectory: join(folder, 'data'),
        },
        signal,
      );
      const left = existsSync(join(folder, 'cache'))
        ? readdirSync(join(folder, 'cache'), { recursive: true })
        : [];
      rmSync(folder, { recursive: true });
      assert.equal(exit.code, 0, exit.error);
      assert.ok(!left.some((file) => String(file).endsWith('.gguf')), String(left));
    });
  }
});

describe('serve lives with parts that are away', () => {
  test('no engine at the start: not ready, with the reason; NPCs answer; the exit is clean', async () => {
    await using gateway = await startGateway({ config: NOWHERE });
    assert.equal((await gateway.get('/livez')).status, 200);
    const ready = await gateway.get('/readyz');
    assert.equal(ready.status, 503);
    assert.match((ready.body as { stage: string }).stage, /warming|failed/);
    const failed = await until('the reason is said', async () => {
      const { body } = await gateway.get('/readyz');
      const { stage, detail } = body as { stage: string; detail: string };
      return stage === 'failed' && detail;
    });
    assert.match(failed, /127\.0\.0\.1:9/);
    const reply = await gateway.say(ASK);
    assert.equal(reply.source.kind, 'written');
    assert.equal(reply.source.cause, 'offline');
    gateway.kill('SIGTERM');
    assert.equal((await gateway.ended).code, 0);
  });

  test('an engine that comes later is taken without help', async () => {
    let isUp = false;
    await using engine = await scriptedEngine({}, async (speaker) => {
      if (!isUp) return speaker.die();
      await always('The door was open all along, my dear.')(speaker);
    });
    await using gateway = await startGateway({ config: remoteConfig(engine.origin) });
    assert.equal((await gateway.say(ASK)).source.cause, 'offline');
    isUp = true;
    await gateway.untilReady();
    assert.equal((await gateway.say(ASK)).source.kind, 'engine');
  });

  test('what was acknowledged is there after kill -9', async () => {
    const folder = temporaryFolder();
    await using engine = await scriptedEngine({}, async (speaker) => {
      await speaker.text(`The clock struck ${speaker.turn} times in the hall. `);
      await speaker.finish();
    });
    const config = remoteConfig(engine.origin);
    const acknowledged: number[] = [];
    {
      await using gateway = await startGateway({ config, dataDirectory: folder });
      await gateway.untilReady();
      const talk = async () => {
        for (let turn = 0; turn < 200; turn++) {
          const reply = await gateway.say({ ...ASK, conversation_id: 'kept', prompt: `Turn falcon${turn}?` });
          if (reply.conversation?.stored) acknowledged.push(reply.conversation.turn);
        }
      };
      const talking = talk().catch(() => 'cut');
      await until('some turns are kept', () => acknowledged.length >= 5);
      gateway.kill('SIGKILL');
      assert.equal(await talking, 'cut');
      await gateway.ended;
    }
    const last = acknowledged.at(-1) ?? -1;
    await using again = await startGateway({ config, dataDirectory: folder });
    await again.untilReady();
    const reply = await again.say({ ...ASK, conversation_id: 'kept', prompt: 'What did I ask before?' });
    const turn = reply.conversation?.turn ?? -1;
    // One more may have been kept whose acknowledgement was killed on its way.
    assert.ok(turn === last + 1 || turn === last + 2, `acknowledged to ${last}, goes on at ${turn}`);
    const prompt = JSON.stringify(engine.server.asked.at(-1)?.['messages']);
    for (let each = Math.max(0, last - 5); each <= last; each++)
      assert.ok(prompt.includes(`falcon${each}?`), `turn ${each} is gone: ${prompt}`);
    rmSync(folder, { recursive: true, force: true });
  });

  test('a store that goes away costs the memory, never the answer, and comes back by itself', async (context) => {
    await using postgres = await startPostgres();
    const power = postgres?.power;
    if (postgres === null || power === undefined) return context.skip(POSTGRES_MISSING);
    await using engine = await scriptedEngine({});
    await using gateway = await startGateway({
      config: remoteConfig(engine.origin),
      environment: { DATABASE_URL: await postgres.freshUrl() },
    });
    await gateway.untilReady();
    const ask = (player: string) =>
      gateway.say({ ...ASK, context: { player_id: player }, conversation_id: 'c' });
    assert.deepEqual((await ask('one')).conversation?.stored, true);
    await power.off();
    const without = await ask('two');
    assert.equal(without.conversation?.stored, false);
    assert.equal(without.source.kind, 'engine');
    assert.equal((await gateway.get('/livez')).status, 200);
    const { body } = await gateway.get('/admin/v1/status');
    assert.equal((body as { store: { healthy: boolean } }).store.healthy, false);
    await power.on();
    await until('turns are kept again', async () => (await ask('three')).conversation?.stored);
  });
});
