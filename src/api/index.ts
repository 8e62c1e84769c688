/** The doors. A new one is a file beside this and a line here. */
import { adaptersDoor } from './adapters.ts';
import { adminDoor } from './admin.ts';
import { consoleDoor } from './console.ts';
import { dialogueDoor } from './dialogue.ts';
import type { Door } from './door.ts';
import { genericPathsDoor } from './embeddings.ts';
import { healthDoor } from './health.ts';
import { inferenceDoor } from './inference.ts';
import { jobsDoor } from './jobs.ts';
import { learnedLinesDoor } from './learned-lines.ts';
import { metricsDoor } from './metrics.ts';
import { npcsDoor } from './npcs.ts';
import { openAiDoor } from './openai.ts';
import { openApiDoor } from './openapi.ts';
import { prepareDoor } from './prepare.ts';
import { recallDoor } from './recall.ts';
import { spendingDoor } from './spending.ts';
import { visionDoor } from './vision.ts';

export const doors: readonly Door[] = [
  dialogueDoor,
  npcsDoor,
  prepareDoor,
  jobsDoor,
  openAiDoor,
  inferenceDoor,
  visionDoor,
  genericPathsDoor,
  healthDoor,
  metricsDoor,
  adminDoor,
  spendingDoor,
  adaptersDoor,
  learnedLinesDoor,
  recallDoor,
  openApiDoor,
  consoleDoor,
];
