/**
 * An engine that says what a test tells it to: pieces of text, waits for a gate, failures. It keeps the contract of
 * core/engine.ts (aborts at once, ends with one finish), which the conformance suite holds it to.
 */
import type { Engine, EngineFinish, GenerateEvent, GenerateRequest } from '../core/engine.ts';
import { abortable } from '../lib/abort.ts';

export type ScriptStep =
  | { readonly say: string }
  | { readonly wait: Promise<unknown> }
  | { readonly fail: Error }
  | { readonly finish: EngineFinish };

export class ScriptedEngine implements Engine {
  readonly name: string;
  readonly kind = 'scripted';
  readonly isWritten = false;
  readonly capabilities = {
    continuesAssistant: true,
    structuredOutput: 'none',
    honoursPriority: false,
  } as const;
  readonly requests: GenerateRequest[] = [];
  /** Streams under way; 0 again when every reader has left. */
  running = 0;
  readonly #script: (request: GenerateRequest, call: number) => readonly ScriptStep[];

  /** `script` gives the steps of each call, counted from 0. Without a `finish` step the answer ends with `stop`. */
  constructor(script: (request: GenerateRequest, call: number) => readonly ScriptStep[], name = 'local') {
    this.#script = script;
    this.name = name;
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent> {
    const steps = this.#script(request, this.requests.length);
    this.requests.push(request);
    this.running += 1;
    let reason: EngineFinish = 'stop';
    let said = 0;
    try {
      for (const step of steps) {
        signal.throwIfAborted();
        if ('say' in step) {
          said += 1;
          yield { type: 'text', text: step.say };
        } else if ('wait' in step) await abortable(step.wait, signal);
        else if ('fail' in step) throw step.fail;
        else reason = step.finish;
      }
      signal.throwIfAborted();
      yield {
        type: 'finish',
        reason,
        usage: { promptTokens: 100, cachedTokens: 60, completionTokens: said, source: 'reported' },
      };
    } finally {
      this.running -= 1;
    }
  }
}
