/**
 * A true double of the gateway's wire for working on the console: `node console/double.ts [port]` serves the built page
 * and the endpoints it reads, with real streaming. tests/console.test.ts drives it through the states that a healthy
 * gateway never shows (starting, cut streams, refused keys, hostile text); the real gateway has its own tests there.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AdapterState, adapterState, answerAdapters } from './double-adapters.ts';
import { answerLines, type LineState, lineState } from './double-lines.ts';
import { answerRecall, type RecallDouble, recallDouble } from './double-recall.ts';

const DIST = join(import.meta.dirname, 'dist');
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
/** What a careful gateway would send with the page; the console must work under it. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'";

export interface DoubleState {
  /** What `/readyz` says. */
  readiness: { ready: boolean; stage: string; detail: string | null; percent?: number };
  /** What stands in place of the one healthy engine, or beside it: fields of the status. */
  engines: readonly Readonly<Record<string, unknown>>[] | null;
  /** `isStoreAway` leaves the day out; `isForbidden` answers as to a key without the operator's scope. */
  spending: { off: boolean; callsInFlight: number; isStoreAway: boolean; isForbidden: boolean };
  /** Awaited between looking at the switch and answering what it was. */
  beforeSpendingIsTold: () => Promise<void>;
  /** The key asked for; null asks for none. */
  key: string | null;
  /** Milliseconds between sentences. */
  paceMs: number;
  /** How dialogues go. `held` sends one sentence and then nothing until the client hangs up. */
  mode: 'speak' | 'held' | 'written' | 'error';
  sentences: readonly string[];
  filler: string | null;
  npcs: readonly { npc_id: string; name: string; kind: string; tier: number; summary: string }[];
  adapters: AdapterState;
  lines: LineState;
  recall: RecallDouble;
  /** What every persona names; null: none. */
  personaAdapter: string | null;
  /** Dialogue bodies as they came. */
  asked: Record<string, unknown>[];
  /** Called when a client hangs up on a dialogue. */
  onHangUp: () => void;
}

export function doubleState(): DoubleState {
  return {
    readiness: { ready: true, stage: 'ready', detail: null },
    engines: null,
    spending: { off: false, callsInFlight: 0, isStoreAway: false, isForbidden: false },
    beforeSpendingIsTold: () => Promise.resolve(),
    key: null,
    paceMs: 0,
    mode: 'speak',
    sentences: [
      'Late.',
      'Nine hundred years late, by my count of knuckles, and still you knock as if the door were yours.',
      'Sit, and tell me what the living remember of the bell.',
    ],
    filler: null,
    npcs: CAST,
    adapters: adapterState(),
    lines: lineState(),
    recall: recallDouble(),
    personaAdapter: null,
    asked: [],
    onHangUp: () => undefined,
  };
}

const CAST: DoubleState['npcs'] = [
  [
    'lich_ossuary_keeper',
    'Veyra of the Ninth Ossuary',
    'lich',
    3,
    'Patient lich who trades answers for memories of the living.',
  ],
  [
    'broker_marrow',
    'Mister Marrow',
    'human',
    4,
    'The Body Broker himself; buys what you carry, sells what you lost.',
  ],
  [
    'vampire_odile',
    'Odile Vane',
    'vampire',
    3,
    'Keeps a salon above the cold store and a list of who owes her.',
  ],
  ['werewolf_harrow', 'Harrow', 'werewolf', 2, 'Dock foreman on the good nights.'],
  ['ghoul_tally', 'Tally', 'ghoul', 2, 'Counts bodies in and bodies out, and eats the difference.'],
  ['zombie_ward_six', 'Ward Six shambler', 'zombie', 1, 'One of many.'],
].map(([npc_id, name, kind, tier, summary]) => ({
  npc_id: String(npc_id),
  name: String(name),
  kind: String(kind),
  tier: Number(tier),
  summary: String(summary),
}));

