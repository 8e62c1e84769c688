import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import OpenAI, { APIError } from 'openai';
import { CHAT_CASES } from '../testing/chat-doubles.ts';
import { DOUBLE_KEY, DOUBLE_MODEL, startChatDouble } from '../testing/wires/chat-double.ts';

// A double that the vendor's own client cannot talk to proves nothing: openai 6.49.0 talks to each.

const MESSAGES = [{ role: 'user' as const, content: 'Who goes there?' }];

for (const { wire, options } of CHAT_CASES.filter((each) => Object.keys(each.options).length < 1)) {
  describe(`the double of ${wire.title} before the client of OpenAI`, () => {
    const fields = {
      model: DOUBLE_MODEL,
      messages: MESSAGES,
      [wire.maxTokensField]: 5,
      ...(wire.title.startsWith('DeepSeek') ? { thinking: { type: 'disabled' } } : {}),
    };
    async function open(apiKey = DOUBLE_KEY) {
      const double = await startChatDouble(wire);
      const client = new OpenAI({
        baseURL: `${double.origin}${wire.apiPath}`,
        apiKey,
        maxRetries: 0,
        timeout: 10_000,
      });
      return { double, client, [Symbol.asyncDispose]: () => double[Symbol.asyncDispose]() };
    }

    it('streams words, a finish and an account', async () => {
      await using opened = await open();
      const stream = await opened.client.chat.completions.create({
        ...fields,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = '';
      let reason: string | null = null;
      let tokens: number | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? '';
        reason = chunk.choices[0]?.finish_reason ?? reason;
        tokens = chunk.usage?.completion_tokens ?? tokens;
      }
      assert.deepEqual([text, reason, tokens], ['wörd0 wörd1 wörd2 wörd3 wörd4 ', 'length', 5]);
    });

    it('answers whole', async () => {
      await using opened = await open();
      const answer = await opened.client.chat.completions.create({ ...fields, stream: false });
      assert.equal(answer.choices[0]?.message.content, 'wörd0 wörd1 wörd2 wörd3 wörd4 ');
      assert.equal(answer.choices[0].finish_reason, 'length');
      assert.equal(answer.usage?.completion_tokens, 5);
    });

    it('lists its model', async () => {
      await using opened = await open();
      const models = await opened.client.models.list();
      assert.equal(models.data.length, 1);
      assert.equal(models.data[0]?.object, 'model');
    });

    it('refuses in a shape that the client knows for an error', async () => {
      await using opened = await open();
      for (const stream of [true, false])
        await assert.rejects(
          opened.client.chat.completions.create({ ...fields, messages: [], stream }),
          (error) => error instanceof APIError && typeof error.status === 'number' && error.status >= 400,
        );
    });

    it('refuses a wrong key, where it knows keys', async (context) => {
      if (wire.unauthorized === undefined) return context.skip('no keys');
      await using opened = await open('wrong');
      await assert.rejects(
        opened.client.chat.completions.create({ ...fields, stream: true }),
        (error) => error instanceof OpenAI.AuthenticationError,
      );
    });

    it('notices the client that hangs up', async () => {
      await using opened = await open();
      const stream = await opened.client.chat.completions.create({
        ...fields,
        [wire.maxTokensField]: 8_000,
        stream: true,
      });
      for await (const chunk of stream) if ((chunk.choices[0]?.delta.content ?? '') !== '') break;
      await opened.double.untilRunning(0);
      assert.equal(opened.double.state.work.running, 0);
    });
    assert.deepEqual(options, {});
  });
}
