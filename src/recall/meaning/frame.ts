/**
 * A frame: what a short text says, laid out so that two texts can be held against each other. Who does it stands before
 * what is done, also where the text is passive; places and owners carry the word that ties them; a negation is a property
 * of what it denies. No grammar of English, only of short reports of events: where it does not understand, units stay as
 * they came, and the texts meet only when they are nearly the same words.
 */
import { createHash } from 'node:crypto';
import { CORE, type Draft, type Frame, MANNER, OWNER, TO_WHOM, WITHOUT } from './item.ts';
import {
  ASKING,
  BE_WEIGHT,
  freeTies,
  GIVING,
  LASTING,
  PAST_HELPERS,
  PRESENT_HELPERS,
  PRONOUNS,
  QUESTION_WORD,
  STANDING,
  STATES,
  VAGUE_WEIGHT,
} from './little-words.ts';
import { NEGATIONS, NEGATIVE_WORDS, PREPOSITIONS, SUBORDINATORS } from './markers.ts';
import { tokensOf } from './tokens.ts';
import {
  beginsThing,
  isArticle,
  isEmptyUnit,
  isNoun,
  isPlainThing,
  isVerb,
  pluralOf,
  type Unit,
  unitsOf,
} from './units.ts';
import { inOrder } from './word-order.ts';

/** "Can" weighs less than a verb, and too much to be left out. */
const CAN_WEIGHT = 0.7;

/** Fewer known words than this share, and the text is of another language, whose order and denials nobody here can read. */
const KNOWN_SHARE_MIN = 0.5;

/**
 * What a text says, or null when there is nothing to hold against another: no words, too many, only empty ones, or words
 * that no list knows for the most part.
 */
export function frameOf(text: string): Frame | null {
  const tokens = tokensOf(text);
  if (tokens === null) return null;
  const units = unitsOf(tokens.tokens);
  if (units.filter(isKnown).length < KNOWN_SHARE_MIN * units.length) return null;
  const frame = new FrameReader(units, tokens.isAsked).read();
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

  constructor(said: readonly Unit[], isAsked: boolean) {
    let units = said.filter((unit) => unit.form !== 'please');
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
    const opensWithHere = /^(?:here|there)$/.test(this.#units[0]?.form ?? '');
    const items = inOrder(this.#items, opensWithHere);
    const told = { items, isPast: this.#isPast, isPresent: this.#isPresent };
    const key = createHash('sha256').update(JSON.stringify(told)).digest('base64url');
    return { ...told, key };
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
    const concepts = isLacking ? ['verb/have'] : meaning === null ? [`~${unit.lemma}`] : meaning.concepts;
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
    if (before.meaning !== null && /^marker\//.test(before.meaning.concepts[0] ?? ''))
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
}

function isKnown(unit: Unit): boolean {
  return (
    unit.meaning !== null ||
    isEmptyUnit(unit) ||
    [PRONOUNS, PREPOSITIONS, SUBORDINATORS, NEGATIVE_WORDS].some((list) => Object.hasOwn(list, unit.form)) ||
    NEGATIONS.has(unit.form) ||
    PAST_HELPERS.has(unit.form) ||
    PRESENT_HELPERS.has(unit.form) ||
    ASKING.has(unit.form)
  );
}
