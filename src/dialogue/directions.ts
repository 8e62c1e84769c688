/**
 * Telling a stage direction from a stressed word. Models write both between stars: "*growls* Leave." must lose the
 * growl, "You are *mine*." must keep its last word (npc-domain §4, "Say-ability").
 */

/** What characters are told to do between stars; matched with -s, -es, -ing and -ed. */
const STAGE_VERBS = new Set(
  (
    'sigh growl laugh smile grin chuckle snarl hiss nod shrug wink cough groan moan whisper mutter mumble murmur glare ' +
    'stare lean turn look pause bow smirk gasp roar howl sniff cackle roll raise tilt point step shake scoff snort yawn ' +
    'shiver tremble blink frown spit crack click drool gurgle rasp wheeze scratch purr sneer grunt shriek scream cry weep ' +
    'giggle gesture wave walk move stand sit kneel reach grab bite lick sway stumble limp shuffle lurch narrow gaze glance ' +
    'clear take draw lower lift fold cross tap drum clench bare flash eye study watch wait breathe exhale inhale swallow'
  ).split(' '),
);
/** Words that a speaker stresses at the beginning of a sentence. */
const STRESSED_FIRST = new Set(
  (
    'i you he she it we they my your his her our their this that these those mine yours no not never nobody nothing none ' +
    'all every everything always what who why how when where now here there do did will would can could must is was are'
  ).split(' '),
);

/** Whether `span`, found between stars or underscores with `before` and `after` around it, is an action and not stress. */
export function isDirection(span: string, before: string, after: string): boolean {
  const words = span.trim().split(/\s+/u);
  if (words.length > 3) return true;
  const first = (words[0] ?? '').toLowerCase().replace(/[^\p{L}]/gu, '');
  if (isStageVerb(first)) return true;
  if (/[\p{L}\p{N},'’]\s*$/u.test(before)) return false;
  return !(words.length === 1 && STRESSED_FIRST.has(first) && /^\s*[\p{Ll},]/u.test(after));
}

/** Whether `span` between double stars, which mostly mean stress or a title, is an action all the same. */
export function isBoldDirection(span: string): boolean {
  const first = (/^\s*(\p{Ll}+)/u.exec(span)?.[1] ?? '').toLowerCase();
  return first !== '' && isStageVerb(first);
}

function isStageVerb(word: string): boolean {
  if (!/(?:s|ing|ed)$/.test(word)) return false;
  const stem = word.replace(/(?:es|s|ing|ed)$/, '');
  return [
    stem,
    word.replace(/s$/, ''),
    `${stem}e`,
    stem.replace(/i$/, 'y'),
    stem.replace(/(.)\1$/, '$1'),
  ].some((each) => STAGE_VERBS.has(each));
}
