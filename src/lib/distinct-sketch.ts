/**
 * How many distinct things were seen, in 128 bytes, whatever their number: linear counting (Whang, Vander-Zanden, Taylor,
 * ACM TODS 15(2), 1990). A bit stands for every 1,024th of all things, so a sketch names nobody. Two sketches of one
 * `salt` merge into the sketch of both. Within 10 % up to some 3,000 things, a lower bound beyond.
 */
import { createHash } from 'node:crypto';
import { invariant } from './invariant.ts';

const BITS = 1_024;
const BYTES = BITS / 8;

export class DistinctSketch {
  readonly #bytes: Buffer;

  constructor(bytes: Buffer = Buffer.alloc(BYTES)) {
    invariant(bytes.length === BYTES, `a sketch of ${bytes.length} bytes`);
    this.#bytes = bytes;
  }

  /** Reads what `toString` wrote. Anything else is an empty sketch: a count is not worth a failure. */
  static parse(text: string): DistinctSketch {
    const bytes = Buffer.from(text, 'base64');
    return bytes.length === BYTES ? new DistinctSketch(bytes) : new DistinctSketch();
  }

  /** Things that fall together under one salt fall apart under another, so sketches cannot be laid over each other. */
  add(salt: string, thing: string): void {
    const digest = createHash('sha256').update(`${salt}|${thing}`).digest();
    const bit = digest.readUInt16BE(0) % BITS;
    const at = bit >> 3;
    this.#bytes.writeUInt8(this.#bytes.readUInt8(at) | (1 << (bit & 7)), at);
  }

  /** A new sketch of what either has seen. */
  merge(other: DistinctSketch): DistinctSketch {
    const bytes = Buffer.alloc(BYTES);
    for (let at = 0; at < BYTES; at += 1)
      bytes.writeUInt8(this.#bytes.readUInt8(at) | other.#bytes.readUInt8(at), at);
    return new DistinctSketch(bytes);
  }

  /** The estimate, a whole number; exact for one or none. */
  count(): number {
    let set = 0;
    for (const byte of this.#bytes) for (let rest = byte; rest > 0; rest &= rest - 1) set += 1;
    // A full sketch says "at least what fills it".
    const clear = Math.max(1, BITS - set);
    return Math.round(BITS * Math.log(BITS / clear));
  }

  toString(): string {
    return this.#bytes.toString('base64');
  }
}
