import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ErrorCode } from '../core/errors.ts';
import type { WireResponse } from '../core/transport.ts';
import { errorText, notAStream, refusal, streamedError } from './wire-errors.ts';

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text);
}

const refused = (status: number, text: string, headers: WireResponse['headers'] = {}) =>
  refusal('cloud', status, bytes(text), headers);

/** status, body, code of the catalogue, what the message must hold; the engine and the day its bytes are from */
const REFUSALS: readonly (readonly [number, string, ErrorCode, string])[] = [
  // vLLM 0.29, 2026-08-17
  [500, '{"error":{"message":"boom","type":"InternalServerError","code":500}}', 'engine_error', 'boom'],
  [401, '{"error":"Unauthorized"}', 'engine_account', 'Unauthorized'],
  [
    404,
    '{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}',
    'unknown_model',
    '`x` does not exist',
  ],
  [
    400,
    '{"error":{"message":"This model\'s maximum context length is 2048 tokens","type":"BadRequestError","code":400}}',
    'context_length_exceeded',
    '2048',
  ],
  [400, '{"error":{"message":"temperature is -1"}}', 'bad_request', 'temperature'],
  // vLLM 0.32.0, heard from a real one on 2026-11-21
  [
    400,
    '{"error":{"message":"max_tokens=5000 cannot be greater than max_model_len=2048. Please request fewer output tokens. (parameter=max_tokens, value=5000)","type":"BadRequestError","param":"max_tokens","code":400}}',
    'context_length_exceeded',
    '5000',
  ],
  [
    400,
    '{"error":{"message":"1 validation error:\\n  {\'type\': \'too_long\', \'loc\': \'body.stop\'}","type":"Bad Request","param":"body.stop","code":400}}',
    'bad_request',
    'body.stop',
  ],
  // SGLang, 2026-02-26
  [500, '{"object":"error","message":"boom","type":"x","code":500}', 'engine_error', 'boom'],
  [503, '{"object":"error","message":"The request queue is full."}', 'overloaded', 'queue is full'],
  [400, '{"object":"error","message":"prompt is too long"}', 'context_length_exceeded', 'too long'],
  // trtllm-serve 1.3.0rc27
  [
    400,
    "{\"error\":\"[{'type': 'extra_forbidden', 'loc': ('body', 'x')}]\"}",
    'bad_request',
    'extra_forbidden',
  ],
  // llama-server, 2026-09
  [
    503,
    '{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}',
    'overloaded',
    'Loading model',
  ],
  [
    400,
    '{"error":{"code":400,"message":"the request exceeds","type":"exceed_context_size_error","n_prompt_tokens":9,"n_ctx":8}}',
    'context_length_exceeded',
    'exceeds',
  ],
  // TGI 3.3.7
  [429, '{"error":"Model is overloaded","error_type":"overloaded"}', 'overloaded', 'is overloaded'],
  [
    422,
    '{"error":"`inputs` must have less than 1024 tokens. Given: 1100","error_type":"validation"}',
    'context_length_exceeded',
    '1100',
  ],
  [
    422,
    '{"error":"`temperature` must be strictly positive","error_type":"validation"}',
    'bad_request',
    'strictly',
  ],
  [424, '{"error":"Request failed during generation","error_type":"generation"}', 'engine_error', 'failed'],
  // OpenAI, 2026-08
  [
    429,
    '{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}',
    'overloaded',
    'Rate limit',
  ],
  [
    429,
    '{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}',
    'engine_account',
    'quota',
  ],
  [429, '{"error":{"message":"No credit","code":"credit_balance_exhausted"}}', 'engine_account', 'No credit'],
  [
    400,
    '{"error":{"message":"Too many words","type":"invalid_request_error","code":"context_length_exceeded"}}',
    'context_length_exceeded',
    'Too many',
  ],
  [403, '{"error":{"message":"Country not supported"}}', 'engine_account', 'Country'],
  // DeepSeek, 2026-11
  [
    402,
    '{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}',
    'engine_account',
    'Insufficient Balance',
  ],
  // Anthropic's, which proxies pass on
  [529, '', 'overloaded', '(no body)'],
  // Whoever stands between
  [413, '{"error":"inputs must have less than the context"}', 'context_length_exceeded', 'context'],
  [408, '{"error":{"message":"slow"}}', 'engine_error', 'slow'],
  [502, '<html>\n  <h1>Bad gateway</h1></html>', 'engine_error', '<html> <h1>Bad gateway'],
  [500, '{"error":{"code":7}}', 'engine_error', '{"code":7}'],
  [500, '"just text"', 'engine_error', 'just text'],
  [500, 'null', 'engine_error', 'null'],
  [500, 'x'.repeat(100_000), 'engine_error', 'body over 64000 bytes'],
];

