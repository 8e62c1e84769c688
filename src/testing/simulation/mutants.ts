/**
 * Deliberate bugs, each put between the real service and its simulated world: proof that the checkers can fail. Every rule
 * has at least one.
 */
import { Place } from '../../adapters/place.ts';
import { Verifier } from '../../adapters/verify.ts';
import type { Services } from '../../api/services.ts';
import type { DialogueEvent, DialogueRequest } from '../../core/dialogue.ts';
import type { Transport, WireRequest } from '../../core/transport.ts';
import { abortable } from '../../lib/abort.ts';
import { Flights } from '../../recall/flights.ts';
import { MemoryTier } from '../../recall/memory-tier.ts';
import { Admission } from '../../routing/admission.ts';
import type { Tampering } from './simulate.ts';

export interface Mutant {
  readonly what: string;
  /** The rule that must see it. */
  readonly rule: string;
  readonly tampering: () => Tampering;
}

type Events = AsyncGenerator<DialogueEvent>;
type Answer = (request: DialogueRequest, signal: AbortSignal) => AsyncIterable<DialogueEvent>;

/** The service with another walk; its own is handed in. */
function walk(change: (answer: Answer, services: Services) => Answer): () => Tampering {
  return () => ({
    services: (services) => ({
      ...services,
      answer: change((request, signal) => services.answer(request, signal), services),
    }),
  });
}

/** Each event through `change`, which may give several or none. */
function events(
  change: (event: DialogueEvent, request: DialogueRequest) => readonly DialogueEvent[],
): () => Tampering {
  return walk(
    (answer) =>
      async function* (request, signal): Events {
        for await (const event of answer(request, signal)) yield* change(event, request);
      },
  );
}

/** Every third request for words is treated so. */
function wire(
  change: (
    transport: Transport,
    request: WireRequest,
    signal: AbortSignal,
  ) => ReturnType<Transport['exchange']>,
): () => Tampering {
  return () => {
    let asked = 0;
    return {
      transport: (transport) => ({
        exchange: (request, signal) => {
          if (!/chat|messages/.test(request.path)) return transport.exchange(request, signal);
          asked += 1;
          return asked % 3 === 0 ? change(transport, request, signal) : transport.exchange(request, signal);
        },
        [Symbol.asyncDispose]: () => transport[Symbol.asyncDispose](),
      }),
    };
  };
}

const NEVER = new AbortController().signal;

