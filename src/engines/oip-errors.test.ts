import assert from 'node:assert/strict';
import { test } from 'node:test';
import { oipGrpcCode, oipRefusal } from './oip-errors.ts';

/** Status, body, and the code it means. Triton's words are as 2.51 says them (2026-11), KServe's from its source. */
const HTTP: readonly (readonly [number, string, string])[] = [
  [503, '{"error":"Exceeds maximum queue size"}', 'overloaded'],
  [400, '{"error":"[request id: a] Exceeds maximum queue size"}', 'overloaded'],
  [503, '{"error":"Request timeout expired"}', 'deadline_exceeded'],
  [429, 'slow down', 'overloaded'],
  [404, '{"error":"Request for unknown model: \'m\' is not found"}', 'unknown_model'],
  [400, '{"error":"Request for unknown model: \'m\' version 9 is not found"}', 'unknown_model'],
  [400, '{"error":"Request for unknown model: \'m\' has no available versions"}', 'unknown_model'],
  [404, '{"error":"Model with name m does not exist."}', 'unknown_model'],
  [503, '{"error":"Model with name m is not ready."}', 'not_ready'],
  [400, '{"error":"unexpected inference input \'X\' for model \'m\'"}', 'bad_request'],
  [422, '{"detail":[{"loc":["body"],"msg":"field required"}]}', 'bad_request'],
  [500, '{"error":"Failed to process the request(s)"}', 'engine_error'],
  [502, '<html><body>Bad gateway</body></html>', 'engine_error'],
  [501, '', 'engine_error'],
  [504, '', 'deadline_exceeded'],
];

test('a refusal over HTTP has the code that its status and words mean', () => {
  for (const [status, body, code] of HTTP)
    assert.equal(oipRefusal('t', status, body).code, code, `${status} ${body}`);
});

test('a refusal shows the words of the server, whatever their form, and never without end', () => {
  assert.match(oipRefusal('t', 400, '{"error":"bad shape"}').message, /^t answered 400: bad shape$/);
  assert.match(oipRefusal('t', 500, '').message, /\(no body\)/);
  assert.match(oipRefusal('t', 502, `<p>${'x'.repeat(9_000)}`).message, /^.{1,250}$/);
  assert.match(oipRefusal('t', 400, JSON.stringify({ error: { deep: 1 } })).message, /\{"deep":1\}/);
  assert.match(oipRefusal('t', 400, 'null').message, /null/);
});

test('a refusal over gRPC has the code that its status and words mean', () => {
  assert.equal(oipGrpcCode('unavailable', 'Exceeds maximum queue size'), 'overloaded');
  assert.equal(oipGrpcCode('unavailable', 'Request timeout expired'), 'deadline_exceeded');
  assert.equal(
    oipGrpcCode('unavailable', "Request for unknown model: 'm' has no available versions"),
    'unknown_model',
  );
  assert.equal(oipGrpcCode('not_found', 'x'), 'unknown_model');
  assert.equal(oipGrpcCode('invalid_argument', 'unexpected shape'), 'bad_request');
  assert.equal(oipGrpcCode('deadline_exceeded', ''), 'deadline_exceeded');
  assert.equal(oipGrpcCode('resource_exhausted', 'message too large'), 'overloaded');
  assert.equal(oipGrpcCode('internal', 'boom'), 'engine_error');
});
