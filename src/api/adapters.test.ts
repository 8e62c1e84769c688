/** The operator's door of adapters, through a real server, store and registry; engines are played. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { decodeSse } from '../lib/sse.ts';
import {
  type AdapterService,
  type AdapterServiceOptions,
  adapterService,
} from '../testing/adapter-service.ts';
import { type DoorHarness, doorHarness, type HarnessOptions } from '../testing/door-harness.ts';
import {
  adapterPageSchema,
  adapterSchema,
  operationSchema,
  operationsSchema,
  replicasSchema,
  type WireOperation,
} from './adapters-wire.ts';

const ROOT = '/admin/v1/adapters';

interface Opened extends AsyncDisposable {
  readonly door: DoorHarness;
  readonly service: AdapterService;
  /** The operation that a request began, when it has ended. */
  ended(response: Response): Promise<WireOperation>;
  add(id: string, seed: number): Promise<WireOperation>;
  remove(id: string): Promise<Response>;
}

async function open(played: AdapterServiceOptions = {}, options: HarnessOptions = {}): Promise<Opened> {
  const made: AdapterService[] = [];
  const adapters: NonNullable<Parameters<typeof doorHarness>[0]>['adapters'] = (store) => {
    made.push(adapterService(store, played));
    return made[0]?.admin;
  };
  const door = await doorHarness({ adapters }, options);
  const [service] = made;
  assert.ok(service);
  const ended = async (response: Response) => {
    assert.equal(response.status, 202, await response.clone().text());
    const { id } = operationSchema.parse(await response.json());
    const address = `/admin/v1/adapter-operations/${id}`;
    assert.equal(response.headers.get('location'), address);
    const events = await (await door.get(address, { accept: 'text/event-stream' })).text();
    assert.match(events, /event: done\ndata: .*\n\n$/);
    return operationSchema.parse(await (await door.get(address)).json());
  };
  return {
    ...{ door, service, ended },
    add: async (id, seed) => {
      const source = await service.write(`${id}-${seed}`, seed);
      const [name, version] = id.split('@');
      return await ended(await door.post(ROOT, { source, name, version, licence: 'CC0-1.0' }));
    },
    remove: (id) => fetch(`${door.url}${ROOT}/${id}`, { method: 'DELETE' }),
    [Symbol.asyncDispose]: async () => {
      await service[Symbol.asyncDispose]();
      await door[Symbol.asyncDispose]();
    },
  };
}

const problem = async (response: Response) =>
  (await response.json()) as { readonly code: string; readonly detail: string };

test('an adapter is added, listed, shown, published, swapped, pinned, unloaded and removed', async () => {
  await using at = await open();
  const { door } = at;
  const added = await at.add('lich@7', 1);
  assert.deepEqual([added.kind, added.adapter, added.outcome], ['add', 'lich@7', 'succeeded']);
  assert.match(added.detail, /^lich@7 is registered: rank 4, .* MB, for tiny-llama$/);
  const again = await at.add('lich@8', 1);
  assert.match(again.detail, /the same bytes are registered as lich@7$/);
  const { data, next } = adapterPageSchema.parse(await (await door.get(`${ROOT}?name=lich`)).json());
  assert.deepEqual([data.map(({ id }) => id), next], [['lich@7', 'lich@8'], null]);
  assert.deepEqual(
    [data[0]?.record.target_modules, data[0]?.record.added_by, data[0]?.is_published],
    [['q_proj', 'v_proj'], 'local', false],
  );

  const published = await at.ended(await door.post(`${ROOT}/lich@7/publish`, { pin: true }));
  assert.equal(published.detail, 'lich@7 is published as lich@stable, resident on gpu-1');
  const show = async (id: string) => adapterSchema.parse(await (await door.get(`${ROOT}/${id}`)).json());
  const lich = await show('lich');
  assert.deepEqual([lich.id, lich.tags, lich.is_pinned], ['lich@7', ['stable'], true]);
  assert.deepEqual([lich.replicas[0]?.engine, lich.replicas[0]?.stage], ['gpu-1', 'resident']);
  assert.match(lich.replicas[0]?.engine_name ?? '', /^lich@7-[0-9a-f]{8}$/);

  const swapped = await at.ended(await door.post(`${ROOT}/lich@8/swap`, {}));
  assert.match(swapped.detail, /^lich@8 speaks from now on as lich@stable/);
  assert.equal((await show('lich@stable')).id, 'lich@8');
  const unpinned = await door.post(`${ROOT}/lich@7/unpin`, {});
  assert.equal(adapterSchema.parse(await unpinned.json()).is_pinned, false);

  const busy = await at.ended(await door.post(`${ROOT}/lich@8/unload`, {}));
  assert.deepEqual([busy.outcome, busy.failure?.code, busy.stage], ['failed', 'adapter_busy', 'failed']);
  assert.equal((await at.remove('lich@8')).status, 409);
  for (const [id, body] of [
    ['lich@7', {}],
    ['lich@8', { force: true }],
  ] as const)
    assert.equal((await at.ended(await door.post(`${ROOT}/${id}/unload`, body))).outcome, 'succeeded');
  assert.equal((await at.ended(await door.post(`${ROOT}/lich@8/verify`, {}))).outcome, 'succeeded');
  for (const id of ['lich@7', 'lich@8']) assert.equal((await at.remove(id)).status, 204);
  assert.equal((await at.remove('lich@7')).status, 404);
  const operations = operationsSchema.parse(await (await door.get('/admin/v1/adapter-operations')).json());
  assert.deepEqual([operations.data[0]?.kind, operations.data.at(-1)?.kind], ['verify', 'add']);
});

