/** Replies that are no answer, with the statuses, hints and bodies that engines and proxies are known for (engines.md §2.5, §13.4). */
import type { RefusalFault } from './faults.ts';
import type { ServerSide } from './network.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Wire } from './wires.ts';

/** What servers have been seen to put into `retry-after`, and what none should. */
const RETRY_HINTS = ['0', '1', '2.5', '30', '-5', '99999999999', 'soon', 'Sat, 21 Nov 2026 20:00:30 GMT', ''];

const PAGE = '<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>';

/** Sends the whole refusal. */
export function refuse(fault: RefusalFault, wire: Wire, side: ServerSide, random: SeededRandom): void {
  const reply = (
    status: number,
    body: string,
    headers: Readonly<Record<string, string>> = { 'content-type': 'application/json' },
  ) => {
    side.head(status, headers);
    if (body !== '') void side.send(Buffer.from(body)).catch(() => {});
    side.end();
  };
  const refusal = (status: number, message: string, headers: Readonly<Record<string, string>> = {}) =>
    reply(status, JSON.stringify(wire.refusal(message)), { 'content-type': 'application/json', ...headers });
  switch (fault) {
    case 'too-many-requests':
      return refusal(429, 'Rate limit reached', { 'retry-after': random.pick(RETRY_HINTS) });
    case 'unavailable':
      return refusal(503, 'Service unavailable', { 'retry-after': random.pick(RETRY_HINTS) });
    case 'overloaded-529':
      return refusal(529, 'Overloaded');
    case 'internal-error':
      return refusal(500, 'EngineCore encountered an issue');
    case 'bad-gateway-html':
      return reply(502, PAGE, { 'content-type': 'text/html' });
    case 'key-refused':
      return refusal(401, 'Invalid API key');
    case 'model-unloaded':
      return refusal(404, 'The model does not exist.');
    case 'context-too-long':
      return refusal(400, "This model's maximum context length is 64 tokens.");
    case 'html-200':
      return reply(200, PAGE, { 'content-type': 'text/html; charset=utf-8' });
    case 'json-200':
      return reply(200, '{"ok":true}');
    case 'empty-200':
      return reply(200, '', { 'content-type': wire.contentType });
    case 'redirect':
      return reply(302, '', { location: 'http://elsewhere.test/v1/chat/completions' });
  }
}
