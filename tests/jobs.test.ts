/**
 * Jobs on the whole gateway with the real small model: accepted, worked off on the ladder of a tier, followed as events,
 * found again after kill -9.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { modelMissing } from './engine-harness.ts';
import { type Gateway, startGateway, temporaryFolder } from './gateway-process.ts';

interface JobReply {
  readonly id: string;
  readonly status: string;
  readonly result: { readonly text: string; readonly engine: string; readonly usage: object } | null;
}

describe('jobs on a gateway with the embedded engine', { skip: modelMissing }, () => {
  const dataDirectory = temporaryFolder();
  const config = { tiers: { '4': { rungs: ['local'] } } };
  let gateway: Gateway;
  before(async () => {
    gateway = await startGateway({ config, dataDirectory });
    await gateway.untilReady();
  });
  after(async () => {
    await gateway[Symbol.asyncDispose]();
    rmSync(dataDirectory, { recursive: true, force: true });
  });

  const submit = async (body: object): Promise<JobReply> => {
    const reply = await gateway.post('/v1/jobs', body);
    assert.equal(reply.status, 202);
    return (await reply.json()) as JobReply;
  };
  /** Follows the events of a job to its end. */
  const ended = async (id: string): Promise<JobReply> => {
    const events = await fetch(`${gateway.url}/v1/jobs/${id}/events`);
    await events.text();
    const { body } = await gateway.get(`/v1/jobs/${id}`);
    return body as JobReply;
  };

  test('a story in the voice of an NPC is written by the real model', async () => {
    const job = await submit({
      npc_id: 'vampire_salon_keeper',
      prompt: 'Write two sentences of a quest about a stolen bell.',
      max_tokens: 40,
    });
    const done = await ended(job.id);
    assert.equal(done.status, 'succeeded');
    assert.ok((done.result?.text.length ?? 0) > 0);
    assert.equal(done.result?.engine, 'local');
  });

  test('an answer under a schema is JSON', async () => {
    const job = await submit({
      prompt: 'Name a quest.',
      max_tokens: 60,
      response_schema: {
        type: 'object',
        properties: { title: { type: 'string', maxLength: 20 } },
        required: ['title'],
        additionalProperties: false,
      },
    });
    const done = await ended(job.id);
    assert.equal(done.status, 'succeeded', JSON.stringify(done));
    assert.equal(typeof (JSON.parse(done.result?.text ?? '') as { title: unknown }).title, 'string');
  });

  test('a job that was accepted is there after kill -9', async () => {
    const job = await submit({ prompt: 'Say one word.', max_tokens: 4 });
    const first = await ended(job.id);
    assert.equal(first.status, 'succeeded');
    process.kill(gateway.pid, 'SIGKILL');
    await gateway[Symbol.asyncDispose]();
    gateway = await startGateway({ config, dataDirectory });
    const { body } = await gateway.get(`/v1/jobs/${job.id}`);
    assert.deepEqual((body as JobReply).result?.text, first.result?.text);
  });
});
