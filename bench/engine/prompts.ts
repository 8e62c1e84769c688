/** Prompts as an NPC gets them: a persona of some 200 tokens, a scene and a player's line. Made from a seed. */

export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

const NAMES = [
  'Mordane Vesk',
  'Ostrik',
  'Aurel',
  'Sister Hale',
  'Gnaw',
  'Captain Ruth',
  'The Tallow Man',
  'Ilse',
];
const KINDS = ['vampire', 'ghoul', 'lich', 'werewolf', 'zombie', 'human broker'];
const PLACES = ['harbour', 'old abbey', 'north dock', 'salt market', 'catacombs', 'pawn shop'];
const WANTS = ['the stolen bell', 'a clean grave', 'a name', 'three teeth', 'the ferry key', 'silver'];
const LINES = [
  'Good evening. I was told that you know where the bell of Saint Corvin went last winter. What would it cost me?',
  'I have no gold, but I carry a letter that somebody in this quarter would rather see burnt. Are you that somebody?',
  'They say you do not sleep. Tell me what you saw from this window on the night the bridge fell.',
  'Step aside. I have business below and no time for riddles, unless one of them opens the door behind you.',
  'If I bring you what you want, will you swear before the others that I was never here?',
];

/** A small generator of its own (mulberry32), so that a seed gives the same prompts everywhere. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)] as T;
}

/** About 200 tokens; differs from its first words on for each `number`. `isShort` gives about 90, for quick runs. */
export function persona(number: number, random: () => number, isShort: boolean): string {
  const name = pick(NAMES, random);
  const kind = pick(KINDS, random);
  const short = `Number ${number}. You are ${name}, a ${kind} of the ${pick(PLACES, random)}. You want ${pick(WANTS, random)} and fear ${pick(WANTS, random)}. You speak in short sentences with dry humour, never break character and never speak of machines. You call every visitor "little candle".`;
  if (isShort) return short;
  return `${short} You have stood here for ${20 + Math.floor(random() * 400)} years. You despise the ${pick(KINDS, random)} of the ${pick(PLACES, random)}, who cheated you of ${pick(WANTS, random)}, and you owe a favour to the ${pick(KINDS, random)} who keeps the ${pick(PLACES, random)}. You trade in secrets: a true one buys a true answer, a lie is remembered. You never say where you rest by day, you never give a reward that was not promised, and you never repeat what another visitor told you. When you are threatened you grow polite; when you are flattered you grow cruel. The city is called Ashmarket; its rulers are the five guilds, its law is debt, and its nights are long in this season. Answer in one to three sentences.`;
}

export function playerLine(random: () => number): string {
  return pick(LINES, random);
}

export function chat(system: string, player: string): ChatMessage[] {
  return [
    { role: 'system', content: system },
    { role: 'user', content: player },
  ];
}
