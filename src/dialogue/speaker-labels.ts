/**
 * Labels that say who speaks ("Veyra:", "assistant:"). The NPC's own label is taken away; behind another speaker's label
 * stand another's words, which this NPC must not say, so the sentence ends there.
 */

/** Names under which models label the answer. */
const OWN_ROLES =
  'npc assistant ai bot model character char response reply answer output dialogue speech me chatbot'.split(
    ' ',
  );
/** Names under which models write on for somebody else. */
const OTHER_ROLES =
  'user player human system narrator narration instruction instructions prompt input you stranger adventurer'.split(
    ' ',
  );
const ARTICLES = new Set([
  'the',
  'a',
  'an',
  'old',
  'mr',
  'mrs',
  'ms',
  'dr',
  'lord',
  'lady',
  'sir',
  'mother',
  'father',
]);
const COLON = /\s*[:：](?!\/\/)\s*/gu;
/** What may stand before a label in the middle of a sentence: an end mark, a quote, a dash. */
const BOUNDARY = /(?:^|[.!?…"”“'‘–—-])$/u;
const ROLE_ANYWHERE = /\b(npc|assistant|user|system|ai|bot|model|player|human|narrator)\s*[:：]/giu;

export interface SpeakerNames {
  readonly npcName: string;
  /** Others who may speak in this scene: the player and other NPCs. */
  readonly speakerNames: readonly string[];
}

/** `text` without labels, up to where another speaker begins. */
export function dropLabels(text: string, names: SpeakerNames, changed: Set<string>): string {
  if (!text.includes(':') && !text.includes('：')) return text;
  const own = new Set([...OWN_ROLES, ...namesOf(names.npcName)]);
  const others = new Set([...OTHER_ROLES, ...names.speakerNames.flatMap(namesOf)]);
  let plain = '';
  let from = 0;
  for (const { 0: colon, index } of text.matchAll(COLON)) {
    const before = text.slice(from, index);
    const ownLabel = labelAtEnd(before, own);
    if (ownLabel !== null) {
      plain += before.slice(0, ownLabel);
      from = index + colon.length;
      changed.add('label');
      continue;
    }
    const otherLabel = labelAtEnd(before, others);
    if (otherLabel !== null) {
      changed.add('other_speaker');
      return plain + before.slice(0, otherLabel);
    }
  }
  plain += text.slice(from);
  return plain.replace(ROLE_ANYWHERE, (_whole, role: string) => {
    changed.add('label');
    return `${role},`;
  });
}

/** Where in `text` a label begins that ends it, or null. */
function labelAtEnd(text: string, names: ReadonlySet<string>): number | null {
  const lower = text.toLowerCase().replaceAll('’', "'");
  if (lower.length !== text.length) return null;
  for (const name of names) {
    if (!lower.endsWith(name)) continue;
    const start = text.length - name.length;
    const before = text.slice(0, start);
    if (/\n\s*$/u.test(before) || (BOUNDARY.test(before.trimEnd()) && !/[\p{L}\p{N}][-'‘]$/u.test(before)))
      return start;
  }
  return null;
}

/** A name as it may stand in a label: whole, and its first word when that is one by itself. */
function namesOf(name: string): string[] {
  const whole = name.trim().toLowerCase().replaceAll('’', "'");
  if (whole === '') return [];
  const words = whole.split(/[\s,]+/u);
  const first = words.find((word) => !ARTICLES.has(word.replace('.', ''))) ?? whole;
  return [whole, first];
}
