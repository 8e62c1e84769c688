/**
 * What the doors for short work are told by configuration: which generic path stands for which model, which vision task
 * is which model's, and how an embedding model names its tensors.
 */
import { z } from 'zod';

const tensorName = z.string().min(1).max(200);
const model = z.string().min(1).max(200).describe("The server's own name of the model.");
const version = z
  .string()
  .min(1)
  .max(100)
  .optional()
  .describe("Default version; a request's x-model-version wins. Absent: the server chooses.");

export const embeddingModelSchema = z
  .strictObject({
    input: tensorName.default('TEXT').describe('Tensor (BYTES) that takes the texts.'),
    output: tensorName
      .default('EMBEDDING')
      .describe('Tensor of numbers that gives one vector for each text.'),
    tokens: tensorName
      .optional()
      .describe('Tensor that gives the count of tokens of each text, where there is one.'),
    version,
  })
  .describe('How a model on a server of tensors embeds texts: [n, 1] of BYTES in, [n, d] out.');

/** Embedding models on servers of tensors, by model name. */
export const embeddingModelsSchema = z.record(z.string().min(1).max(200), embeddingModelSchema).default({});
export type EmbeddingModels = z.output<typeof embeddingModelsSchema>;

export const visionTaskSchema = z
  .strictObject({
    model,
    version,
    input: z
      .strictObject({
        name: tensorName.default('IMAGE').describe('Tensor that takes the image.'),
        form: z
          .enum(['file', 'file-uint8', 'pixels'])
          .default('file')
          .describe(
            'file: the image file as one BYTES element; file-uint8: its bytes as UINT8; pixels: UINT8 height × width × 3, decoded here, from PNG only.',
          ),
        isBatched: z.boolean().default(true).describe('Whether a dimension of 1 for the batch comes first.'),
      })
      .prefault({}),
    scores: tensorName
      .default('SCORES')
      .describe('Tensor with one score for each label; used only with labels.'),
    labels: z
      .array(z.string().max(200))
      .max(100_000)
      .optional()
      .describe('Names of the classes, in the order of the scores; the reply then lists the best.'),
    top: z.int().min(1).max(1_000).default(5).describe('How many of the best labels a reply lists.'),
    outputs: z
      .array(tensorName)
      .max(64)
      .optional()
      .describe('Tensors that are asked for and answered as they are; absent: all, or none with labels.'),
  })
  .describe('A vision task: POST /v1/vision/<task> with an image.');
export type VisionTask = z.output<typeof visionTaskSchema>;

export const visionSchema = z
  .record(z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, 'lower-case letters, digits and -'), visionTaskSchema)
  .default({})
  .describe('Vision tasks by name.');

const PATH = /^\/(?:[\w.~-]+\/)*[\w.~-]+$/;
/** Addresses that are doors already; a generic path must not hide one. */
const TAKEN =
  /^\/(?:v1|v2|admin|assets|livez|readyz|metrics|openapi\.json)(?:\/|$)|^\/api\/(?:generate|chat|tags|version)$/;

export const genericPathSchema = z
  .strictObject({
    model,
    version,
    as: z
      .enum(['embeddings', 'completions', 'chat', 'infer'])
      .optional()
      .describe('What is spoken there; default: by the last part of the path, else infer.'),
  })
  .describe('A path that stands for one model.');
export type GenericPath = z.output<typeof genericPathSchema>;

export const pathsSchema = z
  .record(
    z
      .string()
      .max(200)
      .regex(PATH, 'a path such as /api/v1/embeddings')
      .refine(
        (path) => !TAKEN.test(path),
        'this address is one of the service itself; choose another, such as /api/v1/…',
      ),
    genericPathSchema,
  )
  .default({})
  .describe('Generic paths, each standing for one model: /api/v1/embeddings: {model: minilm}.');
