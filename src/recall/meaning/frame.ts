/**
 * A frame: what a short text says, laid out so that two texts can be held against each other. Who does it stands before
 * what is done, also where the text is passive; places and owners carry the word that ties them; a negation is a property
 * of what it denies. No grammar of English, only of short reports of events: where it does not understand, units stay as
 * they came, and the texts meet only when they are nearly the same words.
 */
import {
  NEGATIONS,
  NEGATIVE_WORDS,
  PREPOSITIONS,
  SUBORDINATORS,
} from './markers.ts';
import { type Tokens, tokensOf } from './tokens.ts';
import { beginsThing, isEmptyUnit, type Unit, unitsOf } from './units.ts';

export interface Item {
  readonly concepts: readonly string[];
  /** What it costs when the other text has no such item. */
  readonly weight: number;
  /** Without a counterpart the two texts never mean the same. */
  readonly isDecisive: boolean;
  readonly isPlural: boolean | null;
  readonly gender: 'm' | 'f' | null;
  /** Of a word that no list knows: how it is written. */
  readonly written: string | null;
  /** How it is tied to the rest; `core`: who, what is done, to whom, in this order. */
  readonly ties: readonly string[];
  readonly denials: number;
  /** "Is" as the verb: where it stands says nothing. */
  readonly isBeing: boolean;
}

export interface Frame {
  readonly items: readonly Item[];
  readonly isPast: boolean;
  readonly isPresent: boolean;
}

type Draft = { -readonly [K in keyof Item]: Item[K] } & {
  isVerb: boolean;
  isThing: boolean;
  isPassive: boolean;
  isGiving: boolean;
  isInflected: boolean;
  clause: number;
};

const CORE: readonly string[] = ['core'];
const OWNER: readonly string[] = ['of'];
const TO_WHOM: readonly string[] = ['to'];
const MANNER: readonly string[] = ['manner'];

const BE_WEIGHT = 0.2;
const VAGUE_WEIGHT = 0.3;
const CAN_WEIGHT = 0.7;

const PRONOUNS: Readonly<
  Record<string, { concepts: readonly string[]; gender?: 'm' | 'f'; isPlural?: boolean; weight?: number; isOwner?: true }>
> = {
  he: { concepts: ['thing/player'], gender: 'm' },
  him: { concepts: ['thing/player'], gender: 'm' },
  his: { concepts: ['thing/player'], gender: 'm', weight: VAGUE_WEIGHT, isOwner: true },
  she: { concepts: ['thing/player'], gender: 'f' },
  her: { concepts: ['thing/player'], gender: 'f', weight: VAGUE_WEIGHT },
  they: { concepts: ['thing/player', 'somebody'], isPlural: true, weight: 0.5 },
  them: { concepts: ['thing/player', 'somebody'], isPlural: true },
  their: { concepts: ['thing/player'], isPlural: true, weight: VAGUE_WEIGHT, isOwner: true },
  i: { concepts: ['i'] },
  me: { concepts: ['i'] },
  my: { concepts: ['i'], isOwner: true },
  we: { concepts: ['we'] },
  us: { concepts: ['we'] },
  our: { concepts: ['we'], isOwner: true },
  you: { concepts: ['you'] },
  your: { concepts: ['you'], isOwner: true },
  somebody: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  someone: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  anybody: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  anyone: { concepts: ['somebody'], weight: VAGUE_WEIGHT },
  something: { concepts: ['something'], weight: VAGUE_WEIGHT },
  anything: { concepts: ['something'], weight: VAGUE_WEIGHT },
  somewhere: { concepts: ['somewhere'], weight: VAGUE_WEIGHT },
};
const PAST_HELPERS: ReadonlySet<string> = new Set(['was', 'were', 'had', 'did']);
const PRESENT_HELPERS: ReadonlySet<string> = new Set(['is', 'are', 'am', 'has', 'do', 'does']);
const ASKING: ReadonlySet<string> = new Set(
  'do does did is are was were am have has must shall may can could will would should'.split(' '),
);
const QUESTION_WORD = /^(?:who|whom|what|where|when|why|how|whose|which)$/;
/** With these the first of two things is to whom: "give me the key". */
const GIVING: ReadonlySet<string> = new Set(
  'give hand lend show sell offer throw tell bring send teach pay loan pass promise'.split(' '),
);

/** What a text says, or null when there is nothing to hold against another: no words, too many, or only empty ones. */
export function frameOf(text: string): Frame | null {
  const tokens = tokensOf(text);
  if (tokens === null) return null;
  const frame = new FrameReader(tokens).read();
  return frame.items.length === 0 ? null : frame;
}

