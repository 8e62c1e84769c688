/**
 * Takes written form out of a sentence: thinking, code, HTML, links, markdown, stage directions, tags. What it leaves has
 * none of `* < > [ ] { } # | \` ~ ^ _ \\`. Each rule that fired is named in `changed`, so that metrics can say what models do.
 */
import { isBoldDirection, isDirection } from './directions.ts';

const THINKING =
  /<(think|thinking|thought|reasoning|reflection|analysis|scratchpad)\b[^>]*>[\s\S]*?(?:<\/\1\s*>|$)/giu;
const ROLE_TOKEN =
  /(?:<\s*\|\s*(?:im_start|start_header_id|start|start_of_role)\s*\|\s*>|<start_of_turn>)\s*(assistant|model|user|system|tool)\b/giu;
const SPECIAL_TOKEN =
  /<\s*\|[^<>]{0,60}?\|\s*>|<\/?s>|<<\/?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>/giu;
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: ' ',
  hellip: '…',
  mdash: '—',
  ndash: '–',
  '#39': "'",
  '#34': '"',
};
const FACES =
  /(?<=^|\s)(?:[:;=]['’-]?[)(DPpOo3/\\|*\]]+|<\/?3+|\^_*\^|[xX]D+|[oO]_[oO]|-_+-|¯\\_\(ツ\)_\/¯)(?=\s|$|[.,!?])/gu;
const BRACKETED = /\([^()]*\)|\[[^[\]]*\]|\{[^{}]*\}|（[^（）]*）|【[^【】]*】|［[^［］]*］/gu;
const BRACKET = /[()[\]{}（）【】［］]/u;
const LEFT_OVER = /[*<>[\]{}()#|`~^\\（）【】［］•▪◦]/gu;
const WRITTEN =
  /[*<>[\]{}()#|`~^\\_&（）【】［］•▪◦:;=\n]|(?:^|\s)[xX-]|[oO]_|:\/\/|www\.|^\s*(?:[-+–—]|\p{N}{1,2}[.)])\s/u;

/** `text` without its written form. Lines are joined by a space where the form was a line's, else kept. */
export function dropMarkup(text: string, changed: Set<string>): string {
  if (!WRITTEN.test(text)) return text;
  let plain = text;
  const drop = (rule: string, pattern: RegExp, replacement: string) => {
    const next = plain.replace(pattern, replacement);
    if (next !== plain) changed.add(rule);
    plain = next;
  };
  plain = plain.replace(/&(#?\w{2,6});/gu, (whole, name: string) => ENTITIES[name.toLowerCase()] ?? whole);
  drop('thinking', THINKING, ' ');
  // The role behind a token says who speaks next, as a label does.
  drop('token', ROLE_TOKEN, '\n$1: ');
  drop('token', SPECIAL_TOKEN, ' ');
  drop('code', /```[\s\S]*?```/gu, ' ');
  drop('code', /```\w*/gu, ' ');
  drop('code', /`([^`\n]*)`/gu, '$1');
  drop('face', FACES, ' ');
  drop('html', /<!--[\s\S]*?(?:-->|$)|<\/?[a-z][^<>]*>/giu, ' ');
  drop('link', /!\[[^\]]*\]\([^)]*\)/gu, ' ');
  drop('link', /\[([^\]]*)\]\([^)\s]*\)/gu, '$1');
  drop('link', /\b(?:https?:\/\/|www\.)\S+/giu, ' ');
  drop('markdown', /^\s*([-*_=])(?:[ \t]*\1){2,}[ \t]*$/gmu, ' ');
  drop('markdown', /^[ \t]*(?:#{1,6}[ \t]+|>+[ \t]?|[-*+•–—][ \t]+|\p{N}{1,2}[.)][ \t]+(?=\p{L}))/gmu, '');
  plain = stars(plain, changed);
  plain = underscores(plain, changed);
  plain = brackets(plain, changed);
  drop('symbols', LEFT_OVER, '');
  drop('symbols', /_+/gu, ' ');
  return plain;
}

function stars(text: string, changed: Set<string>): string {
  if (!text.includes('*')) return text;
  const bold = text.replace(/\*{2,3}([^*]+?)\*{2,3}/gu, (_whole, span: string) => {
    changed.add(isBoldDirection(span) ? 'action' : 'markdown');
    return isBoldDirection(span) ? ' ' : span;
  });
  const plain = bold.replace(/\*([^*]+)\*/gu, spoken(changed));
  // A star that nothing closes begins an action that was cut; between words it is only dirt.
  return plain.replace(/(^|[.!?…"”]\s*)\*+[^\s*][^*]*$/u, (_whole, before: string) => {
    changed.add('action');
    return before;
  });
}

function underscores(text: string, changed: Set<string>): string {
  if (!text.includes('_')) return text;
  return text
    .replace(/(?<![\p{L}\p{N}_])__([^_]+)__(?![\p{L}\p{N}_])/gu, '$1')
    .replace(/(?<![\p{L}\p{N}_])_([^_]+)_(?![\p{L}\p{N}_])/gu, spoken(changed));
}

function spoken(changed: Set<string>) {
  return (whole: string, span: string, at: number, text: string): string => {
    const isAction = isDirection(span, text.slice(0, at), text.slice(at + whole.length));
    changed.add(isAction ? 'action' : 'markdown');
    return isAction ? ' ' : span;
  };
}

function brackets(text: string, changed: Set<string>): string {
  if (!BRACKET.test(text)) return text;
  let plain = text;
  // Innermost first; each round takes one level, and a sentence holds at most half as many levels as characters.
  for (let before = ''; before !== plain; ) {
    before = plain;
    plain = plain.replace(BRACKETED, ' ');
  }
  // What a bracket opened and nothing closed was cut: it is a direction up to the end.
  plain = plain.replace(/[([{（【［].*$/su, ' ');
  if (plain !== text) changed.add('direction');
  return plain;
}
