/**
 * A double of Ollama's native API: the bytes as its source writes them (0.33.0-rc2, 2026-08-21: api/types.go,
 * server/routes.go), words instead of a model. Vendor's own client `ollama` 0.6.4 judges it. It loads before it speaks,
 * reloads when a runner option changes, and counts both.
 */
import { createHash } from 'node:crypto';
import { startWireServer, type WireExchange, type WireHandler, type WireServer } from './wire-server.ts';
import { answerOf } from './words.ts';

export interface OllamaDouble extends WireServer {
  /** Times a model was brought into memory: more than once for one model means that its options changed. */
  readonly loads: number;
  /** What `/api/ps` tells about the model in memory. */
  readonly memory: { size: number; sizeVram: number };
  /** Models that were made of a base and an adapter: the SHA-256 of the adapter's file, by name. */
  readonly made: Map<string, string>;
  /** The process ends and another begins: memory is empty, the disk is as it was. */
  restart(): void;
}

interface Loaded {
  readonly model: string;
  readonly runner: string;
  readonly contextLength: number;
}

const CREATED_AT = '2026-08-21T18:48:22.123456789-07:00';
const DIGEST = 'a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72';
const INSTALLED = ['m:latest', 'spare:7b'];

/** `chat` replaces how it speaks, byte by byte. */
export async function startOllamaDouble(chat: WireHandler = speak): Promise<OllamaDouble> {
  const state: { loaded: Loaded | null; loads: number } = { loaded: null, loads: 0 };
  const made = new Map<string, string>();
  const blobs = new Set<string>();
  const isInstalled = (model: unknown) =>
    INSTALLED.includes(tagged(String(model))) || made.has(String(model));
  const memory = { size: 4_000_000_000, sizeVram: 4_000_000_000 };
  const routes: Readonly<Record<string, WireHandler>> = {
    'GET /api/version': async ({ json }) => json(200, { version: '0.33.0-rc2' }),
    'GET /api/tags': async ({ json }) => json(200, { models: [...INSTALLED, ...made.keys()].map(installed) }),
    'GET /api/ps': async ({ json }) =>
      json(200, {
        models:
          state.loaded === null
            ? []
            : [
                {
                  name: state.loaded.model,
                  model: state.loaded.model,
                  size: memory.size,
                  digest: DIGEST,
                  details: details(),
                  expires_at: CREATED_AT,
                  size_vram: memory.sizeVram,
                  context_length: state.loaded.contextLength,
                },
              ],
      }),
    'POST /api/show': async ({ body, json }) =>
      isInstalled(body['model'])
        ? json(200, {
            template: '{{ .Prompt }}',
            details: details(),
            model_info: {},
            capabilities: ['completion'],
          })
        : json(404, { error: `model '${String(body['model'])}' not found` }),
    'POST /api/pull': pull,
    'POST /api/create': async ({ body, json }) => {
      const { model, from, adapters } = body;
      const files = Object.entries((adapters ?? {}) as Readonly<Record<string, string>>);
      const [file] = files;
      if (!isInstalled(from)) json(200, { error: `pull model manifest: file does not exist` });
      else if (file === undefined || files.length > 1)
        json(400, { error: 'only one adapter is currently supported' });
      else if (!file[0].endsWith('.gguf')) json(400, { error: 'unknown type' });
      else if (!blobs.has(file[1])) json(400, { error: `open blobs/${file[1]}: no such file or directory` });
      else {
        made.set(String(model), file[1]);
        json(200, { status: 'success' });
      }
    },
    'DELETE /api/delete': async ({ body, json }) => {
      if (made.delete(String(body['model']))) json(200, null);
      else json(404, { error: `model '${String(body['model'])}' not found` });
    },
    'POST /api/chat': async (exchange) => {
      const { body, json } = exchange;
      if (!isInstalled(body['model'])) {
        json(404, { error: `model '${String(body['model'])}' not found` });
        return;
      }
      const messages = body['messages'] as readonly unknown[] | undefined;
      const isEmpty = messages === undefined || messages.length === 0;
      if (isEmpty && body['keep_alive'] === 0) {
        state.loaded = null;
        json(200, whole(exchange, '', 'unload'));
        return;
      }
      const runner = runnerOf(body);
      if (state.loaded?.runner !== runner) {
        state.loads += 1;
        const options = body['options'] as { num_ctx?: number } | undefined;
        state.loaded = {
          model: tagged(String(body['model'])),
          runner,
          contextLength: options?.num_ctx ?? 4_096,
        };
      }
      if (isEmpty) json(200, whole(exchange, '', 'load'));
      else await chat(exchange);
    },
  };
  const server = await startWireServer(async (exchange) => {
    const { method, path } = exchange;
    const blob = /^\/api\/blobs\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1];
    if (blob !== undefined) return blobRoute(exchange, blob, blobs);
    const route = routes[`${method} ${path}`];
    if (route === undefined) exchange.json(404, { error: '404 page not found' });
    else await route(exchange);
  });
  return Object.defineProperties(server, {
    loads: { get: () => state.loads },
    memory: { value: memory },
    made: { value: made },
    restart: {
      value: () => {
        state.loaded = null;
      },
    },
  }) as OllamaDouble;
}

