/**
 * Plays written lines one after the other as subtitles, each for as long as a player would need to read it:
 * max(1200 ms, 300 ms + 360 ms per word), the pacing of npc-domain §4.
 */
import { useEffect, useState } from 'react';
import type { WrittenLine } from '../wire.ts';

/** Breath between two lines. */
const PAUSE_MS = 500;

export function readingMs(text: string): number {
  const wordCount = text.split(/\s+/).filter(Boolean).length;
  return Math.max(1200, 300 + 360 * wordCount);
}

export function HearIt({ name, lines }: { name: string; lines: readonly WrittenLine[] }) {
  const [at, setAt] = useState<number | null>(null);
  const line = at === null ? undefined : lines[at];

  useEffect(() => {
    if (at === null || !line) return;
    const timer = setTimeout(
      () => setAt(at + 1 < lines.length ? at + 1 : null),
      readingMs(line.text) + PAUSE_MS,
    );
    return () => clearTimeout(timer);
  }, [at, line, lines.length]);

  return (
    <div className="hear">
      <button type="button" disabled={lines.length === 0} onClick={() => setAt(at === null ? 0 : null)}>
        {at === null ? 'Hear it' : 'Stop'}
      </button>
      {at !== null && (
        <button type="button" onClick={() => setAt(at + 1 < lines.length ? at + 1 : null)}>
          Next
        </button>
      )}
      <div className="subtitle" aria-live="polite" data-playing={at !== null}>
        {line && (
          <>
            <p className="speaker">
              {name}
              <span className="subtitle-place">
                {(at ?? 0) + 1} of {lines.length}
              </span>
            </p>
            <p className="sentence" key={line.id}>
              {line.text}
            </p>
          </>
        )}
        {!line && <p className="subtitle-idle">Plays the lines below as subtitles, at reading pace.</p>}
      </div>
    </div>
  );
}
