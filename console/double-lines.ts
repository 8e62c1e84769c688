/** The learned lines of the double: candidates that a test puts there, and decisions as the gateway makes them. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Candidate, LearnedLine, Offer } from './src/wire-lines.ts';

export interface LineState {
  candidates: Candidate[];
  learned: LearnedLine[];
  refused: Readonly<Record<string, number>>;
  known: number;
  /** Whether the key may only talk. */
  isForbidden: boolean;
  /** Somebody else who decides about every line just before. */
  first: string | null;
  /** Bodies of decisions as they came, with what was decided. */
  decided: Readonly<Record<string, unknown>>[];
}

export function lineState(): LineState {
  return {
    candidates: [],
    learned: [],
    refused: {},
    known: 0,
    isForbidden: false,
    first: null,
    decided: [],
  };
}

export function candidate(text: string, change: Partial<Candidate> = {}): Candidate {
  return {
    id: Buffer.from(text).toString('hex').padEnd(32, '0').slice(0, 32),
    text,
    speaker: 'vampire_odile',
    kind: 'vampire',
    trigger: 'greet',
    locale: 'en',
    heard: 48,
    players: 21,
    interrupted: 2,
    interrupted_share: 0.04,
    cached: 30,
    clean: 48,
    npcs: { vampire_odile: 48 },
    places: { cold_store: 31, lamp_street: 12 },
    voice: 'smollm2-135m-instruct-q4_1 + vampire@1',
    variants: [],
    first_heard_at_ms: 1_795_000_000_000,
    last_heard_at_ms: 1_795_090_000_000,
    ...change,
  };
}

export function learnedLine(number: number, change: Partial<LearnedLine> = {}): LearnedLine {
  return {
    id: `vampire.greet.learned-${String(number).padStart(3, '0')}`,
    status: 'approved',
    text: 'You bring the cold in with you.',
    original: 'You bring the cold in with you.',
    speaker: 'vampire',
    trigger: 'greet',
    when: [],
    mood: null,
    locale: 'en',
    heard: 40,
    players: 18,
    approved_by: 'Mara',
    approved_at_ms: 1_795_000_000_000,
    retired_by: null,
    retired_at_ms: null,
    ...change,
  };
}

/** Whether the address was one of these; then it is answered. */
export async function answerLines(
  state: LineState,
  request: IncomingMessage,
  url: URL,
  response: ServerResponse,
): Promise<boolean> {
  const [, place, id, verb] =
    /^\/admin\/v1\/lines\/(candidates|learned|export)(?:\/([^/]+)\/([a-z]+))?$/.exec(url.pathname) ?? [];
  if (place === undefined) return false;
  if (state.isForbidden) {
    json(response, 403, { code: 'forbidden', detail: 'the key lacks the operator scope' });
    return true;
  }
  if (verb !== undefined) {
    await decide(state, decodeURIComponent(id ?? ''), verb, request, response);
    return true;
  }
  if (place === 'candidates') json(response, 200, offerOf(state));
  else if (place === 'learned') json(response, 200, { data: state.learned });
  else {
    const format = url.searchParams.get('format') ?? 'csv';
    const text = state.learned.map((line) => `${line.id},"${line.text}"\n`).join('');
    json(response, 200, {
      file_name: `greenroom-lines-${url.searchParams.get('scope') ?? ''}.${format}`,
      content_type: 'text/plain; charset=utf-8',
      count: state.learned.length,
      text,
    });
  }
  return true;
}

function offerOf(state: LineState): Offer {
  return {
    data: state.candidates,
    known: state.known,
    refused: state.refused,
    thresholds: { heard_min: 10, players_min: 5, interrupted_share_max: 0.2 },
    choices: {
      speakers: ['vampire_odile', 'vampire', 'lich', 'common'],
      triggers: ['spot', 'greet', 'idle', 'low_health', 'fallback:timeout'],
    },
  };
}

async function decide(
  state: LineState,
  id: string,
  verb: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  const body = JSON.parse(text || '{}') as Partial<LearnedLine> & { readonly by?: string };
  state.decided.push({ id, verb, ...body });
  const found = state.candidates.find((one) => one.id === id);
  if (verb === 'retire') {
    const change = {
      status: 'retired',
      retired_by: body.by ?? 'key',
      retired_at_ms: 1_795_100_000_000,
    } as const;
    state.learned = state.learned.map((line) => (line.id === id ? { ...line, ...change } : line));
    return json(
      response,
      200,
      state.learned.find((line) => line.id === id),
    );
  }
  if (state.first !== null || found === undefined) {
    state.candidates = state.candidates.filter((one) => one.id !== id);
    const detail = `${state.first ?? 'Ivo'} approved this line as vampire.greet.learned-009; nothing was changed`;
    return json(response, 409, { code: 'line_decided', detail });
  }
  if (body.text?.includes('*')) {
    const detail = 'the line cannot be served: holds markup, brackets, wrapping quotes or emoji';
    return json(response, 400, { code: 'bad_request', detail });
  }
  state.candidates = state.candidates.filter((one) => one.id !== id);
  if (verb === 'reject')
    return json(response, 200, { id, rejected_by: body.by ?? 'key', rejected_at_ms: 1_795_100_000_000 });
  const { by = 'key', ...wish } = body;
  const line = learnedLine(state.learned.length + 1, {
    text: found.text,
    original: found.text,
    speaker: found.speaker,
    trigger: found.trigger ?? 'idle',
    approved_by: by,
    ...wish,
  });
  state.learned = [line, ...state.learned];
  json(response, 201, line);
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, {
    'content-type': status >= 400 ? 'application/problem+json' : 'application/json',
  });
  response.end(JSON.stringify(body));
}
