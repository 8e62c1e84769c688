/**
 * Character cards as files: JSON, a PNG or APNG with a text chunk (`ccv3`, or `chara` for V2), or a CHARX archive.
 * The first bytes decide, not the name.
 */
import { ServiceError } from '../core/errors.ts';
import { parseBoundedJson } from './bounded-json.ts';
import { exportCard, type ImportedCard, type ImportOptions, importCard } from './cards.ts';
import { isZip, readCharx, writeCharx } from './charx.ts';
import type { Persona } from './persona.ts';
import { blankPng, isPng, readPngText, writePngText } from './png-chunks.ts';

export const CARD_JSON_BYTES_MAX = 8 * 1024 * 1024;

export type CardContainer = 'json' | 'png' | 'charx';

export interface ImportedCardFile extends ImportedCard {
  readonly container: CardContainer;
  /** Files that a CHARX carries beside the card; they are not read. */
  readonly assets: readonly string[];
}

export interface ExportFileOptions {
  readonly container: CardContainer;
  /** Default 3; a PNG always carries both. */
  readonly version?: 2 | 3;
  readonly includeSecrets: boolean;
  /** The picture to put the card into; default: one transparent dot. */
  readonly image?: Uint8Array;
}

/** Reads a card file. Throws `card_rejected`, which names the limit or rule that it broke. */
export function importCardFile(bytes: Uint8Array, options: ImportOptions = {}): ImportedCardFile {
  if (isPng(bytes)) {
    const texts = readPngText(bytes);
    const encoded = texts.get('ccv3') ?? texts.get('chara');
    if (encoded === undefined) throw rejected('the picture carries no text chunk "ccv3" or "chara"');
    return { ...importCard(parse(decodeBase64(encoded)), options), container: 'png', assets: [] };
  }
  if (isZip(bytes)) {
    const { card, assets } = readCharx(bytes);
    return { ...importCard(parse(card), options), container: 'charx', assets };
  }
  if (bytes.length > CARD_JSON_BYTES_MAX) {
    throw rejected(`it has ${bytes.length} bytes, at most ${CARD_JSON_BYTES_MAX} are read`);
  }
  return { ...importCard(parse(decodeUtf8(bytes)), options), container: 'json', assets: [] };
}

/** Writes a card file. Throws `card_rejected` when `image` is not a sound PNG. */
export function exportCardFile(persona: Persona, options: ExportFileOptions): Uint8Array {
  const { includeSecrets, version = 3 } = options;
  const json = (wanted: 2 | 3) => JSON.stringify(exportCard(persona, { version: wanted, includeSecrets }));
  switch (options.container) {
    case 'json':
      return Buffer.from(`${JSON.stringify(exportCard(persona, { version, includeSecrets }), null, 2)}\n`);
    case 'charx':
      return writeCharx(json(3));
    case 'png': {
      const base64 = (text: string) => Buffer.from(text).toString('base64');
      const texts = new Map([
        ['chara', base64(json(2))],
        ['ccv3', base64(json(3))],
      ]);
      return writePngText(options.image ?? blankPng(), texts);
    }
  }
}

function parse(text: string): unknown {
  try {
    return parseBoundedJson(text);
  } catch (error) {
    throw rejected(`its JSON cannot be read: ${(error as Error).message}`);
  }
}

function decodeBase64(text: string): string {
  const compact = text.replace(/\s+/g, '');
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(compact)) throw rejected('its text chunk is not base64');
  return decodeUtf8(Buffer.from(compact, 'base64'));
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw rejected('it is neither JSON, PNG nor CHARX (the bytes are not UTF-8)');
  }
}

function rejected(reason: string): ServiceError {
  return new ServiceError('card_rejected', `the card was refused: ${reason}`);
}
