/**
 * The adapters of the double: a registry, engines with places, and operations that go through their stages when a test
 * says so. `tell` sends the replicas to everybody who follows them.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AdapterOperation, AdapterView, ReplicaView, Residency } from './src/wire-adapters.ts';

export interface AdapterState {
  adapters: AdapterView[];
  replicas: ReplicaView[];
  /** The newest first. */
  operations: AdapterOperation[];
  /** What an action begins with; a test moves it on. Throwing refuses the action. */
  onAction: (state: AdapterState, action: string, id: string) => void;
  /** Whether the key may only talk. */
  isForbidden: boolean;
  /** Who follows the replicas. */
  readonly followers: Set<ServerResponse>;
}

export function residency(id: string, change: Partial<Residency> = {}): Residency {
  return {
    id,
    engine_name: `${id}-3fa9c1d2`,
    stage: 'resident',
    leases: 0,
    is_pinned: false,
    bytes: 1_700_000,
    idle_ms: 12_000,
    load_ms: 84,
    verify_ms: 930,
    failures: 0,
    reason: null,
    ...change,
  };
}

export function adapterView(
  name: string,
  version: string,
  change: Partial<Omit<AdapterView, 'record' | 'id'>> = {},
): AdapterView {
  return {
    record: {
      name,
      version,
      digest: '3fa9c1d2'.repeat(8),
      base: 'smollm2-135m-instruct-q4_1',
      architecture: 'llama',
      layers: 30,
      rank: 16,
      alpha: 32,
      target_modules: ['k_proj', 'o_proj', 'q_proj', 'v_proj'],
      bytes: 1_843_512,
      gguf_bytes: 1_851_200,
      licence: 'Apache-2.0',
      training_run: null,
      notes: 'Trained from our own lines.',
      source: `examples/body-broker/adapters/${name}`,
      added_by: 'local',
      added_at_ms: 1_795_000_000_000 + Number(version) * 3_600_000,
    },
    id: `${name}@${version}`,
    tags: [],
    is_published: false,
    is_pinned: false,
    failure: null,
    replicas: [],
    ...change,
  };
}

export function replicaView(
  engine: string,
  adapters: readonly Residency[],
  change: Partial<ReplicaView> = {},
): ReplicaView {
  return {
    engine,
    base: 'smollm2-135m-instruct-q4_1',
    is_up: true,
    slots: 20,
    slots_used: adapters.length,
    bytes: adapters.reduce((sum, one) => sum + one.bytes, 0),
    bytes_max: null,
    swaps_last_minute: 0,
    is_thrashing: false,
    adapters,
    ...change,
  };
}

export function adapterState(): AdapterState {
  const resident = (name: string) => ({ ...residency(`${name}@1`), engine: 'embedded' });
  return {
    adapters: [
      adapterView('vampire', '1', { tags: ['stable'], is_published: true, replicas: [resident('vampire')] }),
      adapterView('vampire', '2'),
      adapterView('zombie', '1', { tags: ['stable'], is_published: true, replicas: [resident('zombie')] }),
    ],
    replicas: [replicaView('embedded', [residency('vampire@1'), residency('zombie@1', { idle_ms: null })])],
    isForbidden: false,
    operations: [],
    onAction: () => undefined,
    followers: new Set(),
  };
}

let lastOperation = 0;

export function operation(
  kind: string,
  adapter: string,
  change: Partial<AdapterOperation> = {},
): AdapterOperation {
  return {
    id: `aop_${++lastOperation}`,
    kind,
    adapter,
    stage: 'starting',
    detail: `${kind} ${adapter}`,
    percent: null,
    started_at_ms: Date.now(),
    ended_at_ms: null,
    outcome: null,
    failure: null,
    ...change,
  };
}

/** Changes the operation that began last. */
export function advance(state: AdapterState, change: Partial<AdapterOperation>): void {
  const [last, ...rest] = state.operations;
  if (last) state.operations = [{ ...last, ...change }, ...rest];
}

export function succeed(state: AdapterState, detail: string): void {
  advance(state, { stage: 'done', detail, percent: 100, outcome: 'succeeded', ended_at_ms: Date.now() });
}

export function fail(state: AdapterState, code: string, message: string): void {
  const failure = { code, message };
  advance(state, { stage: 'failed', detail: message, outcome: 'failed', failure, ended_at_ms: Date.now() });
}

/** Changes one adapter of the registry. */
export function change(state: AdapterState, id: string, what: Partial<AdapterView>): void {
  state.adapters = state.adapters.map((one) => (one.id === id ? { ...one, ...what } : one));
}

/** Sends what the replicas are now to everybody who follows them. */
export function tell(state: AdapterState): void {
  for (const follower of state.followers) send(follower, state);
}

function send(response: ServerResponse, { replicas }: AdapterState): void {
  response.write(`event: replicas\ndata: ${JSON.stringify({ data: replicas })}\n\n`);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

/** Answers what is asked of adapters; false when it is something else. */
export async function answerAdapters(
  state: AdapterState,
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
): Promise<boolean> {
  const path = url.pathname;
  if (state.isForbidden && path.startsWith('/admin/v1/adapter')) {
    json(response, 403, { code: 'forbidden', detail: 'the key lacks the operator scope' });
    return true;
  }
  if (path === '/admin/v1/adapter-replicas') {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    state.followers.add(response);
    response.on('close', () => state.followers.delete(response));
    send(response, state);
    return true;
  }
  if (path === '/admin/v1/adapters' && request.method === 'GET') {
    json(response, 200, pageOf(state, url.searchParams));
    return true;
  }
  if (path === '/admin/v1/adapter-operations') {
    json(response, 200, { data: state.operations });
    return true;
  }
  const [, id, action] = /^\/admin\/v1\/adapters(?:\/([^/]+))?(?:\/([a-z]+))?$/.exec(path) ?? [];
  if (request.method === 'POST' && id === undefined && path === '/admin/v1/adapters') {
    const body = JSON.parse(await textOf(request)) as { name: string; version: string };
    begin(state, 'add', `${body.name}@${body.version}`, response);
    return true;
  }
  if (id === undefined || (action === undefined && request.method !== 'DELETE')) return false;
  begin(state, action ?? 'remove', decodeURIComponent(id), response);
  return true;
}

function begin(state: AdapterState, kind: string, id: string, response: ServerResponse): void {
  state.operations = [operation(kind, id), ...state.operations];
  state.onAction(state, kind, id);
  json(response, 202, state.operations[0]);
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}

function pageOf({ adapters }: AdapterState, ask: URLSearchParams): unknown {
  const name = ask.get('name');
  const after = ask.get('after');
  const limit = Number(ask.get('limit') ?? 100);
  const found = adapters.filter((adapter) => name === null || adapter.record.name === name);
  const start = after === null ? 0 : found.findIndex(({ id }) => id === after) + 1;
  const data = found.slice(start, start + limit);
  return { data, next: start + limit < found.length ? (data.at(-1)?.id ?? null) : null };
}
