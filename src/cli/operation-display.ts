/**
 * Long work at a gateway as a person sees it: one line that is drawn over on a terminal, plain lines elsewhere, a new one
 * for each stage and every few seconds. Only standard error, so that the result stays alone on standard output.
 */
import { printable } from './spoken.ts';

export interface ShownStep {
  readonly adapter: string;
  readonly stage: string;
  readonly detail: string;
  readonly percent: number | null;
}

export interface OperationDisplayOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly columns: () => number;
  readonly monotonicMs: () => number;
}

const PLAIN_EVERY_MS = 5_000;
const BAR_CELLS = 20;

/** Dispose it before anything else is written: it leaves the line empty. */
export class OperationDisplay implements Disposable {
  readonly #options: OperationDisplayOptions;
  #stage = '';
  #shownMonoMs = Number.NEGATIVE_INFINITY;
  #isDrawn = false;

  constructor(options: OperationDisplayOptions) {
    this.#options = options;
  }

  show(step: ShownStep): void {
    const { write, isTerminal, columns, monotonicMs } = this.#options;
    if (isTerminal) {
      write(`\r\u001b[2K${stepLine(step, columns())}`);
      this.#isDrawn = true;
      return;
    }
    const nowMs = monotonicMs();
    if (step.stage === this.#stage && nowMs - this.#shownMonoMs < PLAIN_EVERY_MS) return;
    this.#stage = step.stage;
    this.#shownMonoMs = nowMs;
    const { adapter, stage, detail, percent } = step;
    const parts = [
      // Most details begin with it.
      ...(detail.startsWith(stage) ? [] : [stage]),
      ...(percent === null ? [] : [`${percent} %`]),
      detail,
    ];
    write(`${printable(`${adapter}: ${parts.join(', ')}`)}\n`);
  }

  [Symbol.dispose](): void {
    if (this.#isDrawn) this.#options.write('\r\u001b[2K');
    this.#isDrawn = false;
  }
}

/** `loading ██████░░░░  50 %  loading on gpu-1`, cut to the width. */
export function stepLine({ stage, detail, percent }: ShownStep, columns: number): string {
  const full = Math.round((BAR_CELLS * (percent ?? 0)) / 100);
  const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_CELLS - full)} ${String(percent ?? 0).padStart(3)} %`;
  const line = printable(`${stage.padEnd(9)} ${percent === null ? '' : `${bar}  `}${detail}`);
  return line.slice(0, Math.max(0, columns - 1));
}
