/** Adapters on the operator's wire: what may be asked, and what is told, in snake_case. The command line reads it by these too. */
import { z } from 'zod';
import type { AdapterViewPage } from '../adapters/admin.ts';
import { EXPORT_KINDS } from '../adapters/artefact/export-plan.ts';
import { type AdapterOperation, OPERATION_KINDS } from '../adapters/operations.ts';
import { ADAPTER_STAGES, type AdapterView, type ReplicaView, type ResidencyView } from '../adapters/views.ts';
import { ADAPTER_TAGS, type AdapterRecord } from '../core/adapter.ts';

const text = (lengthMax: number) => z.string().min(1).max(lengthMax);
/** A name of 64, `@`, a version of 32. */
const ID_LENGTH_MAX = 97;

export const adapterIdSchema = z.strictObject({
  id: text(ID_LENGTH_MAX).describe('`lich@7`, `lich@canary`, or `lich`, which is what stable stands at.'),
});
export const operationIdSchema = z.strictObject({ id: text(100) });

export const listSchema = z.strictObject({
  name: text(64).optional().describe('Only versions of this name.'),
  after: text(200).optional().describe('The place where the page before ended: its `next`.'),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

export const addSchema = z.strictObject({
  source: text(2_048).describe(
    "Where the artefact is: a path on the gateway's machine (`./folder`, `/path/adapter.gguf`), https://…, hf://owner/repository or s3://bucket/prefix.",
  ),
  name: text(64),
  version: text(32),
  base: text(200)
    .optional()
    .describe('Base model as engines name it; default: the first that takes adapters.'),
  sha256: text(64).optional().describe('Of the weights file as it lies at the source.'),
  licence: text(100).optional(),
  notes: text(4_000).optional(),
  training_run: text(200).optional(),
});

/** A body that may be left out. */
function optionalBody<T extends z.ZodRawShape>(shape: T) {
  return z.strictObject(shape).nullish();
}

export const publishSchema = optionalBody({
  tag: z
    .enum(ADAPTER_TAGS)
    .nullish()
    .describe('The tag to move to it; default: none, but the first version of a name gets stable.'),
  pin: z.boolean().optional().describe('Never evict it for another one.'),
});
export const swapSchema = optionalBody({ tag: z.enum(ADAPTER_TAGS).optional().describe('Default: stable.') });
export const unloadSchema = optionalBody({
  force: z.boolean().optional().describe('Also when a tag stands at it; the tag goes too.'),
});
export const verifySchema = optionalBody({
  refetch: z.boolean().optional().describe('Fetch again from its source what is missing or damaged.'),
});
export const exportQuerySchema = z.strictObject({
  engine: z.enum(EXPORT_KINDS).describe('The kind of the engine that is to take it.'),
  base: z
    .string()
    .min(1)
    .max(500)
    .describe('The base model as that engine names it: a path, or a model of Ollama.'),
  folder: z
    .string()
    .min(1)
    .max(1_000)
    .optional()
    .describe("Where that engine sees the artefact's folder; default: where this gateway sees it."),
});
export const exportSchema = z.object({
  text: z.string().describe('What to do, in order, with what to know.'),
  files: z.array(z.object({ path: z.string(), content: z.string() })),
});
export const noBodySchema = optionalBody({});

const milliseconds = z.number().nullable();

const recordSchema = z.object({
  name: z.string(),
  version: z.string(),
  digest: z.string().describe('SHA-256 of its canonical form: the same weights, the same digest.'),
  base: z.string(),
  base_digest: z.string().nullable(),
  architecture: z.string(),
  layers: z.int(),
  rank: z.int(),
  alpha: z.number(),
  target_modules: z.array(z.string()),
  bytes: z.int(),
  gguf_bytes: z.int(),
  licence: z.string().nullable(),
  training_run: z.string().nullable(),
  notes: z.string().nullable(),
  source: z.string(),
  added_by: z.string(),
  added_at_ms: z.int().describe('Epoch milliseconds.'),
});

const residencySchema = z.object({
  id: z.string(),
  engine_name: z.string().describe('What the engine is told: the id and the first digits of the digest.'),
  stage: z.enum(ADAPTER_STAGES),
  leases: z.int().describe('Lines that speak with it now.'),
  is_pinned: z.boolean(),
  bytes: z.number().describe("Predicted, in the engine's memory."),
  idle_ms: milliseconds,
  load_ms: milliseconds,
  verify_ms: milliseconds,
  failures: z.int(),
  reason: z.string().nullable(),
});

export const adapterSchema = z.object({
  record: recordSchema,
  id: z.string(),
  tags: z.array(z.enum(ADAPTER_TAGS)),
  is_published: z.boolean(),
  is_pinned: z.boolean(),
  failure: z.string().nullable().describe('Why its last publish failed.'),
  replicas: z.array(residencySchema.extend({ engine: z.string() })),
});
export const adapterPageSchema = z.object({ data: z.array(adapterSchema), next: z.string().nullable() });

export const replicaSchema = z.object({
  engine: z.string(),
  base: z.string(),
  is_up: z.boolean(),
  slots: z.int().nullable().describe('null: the engine does not say.'),
  slots_used: z.int(),
  bytes: z.number(),
  bytes_max: z.number().nullable(),
  swaps_last_minute: z.int(),
  is_thrashing: z.boolean(),
  adapters: z.array(residencySchema),
});
export const replicasSchema = z.object({ data: z.array(replicaSchema) });

export const operationSchema = z.object({
  id: z.string(),
  kind: z.enum(OPERATION_KINDS),
  adapter: z.string(),
  stage: z
    .string()
    .describe('starting, fetching, staging, loading, verifying, switching, draining, done or failed.'),
  detail: z.string().describe('One sentence for people; at the end, what was done.'),
  percent: z.int().nullable().describe('Of the stage.'),
  started_at_ms: z.int().describe('Epoch milliseconds.'),
  ended_at_ms: z.int().nullable(),
  outcome: z.enum(['succeeded', 'failed']).nullable().describe('null: it goes on.'),
  failure: z.object({ code: z.string(), message: z.string() }).nullable(),
});
export const operationsSchema = z.object({ data: z.array(operationSchema) });

export type WireAdapter = z.output<typeof adapterSchema>;
export type WireReplica = z.output<typeof replicaSchema>;
export type WireOperation = z.output<typeof operationSchema>;

export function pageBody({ views, next }: AdapterViewPage): z.output<typeof adapterPageSchema> {
  return { data: views.map(adapterBody), next };
}

export function adapterBody(view: AdapterView): WireAdapter {
  return {
    record: recordBody(view.record),
    id: view.id,
    tags: [...view.tags],
    is_published: view.isPublished,
    is_pinned: view.isPinned,
    failure: view.failure,
    replicas: view.replicas.map((each) => ({ engine: each.engine, ...residencyBody(each) })),
  };
}

export function replicasBody(views: readonly ReplicaView[]): z.output<typeof replicasSchema> {
  return {
    data: views.map((view) => ({
      engine: view.engine,
      base: view.base,
      is_up: view.isUp,
      slots: view.slots,
      slots_used: view.slotsUsed,
      bytes: view.bytes,
      bytes_max: view.bytesMax,
      swaps_last_minute: view.swapsLastMinute,
      is_thrashing: view.isThrashing,
      adapters: view.adapters.map(residencyBody),
    })),
  };
}

export function operationBody(operation: AdapterOperation): WireOperation {
  const { id, kind, adapter, stage, detail, percent, startedAtMs, endedAtMs, outcome, failure } = operation;
  return {
    ...{ id, kind, adapter, stage, detail, percent },
    started_at_ms: startedAtMs,
    ended_at_ms: endedAtMs,
    ...{ outcome, failure },
  };
}

function recordBody(record: AdapterRecord): z.output<typeof recordSchema> {
  const { name, version, digest, base, architecture, layers, rank, alpha, bytes, licence, notes } = record;
  return {
    ...{ name, version, digest, base },
    base_digest: record.baseDigest,
    ...{ architecture, layers, rank, alpha },
    target_modules: [...record.targetModules],
    bytes,
    gguf_bytes: record.ggufBytes,
    licence,
    training_run: record.trainingRun,
    notes,
    source: record.source,
    added_by: record.addedBy,
    added_at_ms: record.addedAtMs,
  };
}

function residencyBody(view: ResidencyView): z.output<typeof residencySchema> {
  return {
    id: view.id,
    engine_name: view.engineName,
    stage: view.stage,
    leases: view.leases,
    is_pinned: view.isPinned,
    bytes: view.bytes,
    idle_ms: view.idleMs,
    load_ms: view.loadMs,
    verify_ms: view.verifyMs,
    failures: view.failures,
    reason: view.reason,
  };
}
