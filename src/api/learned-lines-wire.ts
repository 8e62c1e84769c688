/** Learned lines in wire form: what the door, the command line and the console agree on. */
import { z } from 'zod';
import type { LearnedLine, LineCandidate, LineExport } from '../core/learned-line.ts';

const counts = z.record(z.string(), z.number());

export const candidateSchema = z.object({
  id: z.string(),
  text: z.string(),
  speaker: z.string().describe('Who would say it: the NPC when only one did, else the kind.'),
  kind: z.string(),
  trigger: z.string().nullable().describe('Null: it was an answer, choose a trigger.'),
  locale: z.string(),
  heard: z.number(),
  players: z.number().describe('Distinct players, estimated.'),
  interrupted: z.number(),
  interrupted_share: z.number(),
  cached: z.number().describe('How often it came from the dialogue cache.'),
  clean: z.number().describe('How often no rule of the guard was touched.'),
  npcs: counts,
  places: counts,
  voice: z.string().describe('The model and adapter that said it last.'),
  variants: z.array(z.string()).describe('Others that say nearly the same; they vanish with it.'),
  first_heard_at_ms: z.number(),
  last_heard_at_ms: z.number(),
});

export const candidatesSchema = z.object({
  data: z.array(candidateSchema),
  known: z.number().describe('Lines there is evidence of, offered or not.'),
  refused: counts,
  thresholds: z.object({
    heard_min: z.number(),
    players_min: z.number(),
    interrupted_share_max: z.number(),
  }),
  choices: z.object({ speakers: z.array(z.string()), triggers: z.array(z.string()) }),
});

const by = z
  .string()
  .max(120)
  .optional()
  .describe("Who decides; needed where there are no API keys, else the key's label is taken.");

export const decideSchema = z.strictObject({ by }).optional();

export const approveSchema = z
  .strictObject({
    by,
    text: z.string().min(1).max(600).optional(),
    speaker: z.string().max(64).optional().describe('Persona id, monster type, or common.'),
    trigger: z.string().max(64).optional(),
    when: z.array(z.string().max(400)).max(16).optional().describe('Conditions on facts: health<30'),
    mood: z.string().max(60).nullable().optional(),
    locale: z
      .string()
      .regex(/^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$/, 'a language tag such as en or pt-BR')
      .max(35)
      .optional(),
  })
  .optional();

export const learnedSchema = z.object({
  id: z.string(),
  status: z.enum(['approved', 'retired']),
  text: z.string(),
  original: z.string().describe('As it was heard.'),
  speaker: z.string(),
  trigger: z.string(),
  when: z.array(z.string()),
  mood: z.string().nullable(),
  locale: z.string(),
  heard: z.number(),
  players: z.number(),
  approved_by: z.string(),
  approved_at_ms: z.number(),
  retired_by: z.string().nullable(),
  retired_at_ms: z.number().nullable(),
});

export const learnedListSchema = z.object({ data: z.array(learnedSchema) });

export const rejectedSchema = z.object({
  id: z.string(),
  rejected_by: z.string(),
  rejected_at_ms: z.number(),
});

export const fileSchema = z.object({
  file_name: z.string(),
  content_type: z.string(),
  count: z.number(),
  text: z.string(),
});

export type WireCandidate = z.output<typeof candidateSchema>;
export type WireLearnedLine = z.output<typeof learnedSchema>;

export function candidateBody(candidate: LineCandidate): WireCandidate {
  const { evidence, players, interruptedShare, speaker, trigger, variants } = candidate;
  return {
    id: evidence.id,
    text: evidence.text,
    speaker,
    kind: evidence.kind,
    trigger,
    locale: evidence.locale,
    heard: evidence.heard,
    players,
    interrupted: evidence.interrupted,
    interrupted_share: interruptedShare,
    cached: evidence.cached,
    clean: evidence.clean,
    npcs: { ...evidence.npcs },
    places: { ...evidence.places },
    voice: evidence.voice,
    variants: [...variants],
    first_heard_at_ms: evidence.firstAtMs,
    last_heard_at_ms: evidence.lastAtMs,
  };
}

export function learnedBody(line: LearnedLine): WireLearnedLine {
  return {
    id: line.id,
    status: line.status,
    text: line.text,
    original: line.original,
    speaker: line.speaker,
    trigger: line.trigger,
    when: [...line.when],
    mood: line.mood,
    locale: line.locale,
    heard: line.heard,
    players: line.players,
    approved_by: line.approvedBy,
    approved_at_ms: line.approvedAtMs,
    retired_by: line.retiredBy,
    retired_at_ms: line.retiredAtMs,
  };
}

export function fileBody({ fileName, contentType, count, text }: LineExport): z.output<typeof fileSchema> {
  return { file_name: fileName, content_type: contentType, count, text };
}
