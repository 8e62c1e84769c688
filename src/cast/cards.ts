/**
 * Character Cards V1 (read), V2 and V3 (read and written) as personas (npc-domain §8.3;
 * https://github.com/kwaroran/character-card-spec-v3). A card that came in is kept whole under
 * `extensions.character_card`; what nobody edited goes out as it came, byte-equal in meaning.
 * Invariants: nothing is fetched; a card's instructions and notes never reach a prompt; secrets leave only when asked.
 */
import { isDeepStrictEqual } from 'node:util';
import { ServiceError } from '../core/errors.ts';
import { CARD_FIELDS, type Draft } from './card-fields.ts';
import { asVersion2Book, isObject, textOf } from './card-lorebook.ts';
import { PERSONA_SCHEMA, type Persona, parsePersona, personaSchema } from './persona.ts';

/** Where the card that a persona came from is kept in its extensions. */
const KEPT_CARD = 'character_card';
const OWN_BLOCK = 'greenroom';

export interface ImportOptions {
  /** Default: the name in lower case with underscores. */
  readonly id?: string;
  /** Default: the card's own when we wrote it, else `human`. */
  readonly monsterType?: string;
  /** Default: the card's own when we wrote it, else 2. */
  readonly tier?: Persona['tier'];
}

export interface ImportedCard {
  readonly persona: Persona;
  readonly version: 1 | 2 | 3;
  readonly warnings: readonly string[];
}

export interface ExportOptions {
  readonly version: 2 | 3;
  /** Whether secrets and their canaries leave with the card. */
  readonly includeSecrets: boolean;
}

type CardData = Readonly<Record<string, unknown>>;

/** Makes a persona of a card's JSON. Throws `card_rejected` when it is no card, or cannot become a valid persona. */
export function importCard(card: unknown, options: ImportOptions = {}): ImportedCard {
  const warnings: string[] = [];
  const { version, data } = cardData(card, warnings);
  const extensions = isObject(data['extensions']) ? data['extensions'] : {};
  const draft = startingPoint(extensions[OWN_BLOCK], data, options, warnings);
  const before = personaSchema.parse(draft);
  for (const [name, field] of Object.entries(CARD_FIELDS)) {
    const value = data[name];
    if (value === undefined || value === null) continue;
    // A field that says what our own block says adds nothing, and would lose what the card's form cannot hold.
    if (isSame(value, field.write(before, version === 3 ? 3 : 2))) continue;
    field.read(value, draft, warnings, data);
  }
  const { [OWN_BLOCK]: _, ...foreign } = extensions;
  const kept = {
    ...(card as CardData),
    ...(version === 1 ? {} : { data: { ...data, extensions: foreign } }),
  };
  draft.extensions = { ...draft.extensions, [KEPT_CARD]: kept };
  const parsed = parsePersona(draft, 'the card');
  if ('problems' in parsed) {
    const first = parsed.problems[0];
    throw new ServiceError(
      'card_rejected',
      `the card cannot become a persona: ${first?.field} is ${first?.value}, expected ${first?.expected}`,
    );
  }
  return { persona: parsed.persona, version, warnings };
}

/** The persona as a card's JSON. Fields that were not edited since the import go out as they came in. */
export function exportCard(persona: Persona, options: ExportOptions): CardData {
  const kept = persona.extensions[KEPT_CARD];
  const original = isObject(kept) ? cardData(kept, []).data : null;
  const asImported = isObject(kept) ? importCard(kept, persona).persona : null;
  const data: Record<string, unknown> = { ...(original ?? emptyData(persona)) };
  for (const [name, field] of Object.entries(CARD_FIELDS)) {
    const fresh = field.write(persona, options.version);
    const isUntouched =
      original !== null && asImported !== null && isSame(field.write(asImported, options.version), fresh);
    if (!isUntouched) {
      if (fresh === null) delete data[name];
      else data[name] = fresh;
    }
    if (options.version === 2 && field.isVersion3Only) delete data[name];
  }
  if (options.version === 2) {
    for (const name of VERSION_3_ONLY) delete data[name];
    if (data['character_book'] !== undefined) data['character_book'] = asVersion2Book(data['character_book']);
  } else data['group_only_greetings'] ??= [];
  const foreign = original !== null && isObject(original['extensions']) ? original['extensions'] : {};
  data['extensions'] = { ...foreign, [OWN_BLOCK]: ownBlock(persona, options.includeSecrets) };
  const shell = isObject(kept) && isObject(kept['data']) ? kept : {};
  return options.version === 3
    ? { ...shell, spec: 'chara_card_v3', spec_version: keptVersion(shell), data }
    : { ...shell, spec: 'chara_card_v2', spec_version: '2.0', data };
}

