/**
 * `greenroom chat`: a conversation with one NPC, sentence by sentence. Ctrl-C interrupts the line that is being spoken,
 * as a player who walks off does; with none, it leaves.
 *
 *     waiting ──a line──▶ listening ──done, error──▶ waiting       Ctrl-C: listening ▶ waiting ▶ left
 */
import { createInterface } from 'node:readline';
import { TRIGGERS } from '../core/dialogue.ts';
import { ERRORS, ServiceError } from '../core/errors.ts';
import { type LinkedSignal, linkSignals } from '../lib/abort.ts';
import { type Done, type Gateway, type GatewayFlags, openGateway } from './client.ts';
import type { Verb } from './index.ts';
import { bodyOf, lineFlags } from './say.ts';
import { dim, printable, provenance } from './spoken.ts';

const HELP = `  /bark <trigger>  what the NPC says by itself: ${TRIGGERS.join(', ')}
  /why             where the last line came from, and how long it took
  /bye             leave; so does Ctrl-D
  Ctrl-C           interrupt the line; again to leave`;

interface Flags extends GatewayFlags {
  readonly tier?: string;
  readonly conversation?: string;
  readonly player?: string;
}

/** The verb `chat`. */
export const chatVerb: Verb = (program, runtime, signal) => {
  lineFlags(
    program
      .command('chat')
      .description('Talk with an NPC of a running gateway.')
      .argument('<npc>', 'id of the NPC; `greenroom npcs` lists them'),
  ).action(async (npc: string, flags: Flags) => {
    const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    const isColoured = isTerminal && runtime.environment['NO_COLOR'] === undefined;
    await using gateway = openGateway(flags, runtime);
    const name = await nameOf(gateway, npc, signal);
    const conversation = flags.conversation ?? runtime.random.id('chat');
    await converse(
      {
        gateway,
        name,
        body: bodyOf(npc, { player: 'terminal', ...flags, conversation }),
        input: process.stdin,
        output: process.stdout,
        isTerminal,
        isColoured,
      },
      signal,
    );
  });
};

export interface Conversation {
  readonly gateway: Gateway;
  /** What the NPC is called. */
  readonly name: string;
  /** The body of each line but for the words. */
  readonly body: Readonly<Record<string, unknown>>;
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  /** Whether a person edits lines there, so that a prompt is shown and Ctrl-C is a key. */
  readonly isTerminal: boolean;
  readonly isColoured: boolean;
}

/** Talks until /bye, the end of the input, or Ctrl-C with nothing being said. Throws `signal.reason` when aborted. */
export async function converse(talk: Conversation, signal: AbortSignal): Promise<void> {
  const { output, isTerminal } = talk;
  const reader = createInterface({ input: talk.input, output, terminal: isTerminal, prompt: '> ' });
  const print = (text: string) => output.write(`${text}\n`);
  const grey = (text: string) => print(dim(text, talk.isColoured));
  let line: LinkedSignal | null = null;
  let last: Done | null = null;
  reader.on('SIGINT', () => {
    if (line === null) reader.close();
    else line.abort(new ServiceError('client_closed', 'interrupted'));
  });
  const onAbort = () => reader.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    grey(`${talk.name} looks up. /help says what else there is.`);
    if (isTerminal) reader.prompt();
    for await (const typed of reader) {
      const [command, ...rest] = typed.trim().split(/\s+/);
      if (command === '/bye') break;
      if (command === '/help') grey(HELP);
      else if (command === '/why') grey(last === null ? 'Nothing was said yet.' : provenance(last));
      else if (command === '/bark' && !TRIGGERS.some((trigger) => trigger === rest[0]))
        grey(`/bark needs one of: ${TRIGGERS.join(', ')}`);
      else if (command?.startsWith('/') === true && command !== '/bark')
        grey(`${command} is no command; /help lists them.`);
      else if (command !== undefined && command !== '') {
        using current = linkSignals(signal);
        line = current;
        const words = command === '/bark' ? { prompt: '', trigger: rest[0] } : { prompt: typed };
        last = (await hear(talk, words, current.signal)) ?? last;
        line = null;
        if (signal.aborted) break;
      }
      if (isTerminal) reader.prompt();
    }
    if (signal.aborted) throw signal.reason;
  } finally {
    signal.removeEventListener('abort', onAbort);
    reader.close();
  }
}

/** Prints one answer as it comes. Null when it was interrupted or failed, which is said and ends nothing. */
async function hear(
  talk: Conversation,
  words: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Done | null> {
  const { output, isColoured } = talk;
  let isOpen = false;
  let done: Done | null = null;
  const close = () => {
    if (isOpen) output.write('\n');
    isOpen = false;
  };
  try {
    for await (const event of talk.gateway.say({ ...talk.body, ...words }, signal)) {
      if (event.type === 'done') done = event.done;
      else if (event.type === 'action') {
        close();
        const text = `[${event.name} ${JSON.stringify(event.params)}]`;
        output.write(`${dim(printable(text), isColoured)}\n`);
      } else {
        output.write(`${isOpen ? ' ' : `${talk.name}: `}${printable(event.text)}`);
        isOpen = true;
      }
    }
    close();
  } catch (error) {
    if (signal.aborted && isOpen) output.write(' –');
    close();
    if (!signal.aborted) {
      const { code, message } = ServiceError.from(error);
      output.write(`${dim(`(${printable(message)}. ${ERRORS[code].advice})`, isColoured)}\n`);
    }
  }
  return done;
}

/** Throws `unknown_npc`, with who there is, before anybody has typed a word. */
async function nameOf(gateway: Gateway, npcId: string, signal: AbortSignal): Promise<string> {
  const npcs = await gateway.npcs(signal);
  const found = npcs.find((npc) => npc.npc_id === npcId);
  if (found !== undefined) return printable(found.name);
  const some = npcs.slice(0, 12).map((npc) => npc.npc_id);
  throw new ServiceError(
    'unknown_npc',
    `no NPC has the id ${JSON.stringify(npcId)}; there are ${some.join(', ')}${npcs.length > some.length ? ' and more: greenroom npcs' : ''}`,
  );
}
