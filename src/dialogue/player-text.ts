/**
 * Turns what a player typed into plain speech (npc-domain §5): nothing in it can be a control token of a chat template, a
 * role label, a stage direction or an unseen character. The words stay; only their disguise goes.
 * Invariants: idempotent; at most `maxChars` UTF-16 units; well-formed; none of `( ) [ ] { } * < > # | \`` inside.
 */
import { collapseSpaces, dropUnseen } from '../lib/text/characters.ts';
import { fold } from '../lib/text/fold.ts';

export interface PlayerTextOptions {
  /** UTF-16 units of the result; no character is split. */
  readonly maxChars?: number;
  /** Names that must not stand as a label: every NPC that may speak here. */
  readonly npcNames: readonly string[];
}

export interface CleanPlayerText {
  readonly text: string;
  readonly changed: boolean;
  /** Whether words were cut off at the end. */
  readonly truncated: boolean;
}

const MAX_CHARS = 300;
/** What is read per character kept: the door lets more through, and the rest could not survive anyway. */
const READ_PER_CHAR = 4;
/** Each pass can bring two words together that stood apart; a pass that changes nothing is the last. */
const PASSES_MAX = 12;

/** Brackets, stars and bars, their look-alikes after NFKC, and the signs in which some tokenizers write spaces. */
const SIGNS =
  /[()[\]{}*<>#|`‹›〈〉《》「」『』【】〔〕〖〗⟨⟩⟪⟫⟦⟧❨-❵⁅⁆◁▷◀▶ǀǁ∣│┃❘❙❚¦∥‖▁∗⁎✱✲✳٭＊♯﴾﴿˂˃ᐸᐳ≺≻⦃⦄⦅⦆⌈⌉⌊⌋]/gu;
const COLONS = /[∶꞉ː˸։׃፡⁚⠆⁝︓]/gu;
const ROLES = (
  'system assistant user human ai bot model npc character player narrator developer tool function instruction instructions ' +
  'response input output observation prompt gm dm gamemaster game_master ipython environment admin administrator moderator'
)
  .split(' ')
  .map(fold);
/** A name with its marks and spaces; what stands before it is not read. */
const LABEL_CHARS_MAX = 80;
/** Nobody says more colons in one breath; those beyond become commas unread, which bounds the work. */
const COLONS_MAX = 16;
const REPEATS_MAX = 3;
const PHRASE_WORDS_MAX = 8;
/** No script needs more than three on one letter; towers of them are drawn over other lines. */
const STACKED_MARKS = /(\p{M}{3})\p{M}+/gu;

/** Cleans the player's words. Never throws; '' when nothing is left. */
export function cleanPlayerText(input: string, options: PlayerTextOptions): CleanPlayerText {
  const maxChars = options.maxChars ?? MAX_CHARS;
  const readChars = maxChars * READ_PER_CHAR;
  const labels = new Set([...ROLES, ...options.npcNames.flatMap(namesOf)]);
  let text = input.length > readChars ? input.slice(0, readChars) : input;
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const next = cleanOnce(text, labels);
    if (next === text) break;
    text = next;
  }
  const kept = truncate(text, maxChars);
  // A cut can bring a repeat or a border to the end; what is shorter by then stays so.
  const settled = kept === text ? text : truncate(cleanOnce(kept, labels), maxChars);
  return {
    text: settled,
    changed: settled !== input,
    truncated: kept !== text || input.length > readChars,
  };
}

function cleanOnce(text: string, labels: ReadonlySet<string>): string {
  const spaced = text.replace(/\s+/gu, ' ');
  let plain = dropUnseen(dropUnseen(spaced).normalize('NFKC'));
  plain = plain.replace(SIGNS, ' ').replace(COLONS, ':');
  plain = plain.replace(STACKED_MARKS, '$1');
  plain = dropLabels(collapseSpaces(plain), labels);
  return collapseRepeats(plain);
}

/** "system:" becomes "system,": the word may be said, only not as a label. Colons after other words stay. */
function dropLabels(text: string, labels: ReadonlySet<string>): string {
  if (!text.includes(':')) return text;
  let count = 0;
  return text.replace(/(?: ?:)+/gu, (colons, at: number) => {
    count += 1;
    if (count > COLONS_MAX) return ',';
    return endsWithLabel(text.slice(Math.max(0, at - LABEL_CHARS_MAX), at), labels) ? ',' : colons;
  });
}

function endsWithLabel(before: string, labels: ReadonlySet<string>): boolean {
  const words = fold(before)
    .trimEnd()
    .replace(/[^\p{L}\p{N}]+$/u, '');
  const letters = words.replace(/[^\p{L}\p{N}]/gu, '');
  for (const label of labels) {
    // Only Latin letters go on into a role's word ("ecosystem"); scripts without spaces stand right before one.
    if (words.endsWith(label) && !/[\p{sc=Latin}\p{N}]$/u.test(words.slice(0, -label.length))) return true;
    // Spelled out: "s y s t e m :", "S.Y.S.T.E.M:".
    if (letters.endsWith(label) && /(?:[\p{L}\p{N}][^\p{L}\p{N}]+){3}[\p{L}\p{N}]$/u.test(words)) return true;
  }
  return false;
}

function namesOf(name: string): string[] {
  const whole = fold(name).trim();
  const first = whole.split(/[\s,]+/u)[0] ?? '';
  return [whole, first.length > 2 && first !== 'the' ? first : ''].filter((each) => each !== '');
}

/** No character more than three times on end, no run of up to eight words more than three times. */
function collapseRepeats(text: string): string {
  const short = text.replace(/([^\p{N}])\1{3,}/gu, '$1$1$1');
  let words = short.split(' ');
  for (let length = 1; length <= PHRASE_WORDS_MAX && length * 2 <= words.length; length += 1) {
    words = collapsePhrases(words, length);
  }
  return words.join(' ');
}

function collapsePhrases(words: readonly string[], length: number): string[] {
  const kept: string[] = [];
  for (const word of words) {
    kept.push(word);
    const span = length * (REPEATS_MAX + 1);
    if (kept.length < span) continue;
    let isRepeat = true;
    for (let at = kept.length - span; isRepeat && at < kept.length - length; at += 1)
      isRepeat = kept[at] === kept[at + length];
    if (isRepeat) kept.length -= length;
  }
  return kept;
}

/** The longest beginning within `maxChars` that splits no character as people see it. */
function truncate(text: string, maxChars: number): string {
  if (text.length <= maxChars) return text;
  const around = text.slice(0, maxChars + 64);
  const at = new Intl.Segmenter(undefined, { granularity: 'grapheme' }).segment(around).containing(maxChars);
  return around.slice(0, at?.index ?? maxChars).trimEnd();
}
