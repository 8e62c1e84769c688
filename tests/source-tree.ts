/**
 * The source tree as the tidy and ladder tests read it: files, their imports, and their code without comments and
 * strings. A small lexer is enough, because Biome keeps the form of the code: one import a statement, at the line's
 * beginning, in single quotes.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..');

export interface SourceFile {
  /** From the root, with slashes: `src/core/errors.ts`. */
  readonly path: string;
  readonly text: string;
  readonly isTest: boolean;
}

/** Every TypeScript file that matches, tests included. */
export function sourceFiles(...patterns: string[]): SourceFile[] {
  return globSync(patterns, { cwd: root, exclude: (name) => name === 'node_modules' || name === 'dist' })
    .map((found) => found.split(path.sep).join('/'))
    .sort()
    .map((found) => ({
      path: found,
      text: readFileSync(path.join(root, found), 'utf8'),
      isTest: found.endsWith('.test.ts'),
    }));
}

/** What a file imports: packages by their name, files by their path from the root. Dynamic and type imports count. */
export function importsOf(file: SourceFile): { packages: string[]; files: string[] } {
  const packages = new Set<string>();
  const files = new Set<string>();
  const statements =
    /^(?:import|export)\b[^'"]*?\bfrom\s*'([^']+)'|^import\s*'([^']+)'|\bimport\(\s*'([^']+)'/gm;
  for (const [, from, bare, dynamic] of withoutComments(file.text).matchAll(statements)) {
    const specifier = from ?? bare ?? dynamic ?? '';
    if (specifier.startsWith('.')) {
      files.add(path.posix.normalize(path.posix.join(path.posix.dirname(file.path), specifier)));
    } else if (!specifier.startsWith('node:')) {
      packages.add(
        specifier
          .split('/')
          .slice(0, specifier.startsWith('@') ? 2 : 1)
          .join('/'),
      );
    }
  }
  return { packages: [...packages], files: [...files] };
}

/** The text with comments blanked; strings stay. */
export function withoutComments(text: string): string {
  return blank(text, false);
}

/** The text with comments and the content of strings, templates and patterns blanked; `${…}` in a template stays code. */
export function codeOnly(text: string): string {
  return blank(text, true);
}

const BEFORE_PATTERN =
  /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|await|yield|delete|void|throw))$/;

function blank(text: string, alsoStrings: boolean): string {
  let out = '';
  /** Depth of braces at which each open `${` ends. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  const copy = (until: number) => {
    out += text.slice(at, until);
    at = until;
  };
  const cover = (until: number) => {
    out += text.slice(at, until).replace(/[^\n]/g, ' ');
    at = until;
  };
  const quoted = (end: string) => {
    let until = at + 1;
    while (until < text.length && text[until] !== end && text[until] !== '\n')
      until += text[until] === '\\' ? 2 : 1;
    if (!alsoStrings) return copy(until + 1);
    copy(at + 1);
    cover(until);
    copy(until + 1);
  };
  const template = () => {
    let until = at;
    while (until < text.length && text[until] !== '`' && !text.startsWith('${', until))
      until += text[until] === '\\' ? 2 : 1;
    (alsoStrings ? cover : copy)(until);
    if (text[at] === '`') return copy(at + 1);
    templates.push(depth);
    copy(at + 2);
  };
  const pattern = () => {
    let until = at + 1;
    let inClass = false;
    while (until < text.length && text[until] !== '\n' && (inClass || text[until] !== '/')) {
      if (text[until] === '[') inClass = true;
      if (text[until] === ']') inClass = false;
      until += text[until] === '\\' ? 2 : 1;
    }
    (alsoStrings ? cover : copy)(until + 1);
  };
  while (at < text.length) {
    const char = text[at];
    if (text.startsWith('//', at)) cover(endOr(text.indexOf('\n', at), text));
    else if (text.startsWith('/*', at)) cover(endOr(text.indexOf('*/', at) + 2, text, 1));
    else if (char === "'" || char === '"') quoted(char);
    else if (char === '`') {
      copy(at + 1);
      template();
    } else if (char === '/' && BEFORE_PATTERN.test(out.trimEnd())) pattern();
    else if (char === '}' && templates.at(-1) === depth) {
      templates.pop();
      copy(at + 1);
      template();
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      copy(at + 1);
    }
  }
  return out;
}

function endOr(found: number, text: string, least = 0): number {
  return found <= least ? text.length : found;
}
