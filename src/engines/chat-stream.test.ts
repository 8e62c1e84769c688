import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerateEvent } from '../core/engine.ts';
import { ServiceError } from '../core/errors.ts';
import { readChatStream } from './chat-stream.ts';

const never = new AbortController().signal;

async function* bytes(...pieces: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
}

/** Events in wire form; a string goes out as it is. */
function wire(...events: readonly unknown[]): string {
  return events
    .map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
    .join('');
}

const text = (content: unknown, finish: string | null = null) => ({
  choices: [{ index: 0, delta: { content }, finish_reason: finish }],
});
const finished = (reason: string) => ({ choices: [{ index: 0, delta: {}, finish_reason: reason }] });

const OPTIONS = { engine: 'e', estimatePromptTokens: () => 11, maxTokens: 100 };

async function read(body: AsyncIterable<Uint8Array>, signal = never): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const event of readChatStream(OPTIONS, body, signal)) events.push(event);
  return events;
}

/** What was said, and the end. */
async function heard(...events: readonly unknown[]) {
  const all = await read(bytes(wire(...events)));
  const finishes = all.filter((event) => event.type === 'finish');
  assert.equal(finishes.length, 1);
  assert.equal(all.at(-1)?.type, 'finish');
  return {
    said: all.flatMap((event) => (event.type === 'text' ? [event.text] : [])),
    reason: finishes[0]?.reason,
    usage: finishes[0]?.usage,
  };
}

const engineError = (pattern: RegExp) => (error: unknown) =>
  error instanceof ServiceError && error.code === 'engine_error' && pattern.test(error.message);

const USAGE = { prompt_tokens: 9, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 4 } };
const ESTIMATED = { promptTokens: 11, cachedTokens: 0, completionTokens: 2, source: 'estimated' };
const REPORTED = { promptTokens: 9, cachedTokens: 4, completionTokens: 3, source: 'reported' };
const HEAD = [text('Wel'), text('come.')] as const;

const STREAMS: readonly (readonly [string, readonly unknown[], unknown])[] = [
  ['plain deltas, usage missing', [...HEAD, finished('stop'), '[DONE]'], ESTIMATED],
  ['no [DONE] after the finish', [...HEAD, finished('stop')], ESTIMATED],
  [
    'a role chunk with empty text',
    [{ choices: [{ delta: { role: 'assistant', content: '' } }] }, ...HEAD, finished('stop')],
    ESTIMATED,
  ],
  ['null text first (llama-server)', [text(null), ...HEAD, finished('stop')], ESTIMATED],
  [
    'choices that are empty, null, or hold null (Azure)',
    [{ choices: [] }, { choices: null }, { choices: [null] }, {}, ...HEAD, finished('stop')],
    ESTIMATED,
  ],
  ['a delta that is null', [{ choices: [{ delta: null }] }, ...HEAD, finished('stop')], ESTIMATED],
  ['text that is no text', [text({ a: 1 }), text(7), ...HEAD, finished('stop')], ESTIMATED],
  ['the finish chunk still speaks', [text('Wel'), text('come.', 'stop'), '[DONE]'], ESTIMATED],
  [
    'a usage chunk of its own',
    [...HEAD, finished('stop'), { choices: [], usage: USAGE }, '[DONE]'],
    REPORTED,
  ],
  ['usage in the finish chunk (DeepSeek)', [...HEAD, { ...finished('stop'), usage: USAGE }], REPORTED],
  [
    'usage: null on every other chunk (OpenAI)',
    [...HEAD.map((chunk) => ({ ...chunk, usage: null })), finished('stop'), { usage: USAGE }],
    REPORTED,
  ],
  [
    'usage without its parts',
    [...HEAD, finished('stop'), { usage: { prompt_tokens: 9, prompt_tokens_details: null } }],
    { promptTokens: 9, cachedTokens: 0, completionTokens: 2, source: 'estimated' },
  ],
  [
    'usage that is no numbers',
    [...HEAD, finished('stop'), { usage: { prompt_tokens: -1, completion_tokens: 'x' } }],
    ESTIMATED,
  ],
  [
    'cache hits and thinking as DeepSeek counts them',
    [
      ...HEAD,
      {
        ...finished('stop'),
        usage: {
          prompt_tokens: 9,
          completion_tokens: 8,
          prompt_cache_hit_tokens: 4,
          prompt_cache_miss_tokens: 5,
          completion_tokens_details: { reasoning_tokens: 5 },
        },
      },
    ],
    { ...REPORTED, completionTokens: 8, reasoningTokens: 5 },
  ],
  [
    'thinking at the top, as SGLang counts it',
    [...HEAD, finished('stop'), { usage: { ...USAGE, completion_tokens: 8, reasoning_tokens: 5 } }],
    { ...REPORTED, completionTokens: 8, reasoningTokens: 5 },
  ],
  [
    'cache writes that are billed (OpenAI)',
    [
      ...HEAD,
      finished('stop'),
      { usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 4, cache_write_tokens: 5 } } },
    ],
    { ...REPORTED, cacheWriteTokens: 5 },
  ],
  [
    'more cached than there is',
    [...HEAD, finished('stop'), { usage: { ...USAGE, prompt_tokens_details: { cached_tokens: 40 } } }],
    { ...REPORTED, cachedTokens: 9 },
  ],
  [
    'thinking that nobody reports, in either name, is not heard but counted',
    [
      { choices: [{ delta: { reasoning: 'Hm. ' } }] },
      { choices: [{ delta: { reasoning_content: 'Who?' } }] },
      ...HEAD,
      finished('stop'),
    ],
    { ...ESTIMATED, completionTokens: 4, reasoningTokens: 2 },
  ],
  [
    'error: null on every chunk',
    [...HEAD.map((chunk) => ({ ...chunk, error: null })), finished('stop')],
    ESTIMATED,
  ],
  ['two finish chunks', [...HEAD, finished('stop'), finished('stop'), '[DONE]', '[DONE]'], ESTIMATED],
  ['unknown fields', [...HEAD.map((chunk) => ({ ...chunk, obfuscation: 'x' })), finished('stop')], ESTIMATED],
];

