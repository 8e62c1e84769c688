/**
 * What is wrong or thin in a cast, beyond what its files' form already says (npc-domain §9). Errors are things a player
 * would meet as a fault; warnings are things a writer should look at.
 */
import { CAUSES, TRIGGERS } from '../core/dialogue.ts';
import type { CastReading } from './cast.ts';
import { type Condition, type RequiredComparison, requiredComparisons } from './conditions.ts';
import { findNearDuplicates, wordsOf } from './near-duplicates.ts';
import { COMBAT_TRIGGERS, KINDS, type Persona } from './persona.ts';
import { COMMON_SPEAKER, type LineTrigger, type WrittenLine } from './written-lines.ts';

export interface LintFinding {
  readonly severity: 'error' | 'warning';
  /** Short and stable: `thin-pool`, `too-long` … */
  readonly rule: string;
  /** Where: a line's id, a persona's id, a file. */
  readonly subject: string;
  readonly message: string;
}

/** Pool sizes and word limits of npc-domain §9 and §4. */
export const LINT_LIMITS = {
  linesPerCombatTrigger: 20,
  linesPerCause: 12,
  fillersPerVoice: 6,
  linesPerOtherTrigger: 4,
  greetingsPerNpc: 8,
  examplesPerNpc: 5,
  refusalsPerNpc: 5,
  combatWords: 14,
  talkWords: 40,
} as const;

const MARKUP = /[*_~`#<>[\]{}|]|\((?:[^)]*)\)|^\s*["“].*["”]\s*$|\p{Extended_Pictographic}/u;

/** All findings, errors first. Linear in the size of the cast but for near-duplicates, which are close to it. */
export function lintCast(reading: CastReading): readonly LintFinding[] {
  const findings: LintFinding[] = [];
  for (const { file, field, value, expected } of reading.problems) {
    const found = value === '' ? '' : ` is ${value};`;
    findings.push({
      severity: 'error',
      rule: 'invalid',
      subject: file,
      message: `${field}${found} expected ${expected}`,
    });
  }
  const served = reading.allLines.filter((line) => line.status === 'approved');
  lintPools(reading, served, findings);
  for (const line of reading.allLines) lintLine(line, reading, findings);
  const bySpeaker = Map.groupBy(served, (line) => line.speaker);
  for (const lines of bySpeaker.values()) {
    for (const { first, second, overlap } of findNearDuplicates(lines)) {
      const share = overlap === 1 ? 'the same words' : `${Math.round(overlap * 100)} % of the words`;
      findings.push(warning('near-duplicate', second, `says ${share} as ${first}`));
    }
  }
  for (const persona of reading.cast.npcs.values()) lintPersona(persona, served, findings);
  return findings.sort((a, b) => (a.severity === b.severity ? 0 : a.severity === 'error' ? -1 : 1));
}

function error(rule: string, subject: string, message: string): LintFinding {
  return { severity: 'error', rule, subject, message };
}

function warning(rule: string, subject: string, message: string): LintFinding {
  return { severity: 'warning', rule, subject, message };
}

/** Every kind in the cast needs whole pools; what a kind's NPCs do not have themselves comes from it. */
function lintPools(reading: CastReading, served: readonly WrittenLine[], findings: LintFinding[]): void {
  const counts = new Map<string, number>();
  for (const line of served) {
    // A line that hangs on a condition cannot be counted on.
    const key = `${line.speaker}|${line.trigger}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const kinds = new Set([...reading.cast.npcs.values()].map((persona) => persona.monster_type));
  for (const kind of [...kinds].sort()) {
    const expect = (trigger: LineTrigger, least: number) => {
      const count = counts.get(`${kind}|${trigger}`) ?? 0;
      if (count >= least) return;
      const subject = `${kind} × ${trigger}`;
      findings.push(warning('thin-pool', subject, `${count} lines, at least ${least} wanted`));
    };
    for (const trigger of TRIGGERS) {
      if (COMBAT_TRIGGERS.includes(trigger)) expect(trigger, LINT_LIMITS.linesPerCombatTrigger);
      else if (trigger === 'thinking') expect(trigger, LINT_LIMITS.fillersPerVoice);
      else expect(trigger, LINT_LIMITS.linesPerOtherTrigger);
    }
    for (const cause of CAUSES) expect(`fallback:${cause}`, LINT_LIMITS.linesPerCause);
    for (const cause of CAUSES) {
      const always = served.some(
        (line) =>
          (line.speaker === kind || line.speaker === COMMON_SPEAKER) &&
          line.trigger === `fallback:${cause}` &&
          line.when.length === 0 &&
          line.once === null,
      );
      if (!always) {
        findings.push(
          error(
            'silent',
            `${kind} × fallback:${cause}`,
            'no line without a condition: only a grunt would be left',
          ),
        );
      }
    }
  }
}