function persona(npc: DoubleState['npcs'][number]): Record<string, unknown> {
  return {
    schema: 'greenroom.persona/1',
    id: npc.npc_id,
    version: 3,
    name: npc.name,
    monster_type: npc.kind,
    tier: npc.tier,
    summary: npc.summary,
    nickname: npc.name.split(' ')[0],
    pronouns: 'she/her',
    tags: ['ossuary', 'old guard'],
    identity: {
      role: 'keeper of the ninth ossuary',
      age: 'nine centuries and a winter',
      background:
        'She was the archivist who catalogued the plague dead. When the last clerk died she went on with the work, ' +
        'and then with her own name at the end of the list.',
      appearance: 'Grey linen, ink to the elbows, a ring of keys that fits no door above ground.',
    },
    personality: { traits: ['patient', 'exact'], flaws: ['hoards memories'], fears: ['the bell'] },
    goals: [{ text: 'Finish the catalogue.' }],
    voice: {
      register: 'archaic, dry',
      rhythm: 'short, then one long sentence',
      tics: ['counts bones'],
      words_use: ['ledger', 'late'],
      words_avoid: ['okay', 'guys'],
      language: 'en',
    },
    style: { max_words: 40, combat_max_words: 12, first_sentence_max_words: 8 },
    examples: [
      {
        situation: 'first_meeting',
        player: 'What are you?',
        npc: 'Late. Nine hundred years late, by my count of knuckles.',
      },
      {
        situation: 'trade',
        player: 'What do you want for the key?',
        npc: 'Your first winter. You will not miss it.',
      },
    ],
    knowledge: {
      knows: ['Who is buried below the chapel.'],
      unknown: ['Who hired the player.'],
      time_point: 'before the bell rings',
      deflections: ['Ask the ones who still breathe.'],
    },
    relationships: [{ target: 'broker_marrow', stance: -1, facts: ['He sold her a false saint.'] }],
    secrets: [
      {
        text: 'Her phylactery is the chapel bell.',
        reveal_when: 'quest.bell>=3',
        canaries: ['bell is my soul'],
      },
    ],
    forbidden: { topics: ['the year outside the game'], phrases: [], behaviours: ['begging'] },
    refusals: [
      'That door has no hinge.',
      'No.',
      'I do not lend names.',
      'Ask me when you are dead.',
      'The ledger is closed.',
    ],
    greetings: ['You are early. They are always early, at first.'],
  };
}

const POOL = ['spot', 'attack', 'greet', 'fallback:offline'].flatMap((trigger) =>
  Array.from({ length: 8 }, (_, index) => ({
    id: `lich.${trigger.replace(':', '.')}.${String(index + 1).padStart(3, '0')}`,
    speaker: 'lich',
    trigger,
    text: [
      'Another warm one.',
      'I had just finished counting.',
      'Stand still. I lose my place when they run.',
      'You have your grandmother’s wrists.',
      'Put that down, you do not know what it weighs.',
      'The dust was here first.',
      'One more, then.',
      'I will remember this longer than you.',
    ][index],
    when: index % 3 === 0 ? ['health<30'] : [],
    mood: index % 2 === 0 ? 'dry' : null,
    status: index === 7 ? 'draft' : 'approved',
  })),
);

function json(response: ServerResponse, status: number, body: unknown): void {
  const problem = status >= 400 && status !== 503;
  response.writeHead(status, { 'content-type': problem ? 'application/problem+json' : 'application/json' });
  response.end(JSON.stringify(body));
}

function refuse(response: ServerResponse, status: number, code: string, detail: string): void {
  json(response, status, { type: `about:blank#${code}`, title: code, status, detail, code });
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, unknown>> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return JSON.parse(text) as Record<string, unknown>;
}

const ENGINE = {
  name: 'embedded',
  kind: 'llama.cpp',
  model: 'smollm2-135m-instruct-q4_1',
  model_version: null,
  version: null,
  breaker: 'closed',
  unusable: null,
  running: 1,
  waiting: 0,
  places: 16,
  restarts: 0,
  pid: 4711,
  reason: null,
};

