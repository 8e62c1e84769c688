/**
 * A persona: the data that makes a character (npc-domain §8.1), as `personas/<id>.json` holds it. Keys are the file's
 * own (snake_case), unknown keys are refused, everything but the first seven fields may be left out.
 * Invariant: a parsed persona is complete (defaults filled in) and every condition in it can be evaluated.
 */
import { z } from 'zod';
import type { Tier, Trigger } from '../core/dialogue.ts';
import { CONDITION_LENGTH_MAX, parseCondition } from './conditions.ts';

export const PERSONA_SCHEMA = 'greenroom.persona/1';

/** The kinds that the default pools of written lines cover. A cast may add its own. */
export const KINDS = ['zombie', 'ghoul', 'vampire', 'werewolf', 'lich', 'human'] as const;

/** Triggers of a fight: one short sentence (npc-domain §4, §9). */
export const COMBAT_TRIGGERS: readonly Trigger[] = [
  'spot',
  'lose',
  'search',
  'attack',
  'hit',
  'hurt',
  'low_health',
  'ally_died',
  'kill',
  'death',
  'flee',
];

/** Tokens that the stable part of the persona may take in a prompt, by tier (npc-domain §8.1, defaults). */
export const PERSONA_TOKEN_BUDGET: Readonly<Record<Tier, number>> = { 1: 150, 2: 400, 3: 900, 4: 1500 };

const slug = z
  .string()
  .regex(
    /^[a-z][a-z0-9_-]{0,63}$/,
    'lower-case letters, digits, _ and -, beginning with a letter, at most 64',
  );

/** Text that people read: no control characters, so that nothing can hide in it. */
function text(lengthMax: number) {
  return (
    z
      .string()
      .min(1, 'text that is not empty')
      .max(lengthMax, `at most ${lengthMax} characters`)
      // Tab, line feed and carriage return stay: long text may have paragraphs.
      .regex(/^[\t\n\r\P{Cc}]*$/u, 'text without control characters')
  );
}

function list(lengthMax: number, countMax = 40) {
  return z.array(text(lengthMax)).max(countMax, `at most ${countMax} entries`).default([]);
}

const condition = text(CONDITION_LENGTH_MAX).superRefine((value, context) => {
  try {
    parseCondition(value);
  } catch (error) {
    context.addIssue({
      code: 'custom',
      message: `a condition such as quest.bell>=3 (${(error as Error).message})`,
    });
  }
});

const schemaVersion = z.literal(PERSONA_SCHEMA);

const identitySchema = z
  .strictObject({
    role: text(200).optional().describe('What the character is in the world: "keeper of the ninth ossuary".'),
    age: text(100).optional().describe('Age as people would say it.'),
    era: text(100).optional().describe('The time the character comes from.'),
    background: text(8000).optional().describe('Long text lives here; tier 3 and 4 read its beginning.'),
    appearance: text(2000).optional().describe('What one sees.'),
  })
  .prefault({});

const personalitySchema = z
  .strictObject({
    traits: list(2000).describe('Few and concrete.'),
    flaws: list(400),
    fears: list(400),
  })
  .prefault({});

const goalSchema = z.strictObject({
  text: text(300),
  priority: z.int().min(0).max(100).default(50).describe('Higher is kept longer when the prompt is full.'),
  when: condition.optional().describe('Only while this holds.'),
});

const voiceSchema = z
  .strictObject({
    register: text(200).optional().describe('"archaic, dry"'),
    rhythm: text(200).optional().describe('"short, then one long sentence"'),
    tics: list(200).describe('Habits of speech that one may hear.'),
    words_use: list(60),
    words_avoid: list(60).describe('Words this character never says.'),
    language: text(20).default('en').describe('BCP 47 tag.'),
    tts_voice: text(100).optional(),
    tts_effect: text(100).optional(),
  })
  .prefault({});

const styleSchema = z
  .strictObject({
    max_words: z
      .int()
      .min(4)
      .max(200)
      .default(40)
      .describe('Words in one answer; the service limit still wins.'),
    combat_max_words: z.int().min(2).max(40).default(14),
    first_sentence_max_words: z.int().min(2).max(40).default(10),
    person: z
      .enum(['first', 'first_plural', 'third'])
      .default('first')
      .describe('How the character names itself.'),
    notes: text(4000).optional().describe('For the writer; never sent to a model above the service rules.'),
  })
  .prefault({});

const exampleSchema = z.strictObject({
  situation: text(100).default('talk').describe('first_meeting, combat, trade …'),
  player: text(600),
  npc: text(1200),
});

