/**
 * Learned lines at the designer's door: what players heard often and well, her word on it, and the pool as a file. Who
 * decides is the API key's label; without keys, the name in `by`.
 */
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ServiceError } from '../core/errors.ts';
import { LINE_EXPORT_FORMATS, type LineDesk } from '../core/learned-line.ts';
import type { Door, DoorContext } from './door.ts';
import {
  approveSchema,
  candidateBody,
  candidatesSchema,
  decideSchema,
  fileBody,
  learnedBody,
  learnedListSchema,
  learnedSchema,
  rejectedSchema,
} from './learned-lines-wire.ts';

const ROOT = '/admin/v1/lines';
const tags = ['lines'];
const config = { access: 'operator' } as const;

const idSchema = z.strictObject({ id: z.string().min(1).max(160) });
const offerQuery = z.strictObject({
  speaker: z.string().max(64).optional().describe('Persona id or kind.'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});
const exportQuery = z.strictObject({
  format: z
    .enum(LINE_EXPORT_FORMATS)
    .default('csv')
    .describe('csv: ours; yarn: line groups; unreal: string table.'),
  scope: z
    .enum(['learned', 'all'])
    .default('learned')
    .describe("learned: what was approved; all: with the lines of the cast's files."),
  locale: z.string().max(35).optional().describe('BCP 47; only lines of this language.'),
  as: z.enum(['file', 'json']).default('file').describe('json: the file as one field of a JSON object.'),
});

export const learnedLinesDoor: Door = (scope, context) => {
  scope.get(
    `${ROOT}/candidates`,
    {
      config,
      schema: {
        summary: 'Lines that players heard often and well, the best first',
        description:
          'Heard by enough players to their end, unlike every line there is, within the limits of the cast lint and free of every canary. `refused` counts why others are not offered.',
        tags,
        querystring: offerQuery,
        response: { 200: candidatesSchema },
      },
    },
    async (request) => {
      const { speaker, limit } = request.query as z.output<typeof offerQuery>;
      const desk = deskOf(context);
      const offer = await desk.offer({ limit, ...(speaker === undefined ? {} : { speaker }) });
      const { heardMin, playersMin, interruptedShareMax } = offer.thresholds;
      return {
        data: offer.candidates.map(candidateBody),
        known: offer.known,
        refused: offer.refused,
        thresholds: {
          heard_min: heardMin,
          players_min: playersMin,
          interrupted_share_max: interruptedShareMax,
        },
        choices: desk.choices(),
      };
    },
  );
  scope.post(
    `${ROOT}/candidates/:id/approve`,
    {
      config,
      schema: {
        summary: 'Take a candidate into the written pool',
        description:
          'It serves here at once and at other gateways of the same store within seconds. What the body leaves out is as it was heard; an answer needs a `trigger`. 409 `line_decided` when somebody was first.',
        tags,
        params: idSchema,
        body: approveSchema,
        response: { 201: learnedSchema },
      },
    },
    async (request, reply) => {
      const { by, ...wish } = (request.body as z.output<typeof approveSchema>) ?? {};
      const line = await deskOf(context).approve(idOf(request), wish, deciderOf(request, by));
      return reply.code(201).send(learnedBody(line));
    },
  );
  scope.post(
    `${ROOT}/candidates/:id/reject`,
    {
      config,
      schema: {
        summary: 'Never offer a candidate again, nor what says nearly the same',
        tags,
        params: idSchema,
        body: decideSchema,
        response: { 200: rejectedSchema },
      },
    },
    async (request) => {
      const { by } = (request.body as z.output<typeof decideSchema>) ?? {};
      const decision = await deskOf(context).reject(idOf(request), deciderOf(request, by));
      return { id: decision.evidenceId, rejected_by: decision.by, rejected_at_ms: decision.atMs };
    },
  );
  scope.get(
    `${ROOT}/learned`,
    {
      config,
      schema: {
        summary: 'Learned lines with who approved them, the latest first',
        tags,
        response: { 200: learnedListSchema },
      },
    },
    async () => ({ data: (await deskOf(context).learned()).map(learnedBody) }),
  );
  scope.post(
    `${ROOT}/learned/:id/retire`,
    {
      config,
      schema: {
        summary: 'Take a learned line out of the pool; its id stays taken',
        tags,
        params: idSchema,
        body: decideSchema,
        response: { 200: learnedSchema },
      },
    },
    async (request) => {
      const { by } = (request.body as z.output<typeof decideSchema>) ?? {};
      return learnedBody(await deskOf(context).retire(idOf(request), deciderOf(request, by)));
    },
  );
  scope.get(
    `${ROOT}/export`,
    {
      config,
      schema: {
        summary: 'The pool as a file: our CSV, Yarn line groups, or an Unreal string table',
        tags,
        querystring: exportQuery,
      },
    },
    async (request, reply) => {
      const { format, scope: which, locale, as } = request.query as z.output<typeof exportQuery>;
      const ask = { scope: which, ...(locale === undefined ? {} : { locale }) };
      const file = await deskOf(context).export(format, ask);
      if (as === 'json') return fileBody(file);
      return await reply
        .header('content-type', file.contentType)
        .header('content-disposition', `attachment; filename="${file.fileName}"`)
        .header('x-line-count', String(file.count))
        .send(file.text);
    },
  );
};

/** A key's label cannot be told by the caller, so it goes before what is typed. */
function deciderOf(request: FastifyRequest, by: string | undefined): string {
  return request.caller.key?.label ?? by ?? '';
}

function idOf(request: FastifyRequest): string {
  return (request.params as z.output<typeof idSchema>).id;
}

function deskOf({ services }: DoorContext): LineDesk {
  if (services.lines === undefined)
    throw new ServiceError('not_found', 'this process learns no lines; ask a gateway that serves dialogue');
  return services.lines;
}