for (const [what, events, usage] of STREAMS) {
  test(`a stream is understood: ${what}`, async () => {
    assert.deepEqual(await heard(...events), { said: ['Wel', 'come.'], reason: 'stop', usage });
  });
}

test('usage on every chunk is passed on as it grows, and the last one counts', async () => {
  const running = (count: number) => ({ usage: { prompt_tokens: 9, completion_tokens: count } });
  const events = await read(
    bytes(wire({ ...text('Wel'), ...running(1) }, { ...text('come.', 'stop'), ...running(2) }, '[DONE]')),
  );
  assert.deepEqual(
    events.map((event) =>
      event.type === 'text' ? event.text : `${event.type} ${event.usage.completionTokens}`,
    ),
    ['usage 1', 'Wel', 'usage 2', 'come.', 'finish 2'],
  );
});

test('until usage is reported, an estimate goes before each text, so that a line cut off is accounted', async () => {
  const events = await read(
    bytes(wire(text('Wel'), text('come, traveller.'), { usage: USAGE }, text('!'), finished('stop'))),
  );
  assert.deepEqual(
    events.map((event) =>
      event.type === 'text'
        ? event.text
        : `${event.type} ${event.usage.completionTokens} ${event.usage.source}`,
    ),
    [
      'usage 1 estimated',
      'Wel',
      'usage 5 estimated',
      'come, traveller.',
      'usage 3 reported',
      '!',
      'finish 3 reported',
    ],
  );
});

test('an engine that speaks on without end is cut off, and so is one that thinks without end', async () => {
  for (const delta of [{ content: 'la '.repeat(100) }, { reasoning: 'la '.repeat(100) }]) {
    const state = { given: 0, isLeft: false };
    async function* endless() {
      try {
        for (;;) {
          state.given += 1;
          yield Buffer.from(wire({ choices: [{ delta }] }));
        }
      } finally {
        state.isLeft = true;
      }
    }
    await assert.rejects(read(endless()), engineError(/more than 16896 characters came.* 100 tokens/));
    assert.ok(state.isLeft && state.given < 60);
  }
});

test('a stream without end that says nothing ends with its reader', async () => {
  const controller = new AbortController();
  const reason = new Error('deadline');
  async function* silent() {
    for (let given = 0; ; given += 1) {
      if (given === 1_000) controller.abort(reason);
      yield Buffer.from(`: keep-alive\n\n${wire({ choices: [] })}`);
    }
  }
  await assert.rejects(read(silent(), controller.signal), (error) => error === reason);
});

for (const [what, events] of [
  ['DeepSeek without a place', [...HEAD, finished('insufficient_system_resource'), '[DONE]']],
  ['SGLang with a full queue, in older builds', [finished('abort'), '[DONE]']],
  ['SGLang with a full queue', [{ error: { message: 'The request queue is full.', code: 503 } }, '[DONE]']],
  ['TGI', [{ error: 'Model is overloaded', error_type: 'overloaded' }]],
] as const)
  test(`${what} is busy, not broken`, async () => {
    await assert.rejects(
      read(bytes(wire(...events))),
      (error) => error instanceof ServiceError && error.code === 'overloaded',
    );
  });

test('an event said twice is heard twice: two equal pieces in a row are good language', async () => {
  assert.deepEqual((await heard(text('ha'), text('ha'), finished('stop'))).said, ['ha', 'ha']);
});

