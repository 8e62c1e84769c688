/** Replies that are no answer, with the statuses, hints and bodies that engines and proxies are known for (engines.md §2.5, §13.4). */

import type { SeededRandom } from '../../planning/seeded-random.ts';
import type { RefusalFault } from './faults.ts';
import type { ServerSide } from './network.ts';
import type { Wire } from './wires.ts';

/** What servers have been seen to put into `retry-after`, and what none should. */
const RETRY_HINTS = ['0', '1', '2.5', '30', '-5', '99999999999', 'soon', 'Sat, 21 Nov 2026 20:00:30 GMT', ''];

const PAGE = '<!doctype html><html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>';

interface Refusal {
  readonly status: number;
  /** Empty: the connection ends behind the head. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Sends the whole refusal. */
export function refuse(fault: RefusalFault, wire: Wire, side: ServerSide, random: SeededRandom): void {
  const { status, body, headers } = refusalOf(fault, wire, random);
  side.head(status, headers);
  // Whoever has left does not read it.
  if (body !== '') side.send(Buffer.from(body)).catch(() => {});
  side.end();
}

function refusalOf(fault: RefusalFault, wire: Wire, random: SeededRandom): Refusal {
  const told = (
    status: number,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ): Refusal => ({
    status,
    body: JSON.stringify(wire.refusal(message)),
    headers: { 'content-type': 'application/json', ...headers },
  });
  switch (fault) {
    case 'too-many-requests':
      return told(429, 'Rate limit reached', { 'retry-after': random.pick(RETRY_HINTS) });
    case 'unavailable':
      return told(503, 'Service unavailable', { 'retry-after': random.pick(RETRY_HINTS) });
    case 'overloaded-529':
      return told(529, 'Overloaded');
    case 'internal-error':
      return told(500, 'EngineCore encountered an issue');
    case 'bad-gateway-html':
      return { status: 502, body: PAGE, headers: { 'content-type': 'text/html' } };
    case 'key-refused':
      return told(401, 'Invalid API key');
    case 'model-unloaded':
      return told(404, 'The model does not exist.');
    case 'context-too-long':
      return told(400, "This model's maximum context length is 64 tokens.");
    case 'html-200':
      return { status: 200, body: PAGE, headers: { 'content-type': 'text/html; charset=utf-8' } };
    case 'json-200':
      return { status: 200, body: '{"ok":true}', headers: { 'content-type': 'application/json' } };
    case 'empty-200':
      return { status: 200, body: '', headers: { 'content-type': wire.contentType } };
    case 'redirect':
      return { status: 302, body: '', headers: { location: 'http://elsewhere.test/v1/chat/completions' } };
  }
}
