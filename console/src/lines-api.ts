/** The designer's word on lines, and the pool as a file. Throws Trouble. */
import { read, send } from './api.ts';
import type { ExportedFile, ExportFormat, LearnedLine, LineWish } from './wire-lines.ts';

const ROOT = '/admin/v1/lines';

/** `by` is taken only where the gateway has no keys. What is left out stays as it was heard. */
export function approveLine(
  id: string,
  wish: Partial<LineWish>,
  by: string,
  signal: AbortSignal,
): Promise<LearnedLine> {
  const path = `${ROOT}/candidates/${encodeURIComponent(id)}/approve`;
  return send<LearnedLine>('POST', path, { ...wish, ...named(by) }, signal);
}

export function rejectLine(id: string, by: string, signal: AbortSignal): Promise<unknown> {
  return send('POST', `${ROOT}/candidates/${encodeURIComponent(id)}/reject`, named(by), signal);
}

export function retireLine(id: string, by: string, signal: AbortSignal): Promise<LearnedLine> {
  const path = `${ROOT}/learned/${encodeURIComponent(id)}/retire`;
  return send<LearnedLine>('POST', path, named(by), signal);
}

export function exportLines(
  format: ExportFormat,
  scope: 'learned' | 'all',
  signal: AbortSignal,
): Promise<ExportedFile> {
  const query = new URLSearchParams({ format, scope, as: 'json' });
  return read<ExportedFile>(`${ROOT}/export?${query.toString()}`, signal);
}

function named(by: string): { by?: string } {
  return by.trim() === '' ? {} : { by: by.trim() };
}
