import assert from 'node:assert/strict';
import test from 'node:test';
import { pngOf } from '../testing/png.ts';
import { shortWorkHarness } from '../testing/short-work-harness.ts';

const CLASSIFY = {
  model: 'classify',
  input: { name: 'IMAGE', form: 'file-uint8' },
  labels: ['day', 'night', 'fire'],
  top: 2,
};

test('an image is answered with its best labels, by file or by base64, by the version that was asked for', async () => {
  await using harness = await shortWorkHarness({ vision: { light: CLASSIFY } });
  const image = Buffer.of(1, 2, 3);
  const send = (body: string | Buffer, headers: Record<string, string>) =>
    fetch(`${harness.door.url}/v1/vision/light`, { method: 'POST', body: body as never, headers });
  const byFile = await send(image, { 'content-type': 'image/jpeg' });
  assert.equal(byFile.status, 200);
  const { timing, ...told } = (await byFile.json()) as Record<string, unknown>;
  assert.equal(typeof (timing as { total_ms: number }).total_ms, 'number');
  assert.deepEqual(told, {
    task: 'light',
    model: 'classify',
    model_version: '3',
    labels: [
      { label: 'night', score: 4 },
      { label: 'day', score: 0 },
    ],
  });
  for (const text of [image.toString('base64'), `data:image/png;base64,${image.toString('base64')}`]) {
    const byJson = await harness.door.post('/v1/vision/light', { image: text }, { 'x-model-version': '1' });
    const reply = (await byJson.json()) as { model_version: string; labels: { score: number }[] };
    assert.equal(reply.model_version, '1');
    assert.equal(reply.labels[0]?.score, 2);
  }
});

test('without labels the tensors are answered as they are', async () => {
  await using harness = await shortWorkHarness({
    vision: { raw: { model: 'classify', input: { name: 'IMAGE', form: 'file-uint8' } } },
  });
  const reply = await harness.door.post('/v1/vision/raw', { image: 'Ag==' });
  const { outputs } = (await reply.json()) as { outputs: unknown };
  assert.deepEqual(outputs, [{ name: 'SCORES', datatype: 'FP32', shape: [1, 3], data: [0, 0, 4] }]);
});

test('a PNG is given to the model as pixels where it wants pixels', async () => {
  await using harness = await shortWorkHarness({
    vision: { pixels: { model: 'echo', input: { name: 'IN_UINT8', form: 'pixels', isBatched: false } } },
  });
  const png = pngOf({ width: 2, height: 1, rgb: Uint8Array.of(1, 2, 3, 4, 5, 6) });
  const reply = await harness.door.post('/v1/vision/pixels', { image: png.toString('base64') });
  const { outputs } = (await reply.json()) as { outputs: { shape: number[]; data: number[] }[] };
  assert.deepEqual(outputs[0]?.shape, [1, 2, 3]);
  assert.deepEqual(outputs[0]?.data, [1, 2, 3, 4, 5, 6]);
  const jpeg = await harness.door.post('/v1/vision/pixels', { image: '/9j/4A==' });
  assert.equal(jpeg.status, 400);
  assert.match(((await jpeg.json()) as { detail: string }).detail, /no PNG/);
});

test('an unknown task or version is answered with what exists; a body that is no image is refused', async () => {
  await using harness = await shortWorkHarness({ vision: { light: CLASSIFY } });
  const ask = async (path: string, body: unknown, headers = {}) => {
    const reply = await harness.door.post(path, body, headers);
    const { code, detail } = (await reply.json()) as { code: string; detail: string };
    return `${reply.status} ${code} ${detail}`;
  };
  const image = { image: 'AQ==' };
  assert.match(await ask('/v1/vision/nothing', image), /^404 unknown_model .*there is light/);
  assert.match(
    await ask('/v1/vision/light', image, { 'x-model-version': '7' }),
    /^404 unknown_model .*there is 1, 3/,
  );
  assert.match(await ask('/v1/vision/light', { image: '***' }), /^400 bad_request image is no base64/);
  assert.match(await ask('/v1/vision/light', {}), /^400 bad_request/);
  assert.match(await ask('/v1/vision/light', '{'), /^400 malformed_json/);
  assert.match(await ask('/v1/vision/light', ''), /^400 bad_request the body is empty/);
  assert.match(
    await ask('/v1/vision/light', image, { 'x-model-version': 'x'.repeat(101) }),
    /^400 bad_request/,
  );
});

test('labels that do not fit the scores are told to the operator, not shown to the player', async () => {
  await using harness = await shortWorkHarness({ vision: { light: { ...CLASSIFY, labels: ['only one'] } } });
  const reply = await harness.door.post('/v1/vision/light', { image: 'AQ==' });
  assert.equal(reply.status, 502);
  assert.match(((await reply.json()) as { detail: string }).detail, /3 scores in SCORES for 1 labels/);
});

test('an image over the limit is refused', async () => {
  await using harness = await shortWorkHarness({ vision: { light: CLASSIFY } });
  const reply = await fetch(`${harness.door.url}/v1/vision/light`, {
    method: 'POST',
    headers: { 'content-type': 'image/png' },
    body: Buffer.alloc(8_000_001),
  }).catch(() => null);
  // The server may close while the body is still on its way.
  if (reply !== null) assert.equal(reply.status, 413);
});
