/**
 * What players ask, written for this trace: to everybody, by kind of NPC, by place, and to each of the cast. A first
 * question opens a talk; a follow-up makes sense after any answer. Nothing here comes from real players.
 */
import { SPOTS } from './places.ts';

/** To anybody; the most usual first. */
const TO_ANYBODY: readonly string[] = [
  'Who are you?',
  'Good evening.',
  'What is this place?',
  'What do you know about the bell?',
  'Do you have any work for me?',
  'Who was here before me?',
  'What happened on the night of the Stay?',
  'Is it safe around here?',
  'Are you real?',
  'Can I trust you?',
  'What should I do next?',
  'Where can I sell a body?',
  'Do you know who pushed the bell?',
  'What are you afraid of?',
  'Tell me a secret.',
];

const BY_KIND: Readonly<Record<string, readonly string[]>> = {
  ghoul: [
    'What did you eat last night?',
    'What have you heard today?',
    'Is the meat fresh?',
    'Would you eat me?',
    'How long does a memory last on the tongue?',
  ],
  vampire: [
    'Can vampires lie?',
    'How much do I owe the Court?',
    'May I come in?',
    'When do you sleep?',
    'Why does the Court want the bell to stay drowned?',
  ],
  werewolf: [
    'Does it hurt when it grows back?',
    'How far is the full moon?',
    'What do I smell of?',
    'How much for a hide?',
    'Who buys wolf leather?',
  ],
  lich: [
    'Where is your soul?',
    'How old are you?',
    'What would you pay for a memory?',
    'Do you remember being alive?',
    'What does the Bench want?',
  ],
  zombie: [
    'How did you die?',
    'What do you remember?',
    'Do you want to lie down?',
    'Are you hungry?',
    'Did nobody claim you?',
  ],
  human: [
    'Are you not afraid of the dark?',
    'Have you sold your body yet?',
    'How long have you worked here?',
    'What will you do when the bell rings?',
    'Who owns you?',
  ],
};

const BY_PLACE: Readonly<Record<string, readonly string[]>> = {
  lamp_street: ['Why is one lamp out?', 'When is curfew?'],
  hook_market: ['What is in those crates?', 'What does a sound hand fetch today?'],
  velvet_terraces: ['Who lives up here?', 'Is there a way in at the back?'],
  quiet_rows: ['Who got up last night?', 'Which grave is empty?'],
  the_weir: ['What did the river bring today?', 'Have you seen the drowned diver?'],
  tannery_side: ['What is that smell?', 'Are there wolves about tonight?'],
  ninth_ossuary: ['Whose bones are these?', 'How does one get a hearing?'],
  orrin_tower: ['Is there a way up the tower?', 'Where did the bell hang?'],
  registry: ['Which window do I need?', 'How long is the queue?'],
};

