/**
 * A frame: what a short text says, laid out so that two texts can be held against each other. Who does it stands before
 * what is done, also where the text is passive; places and owners carry the word that ties them; a negation is a property
 * of what it denies. No grammar of English, only of short reports of events: where it does not understand, units stay as
 * they came, and the texts meet only when they are nearly the same words.
 */
import { NEGATIONS, NEGATIVE_WORDS, PREPOSITIONS, SUBORDINATORS } from './markers.ts';
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
  /** Equal for frames that are equal in everything. */
  readonly key: string;
}

type Draft = { -readonly [K in keyof Item]: Item[K] } & {
  isVerb: boolean;
  isThing: boolean;
  isPassive: boolean;
  isGiving: boolean;
  isInflected: boolean;
  /** Comes, stands, lies: what may come before who does it. */
  isStanding: boolean;
  /** Told by "of", behind what is owned. */
  isBehind: boolean;
  isOwning: boolean;
  owned: Draft | null;
  clause: number;
};

const CORE: readonly string[] = ['core'];
const OWNER: readonly string[] = ['of'];
const WITHOUT: readonly string[] = ['without'];
const TO_WHOM: readonly string[] = ['to'];
const MANNER: readonly string[] = ['manner'];

const BE_WEIGHT = 0.2;
const VAGUE_WEIGHT = 0.3;
const CAN_WEIGHT = 0.7;

const PRONOUNS: Readonly<
  Record<
    string,
    { concepts: readonly string[]; gender?: 'm' | 'f'; isPlural?: boolean; weight?: number; isOwner?: true }
  >
