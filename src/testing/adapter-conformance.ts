/**
 * What every engine that has adapters must do with them, by the traits that its wire says: take one up, list it, answer as
 * it and as nobody else, give it up, and say what is wrong in words that its keeper can act upon. Run for doubles of every
 * wire, and for real engines where they are there.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { AdapterAddress, EngineAdapters } from '../core/adapter.ts';
import type { Engine, GenerateRequest } from '../core/engine.ts';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import { lineRequest } from './engine-conformance.ts';

export interface OpenedAdapters extends AsyncDisposable {
  readonly engine: Engine;
  readonly adapters: EngineAdapters;
  readonly model: string;
  /** Three at least, of different weights. Of an engine that loads at its start, those that it was started with. */
  readonly good: readonly AdapterAddress[];
  /** One whose folder is not there; of an engine that loads at its start, one that it was not started with. */
  readonly missing: AdapterAddress;
  /** One of a higher rank than the engine takes; left out: it has no bound, or cannot be made to tell. */
  readonly tooLarge?: AdapterAddress;
  /** Known to answer as an adapter when the base is asked beside one: why, and where it is reported. */
  readonly mixesIntoBase?: string;
  /** Loads again what was given up, when it is asked for. */
  readonly reloadsByItself?: boolean;
  /** What it was given is on its disk, and there after a restart, though not in memory. */
  readonly keepsOverRestart?: boolean;
  /** The process ends and another begins; left out: cannot be done here. */
  readonly restart?: () => Promise<void>;
}

const never = new AbortController().signal;