test('long work goes on when its caller hangs up, and one name is worked on once', async () => {
  const gate = Promise.withResolvers<void>();
  await using at = await open({ during: () => gate.promise });
  const { door } = at;
  await at.add('lich@7', 1);
  // Without a body, as a person with curl would.
  const started = await fetch(`${door.url}${ROOT}/lich@7/publish`, { method: 'POST' });
  const { id } = operationSchema.parse(await started.json());
  const address = `/admin/v1/adapter-operations/${id}`;
  const leave = new AbortController();
  const watching = await fetch(door.url + address, {
    headers: { accept: 'text/event-stream' },
    signal: leave.signal,
  });
  const [first] = await Array.fromAsync(until(watching, 1));
  assert.equal(first?.event, 'progress');
  assert.deepEqual((JSON.parse(first?.data ?? '') as WireOperation).percent, 50);
  leave.abort();
  for (const verb of ['swap', 'verify', 'unload', 'pin', 'publish'])
    assert.equal((await problem(await door.post(`${ROOT}/lich@7/${verb}`, {}))).code, 'adapter_busy');
  assert.equal((await at.remove('lich@7')).status, 409);
  gate.resolve();
  const text = await (await door.get(address, { accept: 'text/event-stream' })).text();
  assert.match(text, /event: done\ndata: .*"outcome":"succeeded"/);
});

test('what fails says why, and other bytes under one name are refused', async () => {
  await using at = await open({ during: () => Promise.reject(new TypeError('x is not a function')) });
  const { door } = at;
  await at.add('lich@7', 1);
  const conflict = await at.add('lich@7', 2);
  assert.deepEqual([conflict.outcome, conflict.failure?.code], ['failed', 'adapter_conflict']);
  const broken = await at.ended(await door.post(`${ROOT}/lich@7/publish`, {}));
  assert.equal(broken.failure?.code, 'internal');
  assert.doesNotMatch(JSON.stringify(broken), /not a function/);
});

test('bad requests are refused with what is wrong', async () => {
  await using at = await open();
  const { door } = at;
  const good = { source: '/adapters/lich', name: 'lich', version: '7' };
  for (const [body, detail] of [
    [{ ...good, name: 'Lich' }, /"Lich" is no name of an adapter/],
    [{ ...good, version: 'stable' }, /"stable" is no version/],
    [{ ...good, source: 'lich' }, /write \.\/lich/],
    [{ ...good, sha256: 'abc' }, /64 hexadecimal/],
    [{ ...good, notes: 'x'.repeat(4_001) }, /notes/],
    [{ name: 'lich', version: '7' }, /source/],
    [{ ...good, password: 'x' }, /password is not a field/],
  ] as const) {
    const response = await door.post(ROOT, body);
    assert.equal(response.status, 400);
    assert.match((await problem(response)).detail, detail);
  }
  const statuses: unknown[] = [];
  for (const path of [
    `${ROOT}?limit=0`,
    `${ROOT}?after=x`,
    `${ROOT}?nme=x`,
    `${ROOT}/Lich`,
    `${ROOT}/lich@7@8`,
    `${ROOT}/lich@7`,
    `${ROOT}/lich`,
    '/admin/v1/adapter-operations/aop_1',
  ])
    statuses.push((await door.get(path)).status);
  assert.deepEqual(statuses, [400, 400, 400, 400, 400, 404, 404, 404]);
  const nobody = await door.post(`${ROOT}/lich@9/publish`, {});
  assert.deepEqual([nobody.status, (await problem(nobody)).code], [404, 'unknown_adapter']);
  assert.equal((await door.post(`${ROOT}/lich@9/publish`, { tag: 'beta' })).status, 400);
  assert.equal((await door.post(`${ROOT}/lich@9/pin`, { x: 1 })).status, 400);
  const absent = await door.get('/admin/v1/adapter-operations/aop_1', { accept: 'text/event-stream' });
  assert.equal(absent.status, 404);
});

