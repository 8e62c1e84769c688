/**
 * A LoRA adapter in memory, beside the one copy of the base's weights. Loaded through the addon and not through the
 * library's public path, which keeps every adapter until the model goes. The file was checked before (adapter-file.ts):
 * native code asserts where it should refuse, and an assert ends the process.
 */
import { ServiceError } from '../../core/errors.ts';
import type { NativeLog, NativeLora, NativePieces } from './native.ts';
import { isMemoryFailure, messageOf } from './native.ts';

export interface Lora extends AsyncDisposable {
  readonly native: NativeLora;
}

/**
 * Loads the file. Nobody else may load, free or decode meanwhile: the model's list of adapters has no lock. Throws
 * `adapter_failed` with the native reason, or `out_of_memory`.
 */
export async function loadLora(pieces: NativePieces, path: string, log: NativeLog): Promise<Lora> {
  log.clear();
  const native = new pieces.Lora(pieces.model, path);
  try {
    await pieces.model.loadLora(native);
  } catch (error) {
    const reason = await log.reason();
    throw new ServiceError(
      isMemoryFailure(error, reason) ? 'out_of_memory' : 'adapter_failed',
      `llama.cpp refuses ${path}: ${reason === '' ? messageOf(error) : reason}`,
      { cause: error, details: { path } },
    );
  }
  return { native, [Symbol.asyncDispose]: () => native.dispose() };
}