export const MUTANTS: readonly Mutant[] = [
  {
    what: 'is done twice',
    rule: 'ends once',
    tampering: events((event) => (event.type === 'done' ? [event, event] : [event])),
  },
  {
    what: 'ends without done',
    rule: 'ends once',
    tampering: events((event) => (event.type === 'done' ? [] : [event])),
  },
  {
    what: 'never ends',
    rule: 'ends once',
    tampering: walk(
      (answer) =>
        async function* (request, signal): Events {
          for await (const event of answer(request, signal)) {
            if (event.type === 'done') await new Promise(() => {});
            yield event;
          }
        },
    ),
  },
  {
    what: 'lets an error of an engine reach the player',
    rule: 'answers all',
    tampering: walk(
      (answer) =>
        async function* (request, signal): Events {
          for await (const event of answer(request, signal)) {
            if (event.type === 'done' && event.outcome.source.cause === 'backend_error')
              throw new Error('the engine said 500');
            yield event;
          }
        },
    ),
  },
  {
    what: 'says nothing',
    rule: 'answers all',
    tampering: events((event) =>
      event.type === 'done'
        ? [{ ...event, outcome: { ...event.outcome, sentences: [] } }]
        : event.type === 'sentence'
          ? []
          : [event],
    ),
  },
  {
    what: 'answers one player with what another was told',
    rule: 'keeps players apart',
    tampering: () => {
      let heard = '';
      return events((event) => {
        if (event.type !== 'sentence') return [event];
        const text = heard === '' ? event.text : heard;
        heard = event.text;
        return [{ ...event, text }];
      })();
    },
  },
  {
    what: 'puts the words of another player into a prompt',
    rule: 'keeps players apart',
    tampering: () => {
      let before = '';
      return wire((transport, request, signal) => {
        const body = JSON.parse(String(request.body)) as { messages: { role: string; content: string }[] };
        const mixed = { ...body, messages: [{ role: 'system', content: before }, ...body.messages] };
        before = body.messages.at(-1)?.content ?? '';
        return transport.exchange({ ...request, body: JSON.stringify(mixed) }, signal);
      })();
    },
  },
  {
    what: 'tells the end before the last sentence',
    rule: 'keeps order',
    tampering: walk(
      (answer) =>
        async function* (request, signal): Events {
          let held: DialogueEvent | null = null;
          for await (const event of answer(request, signal)) {
            if (event.type === 'sentence' && held === null) held = event;
            else yield event;
          }
          if (held !== null) yield held;
        },
    ),
  },
  {
    what: 'forgets the deadline',
    rule: 'answers in time',
    tampering: walk(
      (answer, { clock }) =>
        async function* (request, signal): Events {
          for await (const event of answer(request, signal)) {
            if (event.type === 'done') await clock.sleep(16_000, signal);
            yield event;
          }
        },
    ),
  },
  {
    what: 'does not tell engines that the player has left',
    rule: 'frees engines',
    tampering: wire(async (transport, request) => {
      const reply = await transport.exchange(request, NEVER);
      // Whoever leaves the loop leaves only this one.
      const whole = collectBehind(reply.body);
      return { ...reply, body: whole };
    }),
  },
  {
    what: 'has a second layer that retries',
    rule: 'frees engines',
    tampering: wire(async (transport, request, signal) => {
      for (let again = 0; again < 16; again++) {
        const reply = await transport.exchange(request, signal);
        for await (const _bytes of reply.body) break;
      }
      return await transport.exchange(request, signal);
    }),
  },
  {
    what: 'loses a place at an engine now and then',
    rule: 'gives places back',
    tampering: () => ({
      around: () => {
        const { prototype } = Admission;
        const { acquire } = prototype;
        let given = 0;
        prototype.acquire = async function (this: Admission, ask, signal) {
          const place = await acquire.call(this, ask, signal);
          given += 1;
          return given % 5 === 0 ? { ...place, [Symbol.dispose]: () => {} } : place;
        };
        return {
          [Symbol.dispose]: () => {
            prototype.acquire = acquire;
          },
        };
      },
    }),
  },
  {
    what: 'tells every sink twice',
    rule: 'records once',
    tampering: () => ({
      turns: (record) => (turn) => {
        record(turn);
        record(turn);
      },
    }),
  },
  {
    what: 'claims to have kept what it has not',
    rule: 'remembers',
    tampering: events((event) =>
      event.type === 'done' && event.outcome.conversation !== undefined
        ? [
            {
              ...event,
              outcome: {
                ...event.outcome,
                conversation: { ...event.outcome.conversation, turn: 900, stored: true },
              },
            },
          ]
        : [event],
    ),
  },
  {
    what: 'counts tokens that nobody made',
    rule: 'accounts',
    tampering: () => ({
      turns: (record) => (turn) =>
        record(
          turn.outcome === null
            ? turn
            : {
                ...turn,
                outcome: {
                  ...turn.outcome,
                  usage: {
                    ...turn.outcome.usage,
                    completionTokens: turn.outcome.usage.completionTokens * 3 + 9,
                  },
                },
              },
        ),
    }),
  },
  {
    what: 'loses money between the call and the ledger',
    rule: 'keeps money',
    tampering: () => ({
      turns: (record) => (turn) =>
        record({
          ...turn,
          attempts: turn.attempts.map((each) => ({ ...each, costMicroUsd: each.costMicroUsd + 1 })),
        }),
    }),
  },
  {
    what: 'has an off switch that does nothing',
    rule: 'obeys the switch',
    tampering: () => ({
      services: (services) => ({
        ...services,
        spending: { switchOff: () => Promise.resolve(), status: () => services.spending.status() },
      }),
    }),
  },
  {
    what: 'gives an engine the credit for a written line',
    rule: 'tells its source',
    tampering: events((event) =>
      event.type === 'done' && event.outcome.source.kind === 'written'
        ? [
            {
              ...event,
              outcome: { ...event.outcome, source: { ...event.outcome.source, kind: 'engine' } },
            },
          ]
        : [event],
    ),
  },
  {
    what: 'lets everybody speak who saw it',
    rule: 'one event, one voice',
    tampering: walk(
      (answer) =>
        ({ event: _event, ...request }, signal) =>
          answer(request, signal),
    ),
  },
  {
    what: 'names somebody who was not there as the one who speaks',
    rule: 'one event, one voice',
    tampering: events((event) =>
      event.type === 'done' && event.outcome.unspoken !== undefined
        ? [
            {
              ...event,
              outcome: {
                ...event.outcome,
                unspoken: { ...event.outcome.unspoken, voice: { npcId: 'nobody', id: 'dlg_0' } },
              },
            },
          ]
        : [event],
    ),
  },
  {
    what: 'believes every engine that says it has loaded an adapter',
    rule: 'speaks as it says',
    tampering: () => ({
      around: () => {
        const { prototype } = Verifier;
        const { verify } = prototype;
        prototype.verify = () => Promise.resolve();
        return {
          [Symbol.dispose]: () => {
            prototype.verify = verify;
          },
        };
      },
    }),
  },
  {
    what: 'names the adapter that was asked for, whoever spoke',
    rule: 'speaks as it says',
    tampering: events((event) =>
      event.type === 'done' && event.outcome.source.adapterMissing !== undefined
        ? [
            {
              ...event,
              outcome: {
                ...event.outcome,
                source: { ...event.outcome.source, adapter: event.outcome.source.adapterMissing.adapter },
              },
            },
          ]
        : [event],
    ),
  },
  {
    what: 'forgets to give an adapter back now and then',
    rule: 'gives leases back',
    tampering: () => ({
      around: () => {
        const { prototype } = Place;
        const { lease } = prototype;
        let given = 0;
        prototype.lease = function (this: Place, adapter, on) {
          const own = lease.call(this, adapter, on);
          given += 1;
          return own === null || given % 3 > 0 ? own : { ...own, [Symbol.dispose]: () => {} };
        };
        return {
          [Symbol.dispose]: () => {
            prototype.lease = lease;
          },
        };
      },
    }),
  },
  {
    what: 'says again what the NPC said to whoever it was',
    rule: 'recalls truly',
    tampering: () => ({
      around: () => {
        const { prototype } = MemoryTier;
        const { get, keep } = prototype;
        const npcOf = (key: string) => key.slice(0, key.indexOf(':'));
        prototype.get = function (this: MemoryTier, key, nowMonoMs) {
          return get.call(this, npcOf(key), nowMonoMs);
        };
        prototype.keep = function (this: MemoryTier, key, ...rest) {
          keep.call(this, npcOf(key), ...rest);
        };
        return {
          [Symbol.dispose]: () => {
            Object.assign(prototype, { get, keep });
          },
        };
      },
    }),
  },
  {
    what: 'lets all who ask one NPC at once join one line',
    rule: 'keeps players apart',
    tampering: () => ({
      around: () => {
        const { prototype } = Flights;
        const { of, begin } = prototype;
        const npcOf = (key: string) => key.slice(0, key.indexOf(':'));
        prototype.of = function (this: Flights, key) {
          return of.call(this, npcOf(key));
        };
        prototype.begin = function (this: Flights, key) {
          return begin.call(this, npcOf(key));
        };
        return {
          [Symbol.dispose]: () => {
            Object.assign(prototype, { of, begin });
          },
        };
      },
    }),
  },
  {
    what: 'leaves a timer behind',
    rule: 'leaves nothing',
    tampering: walk(
      (answer, { clock }) =>
        async function* (request, signal): Events {
          clock.timer(3_600_000, () => {});
          yield* answer(request, signal);
        },
    ),
  },
  {
    what: 'leaves a listener on a signal of the process',
    rule: 'leaves no listener',
    tampering: walk(
      (answer, { draining }) =>
        async function* (request, signal): Events {
          draining.addEventListener('abort', () => void request.id);
          yield* answer(request, signal);
        },
    ),
  },
  {
    what: 'turns its back on an exchange and leaves it open',
    rule: 'leaves nothing',
    tampering: () => ({
      transport: (transport) => ({
        exchange: (request, signal) => abortable(transport.exchange(request, NEVER), signal),
        [Symbol.asyncDispose]: async () => {},
      }),
    }),
  },
  {
    what: 'lets a promise fail unheard',
    rule: 'hears every failure',
    tampering: events((event) => {
      if (event.type === 'done') void Promise.reject(new Error('nobody listens'));
      return [event];
    }),
  },
  {
    what: 'throws out of a timer',
    rule: 'never throws',
    tampering: walk(
      (answer, { clock }) =>
        async function* (request, signal): Events {
          clock.timer(5, () => {
            throw new Error('thrown at the loop');
          });
          yield* answer(request, signal);
        },
    ),
  },
];

/** Reads to the end whatever the reader does. */
function collectBehind(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const arrived: Uint8Array[] = [];
  let isOver = false;
  let wake = () => {};
  const reading = (async () => {
    for await (const bytes of body) {
      arrived.push(bytes);
      wake();
    }
  })()
    .catch(() => {})
    .finally(() => {
      isOver = true;
      wake();
    });
  void reading;
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const bytes = arrived.shift();
        if (bytes !== undefined) yield bytes;
        else if (isOver) return;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    },
  };
}