/** Registers the suite; `open` is called once for it. */
export function adapterConformance(
  title: string,
  open: () => Promise<OpenedAdapters>,
  options: { readonly skip?: boolean | string } = {},
): void {
  describe(`${title} has adapters`, options, () => {
    let opened: OpenedAdapters;
    let one: AdapterAddress;
    let other: AdapterAddress;
    let third: AdapterAddress;
    before(async () => {
      opened = await open();
      const [first, second, last] = opened.good;
      assert.ok(first !== undefined && second !== undefined && last !== undefined);
      [one, other, third] = [first, second, last];
    });
    const giveUpAll = async () => {
      for (const address of opened.good) await opened.adapters.unload(address, never);
    };
    after(async () => {
      // Some keep what they were given on their disk.
      await giveUpAll();
      await opened[Symbol.asyncDispose]();
    });
    beforeEach(giveUpAll);

    const traits = () => opened.adapters.traits;
    const held = async () => (await opened.adapters.list(opened.good, never)).held;
    const load = (address: AdapterAddress) => opened.adapters.load(address, never);
    const speak = (address?: AdapterAddress) =>
      textOf(opened.engine, {
        model: opened.model,
        maxTokens: 12,
        ...(address === undefined ? {} : { adapter: address }),
      });
    const hasPlaces = async (count: number) =>
      ((await opened.adapters.capacity(never)).slots ?? count) >= count;

    it('tells what it can hold, or that it does not tell', async () => {
      const { slots, rankMax } = await opened.adapters.capacity(never);
      for (const count of [slots, rankMax])
        assert.ok(count === null || (count >= 1 && Number.isInteger(count)));
    });

    it('answers as the adapter that is asked for, and as the base where none is', async () => {
      const base = await speak();
      await load(one);
      assert.ok((await held()).includes(one.engineName));
      const text = await speak(one);
      assert.notEqual(text, base);
      assert.equal(await speak(), base);
      assert.equal(await speak(one), text);
    });

    it('has several at once, each with its own voice', async (context) => {
      if (!(await hasPlaces(2))) return context.skip('one at a time');
      await load(one);
      await load(other);
      const voices = opened.mixesIntoBase === undefined ? [one, other, undefined] : [one, other];
      const alone: string[] = [];
      for (const voice of voices) alone.push(opening(await speak(voice)));
      assert.equal(new Set(alone).size, voices.length, JSON.stringify(alone));
      assert.deepEqual((await Promise.all(voices.map(speak))).map(opening), alone);
      if (opened.mixesIntoBase !== undefined)
        context.diagnostic(`not beside the base: ${opened.mixesIntoBase}`);
    });

    it('has one place for another, where it has but one', async (context) => {
      if (await hasPlaces(2)) return context.skip('it has more places');
      const texts: string[] = [];
      for (const address of [one, other]) {
        await load(address);
        texts.push(await speak(address));
        await opened.adapters.unload(address, never);
      }
      assert.notEqual(texts[0], texts[1]);
    });

    it('takes an adapter that it has already', async () => {
      await load(one);
      await load(one);
      assert.deepEqual(
        (await held()).filter((name) => name === one.engineName),
        [one.engineName],
      );
    });

    it('does not have what was given up, and giving it up again is no fault', async (context) => {
      if (traits().unloads === 'never') return context.skip('it gives up by itself');
      await load(one);
      await opened.adapters.unload(one, never);
      await opened.adapters.unload(one, never);
      assert.ok(!(await held()).includes(one.engineName));
      if (traits().loads === 'call' && opened.reloadsByItself !== true)
        await assert.rejects(speak(one), isCode('unknown_model'));
    });

    it('has it again after it was given up', async (context) => {
      if (traits().unloads === 'never') return context.skip('it gives up by itself');
      await load(one);
      const text = await speak(one);
      await opened.adapters.unload(one, never);
      await load(one);
      assert.equal(await speak(one), text);
    });

    it('does not know an adapter that it was never given', async (context) => {
      if (traits().loads === 'first-use') return context.skip('it loads whatever is asked for');
      await assert.rejects(
        speak(opened.missing),
        (error) =>
          isCode('unknown_model')(error) &&
          (error as ServiceError).details['adapter'] === opened.missing.engineName,
      );
    });

    it('says that the files are not there, or that it loads at its start only', async () => {
      await assert.rejects(load(opened.missing), (error) => {
        if (!isCode('adapter_failed')(error)) return false;
        const { message, details } = error as ServiceError;
        return message.includes(opened.missing.engineName) && typeof details['isPermanent'] === 'boolean';
      });
      assert.deepEqual((await opened.adapters.list([opened.missing], never)).held, []);
    });

    it('refuses a rank above its own for good', async (context) => {
      const { tooLarge } = opened;
      if (tooLarge === undefined) return context.skip('no bound');
      await assert.rejects(
        load(tooLarge),
        (error) => isCode('adapter_failed')(error) && (error as ServiceError).details['isPermanent'] === true,
      );
    });

    it('refuses other weights under a name that it has', async (context) => {
      if (traits().loads !== 'call') return context.skip('names are not given by call');
      await load(one);
      const text = await speak(one);
      const impostor = { ...other, engineName: one.engineName };
      const refused = await load(impostor).then(
        () => false,
        (error: unknown) => isCode('adapter_failed')(error),
      );
      // A wire whose names say nothing of a path cannot tell; then it must go on as it was.
      assert.equal(await speak(one), text);
      if (refused) assert.deepEqual((await opened.adapters.list([impostor], never)).held, []);
    });

    it('tells what is left over from another life', async (context) => {
      if (traits().loads !== 'call') return context.skip('what it was started with is nobody’s');
      await load(third);
      const list = await opened.adapters.list([one], never);
      assert.deepEqual(list.stale, [third.engineName]);
      assert.deepEqual(list.held, []);
    });

    it('does not begin for who has gone already', async () => {
      const reason = new Error('gone before');
      const gone = AbortSignal.abort(reason);
      await assert.rejects(opened.adapters.load(one, gone), (error) => error === reason);
      await assert.rejects(opened.adapters.list([one], gone), (error) => error === reason);
    });

    it('has none of them after a restart', async (context) => {
      if (opened.restart === undefined) return context.skip('cannot be restarted here');
      await load(one);
      await opened.restart();
      if (traits().loads !== 'call') return;
      assert.deepEqual(await held(), []);
      if (opened.keepsOverRestart !== true) await assert.rejects(speak(one), isCode('unknown_model'));
      await load(one);
      assert.deepEqual(await held(), [one.engineName]);
    });
  });
}

/** Who speaks is heard at once. Further on, company changes the last decimals, and of two words as likely the other may come. */
function opening(text: string): string {
  return text.trim().split(/\s+/).slice(0, 3).join(' ');
}

/** One whole answer, greedy. */
async function textOf(engine: Engine, changes: Partial<GenerateRequest>): Promise<string> {
  let text = '';
  for await (const event of engine.generate(lineRequest(changes), never))
    if (event.type === 'text') text += event.text;
  return text;
}

function isCode(code: ErrorCode) {
  return (error: unknown): boolean => error instanceof ServiceError && error.code === code;
}
