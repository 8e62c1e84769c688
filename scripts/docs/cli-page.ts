/** docs/reference/cli.md: the help of every verb, as the program prints it. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { page } from './markdown.ts';

const BINARY = path.resolve(import.meta.dirname, '../../bin/greenroom.js');
const run = promisify(execFile);

export async function cliPage(): Promise<string> {
  const parts: string[] = [];
  for (const verb of subcommands(await help([]))) {
    const text = await help([verb]);
    parts.push(section(2, verb, text));
    for (const command of subcommands(text))
      parts.push(section(3, `${verb} ${command}`, await help([verb, command])));
  }
  return page(
    'Command line',
    'src/cli',
    'In a clone: `npm run greenroom -- <verb> …`. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.',
    fenced(await help([])),
    ...parts,
  );
}

/** The environment is fixed, because some texts name the folders of the user who reads them. */
async function help(words: readonly string[]): Promise<string> {
  const environment = { PATH: process.env['PATH'], HOME: '/home/you' };
  const { stdout } = await run(process.execPath, [BINARY, ...words, '--help'], {
    env: environment,
    timeout: 30_000,
  });
  return stdout;
}

/** Names below `Commands:`; commander adds its own `help` to each list. */
function subcommands(text: string): string[] {
  const list = /^Commands:\n((?: .*\n?)*)/m.exec(text)?.[1] ?? '';
  return [...list.matchAll(/^ {2}([a-z][a-z-]*)/gm)]
    .map((match) => match[1] ?? '')
    .filter((name) => name !== 'help');
}

function section(level: number, title: string, text: string): string {
  return `${'#'.repeat(level)} ${title}\n\n${fenced(text)}`;
}

function fenced(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
}
