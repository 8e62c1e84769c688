import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import test, { type TestContext } from 'node:test';
import { bucketConformance } from '../../testing/bucket-conformance.ts';
import { type Answer, refuseWith } from '../../testing/file-server.ts';
import { ManualClock } from '../../testing/manual-clock.ts';
import { CONFIG, emptyFolder, failure, fetchOptions, idle, WEIGHTS } from '../../testing/raw-adapter.ts';
import { type S3Server, startS3Server } from '../../testing/s3-server.ts';
import { parseSource } from './address.ts';
import { fetchAdapter } from './fetch.ts';

bucketConformance('the double of an object store', async () => {
  const s3 = await startS3Server();
  return {
    port: Number(new URL(s3.url).port),
    environment: environmentOf(s3),
    checksKeys: true,
    put: async (bucket, key, bytes) => {
      const objects = s3.buckets.get(bucket) ?? new Map<string, Uint8Array>();
      s3.buckets.set(bucket, objects.set(key, bytes));
    },
    [Symbol.asyncDispose]: () => s3[Symbol.asyncDispose](),
  };
});

function environmentOf(s3: S3Server): Record<string, string> {
  return {
    AWS_REGION: s3.region,
    AWS_ACCESS_KEY_ID: s3.accessKeyId,
    AWS_SECRET_ACCESS_KEY: s3.secretAccessKey,
  };
}

async function crypt(context: TestContext): Promise<S3Server> {
  const s3 = await startS3Server();
  context.after(() => s3[Symbol.asyncDispose]());
  s3.buckets.set(
    'crypt',
    new Map([
      ['lich/adapter_config.json', CONFIG],
      ['lich/adapter_model.safetensors', WEIGHTS],
    ]),
  );
  return s3;
}

const lich = parseSource('s3://crypt/lich');

test('keys that may read and not list fetch what PEFT calls its files', async (context) => {
  const s3 = await crypt(context);
  s3.mayList = false;
  const into = await emptyFolder(context);
  const environment = { ...environmentOf(s3), AWS_ENDPOINT_URL: s3.url };
  const fetched = await fetchAdapter(lich, fetchOptions(into, { environment }), idle());
  assert.equal(fetched.format, 'peft');
  const error = await failure(
    fetchAdapter(parseSource('s3://crypt/ghoul'), fetchOptions(into, { environment }), idle()),
  );
  assert.equal(error.code, 'adapter_unavailable');
  assert.match(
    error.message,
    /may not read ghoul\/adapter_config\.json, or it is not there; they need s3:GetObject/,
  );
});

