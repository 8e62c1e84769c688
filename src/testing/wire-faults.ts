/**
 * What every driver must survive on its own wire, tried on bytes: pieces of any size, cuts at any byte, an error after
 * words, giants, garbage, a page of HTML. Registered once a driver with a good answer of its wire.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { z } from 'zod';
import type { GenerateEvent } from '../core/engine.ts';
import { type ErrorCode, ServiceError } from '../core/errors.ts';
import type { Transport, WireRequest, WireResponse } from '../core/transport.ts';
import type { DriverDefinition } from '../engines/driver.ts';
import { lineRequest } from './engine-conformance.ts';

export interface WireSample {
  readonly contentType: string;
  /** A whole good answer, with characters of several bytes in it. */
  readonly answer: string;
  readonly text: string;
  /** Frames that say something and end nothing. */
  readonly words: string;
  /** A frame by which the engine tells of a failure after a 200, and what it means. */
  readonly failure: string;
  readonly failureCode: ErrorCode;
  /** Begins a frame that never ends. */
  readonly frameStart: string;
  /** False where the end of the body is the end of the answer. */
  readonly saysItsEnd: boolean;
}

/** A transport that gives one reply in these pieces; `sent` is what it was asked. */
export function replying(
  pieces: readonly (string | Uint8Array)[] | AsyncIterable<Uint8Array>,
  reply: Partial<Pick<WireResponse, 'status' | 'headers'>> = {},
): { readonly sent: WireRequest[]; readonly transport: Transport } {
  const sent: WireRequest[] = [];
  async function* body() {
    for await (const piece of pieces) yield typeof piece === 'string' ? Buffer.from(piece) : piece;
  }
  return {
    sent,
    transport: {
      exchange: async (request) => {
        sent.push(request);
        return { status: 200, headers: {}, body: body(), ...reply };
      },
      [Symbol.asyncDispose]: async () => {},
    },
  };
}

/** All events of one answer over a transport. */
export async function answerOver<Schema extends z.ZodObject>(
  definition: DriverDefinition<Schema>,
  options: z.input<Schema>,
  transport: Transport,
  onEvent: (event: GenerateEvent) => void = () => {},
  changes: Parameters<typeof lineRequest>[0] = {},
): Promise<GenerateEvent[]> {
  const { engine } = definition.create({
    name: 'tested',
    model: 'm',
    options: definition.options.parse(options),
    transport: () => transport,
  });
  const events: GenerateEvent[] = [];
  for await (const event of engine.generate(lineRequest(changes), new AbortController().signal)) {
    onEvent(event);
    events.push(event);
  }
  return events;
}

export function wireFaults<Schema extends z.ZodObject>(
  definition: DriverDefinition<Schema>,
  options: z.input<Schema>,
  sample: WireSample,
): void {
  const headers = { 'content-type': sample.contentType };
  const answer = (pieces: readonly (string | Uint8Array)[] | AsyncIterable<Uint8Array>) =>
    answerOver(definition, options, replying(pieces, { headers }).transport);
  const fails = (pieces: Parameters<typeof answer>[0], code: ErrorCode = 'engine_error') =>
    assert.rejects(answer(pieces), (error) => {
      assert.ok(error instanceof ServiceError, String(error));
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.length < 1_500);
      return true;
    });
  const bytes = Buffer.from(sample.answer);

  describe(`the wire of ${definition.kind}`, () => {
    it('says the same wherever its bytes are cut', async () => {
      assert.equal(textOf(await answer([bytes])), sample.text);
      for (let cut = 0; cut <= bytes.length; cut += 1)
        assert.equal(textOf(await answer([bytes.subarray(0, cut), bytes.subarray(cut)])), sample.text);
      assert.equal(textOf(await answer([...bytes].map((byte) => Uint8Array.of(byte)))), sample.text);
    });

    it('is whole or a failure wherever it ends, never a shorter answer', async () => {
      let failures = 0;
      for (let end = 0; end < bytes.length; end += 1) {
        try {
          const events = await answer([bytes.subarray(0, end)]);
          assert.equal(events.at(-1)?.type, 'finish');
          if (sample.saysItsEnd) assert.equal(textOf(events), sample.text);
        } catch (error) {
          if (!(error instanceof ServiceError)) throw error;
          assert.equal(error.code, 'engine_error');
          failures += 1;
        }
      }
      assert.ok(!sample.saysItsEnd || failures > bytes.length / 2, `${failures} of ${bytes.length}`);
    });

    it('is a failure when the connection breaks', async () => {
      async function* broken() {
        yield Buffer.from(sample.words);
        throw new Error('reset by peer');
      }
      await fails(broken());
    });

    it('tells of a failure after words as what it is', () =>
      fails([sample.words, sample.failure], sample.failureCode));

    it('gives no frame of 10 MB, and stops reading long before', async () => {
      const state = { given: 0, returned: false };
      async function* giant() {
        try {
          yield Buffer.from(sample.frameStart);
          for (; state.given < 10_000; state.given += 1) yield Buffer.alloc(1_000, 'x');
        } finally {
          state.returned = true;
        }
      }
      await fails(giant());
      assert.ok(state.returned && state.given < 1_100, `${state.given} kB were read`);
    });

    for (const [what, garbage] of Object.entries(garbageOf(sample)))
      it(`takes ${what} for no answer`, () => fails([garbage]));

    it('takes a page of HTML with status 200 for no answer, and shows it', async () => {
      const { transport } = replying(['<html><h1>Sign in</h1></html>'], {
        headers: { 'content-type': 'text/html' },
      });
      await assert.rejects(answerOver(definition, options, transport), /text\/html.*Sign in/);
    });
  });
}

/** Frames that are no good, framed as the sample is. */
function garbageOf({ answer }: WireSample): Readonly<Record<string, string>> {
  const framed = (text: string) => (answer.startsWith('{') ? `${text}\n` : `data: ${text}\n\n`);
  return {
    'no JSON': framed('<h1>oops</h1>'),
    'a number': framed('17'),
    'a list': framed('[]'),
    null: framed('null'),
    'JSON that breaks off': framed('{"a":'),
  };
}

export function textOf(events: readonly GenerateEvent[]): string {
  return events.map((event) => (event.type === 'text' ? event.text : '')).join('');
}
