/**
 * Which of a folder's files are the adapter: config and safetensors weights as PEFT writes them, else a single GGUF.
 * Everything else stays where it is. Names are compared, never used as paths here.
 */
import { CONFIG_FILE, invalid, PEFT_WEIGHTS_FILE } from './fetched.ts';

export type Picked =
  | { readonly kind: 'peft'; readonly config: string; readonly weights: string }
  | { readonly kind: 'gguf'; readonly weights: string };

/**
 * The names of a listing from afar, below `folder` (without slashes at its ends): those of files directly in it. Throws
 * `adapter_invalid` at the first that no honest listing has: it climbs, is absolute, or holds what no name holds.
 */
export function namesIn(folder: string, paths: readonly string[], where: string): readonly string[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  const names: string[] = [];
  for (const path of paths) {
    const isHostile =
      /[\u0000-\u001f\u007f\\]/.test(path) ||
      !path.isWellFormed() ||
      path.startsWith('/') ||
      path.split('/').some((name) => name === '..' || name === '.');
    if (isHostile || !path.startsWith(prefix))
      throw invalid(
        where,
        `its listing holds the name ${JSON.stringify(path.slice(0, 120).toWellFormed())}, which is refused`,
      );
    const name = path.slice(prefix.length);
    if (name !== '' && !name.includes('/')) names.push(name);
  }
  return names;
}

/** `names` are those of the folder's files, without folders. Throws `adapter_invalid` with what is missing. */
export function pickFiles(names: readonly string[], where: string): Picked {
  if (names.includes(CONFIG_FILE) && names.includes(PEFT_WEIGHTS_FILE))
    return { kind: 'peft', config: CONFIG_FILE, weights: PEFT_WEIGHTS_FILE };
  const ggufs = names.filter((name) => name.toLowerCase().endsWith('.gguf'));
  if (ggufs.length === 1) return { kind: 'gguf', weights: ggufs[0] as string };
  if (ggufs.length > 1)
    throw invalid(
      where,
      `it holds ${ggufs.length} .gguf files; name the one that is the adapter: ${list(ggufs)}`,
    );
  if (names.includes(PEFT_WEIGHTS_FILE))
    throw invalid(where, `${CONFIG_FILE} is missing beside ${PEFT_WEIGHTS_FILE}; it holds rank and alpha`);
  const pickle = names.find((name) => /^adapter_model\.(?:bin|pt|pth|pkl|ckpt)$/i.test(name));
  if (pickle !== undefined)
    throw invalid(
      where,
      `its weights are in ${pickle}, a pickle file, which can run code when it is read; save the adapter as safetensors (PEFT: save_pretrained with safe_serialization=True)`,
    );
  throw invalid(
    where,
    `it holds no adapter: expected ${CONFIG_FILE} and ${PEFT_WEIGHTS_FILE}, or one .gguf file; found ${list(names)}`,
  );
}

function list(names: readonly string[]): string {
  if (names.length === 0) return 'no file';
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name.slice(0, 80).toWellFormed()));
  return `${shown.join(', ')}${names.length > 8 ? ` and ${names.length - 8} more` : ''}`;
}
