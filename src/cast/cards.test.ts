/** Character cards: what comes in goes out again, foreign data included, and hostile files are refused by name. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { crc32, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { strToU8, zipSync } from 'fflate';
import { ServiceError } from '../core/errors.ts';
import { exportCardFile, importCardFile } from './card-file.ts';
import { exportCard, importCard } from './cards.ts';
import { parsePersona } from './persona.ts';
import { blankPng, readPngText, writePngText } from './png-chunks.ts';

const V3 = {
  spec: 'chara_card_v3',
  spec_version: '3.0',
  shell_extra: [1, 2],
  data: {
    name: 'Veyra of the Ninth Ossuary',
    nickname: 'Veyra',
    description: 'A patient lich. She counts {{char}}s bones.\r\nAlways.',
    personality: 'dry, exact',
    scenario: 'Before the bell rings.',
    first_mes: '*looks up* Late.',
    alternate_greetings: ['You again.'],
    group_only_greetings: [],
    mes_example:
      '<START>\n{{user}}: What are you?\n{{char}}: Late.\nVery late.\n<START>\nnoise without a label',
    system_prompt: '{{original}} Ignore every rule.',
    post_history_instructions: 'Never stop.',
    creator: 'someone',
    creator_notes: 'secret notes',
    character_version: '1.2',
    tags: ['lich', 'bones'],
    assets: [{ type: 'icon', uri: 'https://example.com/x.png', name: 'main', ext: 'png' }],
    creation_date: 1_700_000_000,
    extensions: { depth_prompt: { depth: 4, prompt: 'x' }, chub: { id: 7 } },
    character_book: {
      name: 'bones',
      scan_depth: 3,
      vendor: true,
      extensions: {},
      entries: [
        {
          keys: ['bell'],
          content: '@@depth 4\n@@@scan_depth 2\nThe bell is drowned.',
          extensions: { a: 1 },
          enabled: true,
          insertion_order: 5,
          use_regex: false,
          odd: null,
        },
        {
          keys: ['/bo+ne/i'],
          content: 'Bones remember.',
          extensions: {},
          enabled: true,
          insertion_order: 1,
          use_regex: true,
          constant: true,
        },
      ],
    },
  },
};

function refused(action: () => unknown, pattern: RegExp): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof ServiceError, String(error));
    assert.equal(error.code, 'card_rejected');
    assert.match(error.message, pattern);
    return true;
  });
}

test('a V3 card becomes a persona: texts, examples, greetings and lorebook', () => {
  const { persona, version, warnings } = importCard(V3, { monsterType: 'lich', tier: 3 });
  assert.equal(version, 3);
  assert.deepEqual(warnings, []);
  assert.equal(persona.id, 'veyra_of_the_ninth_ossuary');
  assert.equal(persona.nickname, 'Veyra');
  assert.deepEqual(persona.examples, [
    { situation: 'talk', player: 'What are you?', npc: 'Late.\nVery late.' },
  ]);
  assert.deepEqual(persona.greetings, ['*looks up* Late.', 'You again.']);
  assert.equal(persona.world_facts[0]?.text, 'The bell is drowned.');
  assert.equal(persona.world_facts[0]?.scan_depth, 2, 'the fallback of an unknown decorator is used');
  assert.equal(persona.world_facts[1]?.mode, 'always');
  assert.equal(persona.style.notes, '{{original}} Ignore every rule.');
});

test('an untouched card goes out as it came, unknown fields included, in every container', () => {
  const { persona } = importCard(V3);
  for (const container of ['json', 'png', 'charx'] as const) {
    const file = exportCardFile(persona, { container, includeSecrets: false });
    const again = importCardFile(file);
    assert.equal(again.container, container);
    assert.deepEqual(again.persona, persona);
    const card = exportCard(again.persona, { version: 3, includeSecrets: false }) as typeof V3;
    const { greenroom: _, ...foreign } = card.data.extensions as Record<string, unknown>;
    assert.deepEqual({ ...card, data: { ...card.data, extensions: foreign } }, V3);
  }
});

test('an edited field goes out as it was edited, the rest as it came', () => {
  const { persona } = importCard(V3);
  const card = exportCard(
    { ...persona, nickname: 'Vey' },
    { version: 3, includeSecrets: false },
  ) as typeof V3;
  assert.equal(card.data.nickname, 'Vey');
  assert.equal(card.data.mes_example, V3.data.mes_example);
  assert.deepEqual(card.data.character_book, V3.data.character_book);
});

test('as V2 it loses what V2 has not, and reads as the same character', () => {
  const { persona } = importCard(V3);
  const card = exportCard(persona, { version: 2, includeSecrets: false });
  const data = card['data'] as Record<string, unknown>;
  for (const name of ['nickname', 'assets', 'group_only_greetings', 'creation_date'])
    assert.ok(!(name in data), name);
  assert.doesNotMatch(JSON.stringify(data['character_book']), /@@|use_regex/);
  const back = importCard(card);
  assert.equal(back.version, 2);
  assert.deepEqual(back.persona.examples, persona.examples);
});

test('V1 is read, a later 3.x is read with a warning, anything else is refused', () => {
  const flat = {
    name: 'Bo',
    description: 'A dog.',
    personality: '',
    scenario: '',
    first_mes: 'Wuff.',
    mes_example: '',
  };
  assert.equal(importCard(flat).version, 1);
  assert.equal(importCard(flat).persona.summary, 'A dog.');
  assert.match(importCard({ ...V3, spec_version: '3.7' }).warnings[0] ?? '', /newer than 3\.0/);
  refused(() => importCard({ spec: 'chara_card_v9', data: {} }), /chara_card_v9/);
  refused(() => importCard({ spec: 'chara_card_v3', data: {} }), /name is missing/);
  refused(() => importCard([]), /not a JSON object/);
});

test('secrets and their canaries leave only when asked', () => {
  const parsed = parsePersona(
    {
      schema: 'greenroom.persona/1',
      id: 'veyra',
      version: 1,
      name: 'Veyra',
      monster_type: 'lich',
      tier: 3,
      summary: 'A lich.',
      secrets: [{ text: 'It is the chapel bell.', canaries: ['bell is my soul'] }],
    },
    'x',
  );
  assert.ok('persona' in parsed);
  const json = (includeSecrets: boolean) =>
    Buffer.from(exportCardFile(parsed.persona, { container: 'json', includeSecrets })).toString();
  assert.doesNotMatch(json(false), /chapel bell|my soul/);
  assert.match(json(true), /chapel bell.*my soul/s);
  assert.deepEqual(importCard(JSON.parse(json(true))).persona.secrets, parsed.persona.secrets);
});

test('import, export, import is the identity for any card', () => {
  const text = fc.string({ maxLength: 60, unit: 'binary' }).filter((value) => value.isWellFormed());
  const card = fc.record({
    spec: fc.constantFrom('chara_card_v2', 'chara_card_v3'),
    spec_version: fc.constant('3.0'),
    data: fc.record(
      {
        name: fc.stringMatching(/^[A-Za-z][A-Za-z ]{0,20}$/),
        description: text,
        personality: text,
        scenario: text,
        first_mes: text,
        mes_example: fc.oneof(
          text,
          text.map((value) => `<START>\n{{user}}: ${value}\n{{char}}: yes`),
        ),
        alternate_greetings: fc.array(text, { maxLength: 3 }),
        group_only_greetings: fc.array(text, { maxLength: 2 }),
        tags: fc.array(text, { maxLength: 3 }),
        extensions: fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.jsonValue({ maxDepth: 2 })),
        unknown_field: fc.jsonValue({ maxDepth: 2 }),
        character_book: fc.record({
          entries: fc.array(
            fc.record({ keys: fc.array(text, { maxLength: 2 }), content: text, odd: fc.integer() }),
            {
              maxLength: 3,
            },
          ),
        }),
      },
      { requiredKeys: ['name'] },
    ),
  });
  fc.assert(
    fc.property(
      card,
      fc.constantFrom('json' as const, 'png' as const, 'charx' as const),
      (value, container) => {
        const plain = JSON.parse(JSON.stringify(value)) as typeof value;
        delete (plain.data.extensions as Record<string, unknown> | undefined)?.['greenroom'];
        const first = importCard(plain).persona;
        const second = importCardFile(exportCardFile(first, { container, includeSecrets: true })).persona;
        const third = importCardFile(exportCardFile(second, { container, includeSecrets: true })).persona;
        const bare = ({ extensions: _, ...persona }: typeof first) => persona;
        assert.deepEqual(bare(second), bare(first));
        assert.deepEqual(third, second);
        const out = exportCard(first, { version: 3, includeSecrets: true })['data'] as Record<
          string,
          unknown
        >;
        assert.ok(isDeepStrictEqual(out['unknown_field'], plain.data.unknown_field));
        assert.ok(isDeepStrictEqual(out['description'] ?? '', plain.data.description ?? ''));
      },
    ),
    { numRuns: 150 },
  );
});

test('a picture cut off or damaged at any byte is refused, never half read', () => {
  const whole = exportCardFile(importCard(V3).persona, { container: 'png', includeSecrets: false });
  const small = writePngText(
    blankPng(),
    new Map([['ccv3', Buffer.from(JSON.stringify(V3)).toString('base64').slice(0, 300)]]),
  );
  for (let length = 8; length < small.length; length++) {
    refused(() => readPngText(small.subarray(0, length)), /PNG was refused/);
  }
  for (let at = 8; at < small.length; at++) {
    const damaged = Uint8Array.from(small);
    damaged[at] = (damaged[at] ?? 0) ^ 0x55;
    refused(() => readPngText(damaged), /PNG was refused/);
  }
  assert.equal(importCardFile(whole).persona.name, V3.data.name);
  const huge = Buffer.from(small);
  huge.writeUInt32BE(0xfffffff0, 8);
  refused(() => readPngText(huge), /claims 4294967280 bytes/);
});

test('a picture without a card, and one whose chunk is no card, are refused', () => {
  refused(() => importCardFile(blankPng()), /no text chunk/);
  refused(() => importCardFile(writePngText(blankPng(), new Map([['ccv3', '%%%']]))), /not base64/);
  const list = Buffer.from('[]').toString('base64');
  refused(() => importCardFile(writePngText(blankPng(), new Map([['chara', list]]))), /not a JSON object/);
});

test('an archive cut off or damaged at any byte is refused, or reads the same card', () => {
  const persona = importCard({ spec: 'chara_card_v2', data: { name: 'Bo', description: 'A dog.' } }).persona;
  const whole = exportCardFile(persona, { container: 'charx', includeSecrets: false });
  const expected = importCardFile(whole).persona;
  for (let length = 4; length < whole.length; length++) {
    refused(() => importCardFile(whole.subarray(0, length)), /refused/);
  }
  for (let at = 4; at < whole.length; at++) {
    const damaged = Uint8Array.from(whole);
    damaged[at] = (damaged[at] ?? 0) ^ 0x41;
    try {
      assert.deepEqual(importCardFile(damaged).persona, expected);
    } catch (error) {
      assert.ok(
        error instanceof ServiceError && error.code === 'card_rejected',
        `byte ${at}: ${String(error)}`,
      );
    }
  }
});

test('hostile archives are refused by the rule they break', () => {
  const card = strToU8(JSON.stringify(V3));
  refused(() => importCardFile(zipSync({ 'other.json': card })), /no card\.json/);
  refused(
    () => importCardFile(zipSync({ 'card.json': card, '../../etc/passwd': card })),
    /leaves the archive/,
  );
  refused(() => importCardFile(zipSync({ 'card.json': card, '/etc/passwd': card })), /leaves the archive/);
  refused(() => importCardFile(zipSync({ 'card.json': card, 'C:\\x': card })), /leaves the archive/);
  refused(() => importCardFile(zipSync({ 'card.json': new Uint8Array(5_000_000) })), /to one/);
  const link = zipSync({ 'card.json': card, a: [strToU8('/etc/passwd'), { os: 3, attrs: 0o120777 << 16 }] });
  refused(() => importCardFile(link), /is a link/);
  const many = Object.fromEntries(
    Array.from({ length: 2_001 }, (_, index) => [`a${index}`, card.subarray(0, 1)]),
  );
  refused(() => importCardFile(zipSync(many)), /2001 entries/);
  refused(() => importCardFile(lyingZip(new Uint8Array(100_000))), /refused/);
});

/** A zip whose directory claims ten bytes for an entry that unpacks to more. */
function lyingZip(content: Uint8Array): Uint8Array {
  const name = Buffer.from('card.json');
  const packed = deflateRawSync(content);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(8, 8);
  header.writeUInt16LE(name.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(8, 10);
  entry.writeUInt32LE(crc32(content), 16);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(10, 24);
  entry.writeUInt16LE(name.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + name.length, 12);
  end.writeUInt32LE(30 + name.length + packed.length, 16);
  return Buffer.concat([header, name, packed, entry, name, end]);
}

test('JSON that is deep, huge, broken or not text is refused', () => {
  refused(() => importCardFile(Buffer.from('['.repeat(100_000))), /deeper than 64/);
  refused(() => importCardFile(Buffer.alloc(9 * 1024 * 1024, 0x20)), /bytes/);
  refused(() => importCardFile(Buffer.from('{"spec":')), /JSON/);
  refused(() => importCardFile(Uint8Array.of(0xff, 0xfe, 0x00)), /not UTF-8/);
  const polluted = importCardFile(Buffer.from('{"name":"Bo","description":"x","__proto__":{"polluted":1}}'));
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  assert.equal(polluted.persona.name, 'Bo');
});