class FrameReader {
  readonly #units: readonly Unit[];
  readonly #isAsked: boolean;
  readonly #items: Draft[] = [];
  #clause = 0;
  #ties: readonly string[] = CORE;
  /** The tied phrase has its thing: the next article begins another. */
  #hasHead = false;
  #sideClause: string | null = null;
  #sideHasVerb = false;
  #denials = 0;
  #isPast = false;
  #isPresent = false;
  #isPassive = false;
  #before: Unit | undefined;
  readonly #clauseDenials = new Map<number, number>();

  constructor({ tokens, isAsked }: Tokens) {
    let units = unitsOf(tokens).filter((unit) => unit.form !== 'please');
    const [first, second, third] = units;
    // "Could you lend me ten pairs?" asks for what "lend me ten pairs" does.
    const isRequest =
      /^(?:can|could|will|would)$/.test(first?.form ?? '') && second?.form === 'you' && third?.form !== 'have';
    if (isRequest) units = units.slice(2);
    this.#units = units;
    this.#isAsked =
      !isRequest &&
      !units.slice(0, 3).some((unit) => QUESTION_WORD.test(unit.form)) &&
      (isAsked || (first !== undefined && ASKING.has(first.form) && units.length > 1));
  }

  read(): Frame {
    for (const [at, unit] of this.#units.entries()) {
      this.#take(unit, at);
      this.#before = unit;
    }
    if (this.#isAsked) this.#add(['asked'], { isDecisive: true, ties: ['asked'] });
    this.#settleDenials();
    return { items: this.#inOrder(), isPast: this.#isPast, isPresent: this.#isPresent };
  }

  #take(unit: Unit, at: number): void {
    const next = this.#units[at + 1];
    if (unit.isAfterPause) this.#newClause();
    if (!unit.isPhrase) {
      if (unit.form === 'and' || unit.form === 'but') {
        if (this.#ties === CORE || this.#sideClause !== null) this.#newClause();
        return;
      }
      if (Object.hasOwn(SUBORDINATORS, unit.form) && at < this.#units.length - 1 && this.#isClauseAhead(at)) {
        this.#sideClause = SUBORDINATORS[unit.form] ?? null;
        if (this.#sideClause === 'that') this.#sideClause = null;
        else {
          this.#clause += 1;
          this.#ties = [this.#sideClause ?? ''];
          this.#sideHasVerb = false;
        }
        if (this.#sideClause === 'if') this.#add(['marker/if'], { isDecisive: true });
        return;
      }
      if (NEGATIONS.has(unit.form)) {
        this.#denials += 1;
        if (unit.form === 'cannot') this.#add(['marker/unable'], { isDecisive: true, ties: ['unable'] });
        return;
      }
      if (Object.hasOwn(NEGATIVE_WORDS, unit.form)) {
        this.#clauseDenials.set(this.#clause, (this.#clauseDenials.get(this.#clause) ?? 0) + 1);
        const rest = NEGATIVE_WORDS[unit.form];
        if (rest != null) this.#add([rest], { weight: VAGUE_WEIGHT, isThing: true });
        return;
      }
      if (this.#takeHelper(unit, at)) return;
      if (this.#takePreposition(unit, at)) return;
      if (Object.hasOwn(PRONOUNS, unit.form)) {
        this.#takePronoun(unit, next);
        return;
      }
    }
    if (isEmptyUnit(unit)) {
      if (/^(?:a|an|the|this|that|these|those)$/.test(unit.form)) this.#beginThing();
      return;
    }
    this.#takeWord(unit, next);
  }

  #takeHelper(unit: Unit, at: number): boolean {
    const following = this.#afterHelper(at);
    if (PAST_HELPERS.has(unit.form)) this.#isPast = true;
    if (PRESENT_HELPERS.has(unit.form)) this.#isPresent = true;
    if (unit.lemma === 'be' || unit.lemma === 'get') {
      if (following !== undefined && following.ending === 'past' && isVerb(following)) {
        this.#isPassive = true;
        return true;
      }
      if (unit.lemma === 'get') return false;
      if (following !== undefined && following.ending === 'ing') return true;
      if (unit.form === 'being' || unit.form === 'been') return true;
      if (following !== undefined && following.meaning?.kinds.has('marker') === true && following.form === 'going')
        return true;
      this.#endTie();
      this.#add(unit.meaning === null ? ['be'] : [...unit.meaning.concepts, 'be'], {
        weight: BE_WEIGHT,
        isBeing: true,
        isVerb: true,
      });
      return true;
    }
    if (unit.lemma === 'have' && unit.form !== 'having') return (
        following !== undefined &&
        (following.ending === 'past' || /^(?:been|run|come|become)$/.test(following.form))
      );
    if (unit.lemma === 'do') return following !== undefined && (at === 0 || isVerb(following) || NEGATIONS.has(this.#units[at + 1]?.form ?? ''));
    if (unit.form === 'will' || unit.form === 'shall' || unit.form === 'would') {
      const isDenied = NEGATIONS.has(this.#units[at + 1]?.form ?? '') || this.#denials > 0;
      if (isDenied) {
        this.#denials -= 1;
        this.#add(['marker/refuse'], { isDecisive: true, ties: ['refuse'] });
      } else this.#add([unit.form === 'would' ? 'marker/would' : 'marker/future'], { isDecisive: true, ties: ['future'] });
      return true;
    }
    if (unit.form === 'can' || unit.form === 'could') {
      this.#add(['can'], { weight: CAN_WEIGHT, ties: ['can'] });
      return true;
    }
    return false;
  }

  /** The word that a helper helps, over adverbs and negations, and over the one asked in a question. */
  #afterHelper(at: number): Unit | undefined {
    for (let next = at + 1; next < Math.min(this.#units.length, at + 5); next += 1) {
      const unit = this.#units[next] as Unit;
      if (unit.isAfterPause) return undefined;
      if ((!unit.isPhrase && NEGATIONS.has(unit.form)) || (isEmptyUnit(unit) && !/^(?:a|an|the)$/.test(unit.form))) continue;
      if (/^(?:hardly|barely|scarcely|nearly|almost)$/.test(unit.form)) continue;
      if (at === 0 && Object.hasOwn(PRONOUNS, unit.form)) continue;
      return unit;
    }
    return undefined;
  }

  #takePreposition(unit: Unit, at: number): boolean {
    if (!Object.hasOwn(PREPOSITIONS, unit.form)) return false;
    const next = this.#units[at + 1];
    if (unit.form === 'to') {
      if (next !== undefined && isVerb(next) && next.ending === 'plain' && !next.isOwner) return true;
      if (NEGATIONS.has(next?.form ?? '')) return true;
    }
    if (!beginsThing(next) && !(next !== undefined && Object.hasOwn(PRONOUNS, next.form))) {
      if (unit.meaning === null) {
        // "the town she comes from": tied to nothing here, but it tells where from.
        this.#add([`tie/${unit.form}`], { ties: ['loose'] });
        return true;
      }
      return false;
    }
    this.#ties = PREPOSITIONS[unit.form] ?? CORE;
    this.#hasHead = false;
    return true;
  }

  #takePronoun(unit: Unit, next: Unit | undefined): void {
    const { concepts, gender = null, isPlural = null, weight = 1, isOwner } = PRONOUNS[unit.form] ?? { concepts: [] };
    const isHers = unit.form === 'her' && next !== undefined && !next.isAfterPause && isNoun(next);
    if (isOwner === true || isHers) {
      this.#beginThing();
      this.#add(concepts, { weight, gender, isPlural, ties: OWNER, isThing: true });
      return;
    }
    this.#beginThing();
    if (this.#sideClause !== null && this.#sideHasVerb) this.#endSideClause();
    const isToWhom =
      this.#ties === CORE &&
      this.#before !== undefined &&
      GIVING.has(this.#before.lemma) &&
      next !== undefined &&
      !next.isAfterPause &&
      beginsThing(next);
    this.#add(concepts, {
      weight: unit.form === 'her' ? 1 : weight,
      gender,
      isPlural,
      isThing: true,
      ...(isToWhom ? { ties: TO_WHOM } : {}),
    });
    this.#hasHead = true;
  }

  #takeWord(unit: Unit, next: Unit | undefined): void {
    const meaning = unit.meaning;
    const concepts = meaning === null ? [`~${unit.lemma}`] : [...meaning.concepts];
    const isMarker = meaning?.kinds.has('marker') === true && !meaning.kinds.has('verb') && !meaning.kinds.has('thing');
    const written = meaning === null ? unit.form : null;
    if (unit.isOwner) {
      this.#add(concepts, { ties: OWNER, isThing: true, written, isPlural: pluralOf(unit) });
      return;
    }
    if (meaning?.kinds.has('manner') === true) {
      this.#add(concepts, { isDecisive: true, ties: MANNER });
      return;
    }
    if (isMarker) {
      this.#add(concepts, { isDecisive: true, ties: freeTies(concepts[0]) ?? this.#ties });
      return;
    }
    if (this.#isVerbHere(unit, next)) {
      this.#endTie();
      const isInSide = this.#sideClause !== null;
      if (isInSide) this.#sideHasVerb = true;
      this.#add(concepts, { isVerb: true, isPassive: this.#isPassive, isGiving: GIVING.has(unit.lemma), isInflected: unit.ending !== 'plain', written, denials: this.#denials });
      this.#denials = 0;
      this.#isPassive = false;
      return;
    }
    const isCompound = meaning?.kinds.has('thing') === true && (unit.ending === 'plain' || unit.ending === 's');
    if (isCompound && next !== undefined && !next.isAfterPause && isPlainThing(next)) {
      this.#add(concepts, { ties: OWNER, isThing: true, isPlural: null });
      return;
    }
    const isThing = meaning === null || meaning.kinds.has('thing');
    this.#add(concepts, { isThing, written, isPlural: isThing ? pluralOf(unit) : null });
    if (isThing) this.#hasHead = true;
  }

  /** A word that may be a verb is one, unless what stands before it makes it a thing. */
  #isVerbHere(unit: Unit, next: Unit | undefined): boolean {
    if (!isVerb(unit)) return false;
    if (unit.meaning === null) return this.#isPassive || (unit.ending === 'ing' && this.#before?.lemma === 'be');
    if (!unit.meaning.kinds.has('thing') && !unit.meaning.kinds.has('quality')) {
      const isBeforeThing = next !== undefined && !next.isAfterPause && isPlainThing(next);
      const isDescribing = (unit.ending === 'ing' || unit.ending === 'past') && isArticle(this.#before) && isBeforeThing;
      return !isDescribing && !(isArticle(this.#before) && unit.ending === 'plain');
    }
    if (this.#isPassive) return true;
    const before = this.#before;
    if (before === undefined) return beginsThing(next);
    if (isArticle(before) || before.isOwner || Object.hasOwn(PREPOSITIONS, before.form)) return false;
    if (before.meaning !== null && /^marker\//.test([...before.meaning.concepts][0] ?? '')) return before.form === 'to';
    if (before.meaning?.kinds.has('quality') === true) return false;
    return !this.#items.some((item) => item.isVerb && item.clause === this.#clause);
  }

  #isClauseAhead(at: number): boolean {
    return this.#units.slice(at + 1).some((unit) => isVerb(unit) || unit.lemma === 'be' || unit.lemma === 'have');
  }

  #beginThing(): void {
    if (this.#sideClause !== null) {
      if (this.#sideHasVerb && this.#clause === 1 && this.#items.every((item) => item.clause === 1))
        this.#endSideClause();
      return;
    }
    if (this.#hasHead) this.#ties = CORE;
  }

  #endTie(): void {
    if (this.#sideClause === null) this.#ties = CORE;
    this.#hasHead = false;
  }

  #endSideClause(): void {
    this.#sideClause = null;
    this.#newClause();
  }

  #newClause(): void {
    this.#clause += 1;
    this.#sideClause = null;
    this.#ties = CORE;
    this.#hasHead = false;
  }

  #add(concepts: readonly string[], about: Partial<Draft>): void {
    const isDenied = this.#denials > 0 && about.isDecisive !== true && about.ties?.[0] !== 'unable';
    const denials = about.denials ?? (isDenied ? this.#denials : 0);
    if (isDenied) this.#denials = 0;
    this.#items.push({
      weight: 1,
      isDecisive: false,
      isPlural: null,
      gender: null,
      written: null,
      ties: this.#ties,
      isVerb: false,
      isThing: false,
      isPassive: false,
      isBeing: false,
      isGiving: false,
      isInflected: false,
      clause: this.#clause,
      ...about,
      concepts,
      denials,
    });
  }

  /** "Nobody comes", "holds no lantern": the clause's first verb is denied, without one its first word. */
  #settleDenials(): void {
    for (const [clause, denials] of this.#clauseDenials) {
      const own = this.#items.filter((item) => item.clause === clause);
      const denied = own.find((item) => item.isVerb) ?? own[0];
      if (denied === undefined) this.#items.push(...[]);
      else denied.denials += denials;
    }
    if (this.#denials > 0) {
      const last = this.#items.at(-1);
      if (last !== undefined) last.denials += this.#denials;
    }
  }

  /** "The moon is full" as "there is a full moon". */
  #withQualityFirst(): Draft[] {
    const items = [...this.#items];
    for (const being of this.#items.filter((item) => item.isBeing)) {
      const at = items.indexOf(being);
      const after = items.slice(at + 1).filter((item) => item.clause === being.clause && item.ties === CORE);
      const [quality] = after;
      if (quality === undefined || after.length > 1 || quality.isThing || quality.isVerb || quality.isDecisive) continue;
      const head = items.slice(0, at).findLast((item) => item.clause === being.clause && item.isThing && item.ties === CORE);
      if (head === undefined || head.written !== null) continue;
      items.splice(items.indexOf(quality), 1);
      items.splice(items.indexOf(head), 0, quality);
    }
    return items;
  }

  /** "On the wall sits a cat", "here comes the watch": who stands behind the verb. */
  #withSubjectFirst(): Draft[] {
    const items = this.#withQualityFirst();
    const verbAt = items.findIndex((item) => item.isVerb && !item.isBeing);
    const verb = items[verbAt];
    const opensWithPlace = /^(?:here|there)$/.test(this.#units[0]?.form ?? '') || items[0]?.ties[0] !== 'core';
    if (verb === undefined || !verb.isInflected || verb.isPassive || !opensWithPlace) return items;
    if (items.slice(0, verbAt).some((item) => item.ties === CORE || item.clause !== verb.clause)) return items;
    let end = verbAt + 1;
    while (end < items.length && (items[end]?.ties === CORE || items[end]?.ties === OWNER) && items[end]?.isVerb === false)
      end += 1;
    return [...items.slice(0, verbAt), ...items.slice(verbAt + 1, end), verb, ...items.slice(end)];
  }

  /** Who, what is done, to whom: a passive is turned round. */
  #inOrder(): readonly Item[] {
    let items = this.#withSubjectFirst();
    for (const verb of this.#items.filter((item) => item.isPassive)) {
      const at = items.indexOf(verb);
      const isMine = (item: Draft) => item.clause === verb.clause;
      const isSubject = (item: Draft) => isMine(item) && !item.isVerb && (item.ties[0] === 'core' || item.ties === OWNER);
      const earlierVerb = items.slice(0, at).findLastIndex((item) => item.isVerb && isMine(item));
      const patient = items.slice(earlierVerb + 1, at).filter(isSubject);
      const byAt = items.findIndex((item, index) => index > at && isMine(item) && item.ties[0] === 'by');
      const agent =
        byAt === -1
          ? []
          : items
              .slice(byAt)
              .filter((item) => isMine(item) && item.ties[0] === 'by');
      const ownersFrom = byAt === -1 ? -1 : items.slice(0, byAt).findLastIndex((item) => item.ties !== OWNER) + 1;
      const owners = byAt === -1 ? [] : items.slice(ownersFrom, byAt);
      const moved = new Set<Draft>([...patient, ...agent, ...owners]);
      const kept = items.filter((item) => !moved.has(item));
      const verbAt = kept.indexOf(verb);
      for (const item of agent) item.ties = CORE;
      const isGivenTo =
        verb.isGiving && kept.slice(verbAt + 1).some((item) => isMine(item) && item.isThing && item.ties === CORE);
      if (isGivenTo) for (const item of patient) if (item.ties === CORE) item.ties = TO_WHOM;
      items = [...kept.slice(0, verbAt), ...owners, ...agent, verb, ...patient, ...kept.slice(verbAt + 1)];
    }
    return items.map(
      ({ concepts, weight, isDecisive, isPlural, gender, written, ties, denials, isBeing }): Item => ({
        concepts,
        weight,
        isDecisive,
        isPlural,
        gender,
        written,
        ties,
        denials,
        isBeing,
      }),
    );
  }
}

/** Markers that may stand anywhere. */
function freeTies(concept = ''): readonly string[] | null {
  if (QUESTION_WORD.test(concept.slice('marker/'.length))) return ['asked'];
  return concept === 'marker/hardly' ? ['degree'] : null;
}

function isVerb(unit: Unit): boolean {
  if (unit.meaning !== null) return unit.meaning.kinds.has('verb');
  return unit.ending === 'past' || unit.ending === 'ing';
}

function isNoun(unit: Unit): boolean {
  return unit.meaning === null
    ? !Object.hasOwn(PREPOSITIONS, unit.form) && !isEmptyUnit(unit)
    : unit.meaning.kinds.has('thing') || unit.meaning.kinds.has('quality');
}

function isPlainThing(unit: Unit): boolean {
  return unit.meaning?.kinds.has('thing') === true && !unit.meaning.kinds.has('verb');
}

function isArticle(unit: Unit | undefined): boolean {
  return unit !== undefined && /^(?:a|an|the|his|her|their|its|your|my|our|no|this|that|these|those)$/.test(unit.form);
}

function pluralOf(unit: Unit): boolean | null {
  if (unit.meaning === null || !unit.meaning.kinds.has('thing')) return null;
  if (unit.lemma === 'people' || unit.lemma === 'stair' || unit.lemma === 'step') return null;
  return unit.ending === 's';
}
