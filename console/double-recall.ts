/** The dialogue cache of the double: figures that a test puts there, and forgetting as the gateway does it. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RecallNpc, RecallSaved, RecallStatus } from './src/wire-recall.ts';

export interface RecallDouble {
  status: RecallStatus;
  /** Whether the key may only talk. */
  isForbidden: boolean;
  /** Bodies of forgettings as they came. */
  forgotten: Readonly<Record<string, unknown>>[];
}

const NOTHING: RecallSaved = {
  hits: 0,
  joined: 0,
  misses: 0,
  bypassed: 0,
  hit_share: null,
  prompt_tokens: 0,
  completion_tokens: 0,
  cost_usd: 0,
  wait_s: 0,
};

export function recallDouble(change: Partial<RecallStatus> = {}): RecallDouble {
  return {
    status: {
      enabled: true,
      memory: { bytes: 0, bytes_max: 67_108_864, keys: 0, variants: 0, evictions: 0 },
      flights: 0,
      shared: 'none',
      recent: { hits: 0, joined: 0, misses: 0, bypassed: 0, hit_share: null, window_s: 42 },
      total: NOTHING,
      prefix: { prompt_tokens: 0, cached_tokens: 0, cached_share: null },
      npcs: [],
      npcs_known: 0,
      options: {
        variants_max: 4,
        variants_min: 1,
        ttl_s: 86_400,
        join_equal: true,
        barks_by_meaning: true,
        shared_wait_ms: null,
      },
      ...change,
    },
    isForbidden: false,
    forgotten: [],
  };
}

export function recallNpc(npcId: string, hits: number, misses: number, joined = 0, usd = 0): RecallNpc {
  return {
    npc_id: npcId,
    hits,
    joined,
    misses,
    bypassed: 2,
    hit_share: (hits + joined) / (hits + joined + misses),
    prompt_tokens: 580 * hits,
    completion_tokens: 31 * hits,
    cost_usd: usd,
    wait_s: 1.3 * hits,
    prefix: { prompt_tokens: 500 * misses, cached_tokens: 430 * misses, cached_share: 0.86 },
  };
}

/** Whether the address was one of these. */
export async function answerRecall(
  double: RecallDouble,
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
): Promise<boolean> {
  if (url.pathname !== '/admin/v1/recall' && url.pathname !== '/admin/v1/recall/forget') return false;
  if (double.isForbidden) {
    json(response, 403, { code: 'forbidden', detail: 'the key lacks the operator scope' });
    return true;
  }
  if (request.method !== 'POST') {
    json(response, 200, double.status);
    return true;
  }
  let text = '';
  for await (const chunk of request) text += String(chunk);
  const body = JSON.parse(text) as { readonly npc_id?: string };
  double.forgotten.push(body);
  const { memory } = double.status;
  double.status = { ...double.status, memory: { ...memory, bytes: 0, keys: 0, variants: 0 } };
  if (double.status.shared === 'unreachable')
    json(response, 503, { code: 'store_unavailable', detail: 'the shared tier is away' });
  else json(response, 200, { npc_id: body.npc_id ?? null, keys: memory.keys });
  return true;
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}
