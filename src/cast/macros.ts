/**
 * Character-card macros (npc-domain §8.3): `{{char}}`, `{{user}}`, `{{random:a,b}}`, `{{pick:a,b}}`, `{{roll:6}}`,
 * `{{// note}}`. Expanded in card text only, never in a player's words. Every choice is drawn from a seed, so that the
 * stable part of a prompt has the same bytes each time.
 */
import { seededUnit } from './seeded.ts';

export interface MacroNames {
  readonly char: string;
  readonly user: string;
  /** Persona id and version. */
  readonly seed: string;
}

const MACRO = /\{\{\s*([^{}]{0,400}?)\s*\}\}/g;

/** The text with its macros replaced; unknown macros stay as they are. Linear in the text. */
export function expandMacros(text: string, names: MacroNames): string {
  if (!text.includes('{{')) return text;
  return text.replace(MACRO, (whole: string, body: string, at: number) => {
    if (body.startsWith('//')) return '';
    const colon = body.indexOf(':');
    const name = (colon < 0 ? body : body.slice(0, colon)).trim().toLowerCase();
    const argument = colon < 0 ? '' : body.slice(colon + 1);
    switch (name) {
      case 'char':
        return names.char;
      case 'user':
        return names.user;
      case 'random':
      case 'pick': {
        const choices = argument.split(/(?<!\\),/).map((choice) => choice.trim().replaceAll('\\,', ','));
        return choices[Math.floor(seededUnit(`${names.seed}|${at}|${argument}`) * choices.length)] ?? '';
      }
      case 'roll': {
        const sides = Number.parseInt(argument.replace(/^\s*d/i, ''), 10);
        if (!Number.isSafeInteger(sides) || sides < 1) return whole;
        return String(1 + Math.floor(seededUnit(`${names.seed}|${at}|roll`) * sides));
      }
      case 'hidden_key':
      case 'comment':
        return '';
      default:
        return whole;
    }
  });
}
