/**
 * What the trainer runs on: a Python environment of its own outside the tree with PEFT in pinned, hashed versions, and the
 * default model's weights in the layout that it reads. Made once, in steps that are shown, timed and resumed.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { type Installation, install } from '../engines/frame.ts';
import { installSection, makeEnvironment } from '../engines/python.ts';
import { widenModel } from '../engines/widened-model.ts';

export const TRAINING_FOLDER = path.join(import.meta.dirname, '..', '..', 'training');
const REQUIREMENTS = path.join(TRAINING_FOLDER, 'requirements.lock');
const BASE = 'smollm2-135m-instruct';

const trainer: Installation = {
  name: 'peft',
  shelf: 'training',
  title: 'the trainer (PEFT)',
  // Other pins are another environment, in a folder of its own.
  version: `0.21.2-${createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 8)}`,
  about:
    '2.5 GB to fetch, most of it torch with its unused CUDA libraries, 6 GB on disk, three to five minutes',
  steps: [
    // The digests are those of the wheels for this Python.
    { title: 'Python environment', work: (context) => makeEnvironment(context, ['3.11']) },
    {
      title: 'torch',
      about: '2.4 GB, two minutes',
      work: (context) => installSection(context, REQUIREMENTS, 'torch'),
    },
    {
      title: 'libraries',
      about: '45 packages, 60 MB',
      work: (context) => installSection(context, REQUIREMENTS, 'libraries'),
    },
    {
      title: 'weights',
      about: 'a GGUF of 98 MB, widened to 540 MB',
      work: (context) => widenModel(context, BASE),
    },
  ],
  program: 'venv/bin/python',
};

export interface Trainer {
  /** The Python that has PEFT. */
  readonly program: string;
  /** The base model's folder. */
  readonly base: string;
}

/** Installs what is missing; a second call finds it. */
export async function ensureTrainer(say: (line: string) => void, signal: AbortSignal): Promise<Trainer> {
  const { folder, program } = await install(trainer, say, signal);
  return { program, base: path.join(folder, BASE) };
}
