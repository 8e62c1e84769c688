/** One line of one player, spoken to the service through an in-memory door, and everything that came back. */
import { answerOnce } from '../../api/once.ts';
import type { Services } from '../../api/services.ts';
import type { DialogueEvent, DialogueRequest } from '../../core/dialogue.ts';
import { ServiceError } from '../../core/errors.ts';
import type { VirtualClock } from '../../planning/virtual-clock.ts';
import type { Trace } from './trace.ts';
import type { PlannedLine } from './traffic.ts';

export interface Heard {
  readonly line: PlannedLine;
  readonly request: DialogueRequest;
  readonly events: { readonly atMonoMs: number; readonly event: DialogueEvent }[];
  /** How the stream ended; `open`: it has not. */
  end: 'open' | 'closed' | 'failed';
  errorCode: string | null;
  errorMessage: string | null;
  endedMonoMs: number | null;
  hungUpMonoMs: number | null;
  /** How long the reader itself took (ms). */
  pausedMs: number;
}

export interface PlayerParts {
  readonly services: Services;
  readonly clock: VirtualClock;
  readonly trace: Trace;
}

/** Never rejects; `heard` fills while it runs. */
export async function speakTo(parts: PlayerParts, heard: Heard): Promise<void> {
  const { services, clock, trace } = parts;
  const { line, request } = heard;
  const who = `line ${line.number}`;
  const leave = new AbortController();
  trace.note(who, `${line.playerId ?? 'somebody'} to ${line.npcId}`, {
    id: request.id,
    marker: line.marker,
    trigger: line.trigger,
    deadlineMs: line.deadlineMs,
    key: line.idempotencyKey,
    ...(line.adapter === null ? {} : { adapter: line.adapter }),
    ...(line.event === null ? {} : { event: line.event }),
  });
  using _hangUp =
    line.hangUpAfterMs === null
      ? { [Symbol.dispose]: () => {} }
      : clock.timer(line.hangUpAfterMs, () => {
          heard.hungUpMonoMs = clock.monotonicMs();
          trace.note(who, 'hangs up');
          leave.abort(new ServiceError('client_closed', 'the client hung up'));
        });
  try {
    const events =
      line.idempotencyKey === null
        ? services.answer(request, leave.signal)
        : answerOnce(
            services,
            {
              key: line.idempotencyKey,
              apiKeyId: line.playerId ?? '',
              bodyDigest: `${line.npcId}/${line.prompt}/${line.deadlineMs}`,
            },
            request,
            leave.signal,
          );
    for await (const event of events) {
      heard.events.push({ atMonoMs: clock.monotonicMs(), event });
      trace.note(who, event.type, shown(event));
      if (leave.signal.aborted) break;
      if (line.pauseMs === 0) continue;
      heard.pausedMs += line.pauseMs;
      // Who leaves in the pause is noticed at the next event.
      await clock.sleep(line.pauseMs, leave.signal).catch(() => {});
    }
    heard.end = 'closed';
  } catch (error) {
    const failure = ServiceError.from(error);
    heard.end = 'failed';
    heard.errorCode = failure.code;
    heard.errorMessage = failure.code === 'internal' ? String((error as Error).stack) : failure.message;
  } finally {
    heard.endedMonoMs = clock.monotonicMs();
    trace.note(who, heard.end, heard.errorCode === null ? undefined : { code: heard.errorCode });
  }
}

export function requestOf(line: PlannedLine, id: string, receivedMonoMs: number): DialogueRequest {
  return {
    id,
    npcId: line.flaw === 'unknown-npc' ? 'nobody_at_all' : line.npcId,
    prompt: line.flaw === 'no-words' ? '\u200b' : line.prompt,
    ...(line.tier === null ? {} : { tier: line.tier }),
    context: {
      ...(line.playerId === null ? {} : { playerId: line.playerId }),
      ...(line.gameTime === null ? {} : { gameTime: line.gameTime }),
      ...(line.listeners.length === 0 ? {} : { listeners: line.listeners }),
      timelineId: line.timelineId,
      facts:
        line.factMarker === null
          ? []
          : [{ key: 'quest.secret', value: 1, text: `${line.factMarker} waits outside.` }],
      history: [],
      allowedActions: [],
    },
    ...(line.conversationId === null ? {} : { conversationId: line.conversationId }),
    units: line.units,
    maxTokens: 512,
    temperature: null,
    mayRaiseTier: false,
    ...(line.adapter === null ? {} : { adapter: line.adapter }),
    ...(line.deadlineMs === null ? {} : { deadlineMs: line.deadlineMs }),
    priority: line.priority,
    ...(line.trigger === null || line.flaw === 'no-words' ? {} : { trigger: line.trigger }),
    ...(line.event === null ? {} : { event: line.event }),
    receivedMonoMs,
  };
}

function shown(event: DialogueEvent): Readonly<Record<string, unknown>> | undefined {
  switch (event.type) {
    case 'done': {
      const { source, finishReason, usage, conversation, unspoken } = event.outcome;
      const rest = { ...(conversation && { conversation }), ...(unspoken && { unspoken }) };
      return { source, finishReason, usage, ...rest };
    }
    case 'sentence':
    case 'filler':
    case 'token':
      return { text: event.text };
    default:
      return undefined;
  }
}