/** Kept under its digest, which must be true. */
function blobRoute(
  { method, bytes, response, json }: WireExchange,
  digest: string,
  blobs: Set<string>,
): void {
  if (method === 'HEAD') {
    response.writeHead(blobs.has(digest) ? 200 : 404).end();
    return;
  }
  const got = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (got !== digest) {
    json(400, { error: `digest mismatch, expected "${digest}", got "${got}"` });
    return;
  }
  blobs.add(digest);
  response.writeHead(201).end();
}

/** What `needsReload` in server/sched.go compares. */
function runnerOf(body: WireExchange['body']): string {
  const options = (body['options'] ?? {}) as Readonly<Record<string, unknown>>;
  const shaping = ['num_ctx', 'num_batch', 'num_gpu', 'num_thread'].map((key) => options[key]);
  return JSON.stringify([tagged(String(body['model'])), body['shift'], ...shaping]);
}

export async function speak(exchange: WireExchange): Promise<void> {
  const { body, begin, send, json, response, work, closed } = exchange;
  const options = (body['options'] ?? {}) as { num_predict?: number; stop?: readonly string[] };
  const { pieces, end } = answerOf({
    said: 0,
    tokensMax: options.num_predict ?? 16,
    stops: options.stop ?? [],
    structure: (body['format'] ?? null) as Readonly<Record<string, unknown>> | null,
    // Of a model that was made for us, the digits of the adapter's digest.
    voice: /-([0-9a-f]{8})\.[0-9a-f]{8}$/.exec(String(body['model']))?.[1] ?? '',
  });
  const doneReason = end === 'limit' ? 'length' : 'stop';
  if (body['stream'] === false) {
    json(200, { ...whole(exchange, pieces.join(''), doneReason), ...counts(pieces.length) });
    return;
  }
  begin('application/x-ndjson');
  for await (const piece of work.run(pieces, closed))
    await send(line({ ...head(body), message: said(piece), done: false }));
  await send(line({ ...whole(exchange, '', doneReason), ...counts(pieces.length) }));
  response.end();
}

/** One line as Go's encoder writes it. */
export function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

export function head(body: WireExchange['body']) {
  return { model: body['model'], created_at: CREATED_AT };
}

export function said(content: string) {
  return { role: 'assistant', content };
}

/** Durations are nanoseconds. */
function counts(evalCount: number) {
  return {
    total_duration: 4_935_886_791,
    load_duration: 534_986_708,
    prompt_eval_count: 7,
    prompt_eval_duration: 107_345_000,
    eval_count: evalCount,
    eval_duration: 4_289_432_000,
  };
}

function whole({ body }: WireExchange, content: string, doneReason: string) {
  return { ...head(body), message: said(content), done: true, done_reason: doneReason };
}

async function pull({ body, begin, send, response }: WireExchange): Promise<void> {
  begin('application/x-ndjson');
  await send(line({ status: 'pulling manifest' }));
  if (body['model'] === 'nowhere') {
    await send(line({ error: 'pull model manifest: file does not exist' }));
    response.end();
    return;
  }
  for (const completed of [undefined, 40, 100])
    await send(
      line({
        status: `pulling ${DIGEST.slice(0, 12)}`,
        digest: `sha256:${DIGEST}`,
        total: 100,
        ...(completed === undefined ? {} : { completed }),
      }),
    );
  for (const status of ['verifying sha256 digest', 'writing manifest']) await send(line({ status }));
  if (body['model'] !== 'cut') await send(line({ status: 'success' }));
  response.end();
}

function installed(name: string) {
  return {
    name,
    model: name,
    modified_at: CREATED_AT,
    size: 3_825_819_519,
    digest: DIGEST,
    details: details(),
  };
}

function details() {
  return {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama'],
    parameter_size: '7.2B',
    quantization_level: 'Q4_0',
  };
}

function tagged(model: string): string {
  return model.includes(':') ? model : `${model}:latest`;
}