const knowledgeSchema = z
  .strictObject({
    knows: list(400),
    unknown: list(400).describe('What this character cannot know.'),
    time_point: text(2000).optional().describe('The moment of the story the character lives in.'),
    deflections: list(300).describe('Lines for what it does not know.'),
  })
  .prefault({});

const secretSchema = z.strictObject({
  text: text(600),
  reveal_when: condition.optional().describe('Without it the secret never enters a prompt.'),
  canaries: z
    .array(
      text(120).refine(
        (value) => value.trim().length >= 4,
        'at least 4 characters, or it would match everywhere',
      ),
    )
    .max(20)
    .default([])
    .describe('Phrases that must never be said before the condition holds.'),
});

const relationshipSchema = z.strictObject({
  target: text(64).describe('An NPC id, a monster type, a faction, or "player".'),
  stance: z.int().min(-2).max(2).default(0).describe('-2 hates … 2 loves.'),
  facts: list(400),
});

export const worldFactSchema = z.strictObject({
  id: text(120),
  text: text(4000),
  mode: z.enum(['always', 'keyword', 'semantic']).default('keyword'),
  keys: list(200, 60).describe('Any of these in the recent talk brings the fact in.'),
  secondary_keys: list(200, 60).describe('If present, one of these is needed too.'),
  exclude_keys: list(200, 60).describe('One of these keeps the fact out.'),
  use_regex: z.boolean().default(false).describe('Keys are RE2 patterns (linear time).'),
  case_sensitive: z.boolean().default(false),
  scan_depth: z.int().min(0).max(100).optional().describe('How many recent turns are searched.'),
  when: condition.optional(),
  audience: z
    .array(text(80))
    .max(40)
    .default([])
    .describe(
      'Who may know: npc:<id>, type:<kind>, faction:<tag>, place:<location>, or the bare word. Empty: all.',
    ),
  known_from: text(60).optional().describe('Game time from which it may be known.'),
  priority: z.int().min(0).max(1_000_000).default(50).describe('Low is dropped first.'),
  order: z.int().min(-1_000_000).max(1_000_000).default(100).describe('Low comes earlier.'),
  enabled: z.boolean().default(true),
});
export type WorldFact = z.output<typeof worldFactSchema>;

const memorySchema = z
  .strictObject({
    policy: z.enum(['none', 'session', 'kept']).default('session'),
    max_turns: z.int().min(0).max(100).default(12),
    summary_tokens: z.int().min(0).max(2000).default(0),
    decay: z.number().min(0).max(1).default(0).describe('Share of weight a memory loses per game day.'),
  })
  .prefault({});

const actionSchema = z.strictObject({
  name: text(80),
  params: z.record(z.string(), z.unknown()).default({}).describe('JSON schema of the parameters.'),
  when: condition.optional(),
  cooldown_s: z.number().min(0).default(0),
  ttl_ms: z.int().min(0).max(600_000).default(5000),
});

const poolsSchema = z
  .strictObject({
    fallback: slug.optional().describe('A speaker in lines/*.csv whose fallback lines this NPC also uses.'),
    filler: slug.optional(),
    barks: slug.optional(),
  })
  .prefault({});

/** Age classes, mildest first. */
export const RATINGS = ['everyone', 'teen', 'mature', 'adult'] as const;
export type Rating = (typeof RATINGS)[number];

const ratingSchema = z
  .strictObject({ max_class: z.enum(RATINGS).default('mature'), descriptors: list(80) })
  .prefault({});

const modelSchema = z
  .strictObject({
    adapter: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]*(@[A-Za-z0-9][A-Za-z0-9._-]*)?$/, 'name@version or name')
      .optional()
      .describe('LoRA adapter; the persona must also work without it.'),
    sampling: z
      .strictObject({
        temperature: z.number().min(0).max(2).optional(),
        top_p: z.number().gt(0).max(1).optional(),
        min_p: z.number().min(0).max(1).optional(),
        repetition_penalty: z.number().min(0.5).max(2).optional(),
      })
      .optional(),
  })
  .prefault({});

const recallSchema = z
  .strictObject({
    policy: z
      .enum(['shared', 'off'])
      .default('shared')
      .describe(
        '`shared`: a line that was generated may be said again to whoever asks the same; `off`: never.',
      ),
    ttl_s: z
      .int()
      .min(1)
      .max(31_536_000)
      .optional()
      .describe("Seconds that it may be said again; default: the service's `recall.ttlS`."),
  })
  .prefault({});