for (const [status, text, code, part] of REFUSALS) {
  test(`${status} with ${text.slice(0, 60) || 'nothing'} is ${code}`, async () => {
    const error = await refused(status, text);
    assert.equal(error.code, code);
    assert.ok(error.message.includes(part) && error.message.startsWith('cloud answered'), error.message);
    assert.ok(error.message.length < 1_200);
    assert.deepEqual(error.details, { engine: 'cloud', status });
  });
}

test('the hints of the headers are in the details', async () => {
  const { details } = await refused(429, '{}', { 'retry-after-ms': '1500', 'x-should-retry': 'true' });
  assert.deepEqual(details, { engine: 'cloud', status: 429, retryAfterMs: 1_500, shouldRetry: true });
});

test('a redirect is not followed, and the error says where it leads', async () => {
  const error = await refused(307, '', { location: 'https://elsewhere.example/v1/chat/completions' });
  assert.equal(error.code, 'engine_error');
  assert.match(error.message, /307 .*redirect to https:\/\/elsewhere\.example.*not followed; set baseUrl/);
  assert.equal(error.details['location'], 'https://elsewhere.example/v1/chat/completions');
  assert.match((await refused(302, '')).message, /redirect to nowhere/);
});

test('a prompt that a content filter refused is marked so (Azure, 2025-08)', async () => {
  const text =
    '{"error":{"message":"The response was filtered","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation","content_filter_result":{}}}}';
  assert.equal((await refused(400, text)).details['isFiltered'], true);
  assert.equal((await refused(500, text)).details['isFiltered'], undefined);
});

test('a body that breaks off is shown as such', async () => {
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{"err');
    throw new Error('cut');
  }
  assert.match((await refusal('cloud', 500, broken())).message, /body not readable: cut/);
});

/** what a stream says after its 200, and what that means */
const STREAMED: readonly (readonly [unknown, ErrorCode])[] = [
  [{ error: { message: 'CUDA out of memory', type: 'InternalServerError', code: 500 } }, 'engine_error'],
  [{ error: { message: 'The request queue is full.', code: 503 } }, 'overloaded'],
  [{ error: { message: 'busy', code: '429' } }, 'overloaded'],
  [{ error: 'Model is overloaded', error_type: 'overloaded' }, 'overloaded'],
  [{ error: { message: 'over', code: 'insufficient_quota' } }, 'engine_account'],
  [{ error: { message: 'the context is full', code: 400 } }, 'context_length_exceeded'],
  [{ error: 'oops' }, 'engine_error'],
];

for (const [frame, code] of STREAMED)
  test(`in a stream, ${JSON.stringify(frame)} is ${code}`, () => {
    const error = streamedError('cloud', frame);
    assert.equal(error.code, code);
    assert.ok(error.message.startsWith('cloud: ') && error.message.includes(errorText(frame)));
  });

test('what is no stream is shown, with its own error where it has one', async () => {
  const page = await notAStream('cloud', 'text/html', bytes('<html>Sign in</html>'));
  assert.match(page.message, /text\/html, expected text\/event-stream: <html>Sign in.*base URL/);
  const json = await notAStream('cloud', 'application/json', bytes('{"error":{"message":"asleep"}}'));
  assert.match(json.message, /application\/json.*asleep/);
});

test('the message of an error is found in all four shapes', () => {
  assert.equal(errorText({ error: { message: 'a' } }), 'a');
  assert.equal(errorText({ object: 'error', message: 'b' }), 'b');
  assert.equal(errorText({ error: 'c' }), 'c');
  assert.equal(errorText({ error: 'd', error_type: 'x' }), 'd');
  assert.equal(errorText({ error: null, message: '' }), '{"error":null,"message":""}');
});