/** What is wrong with one line by itself: its length, its letters, and whether anybody could ever say it. */
export function lintLine(line: WrittenLine, reading: CastReading, findings: LintFinding[]): void {
  const words = wordsOf(line.text).length;
  const isCombat = (COMBAT_TRIGGERS as readonly string[]).includes(line.trigger);
  const limit = isCombat ? LINT_LIMITS.combatWords : LINT_LIMITS.talkWords;
  if (words > limit)
    findings.push(warning('too-long', line.id, `${words} words, at most ${limit} for ${line.trigger}`));
  const bare = line.text.replaceAll('{player}', 'player');
  if (MARKUP.test(bare)) {
    findings.push(
      error('markup', line.id, `holds markup, brackets, wrapping quotes or emoji: ${line.text.slice(0, 60)}`),
    );
  }
  if (!/\p{L}/u.test(line.text)) findings.push(error('markup', line.id, 'has no letter, nobody can say it'));
  if (line.status === 'retired') return;
  const { npcs } = reading.cast;
  const isKnown =
    line.speaker === COMMON_SPEAKER ||
    npcs.has(line.speaker) ||
    (KINDS as readonly string[]).includes(line.speaker) ||
    [...npcs.values()].some(
      (persona) =>
        persona.monster_type === line.speaker || Object.values(persona.pools).includes(line.speaker),
    );
  if (!isKnown) {
    findings.push(
      error('unreachable', line.id, `nobody in the cast is "${line.speaker}", by id, kind or pool`),
    );
  }
  const contradiction = findContradiction(line.when);
  if (contradiction !== null)
    findings.push(error('unreachable', line.id, `can never be said: ${contradiction}`));
}

/** Two comparisons of one fact that exclude one another, in words; null when there are none. */
function findContradiction(conditions: readonly Condition[]): string | null {
  const byKey = Map.groupBy(conditions.flatMap(requiredComparisons), (comparison) => comparison.key);
  for (const comparisons of byKey.values()) {
    for (const [at, a] of comparisons.entries()) {
      for (const b of comparisons.slice(at + 1)) {
        if (exclude(a, b)) return `${a.key} ${a.operator} ${a.value} and ${b.key} ${b.operator} ${b.value}`;
      }
    }
  }
  return null;
}

function exclude(a: RequiredComparison, b: RequiredComparison): boolean {
  const left = Number(a.value);
  const right = Number(b.value);
  if (
    Number.isNaN(left) ||
    Number.isNaN(right) ||
    typeof a.value === 'boolean' ||
    typeof b.value === 'boolean'
  ) {
    const isSame = String(a.value).toLowerCase() === String(b.value).toLowerCase();
    const signs = `${a.operator}${b.operator}`;
    return (signs === '==' && !isSame) || ((signs === '=!=' || signs === '!==') && isSame);
  }
  // One at the values and one to each side of them decides: the comparisons are steps at these places only.
  const samples = [left, right, (left + right) / 2, Math.min(left, right) - 1, Math.max(left, right) + 1];
  return !samples.some((value) => satisfies(value, a.operator, left) && satisfies(value, b.operator, right));
}