async function spend(state: DoubleState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { spending } = state;
  if (spending.isForbidden) return refuse(response, 403, 'forbidden', 'the key lacks the operator scope');
  const { off } = spending;
  if (request.method === 'POST') {
    spending.off = (await bodyOf(request))['off'] === true;
    if (spending.isStoreAway) return refuse(response, 503, 'store_unavailable', 'the store does not answer');
    return json(response, 200, told(state, spending.off));
  }
  await state.beforeSpendingIsTold();
  return json(response, 200, told(state, off));
}

function told({ spending }: DoubleState, off: boolean): Record<string, unknown> {
  const tiers = { 1: 0, 2: 0, 3: 0.0021, 4: 1_204.5 };
  const day = {
    date: '2026-11-21',
    spent_usd: 1_204.5021,
    held_usd: 0.04,
    tiers: Object.fromEntries(
      Object.entries(tiers).map(([tier, spent]) => [
        tier,
        { spent_usd: spent, held_usd: tier === '4' ? 0.04 : 0 },
      ]),
    ),
  };
  return { off, calls_in_flight: spending.callsInFlight, day: spending.isStoreAway ? null : day };
}

async function speak(state: DoubleState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const asked = await bodyOf(request);
  const npc = state.npcs.find((one) => one.npc_id === asked['npc_id']);
  if (!npc) return refuse(response, 404, 'unknown_npc', `no NPC is called ${String(asked['npc_id'])}`);
  state.asked.push(asked);
  const gone = new AbortController();
  response.on('close', () => {
    if (response.writableFinished) return;
    gone.abort();
    state.onHangUp();
  });
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  const send = (event: string, data: unknown): void => {
    response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  };
  const id = `dlg_${state.asked.length}`;
  send('accepted', { id, npc_id: npc.npc_id, tier: npc.tier });
  response.write(': heartbeat\n\n');
  if (state.filler) send('filler', { line_id: `${npc.kind}.thinking.001`, text: state.filler });
  if (state.mode === 'error') {
    send('error', {
      code: 'engine_error',
      message: 'the engine answered 500: out of slots',
      retryable: true,
    });
    response.end();
    return;
  }
  const isWritten = state.mode === 'written' || typeof asked['trigger'] === 'string';
  const source = isWritten ? 'written' : 'engine';
  const wanted = asked['adapter'];
  const said = typeof wanted === 'string' ? [`(${wanted}) Closer.`, ...state.sentences] : state.sentences;
  for (const [index, text] of said.entries()) {
    if (state.paceMs > 0)
      await sleep(state.paceMs, undefined, { signal: gone.signal }).catch(() => undefined);
    if (gone.signal.aborted) return;
    send('sentence', { index, text, est_ms: 380 * text.split(' ').length + 150, source });
    if (state.mode === 'held') return;
  }
  send('done', {
    id,
    npc_id: npc.npc_id,
    finish_reason: isWritten ? 'written' : 'stop',
    tier: npc.tier,
    source: {
      kind: source,
      engine: isWritten ? 'written' : 'embedded',
      model: isWritten ? null : 'smollm2-135m-instruct-q4_1',
      model_version: null,
      ...adapterSource(
        state.adapters,
        asked['adapter'] === undefined ? state.personaAdapter : asked['adapter'],
      ),
      rung: isWritten ? 1 : 0,
      ...(state.mode === 'written' ? { cause: 'offline' } : {}),
    },
    usage: isWritten
      ? { prompt_tokens: 0, cached_tokens: 0, completion_tokens: 0, cost_usd: 0 }
      : { prompt_tokens: 612, cached_tokens: 540, completion_tokens: 41, cost_usd: 0 },
    timing: {
      queue_ms: 0.4,
      ttft_ms: isWritten ? null : 118,
      ttfs_ms: isWritten ? 0.8 : 342,
      total_ms: 1204,
    },
    conversation: {
      id: asked['conversation_id'],
      timeline_id: 'main',
      turn: state.asked.length,
      stored: true,
    },
  });
  response.end();
}

