/**
 * How each field of a character card maps to a persona and back (npc-domain §8.3). One row a field; import and export
 * walk the same table, so a field that nobody changed can be told from one that was edited.
 */
import { cleanText, isObject, readLorebook, textOf, writeLorebook } from './card-lorebook.ts';
import type { Persona } from './persona.ts';

/** A persona while it is put together; checked as a whole at the end. */
export type Draft = { -readonly [Key in keyof Persona]: Persona[Key] };

export interface CardField {
  /** Whether only V3 has it. */
  readonly isVersion3Only: boolean;
  /** Puts the card's value into the persona; anything of the wrong shape is ignored. */
  read(value: unknown, draft: Draft, warnings: string[], data: Readonly<Record<string, unknown>>): void;
  /** What the persona says for this field. */
  write(persona: Persona, version: 2 | 3): unknown;
}

type TextTarget = (draft: Draft, text: string) => void;

function textField(
  lengthMax: number,
  read: TextTarget,
  write: (persona: Persona) => string,
  isVersion3Only = false,
): CardField {
  return {
    isVersion3Only,
    read(value, draft, warnings) {
      if (typeof value !== 'string') return;
      const text = cleanText(value, lengthMax);
      if (value.length > lengthMax)
        warnings.push(`a text of ${value.length} characters was cut to ${lengthMax}`);
      read(draft, text);
    },
    write,
  };
}

function listField(
  read: (draft: Draft, values: string[]) => void,
  write: (persona: Persona) => readonly string[],
  isVersion3Only = false,
  lengthMax = 4000,
): CardField {
  return {
    isVersion3Only,
    read(value, draft) {
      if (!Array.isArray(value)) return;
      const texts = value.filter((entry): entry is string => typeof entry === 'string');
      read(
        draft,
        texts.map((entry) => cleanText(entry, lengthMax)).filter((entry) => entry !== ''),
      );
    },
    write,
  };
}

const GREETINGS_MAX = 60;

export const CARD_FIELDS: Readonly<Record<string, CardField>> = {
  name: textField(
    120,
    (draft, text) => {
      if (text !== '') draft.name = text;
    },
    (persona) => persona.name,
  ),
  nickname: textField(
    60,
    (draft, text) => {
      if (text !== '') draft.nickname = text;
    },
    (persona) => persona.nickname ?? '',
    true,
  ),
  description: textField(
    8000,
    (draft, text) => {
      draft.identity = text === '' ? {} : { background: text };
    },
    (persona) =>
      [persona.identity.role, persona.identity.background, persona.identity.appearance]
        .filter((part) => part !== undefined)
        .join('\n'),
  ),
  personality: textField(
    2000,
    (draft, text) => {
      draft.personality = { traits: text === '' ? [] : [text], flaws: [], fears: [] };
    },
    ({ personality }) => [...personality.traits, ...personality.flaws, ...personality.fears].join('; '),
  ),
  scenario: textField(
    2000,
    (draft, text) => {
      const { time_point: _, ...rest } = draft.knowledge;
      draft.knowledge = text === '' ? rest : { ...rest, time_point: text };
    },
    (persona) => persona.knowledge.time_point ?? '',
  ),
  // The two are one list of ours, so either is read together with the other.
  first_mes: {
    isVersion3Only: false,
    read: (_value, draft, _warnings, data) => readGreetings(data, draft),
    write: (persona) => persona.greetings[0] ?? '',
  },
  alternate_greetings: {
    isVersion3Only: false,
    read: (_value, draft, _warnings, data) => readGreetings(data, draft),
    write: (persona) => persona.greetings.slice(1),
  },
  group_only_greetings: listField(
    (draft, values) => {
      draft.group_greetings = values.slice(0, GREETINGS_MAX);
    },
    (persona) => persona.group_greetings,
    true,
  ),
  mes_example: {
    isVersion3Only: false,
    read(value, draft) {
      if (typeof value === 'string') draft.examples = readExamples(value, draft);
    },
    write: (persona) =>
      persona.examples.map(({ player, npc }) => `<START>\n{{user}}: ${player}\n{{char}}: ${npc}`).join('\n'),
  },
  // For a reviewer only: a stranger's instructions never stand above the service's rules, so no prompt reads them.
  system_prompt: textField(
    4000,
    (draft, text) => {
      const { notes: _, ...rest } = draft.style;
      draft.style = text === '' ? rest : { ...rest, notes: text };
    },
    (persona) => persona.style.notes ?? '',
  ),
  tags: listField(
    (draft, values) => {
      draft.tags = values.slice(0, 40);
    },
    (persona) => persona.tags,
    false,
    60,
  ),
  creator: textField(
    200,
    (draft, text) => {
      const { author: _, ...rest } = draft.provenance;
      draft.provenance = text === '' ? rest : { ...rest, author: text };
    },
    (persona) => persona.provenance.author ?? '',
  ),
  source: listField(
    (draft, values) => {
      draft.provenance = { ...draft.provenance, source: values.slice(0, 40) };
    },
    (persona) => persona.provenance.source,
    true,
    400,
  ),
  character_book: {
    isVersion3Only: false,
    read(value, draft, warnings) {
      if (!isObject(value)) return;
      // What a lorebook cannot say (conditions, audiences) stays as it was.
      const kept = draft.world_facts.filter(
        (fact) => fact.when !== undefined || fact.audience.length > 0 || fact.known_from !== undefined,
      );
      draft.world_facts = [...kept, ...readLorebook(value, warnings)].slice(0, 500);
    },
    write: (persona, version) => writeLorebook(persona.world_facts, version),
  },
};

function readGreetings(data: Readonly<Record<string, unknown>>, draft: Draft): void {
  const texts = (values: readonly unknown[]) =>
    values.map((value) => cleanText(textOf(value), 4000)).filter((text) => text !== '');
  const others: unknown = data['alternate_greetings'];
  const rest = Array.isArray(others) ? texts(others) : draft.greetings.slice(1);
  draft.greetings = [...texts([data['first_mes']]), ...rest].slice(0, GREETINGS_MAX);
}

/** `<START>` blocks of `{{user}}:` and `{{char}}:` lines; a line without a label goes on with the one before. */
function readExamples(text: string, draft: Draft): Draft['examples'] {
  const examples: Draft['examples'] = [];
  const own = new Set(['{{char}}', draft.name.toLowerCase(), (draft.nickname ?? '').toLowerCase()]);
  for (const block of text.slice(0, 200_000).split(/<START>/i)) {
    let speaker: 'player' | 'npc' | null = null;
    let player = '';
    let npc = '';
    const flush = () => {
      const pair = { situation: 'talk', player: cleanText(player, 600), npc: cleanText(npc, 1200) };
      if (pair.player !== '' && pair.npc !== '' && examples.length < 60) examples.push(pair);
      player = '';
      npc = '';
    };
    for (const line of block.split('\n')) {
      const label = /^\s*([^:\n]{1,80}):\s?(.*)$/.exec(line);
      const name = (label?.[1] ?? '').trim().toLowerCase();
      if (label !== null && name === '{{user}}') {
        if (npc !== '') flush();
        speaker = 'player';
        player += `${player === '' ? '' : '\n'}${label[2] ?? ''}`;
      } else if (label !== null && own.has(name)) {
        speaker = 'npc';
        npc += `${npc === '' ? '' : '\n'}${label[2] ?? ''}`;
      } else if (speaker === 'player') player += `\n${line}`;
      else if (speaker === 'npc') npc += `\n${line}`;
    }
    flush();
  }
  return examples;
}
