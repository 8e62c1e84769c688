import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { CHAT_CASES, openChatDouble } from '../testing/chat-doubles.ts';
import { engineConformance, lineRequest } from '../testing/engine-conformance.ts';

for (const chatCase of CHAT_CASES) {
  const options = Object.entries(chatCase.options).map(([name, value]) => ` ${name}=${String(value)}`);
  engineConformance(`${chatCase.kind}${options.join('')} before ${chatCase.wire.title}`, () =>
    openChatDouble(chatCase),
  );
}

test('an answer that alone is over the context of vLLM is refused as such', async () => {
  const chatCase = CHAT_CASES.find(({ kind }) => kind === 'vllm');
  assert.ok(chatCase !== undefined);
  await using opened = await openChatDouble(chatCase);
  const request = lineRequest({ model: opened.model, maxTokens: 9_000 });
  await assert.rejects(
    Array.fromAsync(opened.engine.generate(request, new AbortController().signal)),
    (error) => error instanceof ServiceError && error.code === 'context_length_exceeded',
  );
});