const VERSION_3_ONLY = [
  'assets',
  'creator_notes_multilingual',
  'creation_date',
  'modification_date',
] as const;

/** A later 3.x keeps its number: we changed nothing that we do not know. */
function keptVersion(shell: CardData): unknown {
  return shell['spec'] === 'chara_card_v3' && shell['spec_version'] !== undefined
    ? shell['spec_version']
    : '3.0';
}

function cardData(
  card: unknown,
  warnings: string[],
): { readonly version: 1 | 2 | 3; readonly data: CardData } {
  if (!isObject(card)) throw rejected('it is not a JSON object');
  const { spec, data } = card;
  if (spec === 'chara_card_v3' || spec === 'chara_card_v2') {
    if (!isObject(data)) throw rejected('it has no object "data"');
    if (typeof data['name'] !== 'string' || data['name'].trim() === '')
      throw rejected('data.name is missing');
    const number = Number.parseFloat(textOf(card['spec_version']));
    if (spec === 'chara_card_v3' && number > 3) {
      warnings.push(`spec_version ${number} is newer than 3.0; what is new in it is kept and not used`);
    }
    return { version: spec === 'chara_card_v3' ? 3 : 2, data };
  }
  if (spec !== undefined) {
    throw rejected(`spec is ${JSON.stringify(spec)?.slice(0, 60)}, expected chara_card_v2 or chara_card_v3`);
  }
  if (
    typeof card['name'] === 'string' &&
    card['name'].trim() !== '' &&
    typeof card['description'] === 'string'
  ) {
    return { version: 1, data: card };
  }
  throw rejected('it has neither "spec" nor the six fields of a V1 card');
}

/** What the persona is before the card's fields are laid over it: our own block when we wrote the card. */
function startingPoint(own: unknown, data: CardData, options: ImportOptions, warnings: string[]): Draft {
  const name = String(data['name']).trim();
  let base: Persona | null = null;
  if (isObject(own)) {
    const parsed = parsePersona({ ...own, extensions: own['extensions'] ?? {} }, 'extensions.greenroom');
    if ('persona' in parsed) base = parsed.persona;
    else
      warnings.push(
        `extensions.greenroom is not used: ${parsed.problems[0]?.field} ${parsed.problems[0]?.expected}`,
      );
  }
  base ??= personaSchema.parse({
    schema: PERSONA_SCHEMA,
    id: slugOf(name),
    version: 1,
    name: 'unnamed',
    monster_type: 'human',
    tier: 2,
    summary: firstSentence(data) ?? 'A person.',
  });
  return {
    ...base,
    id: options.id ?? base.id,
    monster_type: options.monsterType ?? base.monster_type,
    tier: options.tier ?? base.tier,
  };
}

function slugOf(name: string): string {
  const slug = name
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^[^a-z]+|_+$/g, '')
    .slice(0, 60);
  return slug === '' ? 'imported' : slug;
}

/** The first sentence of the description, as the summary that a card lacks. */
function firstSentence(data: CardData): string | null {
  const description = typeof data['description'] === 'string' ? data['description'] : '';
  const line = description.replace(/[\p{Cc}\s]+/gu, ' ').trim();
  const sentence = /^.{1,199}?[.!?](?=\s|$)/u.exec(line)?.[0] ?? line.slice(0, 197);
  return sentence === '' ? null : sentence;
}

/** The card of a persona that never was one. */
function emptyData(persona: Persona): CardData {
  return {
    name: persona.name,
    description: '',
    personality: '',
    scenario: '',
    first_mes: '',
    mes_example: '',
    creator_notes: '',
    system_prompt: '',
    post_history_instructions: '',
    alternate_greetings: [],
    tags: [],
    creator: '',
    character_version: String(persona.version),
    extensions: {},
  };
}

function ownBlock(persona: Persona, includeSecrets: boolean): CardData {
  const { [KEPT_CARD]: _, ...extensions } = persona.extensions;
  return { ...persona, extensions, secrets: includeSecrets ? persona.secrets : [] };
}

/** Equal in meaning: as JSON, without order of keys. */
function isSame(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(plain(a), plain(b));
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

function rejected(reason: string): ServiceError {
  return new ServiceError('card_rejected', `the card was refused: ${reason}`);
}
