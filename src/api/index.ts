/** The doors. A new one is a file beside this and a line here. */
import { dialogueDoor } from './dialogue.ts';
import type { Door } from './door.ts';
import { healthDoor } from './health.ts';

export const doors: readonly Door[] = [dialogueDoor, healthDoor];