/** Who speaks when this adapter is wanted: itself where it is resident. */
function adapterSource({ replicas }: AdapterState, wanted: unknown): Record<string, unknown> {
  if (typeof wanted !== 'string') return { adapter: null };
  const held = replicas.flatMap(({ adapters }) => adapters).find(({ id }) => id === wanted);
  if (held?.stage === 'resident') return { adapter: wanted, adapter_generation: 3 };
  const reason = held === undefined ? 'unpublished' : 'loading';
  return { adapter: null, adapter_missing: { adapter: wanted, reason } };
}

async function file(path: string, response: ServerResponse): Promise<void> {
  const name = normalize(path === '/' ? '/index.html' : path);
  try {
    const bytes = await readFile(join(DIST, name));
    response.writeHead(200, {
      'content-type': TYPES[extname(name)] ?? 'application/octet-stream',
      'content-security-policy': POLICY,
    });
    response.end(bytes);
  } catch {
    refuse(response, 404, 'not_found', `nothing at ${path}`);
  }
}

async function answer(state: DoubleState, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://double');
  const path = url.pathname;
  const isOpen = path === '/readyz' || path === '/livez' || !/^\/(v1|admin)\//.test(path);
  if (!isOpen && state.key !== null && request.headers.authorization !== `Bearer ${state.key}`)
    return refuse(response, 401, 'unauthorized', 'no valid API key was given');
  if (path === '/livez') return json(response, 200, { live: true });
  if (path === '/readyz') return json(response, state.readiness.ready ? 200 : 503, state.readiness);
  if (path === '/v1/npcs') return json(response, 200, { data: state.npcs });
  if (path === '/v1/dialogue' && request.method === 'POST') return speak(state, request, response);
  if (await answerAdapters(state.adapters, request, url, response)) return;
  if (await answerLines(state.lines, request, url, response)) return;
  if (await answerRecall(state.recall, request, url, response)) return;
  if (path === '/admin/v1/spending') return spend(state, request, response);
  if (path === '/admin/v1/status') {
    return json(response, 200, {
      version: '0.1.0',
      uptime_s: 4210,
      ...state.readiness,
      engines: state.engines ?? [{ ...ENGINE, stage: state.readiness.stage }],
      dialogues: { active: 1 },
      store: { kind: 'sqlite', healthy: true },
      event_loop_delay_ms_p99: 2.3,
    });
  }
  if (path.startsWith('/admin/v1/npcs/')) {
    const npc = state.npcs.find((one) => one.npc_id === decodeURIComponent(path.slice(15)));
    if (!npc) return refuse(response, 404, 'unknown_npc', `no NPC is called ${path.slice(15)}`);
    return json(response, 200, {
      persona: persona(npc),
      prompt: {
        messages: [
          {
            role: 'system',
            content: `You speak as ${npc.name} and as nobody else.\n\nWho you are: ${npc.summary}\n\nAnswer in at most 40 words.`,
          },
          { role: 'user', content: '[the player speaks here]' },
        ],
        prompt_tokens: 571,
      },
      line_counts: { [npc.npc_id]: {}, lich: { spot: 8, attack: 8, greet: 8, 'fallback:offline': 8 } },
    });
  }
  if (path === '/admin/v1/lines') {
    const [speaker, trigger] = [url.searchParams.get('speaker'), url.searchParams.get('trigger')];
    return json(response, 200, {
      data: POOL.filter(
        (line) => (!speaker || line.speaker === speaker) && (!trigger || line.trigger === trigger),
      ),
    });
  }
  return file(path, response);
}

/** Starts the double on 127.0.0.1. `drop` breaks every connection; `close` does too, and takes no new ones. */
export async function startDouble(
  state: DoubleState,
  port = 0,
): Promise<{ readonly url: string; readonly port: number; drop(): void; close(): Promise<void> }> {
  const server: Server = createServer((request, response) => {
    answer(state, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${bound}`,
    port: bound,
    drop: () => server.closeAllConnections(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

if (import.meta.main) {
  const state = { ...doubleState(), paceMs: 700, filler: 'Hm.' };
  const { url } = await startDouble(state, Number(process.argv[2] ?? 8080));
  console.log(`double of the gateway on ${url}`);
}
