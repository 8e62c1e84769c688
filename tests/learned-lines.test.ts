/**
 * A line learned by the real gateway: a model says it, the dialogue cache says it again, players hear it, a designer
 * approves it, and from then on it is said without an engine, also after the process was killed.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import test from 'node:test';
import type { z } from 'zod';
import { candidatesSchema, learnedSchema } from '../src/api/learned-lines-wire.ts';
import { startChatServer } from '../src/testing/chat-server.ts';
import { leftovers } from '../src/testing/leftovers.ts';
import { type Gateway, remoteConfig, startGateway, temporaryFolder, until } from './gateway-process.ts';

const NPC = 'vampire_salon_keeper';
const LINE = 'Sit down, the wine will not drink itself.';
const PLAYERS = 12;

async function offer(gateway: Gateway): Promise<z.output<typeof candidatesSchema>> {
  const { status, body, text } = await gateway.get('/admin/v1/lines/candidates');
  assert.equal(status, 200, text);
  return candidatesSchema.parse(body);
}

test('a line that players heard is approved and outlives its engine and its process', async (t) => {
  const dataDirectory = temporaryFolder();
  const left = leftovers(t);
  left.defer(() => rmSync(dataDirectory, { recursive: true, force: true }));
  const engine = await startChatServer(async (body, response) => {
    if (!('messages' in body)) {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ object: 'list', data: [{ id: 'scripted', object: 'model' }] }));
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const data of [
      { choices: [{ index: 0, delta: { content: LINE } }] },
      { choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] },
      { choices: [], usage: { prompt_tokens: 100, completion_tokens: 10 } },
    ])
      response.write(`data: ${JSON.stringify(data)}\n\n`);
    response.end('data: [DONE]\n\n');
  });
  left.use(engine);
  const config = remoteConfig(engine.origin);
  const first = await startGateway({ config, dataDirectory });
  left.use(first);
  await first.untilReady();
  assert.equal((await offer(first)).known, 0);

  const kinds: string[] = [];
  for (let player = 0; player < PLAYERS; player += 1) {
    const context = { player_id: `player-${player}`, location: 'salon' };
    const reply = await first.say({ npc_id: NPC, prompt: 'Good evening.', trigger: 'greet', context });
    assert.equal(reply.text, LINE, JSON.stringify(reply));
    kinds.push(reply.source.kind);
  }
  const { data } = await offer(first);
  const [candidate] = data;
  assert.equal(data.length, 1);
  assert.equal(candidate?.text, LINE);
  assert.equal(candidate?.speaker, NPC);
  assert.equal(candidate?.heard, PLAYERS);
  assert.equal(candidate?.players, PLAYERS);
  assert.deepEqual(candidate?.places, { salon: PLAYERS });
  assert.equal(candidate?.cached, kinds.filter((kind) => kind === 'cache').length);

  // The NPC has no line of its own for the weather, so the first one is the one that is said.
  const approval = await first.post(`/admin/v1/lines/candidates/${candidate?.id ?? ''}/approve`, {
    by: 'Mara',
    trigger: 'weather',
  });
  const learned = learnedSchema.parse(await approval.json());
  assert.equal(learned.id, `${NPC}.weather.learned-001`);
  await engine[Symbol.asyncDispose]();
  const rain = { npc_id: NPC, prompt: '', trigger: 'weather', context: { player_id: 'another' } };
  const said = await first.say(rain);
  assert.deepEqual([said.text, said.source.kind], [LINE, 'written']);

  first.kill('SIGKILL');
  await first.ended;
  const second = await startGateway({ config, dataDirectory });
  left.use(second);
  const again = await until('the learned line is said after a restart', async () => {
    const reply = await second.say({ ...rain, context: { player_id: 'one more' } });
    return reply.text === LINE ? reply : null;
  });
  assert.equal(again.source.kind, 'written');
  assert.deepEqual((await offer(second)).data, [], 'what was decided is not offered again');
});
