/**
 * The rivals of the NPC comparison: llama-server alone, Ollama alone, and a gateway in front of llama-server, each set as its
 * own documents advise for this load and serving the same file of the same model.
 */
import { existsSync, mkdirSync, openAsBlob } from 'node:fs';
import path from 'node:path';
import {
  BASE_MODEL,
  BASE_MODEL_SHA256,
  baseModelCopy,
  baseModelFile,
} from '../../scripts/engines/base-model.ts';
import { freePort, startEngine } from '../../scripts/engines/child.ts';
import { type EngineScript, installed } from '../../scripts/engines/frame.ts';
import { llamaServer } from '../../scripts/engines/llama-server.ts';
import { ollama } from '../../scripts/engines/ollama.ts';
import { litellm } from '../load/litellm.ts';
import { portkey } from '../load/portkey.ts';
import { INSTALL_RIVALS, type Rival } from '../load/rival.ts';
import { type AbsentSide, type FoundSide, LIFE_MS, type RunningSide, SLOTS, THREADS } from './side.ts';

/** Tokens of one slot: the longest prompt of the trace and its answer, with room. */
const SLOT_TOKENS = 4_096;

/**
 * As llama-server's documents advise for many short chats with common beginnings: a slot for each line at once, the prompt
 * cache on (it is by default, with 8 GB of memory for prompts that left their slot, up to as many tokens as the context has),
 * and reuse of chunks behind a change. The slots' contexts stay apart, as they are by default where slots are counted: one
 * unified buffer shares space, which nobody lacks here, and every token attends over the cells of all slots in it
 * (llama.cpp #14363, #16736).
 */
const LLAMA_SERVER_FLAGS: readonly string[] = [
  ...['--parallel', String(SLOTS), '--ctx-size', String(SLOTS * SLOT_TOKENS)],
  ...['--threads', String(THREADS), '--threads-batch', String(THREADS)],
  ...['--cache-prompt', '--cache-reuse', '64'],
  ...['--jinja', '--no-webui', '--offline'],
];

const OLLAMA_ENVIRONMENT = {
  OLLAMA_NUM_PARALLEL: String(SLOTS),
  OLLAMA_CONTEXT_LENGTH: String(SLOT_TOKENS),
  OLLAMA_MAX_LOADED_MODELS: '1',
  OLLAMA_MAX_QUEUE: '512',
};
/** A model of its own beside that of `npm run engines:ollama`, which has one thread. */
const OLLAMA_MODEL = 'npc-bench';

export function llamaServerSide(): FoundSide {
  return llamaServerWith('a', 'llama-server', baseModelFile());
}

/** What llama-server would do with the weights that Greenroom's engine copies for itself (docs/adr/0012). */
export function llamaServerWithCopySide(): FoundSide {
  const copy = baseModelCopy();
  const name = 'llama-server with the copied weights';
  return existsSync(copy)
    ? llamaServerWith('f', name, copy)
    : { key: 'f', name, reason: 'Greenroom has made no copy yet', install: 'npm start' };
}

function llamaServerWith(key: 'a' | 'f', name: string, modelFile: string): FoundSide {
  const there = installed(llamaServer);
  if (there === null) return notInstalled(key, name, llamaServer);
  return {
    key,
    name,
    door: 'chat',
    useEvents: false,
    settings: LLAMA_SERVER_FLAGS.join(' '),
    versions: { llamaServer: there.version },
    start: (_folder, signal) => startLlamaServer(there.program, modelFile, signal),
  };
}