function satisfies(value: number, operator: RequiredComparison['operator'], bound: number): boolean {
  switch (operator) {
    case '<':
      return value < bound;
    case '<=':
      return value <= bound;
    case '>':
      return value > bound;
    case '>=':
      return value >= bound;
    case '=':
      return value === bound;
    case '!=':
      return value !== bound;
  }
}

function lintPersona(persona: Persona, served: readonly WrittenLine[], findings: LintFinding[]): void {
  const need = (count: number, least: number, what: string) => {
    if (count >= least) return;
    findings.push(warning('thin-persona', persona.id, `${count} ${what}, at least ${least} wanted`));
  };
  const own = served.filter((line) => line.speaker === persona.id);
  need(persona.examples.length, LINT_LIMITS.examplesPerNpc, 'examples');
  need(persona.refusals.length, LINT_LIMITS.refusalsPerNpc, 'refusals');
  if (persona.tier >= 2) {
    const greetings = persona.greetings.length + own.filter((line) => line.trigger === 'greet').length;
    need(greetings, LINT_LIMITS.greetingsPerNpc, 'greetings');
    need(persona.secrets.length, 1, 'secrets');
    need(persona.knowledge.knows.length, 1, 'things it knows');
    need(persona.voice.register === undefined ? 0 : 1, 1, 'voice registers');
  }
  for (const [index, secret] of persona.secrets.entries()) {
    need(secret.canaries.length, 1, `canaries in secrets[${index}]`);
  }
  lintSayings(persona, findings);
  lintCanaries(persona, own, findings);
}

/** What the persona says in its own file must be sayable, and within its own style. */
function lintSayings(persona: Persona, findings: LintFinding[]): void {
  const sayings = [
    ...persona.examples.map((example, index) => ({ field: `examples[${index}].npc`, text: example.npc })),
    ...persona.greetings.map((text, index) => ({ field: `greetings[${index}]`, text })),
    ...persona.refusals.map((text, index) => ({ field: `refusals[${index}]`, text })),
  ];
  for (const { field, text } of sayings) {
    const plain = text.replace(/\{\{[^{}]*\}\}|\{player\}/g, 'name');
    if (MARKUP.test(plain))
      findings.push(warning('markup', `${persona.id} ${field}`, `holds markup: ${text.slice(0, 60)}`));
    const words = wordsOf(plain).length;
    if (words > persona.style.max_words) {
      const message = `${words} words, the persona's own limit is ${persona.style.max_words}`;
      findings.push(warning('too-long', `${persona.id} ${field}`, message));
    }
    const spoken = ` ${wordsOf(plain).join(' ')} `;
    const avoided = persona.voice.words_avoid.find((word) => spoken.includes(` ${wordsOf(word).join(' ')} `));
    if (avoided !== undefined) {
      findings.push(
        warning('avoided-word', `${persona.id} ${field}`, `says "${avoided}", which the voice avoids`),
      );
    }
  }
}

/** A canary that stands in the persona's own prompt or lines would be said, or block what is harmless. */
function lintCanaries(persona: Persona, own: readonly WrittenLine[], findings: LintFinding[]): void {
  const { secrets: _, forbidden: __, extensions: ___, style: ____, provenance: _____, ...told } = persona;
  const inPrompt = ` ${wordsOf(texts(told).join(' | ')).join(' ')} `;
  for (const canary of persona.secrets.flatMap((secret) => secret.canaries)) {
    const phrase = ` ${wordsOf(canary).join(' ')} `;
    if (inPrompt.includes(phrase)) {
      findings.push(error('leak', persona.id, `the canary "${canary}" stands in the persona's own text`));
    }
    const line = own.find((candidate) => ` ${wordsOf(candidate.text).join(' ')} `.includes(phrase));
    if (line !== undefined)
      findings.push(error('leak', line.id, `says the canary "${canary}" of ${persona.id}`));
  }
}

function texts(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value];
  if (Array.isArray(value)) return value.flatMap(texts);
  if (typeof value === 'object' && value !== null) return Object.values(value).flatMap(texts);
  return [];
}
