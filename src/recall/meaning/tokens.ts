/**
 * Words of a text with their dictionary forms: short forms written out, endings taken off where a list knows what is left.
 * A word that no list knows keeps a rough stem, so that it meets itself in another ending and nothing else.
 */
import { dropUnseen } from '../../lib/text/characters.ts';
import { isListed } from './vocabulary.ts';

export type Ending = 'plain' | 's' | 'ing' | 'past';

export interface Token {
  readonly form: string;
  readonly lemma: string;
  readonly ending: Ending;
  /** "the guard's": whose, not who. */
  readonly isOwner: boolean;
  /** A comma or an end of sentence stands before it. */
  readonly isAfterPause: boolean;
}

export interface Tokens {
  readonly tokens: readonly Token[];
  readonly isAsked: boolean;
}

/** Longer is no bark's occasion, and nothing of it is looked at: the match stays cheap whatever a client sends. */
export const WORDS_LENGTH_MAX = 240;
const TOKENS_MAX = 40;

const SHORT_FORMS: readonly (readonly [RegExp, string])[] = [
  [/\bwon't\b/g, 'will not'],
  [/\bshan't\b/g, 'shall not'],
  [/\bcan't\b|\bcan not\b/g, 'cannot'],
  [/n't\b/g, ' not'],
  [/'ll\b/g, ' will'],
  [/'ve\b/g, ' have'],
  [/'re\b/g, ' are'],
  [/\bi'm\b/g, 'i am'],
  [/'d\b/g, ' would'],
  [/\b(he|she|it|that|there|here|who|what|where|how|when|why|nobody|somebody|someone)'s\b/g, '$1 is'],
  [/\bno one\b/g, 'no-one'],
  [/\b(who|what|where) (?:is|was) it (?:that|who)\b/g, '$1'],
  [/\bthe npc\b/g, 'you'],
  [/\bnext to\b/g, 'next-to'],
  [/\bin front of\b/g, 'in-front-of'],
  [/\bout of\b/g, 'out-of'],
  [/\bon top of\b/g, 'on'],
  [/\ba bit of\b/g, ''],
];

const IRREGULAR: Readonly<Record<string, readonly [lemma: string, ending: Ending]>> = {};
const irregular = IRREGULAR as Record<string, readonly [string, Ending]>;
for (const line of `be:am/is/are/was/were/been/being have:has/had/having do:does/did/done/doing go:went/gone get:got/gotten
  give:gave/given take:took/taken put:put set:set lay:laid lie:lay/lain/lying die:dying tie:tying draw:drew/drawn hold:held
  wear:wore/worn steal:stole/stolen buy:bought sell:sold pay:paid cost:cost spend:spent beg:begged forbid:forbade/forbidden
  swear:swore/sworn tell:told say:said speak:spoke/spoken sing:sang/sung weep:wept know:knew/known forget:forgot/forgotten
  find:found lose:lost see:saw/seen hear:heard smell:smelt/smelled show:shown/showed hide:hid/hidden seek:sought
  stand:stood sit:sat kneel:knelt come:came become:became leave:left run:ran climb:climbed leap:leapt swim:swam/swum
  fly:flew/flown ride:rode/ridden throw:threw/thrown fling:flung fall:fell/fallen hit:hit strike:struck beat:beaten
  stab:stabbed cut:cut shoot:shot bite:bit/bitten tear:tore/torn choke:choked drown:drowned slay:slew/slain burn:burnt/burned
  bleed:bled break:broke/broken light:lit shut:shut ring:rang/rung drink:drank/drunk eat:ate/eaten feed:fed sleep:slept
  wake:woke/woken awake:awoke rise:rose/risen dig:dug drive:drove/driven freeze:froze/frozen spread:spread keep:kept
  fight:fought catch:caught bring:brought let:let begin:began/begun lend:lent send:sent make:made mean:meant meet:met
  think:thought teach:taught tread:trod/trodden bind:bound blow:blew/blown grow:grew/grown hang:hung write:wrote/written
  read:read build:built bend:bent sink:sank/sunk spit:spat swing:swung win:won feel:felt stick:stuck dream:dreamt
  ask:asked/asking bid:bid shed:shed split:split hurt:hurt shake:shook/shaken stink:stank/stunk creep:crept sweep:swept`
  .trim()
  .split(/\s+/)) {
  const [lemma = '', forms = ''] = line.split(':');
  for (const form of forms.split('/'))
    if (form !== lemma) irregular[form] ??= [lemma, form.endsWith('ing') ? 'ing' : 'past'];
}
for (const pair of `men:man women:woman children:child teeth:tooth feet:foot wolves:wolf knives:knife thieves:thief
  wives:wife lives:life mice:mouse geese:goose loaves:loaf pennies:penny lice:louse halves:half`
  .trim()
  .split(/\s+/)) {
  const [form = '', lemma = ''] = pair.split(':');
  irregular[form] = [lemma, 's'];
}
/** Past forms that are also their own present. */
const SAME_IN_THE_PAST: ReadonlySet<string> = new Set(
  'put set cost hit cut shut spread let read bid shed split hurt beat'.split(' '),
);

/** Dictionary form and ending of one lower-case word. */
export function lemmaOf(form: string): readonly [lemma: string, ending: Ending] {
  const known = Object.hasOwn(IRREGULAR, form) ? IRREGULAR[form] : undefined;
  if (known !== undefined) return known;
  if (SAME_IN_THE_PAST.has(form)) return [form, 'past'];
  if (isListed(form)) return [form, 'plain'];
  const candidates: [string, Ending][] = [];
  const add = (suffix: RegExp, put: string, ending: Ending) => {
    if (suffix.test(form)) candidates.push([form.replace(suffix, put), ending]);
  };
  add(/ies$/, 'y', 's');
  add(/s$/, '', 's');
  add(/es$/, '', 's');
  add(/ied$/, 'y', 'past');
  add(/d$/, '', 'past');
  add(/ed$/, '', 'past');
  add(/([a-z])\1ed$/, '$1', 'past');
  add(/ing$/, '', 'ing');
  add(/ing$/, 'e', 'ing');
  add(/([a-z])\1ing$/, '$1', 'ing');
  for (const candidate of candidates) if (isListed(candidate[0])) return candidate;
  if (/^[a-z]{4,}$/.test(form)) {
    if (/[^s]s$/.test(form)) return [form.replace(/(?:(?<=[sxz]|ch|sh)e)?s$/, '').replace(/ie$/, 'y'), 's'];
    if (/[^e]ed$/.test(form) && form.length > 4) return [form.replace(/([a-z])\1ed$|ed$/, '$1'), 'past'];
    if (/ing$/.test(form) && form.length > 5) return [form.replace(/([a-z])\1ing$|ing$/, '$1'), 'ing'];
  }
  return [form, 'plain'];
}

/** Null: no words, or more than a bark's occasion has. */
export function tokensOf(text: string): Tokens | null {
  if (text.length > WORDS_LENGTH_MAX) return null;
  let plain = dropUnseen(text).normalize('NFKC').toLowerCase().replace(/[’ʼ`]/g, "'");
  for (const [pattern, full] of SHORT_FORMS) plain = plain.replace(pattern, full);
  const tokens: Token[] = [];
  let isAfterPause = false;
  for (const match of plain.matchAll(/[\p{L}\p{N}][\p{L}\p{M}\p{N}-]*(?:'(?:s(?![\p{L}]))?)?|[,.;:!?…—]/gu)) {
    const piece = match[0];
    if (/^[^\p{L}\p{N}]/u.test(piece)) {
      isAfterPause = true;
      continue;
    }
    if (tokens.length >= TOKENS_MAX) return null;
    const isOwner = /'s?$/.test(piece);
    const form = piece.replace(/'s?$/, '').replace(/-+$/, '');
    const [lemma, ending] = lemmaOf(form);
    tokens.push({ form, lemma, ending, isOwner, isAfterPause });
    isAfterPause = false;
  }
  return tokens.length === 0 ? null : { tokens, isAsked: plain.includes('?') };
}
