/** The few forms of Markdown that generated pages use. */

/** A page with its title, where it comes from, and its parts; one blank line between, one line end at the end. */
export function page(title: string, source: string, ...parts: readonly string[]): string {
  const notice = `<!-- Generated from ${source} by npm run docs. Do not edit. -->`;
  return `${[notice, `# ${title}`, ...parts].map((part) => part.trim()).join('\n\n')}\n`;
}

/** A table; what would break a cell is escaped. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`;
  return [line(header), `| ${header.map(() => '---').join(' | ')} |`, ...rows.map(line)].join('\n');
}

export function code(text: string): string {
  return `\`${text}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replace(/\s*\n\s*/g, ' ');
}