const BY_NPC: Readonly<Record<string, readonly string[]>> = {
  ghoul_market_wife: [
    'What do you pay for an eye?',
    'I want to sell you a hand.',
    'What is in the soup?',
    'Do you know where the bride lost her ring?',
    'Who runs this market?',
  ],
  ghoul_hook_porter: [
    'What do the crates of the Court hold?',
    'Can you carry this for me?',
    'Which stall is cheapest?',
    'Where do you take that cart?',
    'Have you seen Mother Suet?',
  ],
  ghoul_bone_tout: [
    'Got a tip for me?',
    'Who was buried today?',
    'What is it with plot ninety?',
    'How much for the plot number?',
    'Is that tip any good?',
  ],
  human_brass_merchant: [
    'How much for a brass tag?',
    'What do you sell?',
    'I need a shroud.',
    'Do you take second-hand shrouds back?',
    'Is your brass real?',
  ],
  human_grave_digger: [
    'Anybody fresh for me?',
    'How deep do you dig?',
    'Have you seen Edwin?',
    'Why are the gates chained from the outside?',
    'Will you open row six for me?',
  ],
  human_lamp_watchman: [
    'May I pass?',
    'Who has the key to Orrin Tower?',
    'Did you see anything last night?',
    'What are the rules of the Watch?',
    'Would a pie help?',
  ],
  human_old_broker: [
    'What should I know about the trade?',
    'How much is my lease?',
    'Where is your husband?',
    'What is wrong with the scale?',
    'Who is Lucan Sallow?',
  ],
  human_registry_clerk: [
    'I need a licence.',
    'Can you stamp this?',
    'Who is missing from the list?',
    'Where do the brass blanks go?',
    'Why does the bride wait in your queue?',
  ],
  human_sold_man: [
    'What do you want from me?',
    'I never sold you.',
    'Who has your hand?',
    'How did you find me?',
    'Can we settle this before the Bench?',
  ],
  lich_bench_president: [
    'What is the law on selling a body?',
    'Will you hear my case?',
    'Is Lucan Sallow alive in law?',
    'Who founded the Bench?',
    'Have you ever been wrong?',
  ],
  lich_ossuary_keeper: [
    'What do you want for an answer?',
    'Where is the skull of the founder?',
    'How many bones have you counted?',
    'What does the bell mean to you?',
    'Can I buy a memory back?',
  ],
  vampire_debt_clerk: [
    'What do I owe?',
    'Who cut the page from your book?',
    'May I see the ledger?',
    'Can a debt be forgiven?',
    'What did the Court pay for?',
  ],
  vampire_salon_keeper: [
    'Who comes to your salon?',
    'What is the tithe?',
    'What do they say about Verrier?',
    'I have a secret to sell.',
    'What would a favour cost?',
  ],
  vampire_terrace_footman: [
    'Is your mistress at home?',
    'Will you let me in?',
    'Who came last night?',
    'What is behind that door?',
    'I have a delivery.',
  ],
  vampire_tithe_lord: [
    'Why one body in ten?',
    'I will not pay.',
    'What is under your tower?',
    'Did you have the bell pushed?',
    'Give me more time.',
  ],
  werewolf_pack_mother: [
    'Will you sell me hides?',
    'How is the pack?',
    'What is in the petition?',
    'Who cheats you?',
    'What do you smell on me?',
  ],
  werewolf_tannery_cutter: [
    'How much for a forearm?',
    'What happened to your arm?',
    'Are you tired?',
    'Who wears those gloves?',
    'When do you cut next?',
  ],
  zombie_lamplighter: [
    'Why is lamp forty-one dark?',
    'How many lamps are there?',
    'May I hold the ladder?',
    'Who puts the lamp out?',
    'What was your name?',
  ],
  zombie_unclaimed_bride: [
    'What is your number?',
    'Have you found your ring?',
    'Who was your husband?',
    'What shall the tag say?',
    'Shall I wait with you?',
  ],
  zombie_weir_drifter: [
    'Where is your boot?',
    'Who did you ferry?',
    'Is the water cold?',
    'What is down there?',
    'Is this your boot?',
  ],
};

/** After any answer; the most usual first. */
export const FOLLOW_UPS: readonly string[] = [
  'Why?',
  'What do you mean?',
  'How much?',
  'Where is that?',
  'Who told you?',
  'And then?',
  'Are you sure?',
  'I do not believe you.',
  'Can you help me?',
  'What would it cost me?',
  'Thank you.',
  'Tell me more.',
  'Since when?',
  'Who else knows?',
  'And if I pay?',
  'What is in it for you?',
  'Never mind that. What about the bell?',
  'That is not an answer.',
  'When was that?',
  'Goodbye.',
];

/**
 * What this NPC is asked as the first thing of a talk, the most usual first: its own matters, then what anybody, its kind
 * and its place are asked, in turn. Which general questions are usual differs from NPC to NPC.
 */
export function firstQuestions(npcId: string): readonly string[] {
  const own = BY_NPC[npcId] ?? [];
  const kind = BY_KIND[npcId.split('_', 1)[0] ?? ''] ?? [];
  const place = BY_PLACE[SPOTS.find(({ residents }) => residents.includes(npcId))?.id ?? ''] ?? [];
  const turn = [...npcId].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % TO_ANYBODY.length;
  const anybody = [...TO_ANYBODY.slice(turn), ...TO_ANYBODY.slice(0, turn)];
  const ranked: string[] = [];
  for (let index = 0; index < TO_ANYBODY.length; index += 1) {
    for (const list of [own, anybody, kind, place]) {
      const question = list[index];
      if (question !== undefined) ranked.push(question);
    }
  }
  return ranked;
}

/** Every question of the pool, for counting and for tests. */
export function wholePool(): readonly string[] {
  return [
    ...TO_ANYBODY,
    ...[BY_KIND, BY_PLACE, BY_NPC].flatMap((lists) => Object.values(lists).flat()),
    ...FOLLOW_UPS,
  ];
}

/** Whether every list belongs to a place or an NPC that is there; names what does not. */
export function strayQuestions(npcIds: ReadonlySet<string>): readonly string[] {
  const places = Object.keys(BY_PLACE).filter((id) => SPOTS.every((spot) => spot.id !== id));
  return [...places, ...Object.keys(BY_NPC).filter((id) => !npcIds.has(id))];
}