> = {
  he: { concepts: ['thing/player'], gender: 'm', isPlural: false },
  him: { concepts: ['thing/player'], gender: 'm', isPlural: false },
  his: { concepts: ['thing/player'], gender: 'm', isPlural: false, weight: VAGUE_WEIGHT, isOwner: true },
  she: { concepts: ['thing/player'], gender: 'f', isPlural: false },
  her: { concepts: ['thing/player'], gender: 'f', isPlural: false, weight: VAGUE_WEIGHT },
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
  it: { concepts: ['it'] },
  its: { concepts: ['it'], weight: VAGUE_WEIGHT, isOwner: true },
  himself: { concepts: ['self'] },
  herself: { concepts: ['self'] },
  itself: { concepts: ['self'] },
  themselves: { concepts: ['self'] },
  yourself: { concepts: ['self'] },
  myself: { concepts: ['self'] },
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
/** Nobody is asked to do these: "can you see me" is a question. */
const STATES: ReadonlySet<string> = new Set(
  'have be remember recall know see hear smell feel taste believe understand like love hate fear swim read'.split(
    ' ',
  ),
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
  /** The side clause opens the text: "after three nights he comes back". */
  #isOpening = false;
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
      /^(?:can|could|will|would)$/.test(first?.form ?? '') &&
      second?.form === 'you' &&
      !STATES.has(third?.lemma ?? 'have');
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
    const items = this.#inOrder();
    const told = { items, isPast: this.#isPast, isPresent: this.#isPresent };
    return { ...told, key: JSON.stringify(told) };
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
          this.#hasHead = false;
          this.#isOpening = at === 0;
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
        if (unit.form === 'no' && !this.#hasHead && this.#ties[0] === 'with') {
          this.#ties = WITHOUT;
          return;
        }
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
      if (
        following !== undefined &&
        following.meaning?.kinds.has('marker') === true &&
        following.form === 'going'
      )
        return true;
      this.#endTie();
      const isPastBeing = unit.form === 'was' || unit.form === 'were';
      this.#add(isPastBeing ? ['was'] : [...(unit.meaning?.concepts ?? []), 'be'], {
        weight: BE_WEIGHT,
        isBeing: true,
        isVerb: true,
      });
      return true;
    }
    if (unit.lemma === 'have' && unit.form !== 'having')
      return (
        following !== undefined &&
        (following.ending === 'past' || /^(?:been|run|come|become)$/.test(following.form))
      );
    if (unit.lemma === 'do')
      return (
        following !== undefined &&
        (at === 0 || isVerb(following) || NEGATIONS.has(this.#units[at + 1]?.form ?? ''))
      );
    if (unit.form === 'will' || unit.form === 'shall' || unit.form === 'would') {
      const isDenied = NEGATIONS.has(this.#units[at + 1]?.form ?? '') || this.#denials > 0;
      if (isDenied) {
        this.#denials -= 1;
        this.#add(['marker/refuse'], { isDecisive: true, ties: ['refuse'] });
      } else
        this.#add([unit.form === 'would' ? 'marker/would' : 'marker/future'], {
          isDecisive: true,
          ties: ['future'],
        });
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
      if (
        (!unit.isPhrase && NEGATIONS.has(unit.form)) ||
        (isEmptyUnit(unit) && !/^(?:a|an|the)$/.test(unit.form))
      )
        continue;
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
      if (next !== undefined && isVerb(next) && next.form === next.lemma && !next.isOwner) {
        // "Stopped to eat" is not "stopped eating".
        if (/^(?:stop|forget|remember|cease|quit)$/.test(this.#before?.lemma ?? ''))
          this.#add(['in-order-to'], { isDecisive: true, ties: ['in-order-to'] });
        return true;
      }
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
    const {
      concepts,
      gender = null,
      isPlural = null,
      weight = 1,
      isOwner,
    } = PRONOUNS[unit.form] ?? { concepts: [] };
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
      !this.#before.isPhrase &&
      next !== undefined &&
      !next.isAfterPause &&
      beginsThing(next);
    // "It rains": nobody in particular does.
    const isNobody = unit.form === 'it' && this.#items.length === 0;
    this.#add(concepts, {
      weight: isNobody ? BE_WEIGHT : unit.form === 'her' ? 1 : weight,
      gender,
      isPlural,
      isThing: true,
      ...(isToWhom ? { ties: TO_WHOM } : {}),
    });
    this.#hasHead = true;
  }

  #takeWord(unit: Unit, next: Unit | undefined): void {
    const meaning = unit.meaning;
    const isLacking = unit.lemma === 'lack' && !unit.isOwner && !isArticle(this.#before);
    const concepts = isLacking
      ? ['verb/have']
      : meaning === null
        ? [`~${unit.lemma}`]
        : [...meaning.concepts];
    if (isLacking) this.#denials += 1;
    const isMarker =
      meaning?.kinds.has('marker') === true && !meaning.kinds.has('verb') && !meaning.kinds.has('thing');
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
      const isOver =
        unit.ending === 'past' &&
        LASTING.has(unit.lemma) &&
        !this.#isPassive &&
        this.#before?.lemma !== 'have';
      this.#add(isOver ? concepts.map((concept) => `${concept}, over`) : concepts, {
        isVerb: true,
        isPassive: this.#isPassive,
        isGiving: GIVING.has(unit.lemma),
        isInflected: unit.ending !== 'plain',
        isStanding: STANDING.has(unit.lemma),
        written,
        denials: this.#denials,
      });
      this.#denials = 0;
      this.#isPassive = false;
      return;
    }
    const isCompound =
      meaning?.kinds.has('thing') === true && (unit.ending === 'plain' || unit.ending === 's');
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
    if (unit.meaning === null)
      return this.#isPassive || (unit.ending === 'ing' && this.#before?.lemma === 'be');
    if (!unit.meaning.kinds.has('thing') && !unit.meaning.kinds.has('quality')) {
      const isBeforeThing = next !== undefined && !next.isAfterPause && isPlainThing(next);
      const isDescribing =
        (unit.ending === 'ing' || unit.ending === 'past') && isArticle(this.#before) && isBeforeThing;
      return !isDescribing && !(isArticle(this.#before) && unit.ending === 'plain');
    }
    if (this.#isPassive) return true;
    const before = this.#before;
    if (before === undefined) return beginsThing(next);
    if (isArticle(before) || before.isOwner || Object.hasOwn(PREPOSITIONS, before.form)) return false;
    if (before.meaning !== null && /^marker\//.test([...before.meaning.concepts][0] ?? ''))
      return before.form === 'to';
    if (before.meaning?.kinds.has('quality') === true) return false;
    return !this.#items.some((item) => item.isVerb && item.clause === this.#clause);
  }

  #isClauseAhead(at: number): boolean {
    return this.#units
      .slice(at + 1)
      .some((unit) => isVerb(unit) || unit.lemma === 'be' || unit.lemma === 'have');
  }

  #beginThing(): void {
    if (this.#sideClause !== null) {
      if (this.#sideHasVerb && this.#clause === 1 && this.#items.every((item) => item.clause === 1))
        this.#endSideClause();
      else if (!this.#sideHasVerb && this.#hasHead && this.#isOpening) this.#endSideClause();
      else if (this.#hasHead && this.#sideHasVerb) this.#ties = [this.#sideClause];
      return;
    }
    if (this.#hasHead) this.#ties = CORE;
  }

  #endTie(): void {
    this.#ties = this.#sideClause === null ? CORE : [this.#sideClause];
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
      isStanding: false,
      isOwning: false,
      owned: null,
      isBehind: this.#ties[0] === 'of' && about.ties !== OWNER,
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
      // Nothing else was said in this clause: the denial itself is what was said.
      if (denied === undefined) this.#add(['denial'], { isDecisive: true, clause, denials });
      else denied.denials += denials;
    }
    if (this.#denials > 0) {
      const last = this.#items.at(-1);
      if (last !== undefined) last.denials += this.#denials;
    }
  }

  /** "The coat of the player" as "the player's coat", and every owner tied to what is owned. */
  #withOwnersFirst(): Draft[] {
    const items = [...this.#items];
    for (let at = 1; at < items.length; at += 1) {
      const item = items[at] as Draft;
      if (!item.isBehind || items[at - 1]?.isBehind === true) continue;
      let end = at + 1;
      while (items[end]?.isBehind === true && items[end]?.clause === item.clause) end += 1;
      let from = at;
      if (items[from - 1]?.ties === OWNER && end === at + 1) from -= 1;
      const headAt = items
        .slice(0, from)
        .findLastIndex((each) => each.isThing && each.ties !== OWNER && !each.isBehind);
      const head = items[headAt];
      if (head === undefined || headAt !== from - 1 || head.clause !== item.clause) continue;
      let to = headAt;
      while (
        to > 0 &&
        items[to - 1]?.ties === head.ties &&
        items[to - 1]?.isThing === false &&
        items[to - 1]?.isVerb === false
      )
        to -= 1;
      const owners = items.splice(from, end - from);
      items.splice(to, 0, ...owners);
      for (const owner of owners) owner.ties = OWNER;
    }
    for (let at = items.length - 2; at >= 0; at -= 1) {
      const item = items[at] as Draft;
      if (item.ties !== OWNER) continue;
      const head = items.slice(at + 1).find((each) => each.ties !== OWNER && !each.isOwning && each.isThing);
      item.isOwning = true;
      if (head !== undefined && head.clause === item.clause) item.owned = head;
    }
    return items;
  }

  /** "The moon is full" as "there is a full moon". */
  #withQualityFirst(items: Draft[]): Draft[] {
    for (const being of this.#items.filter((item) => item.isBeing)) {
      const at = items.indexOf(being);
      const after = items.slice(at + 1).filter((item) => item.clause === being.clause && item.ties === CORE);
      const [quality] = after;
      if (
        quality === undefined ||
        after.length > 1 ||
        quality.isThing ||
        quality.isVerb ||
        quality.isDecisive
      )
        continue;
      const head = items
        .slice(0, at)
        .findLast((item) => item.clause === being.clause && item.isThing && item.ties === CORE);
      if (head === undefined || head.written !== null) continue;
      items.splice(items.indexOf(quality), 1);
      items.splice(items.indexOf(head), 0, quality);
    }
    return items;
  }

  /** "On the wall sits a cat", "here comes the watch": who stands behind the verb. */
  #withSubjectFirst(items: Draft[]): Draft[] {
    const verbAt = items.findIndex((item) => item.isVerb && !item.isBeing);
    const verb = items[verbAt];
    const opensWithPlace =
      /^(?:here|there)$/.test(this.#units[0]?.form ?? '') || items[0]?.ties[0] !== 'core';
    if (verb === undefined || !(verb.isInflected || verb.isStanding) || verb.isPassive || !opensWithPlace)
      return items;
    if (items.slice(0, verbAt).some((item) => item.ties === CORE || item.clause !== verb.clause))
      return items;
    let end = verbAt + 1;
    while (
      end < items.length &&
      (items[end]?.ties === CORE || items[end]?.ties === OWNER) &&
      items[end]?.isVerb === false
    )
      end += 1;
    return [...items.slice(0, verbAt), ...items.slice(verbAt + 1, end), verb, ...items.slice(end)];
  }

  /** Who, what is done, to whom: a passive is turned round. */
  #inOrder(): readonly Item[] {
    let items = this.#withSubjectFirst(this.#withQualityFirst(this.#withOwnersFirst()));
    for (const verb of this.#items.filter((item) => item.isPassive)) {
      const at = items.indexOf(verb);
      const isMine = (item: Draft) => item.clause === verb.clause;
      const agentTie = verb.concepts.includes('verb/cover') ? 'with' : 'by';
      const isCore = (item: Draft) => (item.owned ?? item).ties[0] === 'core';
      const isAgent = (item: Draft) => (item.owned ?? item).ties[0] === agentTie;
      const earlierVerb = items.slice(0, at).findLastIndex((item) => item.isVerb && isMine(item));
      const patient = items
        .slice(earlierVerb + 1, at)
        .filter((item) => isMine(item) && !item.isVerb && isCore(item));
      const agent = items.slice(at + 1).filter((item) => isMine(item) && isAgent(item));
      const moved = new Set<Draft>([...patient, ...agent]);
      const kept = items.filter((item) => !moved.has(item));
      const verbAt = kept.indexOf(verb);
      for (const item of agent) if (item.owned === null) item.ties = CORE;
      const isGivenTo =
        verb.isGiving &&
        kept.slice(verbAt + 1).some((item) => isMine(item) && item.isThing && item.ties === CORE);
      if (isGivenTo) for (const item of patient) if (item.owned === null) item.ties = TO_WHOM;
      items = [...kept.slice(0, verbAt), ...agent, verb, ...patient, ...kept.slice(verbAt + 1)];
    }
    return items.map(
      ({ concepts, weight, isDecisive, isPlural, gender, written, ties, denials, isBeing, owned }): Item => ({
        concepts,
        weight,
        isDecisive,
        isPlural,
        gender,
        written,
        ties: owned === null ? ties : owned.ties.map((tie) => `of ${tie}`),
        denials,
        isBeing,
      }),
    );
  }
}

const STANDING: ReadonlySet<string> = new Set('come go stand sit lie run fly hang walk rise'.split(' '));
/** States of mind and of owning: over when they are told as past. */
const LASTING: ReadonlySet<string> = new Set(
  'love hate like know own want need trust fear believe owe live work have belong'.split(' '),
);
const FREE_MARKERS: ReadonlySet<string> = new Set(
  'hardly again soon no-longer once twice thrice up down away off over back forward'
    .split(' ')
    .map((name) => `marker/${name}`),
);

/** Markers that may stand anywhere. */
function freeTies(concept = ''): readonly string[] | null {
  if (QUESTION_WORD.test(concept.slice('marker/'.length))) return ['asked'];
  if (concept === 'marker/refuse') return ['refuse'];
  return FREE_MARKERS.has(concept) ? ['degree'] : null;
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
  return (
    unit !== undefined &&
    /^(?:a|an|the|his|her|their|its|your|my|our|no|this|that|these|those)$/.test(unit.form)
  );
}

function pluralOf(unit: Unit): boolean | null {
  if (unit.meaning === null || !unit.meaning.kinds.has('thing')) return null;
  if (unit.lemma === 'people' || unit.lemma === 'stair' || unit.lemma === 'step') return null;
  return unit.ending === 's';
}