for (const [raw, reason] of [
  ['stop', 'stop'],
  ['stop_sequence', 'stop'],
  ['tool_calls', 'stop'],
  ['length', 'length'],
  ['content_filter', 'content_filter'],
] as const) {
  test(`the finish reason ${raw} is ${reason}`, async () => {
    assert.equal((await heard(...HEAD, finished(raw))).reason, reason);
  });
}

for (const raw of ['abort', 'aborted', 'repetition', 'cosmic_ray'])
  test(`the finish reason ${raw} is a failure, whatever comes after`, async () => {
    await assert.rejects(
      read(bytes(wire(...HEAD, finished(raw), finished('stop'), '[DONE]'))),
      engineError(new RegExp(`gave up \\(${raw}\\)`)),
    );
  });

const BROKEN: readonly (readonly [string, string, RegExp])[] = [
  [
    'an error event and then [DONE]',
    wire(...HEAD, { error: { message: 'CUDA out of memory', code: 500 } }, '[DONE]'),
    /CUDA out of memory/,
  ],
  ['an error event after the finish', wire(...HEAD, finished('stop'), { error: 'late' }), /late/],
  ['an error of no known shape', wire({ error: { reason: 7 } }), /"reason":7/],
  ['the end of the body without a finish reason', wire(...HEAD), /without a finish reason/],
  ['[DONE] without a finish reason', wire(...HEAD, '[DONE]'), /without a finish reason/],
  ['an empty body', '', /without a finish reason/],
  ['an event cut off', `${wire(...HEAD)}data: {"choices":[{"delta":{},"finish_re`, /without a finish reason/],
  ['an event that is not JSON', wire(...HEAD, '{"choices":[{'), /not JSON/],
  ['JSON that is no object', wire('null'), /no JSON object/],
  ['JSON that is a list', wire('[]'), /no JSON object/],
  ['choices that are no list', wire({ choices: { 0: {} } }), /without a list of choices/],
  [
    'a page of HTML',
    '<!doctype html>\n<html><body>\n\nBad gateway</body></html>\n',
    /without a finish reason/,
  ],
  ['an event of 10 MB', `data: ${'x'.repeat(10_000_000)}\n\n`, /longer than 1000000 bytes/],
];

for (const [what, body, pattern] of BROKEN)
  test(`${what} is an engine_error`, () => assert.rejects(read(bytes(body)), engineError(pattern)));

test('an error never repeats what was said', async () => {
  await assert.rejects(
    read(bytes(wire('The crypt code is 4711'))),
    (error: Error) => !/4711/.test(error.message),
  );
});

test('a socket that breaks is an engine_error before the finish, and nobody’s failure after it', async () => {
  async function* breaking(body: string) {
    yield Buffer.from(body);
    throw new Error('other side closed');
  }
  await assert.rejects(read(breaking(wire(...HEAD))), engineError(/stream broke: other side closed/));
  await assert.rejects(read(breaking(wire(...HEAD, finished('stop')))), engineError(/other side closed/));
  const whole = await read(breaking(wire(...HEAD, finished('stop'), '[DONE]')));
  assert.equal(whole.at(-1)?.type, 'finish');
});

test('whoever hangs up hears nothing more, even of one chunk of bytes', async () => {
  const controller = new AbortController();
  const reason = new Error('gone');
  const said: string[] = [];
  const reading = (async () => {
    const body = bytes(wire(...HEAD, finished('stop'), '[DONE]'));
    for await (const event of readChatStream(OPTIONS, body, controller.signal)) {
      if (event.type === 'text') said.push(event.text);
      controller.abort(reason);
    }
  })();
  await assert.rejects(reading, (error) => error === reason);
  assert.deepEqual(said, ['Wel']);
});

test('wherever the network cuts the bytes, the same is heard', async () => {
  const lines = [
    text('Grüß '),
    text('dich, 月 '),
    text('🦇.'),
    { ...finished('stop'), usage: USAGE },
    '[DONE]',
  ];
  const body = Buffer.from(`: keep-alive\r\n\r\n\n\n${wire(...lines)}`.replace(/\}\n\n/, '} \r\n\r\n'));
  const expected = await read(bytes(body));
  assert.equal(
    expected.flatMap((event) => (event.type === 'text' ? [event.text] : [])).join(''),
    'Grüß dich, 月 🦇.',
  );
  for (let cut = 0; cut <= body.length; cut += 1)
    assert.deepEqual(await read(bytes(body.subarray(0, cut), body.subarray(cut))), expected, `cut at ${cut}`);
  const single = [...body].map((byte) => Uint8Array.of(byte));
  assert.deepEqual(await read(bytes(...single)), expected);
});

test('wherever the body ends too early, there is no finish', async () => {
  const body = Buffer.from(wire(...HEAD, finished('stop')));
  for (let end = 0; end < body.length; end += 1)
    await assert.rejects(
      read(bytes(body.subarray(0, end))),
      engineError(/without a finish reason/),
      `end ${end}`,
    );
});
