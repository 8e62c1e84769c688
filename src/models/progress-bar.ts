/**
 * Shows a fetch to a person: one line that is drawn over on a terminal, a plain line every few seconds where there is
 * none (a log, CI). Writes go where the caller says, by default standard error, so that standard output stays clean.
 */
import { type ModelProgress, type OnModelProgress, percent } from './progress.ts';

export interface ProgressDisplayOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  /** Width of the terminal in columns. */
  readonly columns: () => number;
  readonly monotonicMs: () => number;
  /** Between two plain lines of one stage. */
  readonly plainEveryMs?: number;
}

export interface ProgressDisplay extends Disposable {
  readonly onProgress: OnModelProgress;
  /** A sentence between the progress. */
  readonly onNotice: (message: string) => void;
}

const PLAIN_EVERY_MS = 5_000;
const BAR_CELLS_MAX = 30;
const WHERE: Readonly<Record<ModelProgress['source'], string>> = {
  cache: 'in the cache',
  file: 'the named file',
  hub: 'from the model hub',
  pypi: 'from the Python package index',
  web: 'from the web',
  bucket: 'from the bucket',
};

/** Dispose it at the end: it leaves the cursor on a fresh line. */
export function createProgressDisplay(options: ProgressDisplayOptions): ProgressDisplay {
  let isDrawn = false;
  let stage = '';
  let shownMonoMs = Number.NEGATIVE_INFINITY;
  const clear = () => {
    if (isDrawn) options.write('\r\u001b[2K');
    isDrawn = false;
  };
  return {
    onProgress: (progress) => {
      if (options.isTerminal) {
        options.write(`\r\u001b[2K${barLine(progress, options.columns())}`);
        isDrawn = true;
        return;
      }
      const nowMs = options.monotonicMs();
      const key = `${progress.stage} ${progress.source}`;
      if (key === stage && nowMs - shownMonoMs < (options.plainEveryMs ?? PLAIN_EVERY_MS)) return;
      stage = key;
      shownMonoMs = nowMs;
      options.write(`${plainLine(progress)}\n`);
    },
    onNotice: (message) => {
      clear();
      options.write(`${message}\n`);
    },
    [Symbol.dispose]: () => {
      if (isDrawn) options.write('\n');
      isDrawn = false;
    },
  };
}

/** `fetching from the model hub  ██████░░░░  41 %  40.3/98.4 MB  12.1 MB/s  5 s left`, cut to the width. */
export function barLine(progress: ModelProgress, columns: number): string {
  const head = `${progress.stage} ${WHERE[progress.source]} `;
  const tail = ` ${String(percent(progress)).padStart(3)} %  ${figures(progress)}`;
  const room = Math.max(0, columns - 1 - head.length - tail.length);
  const cells = Math.min(BAR_CELLS_MAX, room);
  if (cells < 4) return `${progress.stage}${tail}`.slice(0, Math.max(0, columns - 1));
  const full = Math.floor((cells * percent(progress)) / 100);
  return `${head}${'█'.repeat(full)}${'░'.repeat(cells - full)}${tail}`;
}

/** `model: fetching from the model hub, 41 %, 40.3/98.4 MB, 12.1 MB/s, 5 s left` */
export function plainLine(progress: ModelProgress): string {
  return `model: ${progress.stage} ${WHERE[progress.source]}, ${percent(progress)} %, ${figures(progress).replaceAll('  ', ', ')}`;
}

function figures(progress: ModelProgress): string {
  const { receivedBytes, totalBytes, bytesPerSecond } = progress;
  const parts = [`${megabytes(receivedBytes)}/${megabytes(totalBytes)} MB`];
  if (bytesPerSecond > 0) {
    parts.push(`${megabytes(bytesPerSecond)} MB/s`);
    parts.push(`${duration((totalBytes - receivedBytes) / bytesPerSecond)} left`);
  }
  return parts.join('  ');
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

function duration(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