test('the endpoint of S3 alone wins over the one of all services, and the bucket stands in the path', async (context) => {
  const s3 = await crypt(context);
  const into = await emptyFolder(context);
  const environment = {
    ...environmentOf(s3),
    AWS_ENDPOINT_URL_S3: s3.url,
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
  };
  await fetchAdapter(lich, fetchOptions(into, { environment }), idle());
  for (const { target } of s3.server.seen) assert.match(target, /^\/crypt\//);
});

test('a store that asks for patience gets it, and a broken one is given up with its words', async (context) => {
  const s3 = await crypt(context);
  const environment = { ...environmentOf(s3), AWS_ENDPOINT_URL: s3.url };
  const waits: number[] = [];
  const clock = new ManualClock();
  clock.sleep = (durationMs) => {
    waits.push(durationMs);
    return Promise.resolve();
  };
  const slowDown: Answer = (_request, response) =>
    response
      .writeHead(503, { 'content-type': 'application/xml', 'retry-after': '3' })
      .end('<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>');
  s3.server.faults.push({ path: /^\/crypt\/$/, answer: slowDown });
  s3.server.faults.push({ path: /safetensors$/, answer: slowDown });
  const into = await emptyFolder(context);
  await fetchAdapter(lich, fetchOptions(into, { environment, clock }), idle());
  assert.deepEqual(waits, [3_000, 3_000]);
  for (let index = 0; index < 10; index++)
    s3.server.faults.push({ path: /safetensors$/, answer: refuseWith(500) });
  const error = await failure(
    fetchAdapter(lich, fetchOptions(await emptyFolder(context), { environment, clock }), idle()),
  );
  assert.equal(error.code, 'adapter_unavailable');
  assert.match(error.message, /adapter_model\.safetensors: the store answered 500/);
});

test('a store that says nothing, one that is not there and one with a bad address are told apart', async (context) => {
  const s3 = await crypt(context);
  const ask = async (more: Record<string, string>) =>
    failure(
      fetchAdapter(
        lich,
        fetchOptions(await emptyFolder(context), {
          environment: { ...environmentOf(s3), ...more },
          limits: { pauseMs: 1, silenceTimeoutMs: 50 },
        }),
        idle(),
      ),
    );
  s3.server.faults.push({ path: /./, answer: () => {} });
  const silent = await ask({ AWS_ENDPOINT_URL: s3.url });
  assert.match(silent.message, /nothing came for 0\.05 s/);
  const absent = await ask({ AWS_ENDPOINT_URL: 'http://127.0.0.1:1' });
  assert.equal(absent.code, 'adapter_unavailable');
  assert.match(absent.message, /refused \(ECONNREFUSED\)/);
  const bad = await ask({ AWS_ENDPOINT_URL: 'minio:9000' });
  assert.equal(bad.code, 'config_invalid');
  assert.match(bad.message, /"minio:9000" \(AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL\) is no web address/);
});

test('a listing with a hostile key, and one without end, are refused before a file is fetched', async (context) => {
  const s3 = await crypt(context);
  s3.buckets.get('crypt')?.set('lich/../../etc/x.gguf', WEIGHTS);
  const environment = { ...environmentOf(s3), AWS_ENDPOINT_URL: s3.url };
  const into = await emptyFolder(context);
  s3.server.faults.push({
    path: /^\/crypt\/$/,
    answer: (_request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/xml' })
        .end('<ListBucketResult><Contents><Key>lich/../x.gguf</Key></Contents></ListBucketResult>'),
  });
  const hostile = await failure(fetchAdapter(lich, fetchOptions(into, { environment }), idle()));
  assert.equal(hostile.code, 'adapter_invalid');
  assert.match(hostile.message, /"lich\/\.\.\/x\.gguf", which is refused/);
  for (let index = 0; index < 20; index++) s3.buckets.get('crypt')?.set(`lich/${index}`, CONFIG);
  const endless = await failure(
    fetchAdapter(lich, fetchOptions(into, { environment, limits: { listedFilesMax: 10 } }), idle()),
  );
  assert.match(endless.message, /more than 10 files/);
  assert.deepEqual(await readdir(into), []);
});

test('without keys anywhere the error says where to put them', async (context) => {
  const s3 = await crypt(context);
  // The library looks into the process's own environment; on this machine there is nothing for it to find.
  const hidden = {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere/credentials',
    AWS_CONFIG_FILE: '/nowhere/config',
  };
  const names = [
    'AWS_PROFILE',
    'AWS_ACCESS_KEY_ID',
    'AWS_SECRET_ACCESS_KEY',
    'AWS_REGION',
    'AWS_DEFAULT_REGION',
  ];
  for (const name of [...names, ...Object.keys(hidden)]) {
    const before = process.env[name];
    context.after(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
    delete process.env[name];
  }
  Object.assign(process.env, hidden);
  const into = await emptyFolder(context);
  const keys = await failure(
    fetchAdapter(lich, fetchOptions(into, { environment: { AWS_ENDPOINT_URL: s3.url } }), idle()),
  );
  assert.equal(keys.code, 'adapter_unavailable');
  assert.match(keys.message, /no credentials were found .*set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY/);
  const region = await failure(fetchAdapter(lich, fetchOptions(into), idle()));
  assert.equal(region.code, 'config_invalid');
  assert.match(region.message, /no region is set; set AWS_REGION/);
  assert.equal(s3.server.seen.length, 0);
});
