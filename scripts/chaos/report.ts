/** What came of a run: a row for each fault, the bars, and the table for people. Pure. */
import type { Bar } from '../../bench/load/result-file.ts';
import { quantile } from '../../bench/load/statistics.ts';
import type { Heard } from './ask.ts';

export interface Phase {
  readonly words: string;
  readonly heard: readonly Heard[];
  /** From the end of the fault until the struck rung answered again; null: not while it was waited for. */
  readonly recoverySeconds?: number | null;
  readonly note: string;
}

export type Row = Readonly<Record<string, string | number | null>>;

/** Above the deadline, for the way over loopback and a client that shares two cores with five engines (ms). */
export const LATE_BY_MS = 50;

export function rowOf({ words, heard, recoverySeconds, note }: Phase, engines: readonly string[]): Row {
  const stayed = heard.filter(({ outcome }) => outcome !== 'left');
  const answered = stayed.filter(({ outcome }) => outcome === 'answered');
  const by = (rung: string) => answered.filter((each) => each.rung === rung).length;
  return {
    fault: words,
    requests: heard.length,
    hungUp: heard.length - stayed.length,
    answered: answered.length,
    inTime: answered.filter((each) => !each.metDown && overMs(each) <= LATE_BY_MS).length,
    metNoGateway: answered.filter(({ metDown }) => metDown).length,
    ...Object.fromEntries([...engines, 'written'].map((rung) => [rung, by(rung)])),
    wrongLines: heard.filter(({ wrong }) => wrong !== null).length,
    silent: answered.filter(({ isSilent }) => isSilent).length,
    p50Ms: answered.length === 0 ? null : Math.round(quantile(answered.map(tookMs), 0.5)),
    recoverySeconds: recoverySeconds === null ? 'not yet' : (recoverySeconds?.toFixed(1) ?? null),
    costUsd: Number(heard.reduce((sum, { costUsd }) => sum + costUsd, 0).toFixed(6)),
    note,
  };
}

export interface Endings {
  readonly acknowledgedTurns: number;
  readonly lostTurns: number;
  readonly leftBehind: readonly number[];
  /** Engines that the gateway did not count on, a while after the last line. */
  readonly stillOut: readonly string[];
}

export function barsOf(phases: readonly Phase[], endings: Endings): readonly Bar[] {
  const heard = phases.flatMap((phase) => phase.heard);
  const stayed = heard.filter(({ outcome }) => outcome !== 'left');
  const answered = stayed.filter(({ outcome }) => outcome === 'answered');
  const metDown = answered.filter((each) => each.metDown).length;
  const timed = answered.filter((each) => !each.metDown);
  const late = timed.filter((each) => overMs(each) > LATE_BY_MS);
  const lateThere = timed.filter(({ gatewayMs, deadlineMs }) => (gatewayMs ?? 0) > deadlineMs + LATE_BY_MS);
  const worst = timed.length === 0 ? 0 : Math.max(...timed.map(overMs));
  const none = (name: string, value: number, note: string): Bar => ({
    name,
    value,
    bound: '= 0',
    holds: value === 0,
    note,
  });
  const whole = (name: string, part: number, all: number, note: string): Bar => ({
    name,
    value: percent(part, all),
    bound: '= 100',
    holds: part === all && all > 0,
    note,
  });
  return [
    whole(
      'answered, of those who did not hang up (%)',
      answered.length,
      stayed.length,
      `${answered.length} of ${stayed.length}`,
    ),
    whole(
      `within the deadline + ${LATE_BY_MS} ms, heard by the client (%)`,
      timed.length - late.length,
      timed.length,
      `${timed.length - late.length} of ${timed.length}; ${metDown} more met no gateway and asked again; ` +
        `the latest ${Math.round(worst)} ms behind its deadline; late by the gateway's own clock: ${lateThere.length}`,
    ),
    none('lines with the words of another request', heard.filter(({ wrong }) => wrong !== null).length, ''),
    none('silent NPCs', answered.filter(({ isSilent }) => isSilent).length, ''),
    none(
      'acknowledged turns that the store lacks',
      endings.lostTurns,
      `of ${endings.acknowledgedTurns}, looked up in the file at the end`,
    ),
    none(
      'engines that the gateway does not count on at the end',
      endings.stillOut.length,
      endings.stillOut.join(' '),
    ),
    none('processes left behind', endings.leftBehind.length, endings.leftBehind.join(' ')),
  ];
}

export function overMs(heard: Heard): number {
  return tookMs(heard) - heard.deadlineMs;
}

function tookMs({ startedMs, endedMs }: Heard): number {
  return endedMs - startedMs;
}

function percent(part: number, all: number): number {
  return all === 0 ? 0 : Math.floor((part / all) * 10_000) / 100;
}
