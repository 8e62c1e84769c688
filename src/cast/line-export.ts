/**
 * Written lines in the forms that others read: our own CSV, Yarn Spinner line groups, and Unreal string tables. Pure.
 *
 * Yarn: its lexer takes `\` before `\ < > { } # /` and its markup `\[` `\]`; a line ends at a line end and has no escape
 * for one. The speaker stands before the text, so that a colon in the text makes nobody a character.
 * Unreal: FStringTable::ImportStrings undoes C escapes in Key and SourceString after the CSV quotes; metadata columns
 * have quotes only. A `{player}` is an argument of FText::Format there and `{$player_name}` in Yarn.
 */
import type { LineExport, LineExportFormat } from '../core/learned-line.ts';
import type { Condition } from './conditions.ts';
import { formatLinesCsv, type WrittenLine } from './written-lines.ts';

type Node = Condition['root'];

/** `name` goes into the file's name: letters, digits and hyphens. */
export function exportLines(
  format: LineExportFormat,
  lines: readonly WrittenLine[],
  name: string,
): LineExport {
  const fileName = `greenroom-lines-${name.replace(/[^A-Za-z0-9-]+/g, '-')}`;
  const count = lines.length;
  switch (format) {
    case 'csv':
      return {
        fileName: `${fileName}.csv`,
        contentType: 'text/csv; charset=utf-8',
        text: formatLinesCsv(lines),
        count,
      };
    case 'unreal':
      return {
        fileName: `${fileName}-unreal.csv`,
        contentType: 'text/csv; charset=utf-8',
        text: formatUnreal(lines),
        count,
      };
    case 'yarn':
      return {
        fileName: `${fileName}.yarn`,
        contentType: 'text/plain; charset=utf-8',
        text: formatYarn(lines),
        count,
      };
  }
}

/** With a byte order mark: spreadsheets take a CSV without one for their own code page. */
export function formatUnreal(lines: readonly WrittenLine[]): string {
  const rows = lines.map((line) =>
    [escaped(line.id), escaped(line.text), `${line.speaker}, ${line.trigger}`].map(quoted).join(','),
  );
  return `\ufeff${['Key,SourceString,Comment', ...rows].join('\n')}\n`;
}

/** One node for each speaker and trigger, with one line group in it. */
export function formatYarn(lines: readonly WrittenLine[]): string {
  const titles = new Set<string>();
  const nodes = [...Map.groupBy(lines, (line) => `${line.speaker}|${line.trigger}`).values()].map((group) => {
    const [first] = group;
    const title = freeTitle(`${first?.speaker}_${first?.trigger}`, titles);
    return [`title: ${title}`, '---', ...group.map(yarnLine), '==='].join('\n');
  });
  return nodes.length === 0 ? '' : `${nodes.join('\n')}\n`;
}

function yarnLine(line: WrittenLine): string {
  const conditions = line.when.map(({ root }) => yarnExpression(root));
  if (line.mood !== null) conditions.push(`($mood == "" or $mood == ${yarnString(line.mood)})`);
  const all = conditions.join(' and ');
  const isOnce = line.once !== null;
  const command = all === '' ? (isOnce ? ' <<once>>' : '') : ` <<${isOnce ? 'once if' : 'if'} ${all}>>`;
  const tags = [
    `line:${line.id}`,
    ...(line.weight === 1 ? [] : [`weight:${line.weight}`]),
    ...(line.cooldownS === null ? [] : [`cooldown:${line.cooldownS}`]),
    ...line.tags.map((tag) => tag.replace(/[\s#$<]+/g, '_')),
  ];
  return `=> ${line.speaker}: ${yarnText(line.text)}${command} ${tags.map((tag) => `#${tag}`).join(' ')}`;
}

function yarnText(text: string): string {
  return text
    .replace(/\s+/gu, ' ')
    .split('{player}')
    .map((part) => part.replace(/[\\<>{}#/[\]]/g, String.raw`\$&`))
    .join('{$player_name}');
}

function yarnExpression(node: Node): string {
  switch (node.kind) {
    case 'truthy':
      return variable(node.key);
    case 'not':
      return `not (${yarnExpression(node.inner)})`;
    case 'all':
    case 'any':
      return `(${node.parts.map(yarnExpression).join(node.kind === 'all' ? ' and ' : ' or ')})`;
    case 'compare': {
      const value = typeof node.value === 'string' ? yarnString(node.value) : String(node.value);
      return `${variable(node.key)} ${node.operator === '=' ? '==' : node.operator} ${value}`;
    }
  }
}

/** `quest.bell` is `$quest_bell`. */
function variable(key: string): string {
  return `$${/^\p{L}/u.test(key) ? '' : '_'}${key.replace(/[^\p{L}\p{N}_]+/gu, '_')}`;
}

function yarnString(text: string): string {
  return `"${text.replace(/\s+/gu, ' ').replace(/[\\"]/g, String.raw`\$&`)}"`;
}

/** Titles have letters, digits and underscores; two that fall together are told apart by a number. */
function freeTitle(name: string, titles: Set<string>): string {
  const plain = name.replace(/[^A-Za-z0-9_]+/g, '_');
  let title = plain;
  for (let number = 2; titles.has(title); number += 1) title = `${plain}_${number}`;
  titles.add(title);
  return title;
}

/** As FString::ReplaceCharWithEscapedChar, quotes apart: those the CSV doubles. */
function escaped(text: string): string {
  return text.replace(/[\\\n\r\t]/g, (character) => ESCAPES[character] ?? character);
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\\': String.raw`\\`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
};

function quoted(cell: string): string {
  return `"${cell.replaceAll('"', '""')}"`;
}
