/**
 * Copies of what a sequence holds, in memory outside the context, and back. With SmolLM2-135M (23 kB a token) a copy takes
 * 5 µs a token and putting it back 4, against some milliseconds to evaluate one (docs/adr/0009-prefix-store.md). The addon
 * offers them as checkpoints, which hold a part only where a model slides its window or is recurrent: tried once at start.
 */
import { invariant } from '../../lib/invariant.ts';
import type { NativeCheckpoint, NativeContext, NativePieces } from './native.ts';

export interface SequenceCopy extends Disposable {
  readonly bytes: number;
}

export interface SequenceCopies {
  /** null when this model's state cannot be copied whole. */
  save(sequence: number): Promise<SequenceCopy | null>;
  /** False when it could not; then `sequence` is empty. */
  restore(copy: SequenceCopy, sequence: number, length: number): Promise<boolean>;
}

class Checkpoint implements SequenceCopy {
  readonly native: NativeCheckpoint;
  readonly bytes: number;

  constructor(native: NativeCheckpoint) {
    this.native = native;
    this.bytes = native.size;
  }

  [Symbol.dispose](): void {
    this.native.dispose();
  }
}

/** Tokens that are evaluated to see whether a copy is whole. */
const TRIAL_TOKENS = 8;
/** A copy is this much of what the context's state grew by, at least: a whole one is a little more. */
const WHOLE_RATIO = 0.95;

/** The context must be empty, and is afterwards. */
export async function sequenceCopies(native: NativeContext, pieces: NativePieces): Promise<SequenceCopies> {
  const take = async (sequence: number): Promise<Checkpoint> => {
    const checkpoint = new pieces.Checkpoint();
    await checkpoint.init(native, sequence);
    return new Checkpoint(checkpoint);
  };
  const isWhole = await copiesAreWhole(native, take);
  return {
    save: async (sequence) => {
      if (!isWhole) return null;
      // No memory for it is no reason to fail a line.
      return take(sequence).catch(() => null);
    },
    async restore(copy, sequence, length) {
      invariant(copy instanceof Checkpoint && length > 0, 'a copy of this context is put back');
      const isBack = await native.restoreCheckpoint(copy.native, length - 1, sequence).catch(() => false);
      if (!isBack) native.disposeSequence(sequence);
      return isBack;
    },
  };
}

async function copiesAreWhole(
  native: NativeContext,
  take: (sequence: number) => Promise<Checkpoint>,
): Promise<boolean> {
  try {
    const emptyBytes = native.getStateSize();
    native.initBatch(TRIAL_TOKENS);
    native.addToBatch(0, 0, new Uint32Array(TRIAL_TOKENS), new Uint32Array(0));
    await native.decodeBatch();
    const grownBytes = native.getStateSize() - emptyBytes;
    using copy = await take(0);
    return grownBytes > 0 && copy.bytes >= grownBytes * WHOLE_RATIO;
  } catch {
    return false;
  } finally {
    native.disposeSequence(0);
  }
}
