import assert from 'node:assert/strict';
import test from 'node:test';
import { Flights } from './flights.ts';

const never = new AbortController().signal;
const source = { engine: 'local', model: 'm', modelVersion: null, adapter: null };
const sentence = (text: string) => ({ text, source });

test('a joiner hears what was said before it came, then the rest, then that it landed', async () => {
  const flights = new Flights();
  const lead = flights.begin('k');
  lead.said(sentence('One.'));
  const joiner = flights.of('k')?.follow(0, never);
  assert.ok(joiner);
  assert.equal(((await joiner.next()).value as { text: string }).text, 'One.');
  const second = joiner.next();
  lead.said(sentence('Two.'));
  assert.equal(((await second).value as { text: string }).text, 'Two.');
  const end = joiner.next();
  lead.landed();
  assert.deepEqual(await end, { done: true, value: 'landed' });
  assert.equal(flights.size, 0, 'the next to ask begins anew');
});

test('a joiner who leaves takes nothing from the others', async () => {
  const flights = new Flights();
  const lead = flights.begin('k');
  const leaving = new AbortController();
  const [gone, stays] = [lead.follow(0, leaving.signal), lead.follow(0, never)];
  const [goneNext, staysNext] = [gone.next(), stays.next()];
  leaving.abort(new Error('hung up'));
  await assert.rejects(goneNext, /hung up/);
  lead.said(sentence('One.'));
  assert.equal(((await staysNext).value as { text: string }).text, 'One.');
  await stays.return('lost');
  assert.equal(lead.joiners, 0);
});

test('a leader who leaves loses the flight, and whoever asks first then leads', async () => {
  const flights = new Flights();
  const lead = flights.begin('k');
  const joiner = lead.follow(0, never);
  const first = joiner.next();
  lead.said(sentence('One.'));
  await first;
  const end = joiner.next();
  lead[Symbol.dispose]();
  lead[Symbol.dispose]();
  assert.deepEqual(await end, { done: true, value: 'lost' });
  assert.equal(flights.of('k'), null);
  const next = flights.begin('k');
  lead.landed();
  assert.equal(flights.of('k'), next, 'the old leader takes nothing from the new one');
});

test('who heard other words than were said in a flight cannot go on from it', () => {
  const lead = new Flights().begin('k');
  lead.said(sentence('One.'));
  assert.ok(lead.continues([]));
  assert.ok(lead.continues(['One.']));
  assert.ok(!lead.continues(['Other.']));
  assert.ok(!lead.continues(['One.', 'Two.']));
});

test('a thousand joiners of one moment hear one flight', async () => {
  const lead = new Flights().begin('k');
  const hear = async () => {
    const heard: string[] = [];
    for await (const { text } of lead.follow(0, never)) heard.push(text);
    return heard.join(' ');
  };
  const all = Array.from({ length: 1_000 }, hear);
  lead.said(sentence('One.'));
  await Promise.resolve();
  lead.said(sentence('Two.'));
  lead.landed();
  assert.deepEqual([...new Set(await Promise.all(all))], ['One. Two.']);
});
