/** The designer's door of learned lines, through a real server, store and pool. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { z } from 'zod';
import { parseLinesCsv } from '../cast/written-lines.ts';
import { type DoorHarness, doorHarness, type HarnessOptions } from '../testing/door-harness.ts';
import { aSmallCast, hearing, learningOver } from '../testing/line-learning.ts';
import { candidatesSchema, fileSchema, learnedListSchema, learnedSchema } from './learned-lines-wire.ts';

const ROOT = '/admin/v1/lines';
const WINE = 'Sit down, the wine will not drink itself.';
const STAIR = 'Mind the third stair, it remembers people.';

async function open(options: HarnessOptions = {}) {
  const cast = aSmallCast();
  const made: ReturnType<typeof learningOver>[] = [];
  const lines = (store: Parameters<typeof learningOver>[0]) => {
    made.push(learningOver(store, cast));
    return made[0];
  };
  const door = await doorHarness({ lines }, options);
  const [learning] = made;
  assert.ok(learning);
  hearing(learning, WINE, 8);
  hearing(learning, STAIR, 6, { npcId: 'vey', occasion: 'answer', place: 'crypt' });
  return { door, cast, [Symbol.asyncDispose]: () => door[Symbol.asyncDispose]() };
}

async function offer(door: DoorHarness, query = ''): Promise<z.output<typeof candidatesSchema>> {
  const reply = await door.get(`${ROOT}/candidates${query}`);
  assert.equal(reply.status, 200, await reply.clone().text());
  return candidatesSchema.parse(await reply.json());
}

async function idOf(door: DoorHarness, text: string): Promise<string> {
  const id = (await offer(door)).data.find((one) => one.text === text)?.id;
  assert.ok(id);
  return id;
}

async function refused(reply: Response, status: number, code: string): Promise<string> {
  const body = (await reply.json()) as { code: string; detail: string };
  assert.equal(reply.status, status, body.detail);
  assert.equal(body.code, code);
  return body.detail;
}

test('candidates come with their counts, where they were heard, and what may be chosen', async () => {
  await using house = await open();
  const { data, known, thresholds, choices } = await offer(house.door);
  assert.deepEqual(
    data.map(({ text, speaker, trigger, heard, players, places }) => [
      text,
      speaker,
      trigger,
      heard,
      players,
      places,
    ]),
    [
      [WINE, 'ilse', 'greet', 16, 8, { salon: 16 }],
      [STAIR, 'vey', null, 12, 6, { crypt: 12 }],
    ],
  );
  assert.equal(known, 2);
  assert.deepEqual(thresholds, { heard_min: 10, players_min: 5, interrupted_share_max: 0.2 });
  assert.deepEqual(choices.speakers.slice(0, 3), ['ilse', 'vey', 'vampire']);
  assert.ok(choices.triggers.includes('fallback:timeout'));
  assert.deepEqual((await offer(house.door, '?speaker=vey')).data.length, 1);
  assert.deepEqual((await offer(house.door, '?limit=1')).data.length, 1);
});

test('a line is approved, listed with who and when, exported, and retired', async () => {
  await using house = await open();
  const { door, cast } = house;
  const id = await idOf(door, STAIR);
  const reply = await door.post(`${ROOT}/candidates/${id}/approve`, {
    by: 'Mara',
    trigger: 'idle',
    when: ['health<30'],
    text: 'Mind the "third" stair,\n it remembers people.',
  });
  assert.equal(reply.status, 201);
  const line = learnedSchema.parse(await reply.json());
  assert.equal(line.id, 'vey.idle.learned-001');
  assert.equal(line.approved_by, 'Mara');
  assert.ok(cast.lines.served.some((served) => served.id === line.id));
  const list = learnedListSchema.parse(await (await door.get(`${ROOT}/learned`)).json());
  assert.deepEqual(list.data, [line]);

  const csv = await door.get(`${ROOT}/export`);
  assert.equal(csv.headers.get('content-type'), 'text/csv; charset=utf-8');
  assert.equal(csv.headers.get('content-disposition'), 'attachment; filename="greenroom-lines-learned.csv"');
  assert.equal(csv.headers.get('x-line-count'), '1');
  const { lines, problems } = parseLinesCsv(await csv.text(), 'learned.csv');
  assert.deepEqual(problems, []);
  assert.equal(lines[0]?.text, 'Mind the "third" stair, it remembers people.');
  assert.equal(lines[0]?.source, 'generated_approved');
  const yarn = await (await door.get(`${ROOT}/export?format=yarn&scope=all`)).text();
  assert.match(yarn, /^title: vampire_greet\n---\n/);
  assert.match(yarn, /<<if \$health < 30>> #line:vey\.idle\.learned-001/);
  const asJson = await door.get(`${ROOT}/export?format=unreal&locale=en&as=json`);
  const unreal = fileSchema.parse(await asJson.json());
  assert.equal(unreal.file_name, 'greenroom-lines-learned-en-unreal.csv');
  assert.match(unreal.text, /"vey\.idle\.learned-001","Mind the ""third"" stair/);
  const other = fileSchema.parse(await (await door.get(`${ROOT}/export?locale=de&as=json`)).json());
  assert.equal(other.count, 0);

  const retired = await door.post(`${ROOT}/learned/${line.id}/retire`, { by: 'Ivo' });
  assert.equal(learnedSchema.parse(await retired.json()).retired_by, 'Ivo');
  assert.ok(!cast.lines.served.some((served) => served.id === line.id));
});

test('of two designers the second is told who was first', async () => {
  await using house = await open();
  const { door } = house;
  const path = `${ROOT}/candidates/${await idOf(door, WINE)}`;
  const replies = await Promise.all(
    ['Mara', 'Ivo', 'Lena'].map((by) => door.post(`${path}/${by === 'Ivo' ? 'reject' : 'approve'}`, { by })),
  );
  const won = replies.filter(({ status }) => status < 300);
  assert.equal(won.length, 1);
  for (const reply of replies.filter(({ status }) => status >= 300))
    assert.match(await refused(reply, 409, 'line_decided'), /^(Mara|Ivo|Lena) (approved|rejected) this line/);
  assert.deepEqual(
    (await offer(door)).data.map(({ text }) => text),
    [STAIR],
  );
});

test('bad input is refused with what to change, and nothing is decided', async () => {
  await using house = await open();
  const { door } = house;
  const id = await idOf(door, WINE);
  const approve = (body: unknown) => door.post(`${ROOT}/candidates/${id}/approve`, body);
  assert.match(await refused(await approve({}), 400, 'bad_request'), /^by is empty/);
  assert.match(
    await refused(await approve({ by: 'M', trigger: 'dance' }), 400, 'bad_request'),
    /trigger is "dance"/,
  );
  assert.match(
    await refused(await approve({ by: 'M', text: 'We have nine keys.' }), 400, 'bad_request'),
    /says "nine keys", which guards a secret of vey/,
  );
  for (const body of [
    { by: 'M', text: '' },
    { by: 'M', text: 7 },
    { by: 'M', when: 'health<3' },
    { by: 'M', locale: 'not a locale' },
    { by: 'M', locale: 'de;DROP' },
    { by: 'M', approved_by: 'God' },
    { by: 'x'.repeat(121) },
    [],
  ])
    await refused(await approve(body), 400, 'bad_request');
  await refused(await approve('{"by":'), 400, 'malformed_json');
  await refused(await door.post(`${ROOT}/candidates/none/approve`, { by: 'M' }), 404, 'unknown_line');
  await refused(await door.post(`${ROOT}/candidates/none/reject`, { by: 'M' }), 404, 'unknown_line');
  await refused(
    await door.post(`${ROOT}/learned/vampire.greet.001/retire`, { by: 'M' }),
    404,
    'unknown_line',
  );
  for (const query of ['?limit=0', '?limit=many', '?speker=x'])
    await refused(await door.get(`${ROOT}/candidates${query}`), 400, 'bad_request');
  for (const query of ['?format=ink', '?scope=some'])
    await refused(await door.get(`${ROOT}/export${query}`), 400, 'bad_request');
  assert.equal((await offer(door)).data.length, 2);
  assert.deepEqual(await door.store.learnedLines.decisions(), []);
});

test("with keys the key's label decides, whatever is typed, and a game's key may not", async () => {
  await using house = await open({ authRequired: true });
  const { door } = house;
  const operator = await door.store.keys.create({ label: 'narrative team', scopes: ['operator'] });
  const game = await door.store.keys.create({ label: 'game', scopes: ['game'] });
  const as = (token: string) => ({ authorization: `Bearer ${token}` });
  await refused(await door.get(`${ROOT}/candidates`, as(game.token)), 403, 'forbidden');
  await refused(await door.get(`${ROOT}/export`), 401, 'unauthorized');
  const { data } = candidatesSchema.parse(
    await (await door.get(`${ROOT}/candidates`, as(operator.token))).json(),
  );
  const [first, second] = data;
  const path = (id: string | undefined, verb: string) => `${ROOT}/candidates/${id ?? ''}/${verb}`;
  const approved = await door.post(path(first?.id, 'approve'), { by: 'Mallory' }, as(operator.token));
  assert.equal(learnedSchema.parse(await approved.json()).approved_by, 'narrative team');
  const rejected = await door.post(path(second?.id, 'reject'), {}, as(operator.token));
  assert.equal(((await rejected.json()) as { rejected_by: string }).rejected_by, 'narrative team');
});

test('a process that learns no lines says so', async () => {
  await using door = await doorHarness();
  await refused(await door.get(`${ROOT}/candidates`), 404, 'not_found');
});
