/**
 * Server-sent events from text that arrives in pieces cut anywhere. Pure and without the network, so that it can be
 * tried at every cut. Invariant: what `push` returns does not depend on where the text was cut.
 */

export interface StreamEvent {
  readonly event: string;
  readonly data: string;
}

/** A gateway that never ends a line must not fill the page's memory. */
const BUFFER_CHARACTERS_MAX = 8_000_000;

export class EventStreamParser {
  #rest = '';
  #event = '';
  #data: string[] = [];

  /** Takes the next piece and returns the events it completes. Comments (heartbeats) complete nothing. */
  push(piece: string): StreamEvent[] {
    this.#rest += piece;
    const events: StreamEvent[] = [];
    let start = 0;
    for (;;) {
      const end = this.#rest.indexOf('\n', start);
      if (end < 0) break;
      const line = this.#rest.slice(start, this.#rest[end - 1] === '\r' && end > start ? end - 1 : end);
      start = end + 1;
      const event = this.#line(line);
      if (event) events.push(event);
    }
    this.#rest = this.#rest.slice(start);
    const held = this.#data.reduce((sum, line) => sum + line.length, this.#rest.length);
    if (held > BUFFER_CHARACTERS_MAX)
      throw new Error('the stream holds an event of over eight million characters');
    return events;
  }

  #line(line: string): StreamEvent | null {
    if (line === '') {
      const event =
        this.#data.length > 0 ? { event: this.#event || 'message', data: this.#data.join('\n') } : null;
      this.#event = '';
      this.#data = [];
      return event;
    }
    if (line.startsWith(':')) return null;
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'event') this.#event = value;
    else if (field === 'data') this.#data.push(value);
    return null;
  }
}
