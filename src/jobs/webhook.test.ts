import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { ServiceError } from '../core/errors.ts';
import { hasEnded } from '../core/job.ts';
import { createTransport } from '../engines/transport.ts';
import { jobHarness } from '../testing/job-service.ts';
import { startWireServer, type WireHandler } from '../testing/wires/wire-server.ts';
import { jobsOptionsSchema } from './options.ts';
import { keyOf, signatureOf, Webhooks } from './webhook.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

async function open(handle: WireHandler) {
  const server = await startWireServer(handle);
  const { host } = new URL(server.origin);
  const harness = await jobHarness({
    options: { webhookHosts: [{ host, secretEnv: 'HOOK_SECRET' }] },
    environment: { HOOK_SECRET: SECRET },
  });
  return {
    server,
    harness,
    /** Moves the clock until the receiver heard so often. */
    untilAsked: async (count: number) => {
      const patience = AbortSignal.timeout(30_000);
      while (server.asked.length < count) {
        patience.throwIfAborted();
        harness.clock.advance(1_000);
        await turnOfLoop();
      }
    },
    [Symbol.asyncDispose]: async () => {
      await harness[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('the signature is that of the published example of Standard Webhooks', () => {
  // github.com/standard-webhooks/standard-webhooks, libraries/javascript, test of sign().
  const message = {
    id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    timestampS: 1_614_265_330,
    body: '{"test": 2432232314}',
  };
  assert.equal(signatureOf(keyOf(SECRET), message), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  assert.deepEqual(keyOf('plain text'), Buffer.from('plain text'));
});

test('the end of a job is told once to who took it, signed', async () => {
  await using opened = await open(async ({ json }) => json(200, {}));
  const { id } = await opened.harness.submit({ webhookUrl: `${opened.server.origin}/ends?game=1` });
  await opened.untilAsked(1);
  await opened.harness.until(id, ({ delivery }) => delivery === 'delivered');
  const [asked] = opened.server.asked;
  assert.ok(asked);
  assert.deepEqual([asked.method, asked.path, asked.query.get('game')], ['POST', '/ends', '1']);
  const { type, data } = asked.body as {
    type: string;
    data: { id: string; status: string; result: { text: string } };
  };
  assert.deepEqual(
    [type, data.id, data.status, data.result.text],
    ['job.succeeded', id, 'succeeded', 'The bell tolls.'],
  );
  const signed = `${id}.${String(asked.headers['webhook-timestamp'])}.${JSON.stringify(asked.body)}`;
  const expected = createHmac('sha256', Buffer.from(SECRET.slice(6), 'base64'))
    .update(signed)
    .digest('base64');
  assert.equal(asked.headers['webhook-id'], id);
  assert.equal(asked.headers['webhook-signature'], `v1,${expected}`);
});

test('a receiver that fails is told again later, the same words, and then no more', async () => {
  await using opened = await open(async ({ json }) => json(opened.server.asked.length < 3 ? 500 : 204, {}));
  const { id } = await opened.harness.submit({ webhookUrl: `${opened.server.origin}/` });
  await opened.untilAsked(3);
  await opened.harness.until(id, ({ delivery }) => delivery === 'delivered');
  assert.deepEqual(opened.server.asked[2]?.body, opened.server.asked[0]?.body);
  for (let step = 0; step < 20; step += 1) {
    opened.harness.clock.advance(60_000);
    await turnOfLoop();
  }
  assert.equal(opened.server.asked.length, 3);
});

test('a redirect is not followed, and a receiver that never takes it is given up', async () => {
  await using trap = await startWireServer(async ({ json }) => json(200, {}));
  await using opened = await open(async ({ json }) => json(307, {}, { location: `${trap.origin}/` }));
  const { id } = await opened.harness.submit({ webhookUrl: `${opened.server.origin}/` });
  const job = await opened.harness.until(id, ({ delivery }) => delivery === 'gave_up', 60_000);
  assert.equal(job.status, 'succeeded');
  assert.equal(opened.server.asked.length, 9);
  assert.equal(trap.asked.length, 0);
});

test('a receiver that hangs is left after ten seconds', async () => {
  let asked = 0;
  await using opened = await open(async ({ json, closed }) => {
    asked += 1;
    if (asked > 1) json(200, {});
    else await new Promise((resolve) => closed.addEventListener('abort', resolve));
  });
  const { id } = await opened.harness.submit({ webhookUrl: `${opened.server.origin}/` });
  await opened.harness.until(id, hasEnded);
  await opened.untilAsked(2);
  await opened.harness.until(id, ({ delivery }) => delivery === 'delivered', 1_000);
});

function hooks(hosts: readonly { host: string; secretEnv: string }[], environment = { S: 'secret' }) {
  return new Webhooks({
    hosts: jobsOptionsSchema.parse({ webhookHosts: hosts }).webhookHosts,
    environment,
    connect: (origin) => createTransport({ baseUrl: origin, connections: 1, connectTimeoutMs: 1_000 }),
  });
}

test('only hosts of the configuration are told, over https save on this machine', () => {
  const webhooks = hooks([
    { host: 'game.example', secretEnv: 'S' },
    { host: '127.0.0.1:9000', secretEnv: 'S' },
  ]);
  for (const url of ['https://game.example/ends', 'http://127.0.0.1:9000/', 'https://GAME.example/'])
    webhooks.check(url);
  for (const url of [
    'http://game.example/',
    'https://game.example:8443/',
    'https://game.example.evil.example/',
    'https://evil.example/game.example',
    'https://game.example@evil.example/',
    'https://user:word@game.example/',
    'http://127.0.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'file:///etc/passwd',
    'game.example',
  ])
    assert.throws(
      () => webhooks.check(url),
      (error) => error instanceof ServiceError && error.code === 'bad_request',
      url,
    );
  assert.throws(() => hooks([]).check('https://game.example/'), /webhooks are off/);
});

test('a host without its secret is a mistake of the configuration', () => {
  assert.throws(
    () => hooks([{ host: 'game.example', secretEnv: 'ABSENT' }]),
    (error) =>
      error instanceof ServiceError && error.code === 'config_invalid' && /ABSENT/.test(error.message),
  );
});
