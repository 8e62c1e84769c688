/**
 * Reads what servers say of themselves and their models over HTTP. Nothing is trusted to be there but a name: KServe
 * leaves out versions, Triton writes shapes as numbers, older runtimes as strings.
 */
import { z } from 'zod';
import type { ModelMetadata, RepositoryEntry, ServerMetadata, TensorParameter } from '../core/tensors.ts';
import { untrusted } from './oip-errors.ts';

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const dimension = z.union([
  z.int(),
  z
    .string()
    .regex(/^-?\d{1,15}$/)
    .transform(Number),
]);
const tensorSchema = z.looseObject({ name: z.string(), datatype: text, shape: z.array(dimension).nullish() });
const tensors = z
  .array(tensorSchema)
  .nullish()
  .transform((list) =>
    (list ?? []).map(({ name, datatype, shape }) => ({ name, datatype, shape: shape ?? [] })),
  );
const texts = z
  .array(z.union([z.string(), z.number().transform(String)]))
  .nullish()
  .transform((list) => list ?? []);

const modelSchema = z.looseObject({
  name: z.string(),
  versions: texts,
  platform: text,
  inputs: tensors,
  outputs: tensors,
});
const serverSchema = z.looseObject({ name: text, version: text, extensions: texts });
const entrySchema = z.looseObject({ name: z.string(), version: text, state: text, reason: text });
const repositorySchema = z.union([
  z.array(entrySchema),
  z
    .looseObject({ models: z.array(z.union([z.string(), entrySchema])) })
    .transform(({ models }) =>
      models.map((model) =>
        typeof model === 'string' ? { name: model, version: '', state: '', reason: '' } : model,
      ),
    ),
]);

/** Throws `engine_error` when the body is no model metadata. */
export function metadataOf(engine: string, body: unknown): ModelMetadata {
  const { name, versions, platform, inputs, outputs } = read(
    engine,
    'the metadata of the model',
    modelSchema,
    body,
  );
  return { name, versions, platform, inputs, outputs };
}

/** Throws `engine_error` when the body is no server metadata. */
export function serverMetadataOf(engine: string, body: unknown): ServerMetadata {
  const { name, version, extensions } = read(engine, 'the metadata of the server', serverSchema, body);
  return { name, version, extensions };
}

/** Triton's index, or KServe's list of names. Throws `engine_error` for anything else. */
export function repositoryOf(engine: string, body: unknown): RepositoryEntry[] {
  return read(engine, 'the repository index', repositorySchema, body).map(
    ({ name, version, state, reason }) => ({
      name,
      version,
      state,
      reason,
    }),
  );
}

/** Only what a parameter may be; the rest is left out. */
export function parametersOf(value: unknown): Record<string, TensorParameter> {
  const parameters: Record<string, TensorParameter> = {};
  if (typeof value !== 'object' || value === null) return parameters;
  for (const [name, each] of Object.entries(value))
    if (typeof each === 'string' || typeof each === 'number' || typeof each === 'boolean')
      parameters[name] = each;
    else if (typeof each === 'bigint') parameters[name] = each.toString();
  return parameters;
}

function read<S extends z.ZodType>(engine: string, what: string, schema: S, body: unknown): z.output<S> {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw untrusted(
    engine,
    what,
    `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not valid'}`,
  );
}
