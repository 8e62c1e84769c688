/** vLLM's wire for adapters (engines.md §3.6): load, unload, and their cards in the list of models. */
import type { ServerResponse } from 'node:http';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import type { Adapters } from './adapters.ts';
import { parseRequest } from './wire.ts';

const PATH_CHARACTERS_MAX = 4_096;

/** Printable, and no comma: a metric lists names with commas between, as vLLM does. */
const name = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{C}\s,]+$/u, 'holds a space, a comma or a character that cannot be shown');

const loadSchema = z.object({
  lora_name: name,
  lora_path: z
    .string()
    .min(1)
    .max(PATH_CHARACTERS_MAX)
    .refine((value) => !value.includes('\0'), { message: 'holds a zero byte' }),
  load_inplace: z
    .literal(false, {
      message:
        'is refused: a name is never loaded with other weights; load a new name and unload the old one',
    })
    .nullish(),
});

const unloadSchema = z.object({ lora_name: name });

/** Answers when lines can run on the adapter. */
export async function answerLoad(
  body: unknown,
  reply: ServerResponse,
  adapters: Adapters,
  signal: AbortSignal,
): Promise<void> {
  const wanted = loraRequest(() => parseRequest(loadSchema, body));
  await adapters.load(wanted.lora_name, wanted.lora_path, signal).catch(refused);
  sendText(reply, `Success: LoRA adapter '${wanted.lora_name}' added successfully.`);
}

/** Answers when the adapter's last line has ended and its memory is free; new requests for it are 404 from now on. */
export async function answerUnload(body: unknown, reply: ServerResponse, adapters: Adapters): Promise<void> {
  const wanted = loraRequest(() => parseRequest(unloadSchema, body));
  await adapters.unload(wanted.lora_name);
  sendText(reply, `Success: LoRA adapter '${wanted.lora_name}' removed successfully.`);
}

/** Cards of the adapters that serve. vLLM gives them no length of their own. */
export function adapterCards(adapters: Adapters, modelName: string): readonly object[] {
  return adapters.serving.map((adapter) => ({
    id: adapter.name,
    object: 'model',
    created: Math.floor(adapter.loadedAtMs / 1_000),
    owned_by: 'greenroom',
    root: adapter.path,
    parent: modelName,
    max_model_len: null,
  }));
}

function sendText(reply: ServerResponse, text: string): void {
  reply.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' }).end(text);
}

function loraRequest<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    return refused(error);
  }
}

/** vLLM calls what is wrong with these requests `InvalidUserInput`. */
function refused(error: unknown): never {
  if (!(error instanceof ServiceError) || error.code !== 'bad_request') throw error;
  throw new ServiceError('bad_request', error.message, {
    cause: error,
    details: { ...error.details, type: 'InvalidUserInput' },
  });
}