export function ollamaSide(): FoundSide {
  const there = installed(ollama);
  if (there === null) return notInstalled('b', 'ollama', ollama);
  const environment = Object.entries(OLLAMA_ENVIRONMENT).map(([name, value]) => `${name}=${value}`);
  return {
    key: 'b',
    name: 'ollama',
    door: 'chat',
    useEvents: false,
    settings: [...environment, `num_thread ${THREADS}`].join(' '),
    versions: { ollama: there.version },
    async start(_folder, signal) {
      const port = await freePort();
      const models = path.join(there.folder, 'models-npc-bench');
      mkdirSync(models, { recursive: true });
      const command = ollama.command(there, port, {});
      const engine = await startEngine(
        {
          name: ollama.title,
          command: {
            ...command,
            environment: { ...command.environment, ...OLLAMA_ENVIRONMENT, OLLAMA_MODELS: models },
          },
          port,
          startTimeoutMs: ollama.startTimeoutMs,
          lifeMs: LIFE_MS,
          async ready(origin, attempt) {
            await makeOllamaModel(origin, attempt);
            return await firstWords(origin, {}, OLLAMA_MODEL, attempt);
          },
        },
        signal,
      );
      return {
        origin: engine.origin,
        headers: {},
        model: OLLAMA_MODEL,
        [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
      };
    },
  };
}

/** Portkey where it is installed, else LiteLLM, with a llama-server of its own behind it. */
export function gatewaySide(): FoundSide {
  const there = installed(llamaServer);
  if (there === null) return notInstalled('c', 'gateway before llama-server', llamaServer);
  const [rival, versions] = firstInstalled([portkey, litellm]);
  if (rival === null)
    return {
      key: 'c',
      name: 'portkey before llama-server',
      reason: 'neither Portkey nor LiteLLM is installed',
      install: INSTALL_RIVALS,
    };
  return {
    key: 'c',
    name: `${rival.name} before llama-server`,
    door: 'chat',
    useEvents: false,
    settings: `${rival.name} as in bench:gateway; llama-server as above`,
    versions,
    async start(folder, signal) {
      await using parts = new AsyncDisposableStack();
      const behind = parts.use(await startLlamaServer(there.program, baseModelFile(), signal));
      const before = await rival.start(behind.origin, folder);
      parts.use(before.program);
      const { origin } = before.program;
      await firstWords(origin, before.headers, before.model, signal);
      const whole = parts.move();
      return {
        origin,
        headers: before.headers,
        model: before.model,
        [Symbol.asyncDispose]: () => whole.disposeAsync(),
      };
    },
  };
}

function firstInstalled(rivals: readonly Rival[]): [Rival, Record<string, string>] | [null, null] {
  for (const rival of rivals) {
    const versions = rival.versions();
    if (versions !== null) return [rival, versions];
  }
  return [null, null];
}

async function startLlamaServer(
  program: string,
  modelFile: string,
  signal: AbortSignal,
): Promise<RunningSide> {
  const port = await freePort();
  const where = ['--model', modelFile, '--alias', BASE_MODEL, '--host', '127.0.0.1', '--port', `${port}`];
  const engine = await startEngine(
    {
      name: llamaServer.title,
      command: { program, arguments: [...where, ...LLAMA_SERVER_FLAGS] },
      port,
      startTimeoutMs: llamaServer.startTimeoutMs,
      lifeMs: LIFE_MS,
      ready: (origin, attempt) => firstWords(origin, {}, BASE_MODEL, attempt),
    },
    signal,
  );
  return {
    origin: engine.origin,
    headers: {},
    model: BASE_MODEL,
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}

/** A few words from a chat server, as the proof that it generates. Throws when there are none. */
async function firstWords(
  origin: string,
  headers: Readonly<Record<string, string>>,
  model: string,
  signal: AbortSignal,
): Promise<string> {
  const messages = [{ role: 'user', content: 'Greet me in a few words.' }];
  const reply = await post(
    `${origin}/v1/chat/completions`,
    headers,
    { model, max_tokens: 12, messages },
    signal,
  );
  const { choices } = (await reply.json()) as {
    readonly choices?: readonly { readonly message: { readonly content: string } }[];
  };
  const text = choices?.[0]?.message.content ?? '';
  if (text === '') throw new Error(`${origin} answered without words`);
  return text;
}

/** From the very file that the other sides have. It stays in Ollama's folder for the next run. */
async function makeOllamaModel(origin: string, signal: AbortSignal): Promise<void> {
  const tags = (await (await fetch(`${origin}/api/tags`, { signal })).json()) as {
    readonly models: readonly { readonly name: string }[];
  };
  if (tags.models.some(({ name }) => name === `${OLLAMA_MODEL}:latest`)) return;
  const digest = `sha256:${BASE_MODEL_SHA256}`;
  const body = await openAsBlob(baseModelFile());
  const upload = await fetch(`${origin}/api/blobs/${digest}`, { method: 'POST', body, signal });
  if (!upload.ok) throw new Error(`the upload was answered with ${upload.status}: ${await upload.text()}`);
  const made = await post(
    `${origin}/api/create`,
    {},
    {
      model: OLLAMA_MODEL,
      files: { 'model.gguf': digest },
      parameters: { num_thread: THREADS },
      stream: false,
    },
    signal,
  );
  await made.text();
}

async function post(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: unknown,
  signal: AbortSignal,
): Promise<Response> {
  const reply = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal,
  });
  if (!reply.ok) throw new Error(`${url} answered ${reply.status}: ${(await reply.text()).slice(0, 300)}`);
  return reply;
}

function notInstalled(key: 'a' | 'b' | 'c' | 'f', name: string, script: EngineScript): AbsentSide {
  const reason = `${script.title} ${script.version} is not installed`;
  return { key, name, reason, install: `npm run engines:${script.name} -- --install-only` };
}