const provenanceSchema = z
  .strictObject({
    author: text(200).optional(),
    licence: text(200).optional(),
    source: list(400),
    reviewed_by: text(200).optional(),
    reviewed_at: text(40).optional().describe('ISO date.'),
  })
  .prefault({});

export const personaSchema = z.strictObject({
  schema: schemaVersion,
  id: slug.describe('Stable for ever; also the file name.'),
  version: z.int().min(1).describe('Rises on every change; part of every cache key.'),
  name: text(120),
  monster_type: slug.describe('zombie, ghoul, vampire, werewolf, lich, human, or a kind of your own.'),
  tier: z.literal([1, 2, 3, 4]).describe('1 crowd, 2 special, 3 named, 4 boss.'),
  summary: text(200).describe('One sentence; all that tier 1 and bystanders get.'),
  nickname: text(60).optional().describe('What {{char}} becomes.'),
  pronouns: text(40).optional(),
  tags: list(60).describe('Free; factions too.'),
  identity: identitySchema,
  personality: personalitySchema,
  goals: z.array(goalSchema).max(20).default([]),
  voice: voiceSchema,
  style: styleSchema,
  examples: z
    .array(exampleSchema)
    .max(60)
    .default([])
    .describe('5 to 15; a small model learns most from these.'),
  knowledge: knowledgeSchema,
  secrets: z.array(secretSchema).max(20).default([]),
  relationships: z.array(relationshipSchema).max(60).default([]),
  world_facts: z.array(worldFactSchema).max(500).default([]),
  interject_when: list(400).describe('Group scenes: when to speak unasked.'),
  forbidden: z.strictObject({ topics: list(200), phrases: list(200), behaviours: list(200) }).prefault({}),
  refusals: list(300, 60).describe('At least 5, in character.'),
  memory: memorySchema,
  recall: recallSchema,
  actions: z.array(actionSchema).max(40).default([]),
  greetings: list(4000, 60),
  group_greetings: list(4000, 60),
  pools: poolsSchema,
  rating: ratingSchema,
  model: modelSchema,
  provenance: provenanceSchema,
  extensions: z.record(z.string(), z.unknown()).default({}).describe('Foreign data, kept untouched.'),
});

/** A persona as the service uses it: every default filled in. */
export type Persona = z.output<typeof personaSchema>;
/** A persona as a file may hold it. */
export type PersonaFile = z.input<typeof personaSchema>;

/** One thing that is wrong in a file of the cast. */
export interface CastProblem {
  readonly file: string;
  /** Path of the field, or `line 12, when` in a table. */
  readonly field: string;
  /** The offending value, shortened; empty when something is missing. */
  readonly value: string;
  readonly expected: string;
}

/** Reads one persona. Returns all problems at once; never throws on bad data. `file` is only for messages. */
export function parsePersona(
  value: unknown,
  file: string,
): { readonly persona: Persona } | { readonly problems: readonly CastProblem[] } {
  const result = personaSchema.safeParse(value);
  if (result.success) return { persona: result.data };
  return { problems: result.error.issues.map((issue) => issueProblem(issue, value, file)) };
}

/** Turns one zod issue into a problem that names the field, the value found there and what was expected. */
export function issueProblem(issue: z.core.$ZodIssue, root: unknown, file: string): CastProblem {
  if (issue.code === 'unrecognized_keys') {
    const field = pathText([...issue.path, issue.keys[0] ?? '']);
    return {
      file,
      field,
      value: issue.keys.join(', '),
      expected: 'no such field; put foreign data under extensions',
    };
  }
  let found: unknown = root;
  for (const key of issue.path) {
    found =
      typeof found === 'object' && found !== null ? (found as Record<PropertyKey, unknown>)[key] : undefined;
  }
  return { file, field: pathText(issue.path), value: valueText(found), expected: expectation(issue) };
}

/** zod's own wording reads "Invalid input: expected string, received number"; the value is already beside it. */
export function expectation(issue: z.core.$ZodIssue): string {
  return issue.message
    .replace(/^Invalid (?:input|option): expected /, '')
    .replace(/, received undefined$/, ' (missing)');
}

function pathText(path: readonly PropertyKey[]): string {
  let result = '';
  for (const key of path)
    result += typeof key === 'number' ? `[${key}]` : `${result === '' ? '' : '.'}${String(key)}`;
  return result === '' ? '(the whole file)' : result;
}

function valueText(value: unknown): string {
  if (value === undefined) return '';
  const json = JSON.stringify(value) ?? '';
  return json.length > 80 ? `${json.slice(0, 77)}...` : json;
}