test('a file that is not there fails the operation, with the path that the gateway looked at', async () => {
  await using at = await open();
  const response = await at.door.post(ROOT, { source: './nothing', name: 'lich', version: '7' });
  const { failure } = await at.ended(response);
  assert.match(failure?.message ?? '', new RegExp(`${at.service.home}/nothing`));
});

test('who watches the replicas is told of each change as a whole, and silence is broken', async () => {
  await using at = await open({}, { limits: { heartbeatMs: 20 } });
  const { door } = at;
  const now = replicasSchema.parse(await (await door.get('/admin/v1/adapter-replicas')).json());
  assert.deepEqual([now.data[0]?.engine, now.data[0]?.adapters], ['gpu-1', []]);
  const leave = new AbortController();
  const watching = await fetch(`${door.url}/admin/v1/adapter-replicas`, {
    headers: { accept: 'text/event-stream' },
    signal: leave.signal,
  });
  let raw = '';
  const decoder = new TextDecoder();
  const body = watching.body ?? assert.fail();
  const heard: number[] = [];
  for await (const chunk of body) {
    raw += decoder.decode(chunk, { stream: true });
    const told = [...raw.matchAll(/event: replicas\ndata: (.*)\n\n/g)].map(
      ([, data]) => replicasSchema.parse(JSON.parse(data ?? '')).data[0]?.adapters.length ?? -1,
    );
    if (told.length === 1 && heard.length === 0) {
      heard.push(...told);
      await at.add('lich@7', 1);
      await at.ended(await door.post(`${ROOT}/lich@7/publish`, {}));
    }
    if (told.length === 2 && raw.includes(': heartbeat')) {
      assert.deepEqual(told, [0, 1]);
      break;
    }
  }
  leave.abort();
});

test('a stream without end ends with the service', async () => {
  await using at = await open();
  const watching = await at.door.get('/admin/v1/adapter-replicas', { accept: 'text/event-stream' });
  const events = until(watching, Number.POSITIVE_INFINITY);
  await events.next();
  at.door.services.drain.abort(new Error('draining'));
  const rest = await Array.fromAsync(events);
  assert.equal(rest.at(-1)?.event, 'error');
});

test('only operators see and change adapters, and a gateway without them says so', async () => {
  await using at = await open({}, { authRequired: true });
  const { token: game } = await at.door.store.keys.create({ label: 'shard', scopes: ['game'] });
  const { token: operator } = await at.door.store.keys.create({ label: 'ops', scopes: ['operator'] });
  const paths = [ROOT, `${ROOT}/lich@7`, '/admin/v1/adapter-operations', '/admin/v1/adapter-replicas'];
  for (const path of paths) {
    assert.equal((await at.door.get(path)).status, 401);
    assert.equal((await at.door.get(path, { authorization: `Bearer ${game}` })).status, 403);
  }
  const headers = { authorization: `Bearer ${operator}` };
  assert.equal((await at.door.get(ROOT, headers)).status, 200);
  const source = await at.service.write('lich', 1);
  const started = await at.door.post(ROOT, { source, name: 'lich', version: '7' }, headers);
  const address = started.headers.get('location') ?? '';
  await (await at.door.get(address, { ...headers, accept: 'text/event-stream' })).text();
  assert.equal((await at.door.store.adapters.get('lich', '7'))?.addedBy, 'ops');
  await using none = await doorHarness();
  assert.equal((await none.get(ROOT)).status, 404);
});

test('a registry of many pages is read to its end', async () => {
  await using at = await open();
  await at.add('lich@1', 1);
  const record = await at.door.store.adapters.get('lich', '1');
  assert.ok(record);
  for (let version = 2; version <= 250; version += 1)
    await at.door.store.adapters.add({
      ...record,
      version: String(version),
      addedAtMs: record.addedAtMs + version,
    });
  const ids: string[] = [];
  for (let after = ''; ; ) {
    const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
    const page = adapterPageSchema.parse(await (await at.door.get(`${ROOT}?limit=100${query}`)).json());
    ids.push(...page.data.map(({ id }) => id));
    if (page.next === null) break;
    after = page.next;
  }
  assert.equal(new Set(ids).size, 250);
  assert.equal(ids.at(-1), 'lich@250');
  assert.equal(await at.service.admin.count(), 250);
});

async function* until(response: Response, count: number) {
  let seen = 0;
  if (response.body === null) return;
  for await (const event of decodeSse(response.body, { maxEventBytes: 1_000_000 })) {
    yield event;
    seen += 1;
    if (seen >= count) return;
  }
}
