/**
 * A cloud that costs money and is not there: the double of OpenAI's wire, which says sentences with the marker of the line
 * that it was asked, so that a mixed-up answer shows.
 */

import { SeededRandom } from '../../src/planning/seeded-random.ts';
import { markersIn } from '../../src/testing/simulation/markers.ts';
import { speech } from '../../src/testing/simulation/speech.ts';
import {
  type ChatDouble,
  DOUBLE_KEY,
  DOUBLE_MODEL,
  startChatDouble,
} from '../../src/testing/wires/chat-double.ts';
import { OPENAI_WIRE } from '../../src/testing/wires/openai.ts';

export const CLOUD_MODEL = DOUBLE_MODEL;
export const CLOUD_KEY = DOUBLE_KEY;

export function startCloud(seed: number): Promise<ChatDouble> {
  const random = new SeededRandom(`cloud ${seed}`);
  return startChatDouble(OPENAI_WIRE, {
    places: 16,
    say: (messages) => {
      const asked = messages.findLast(
        ({ role, content }) => role === 'user' && markersIn(content).length > 0,
      );
      const playerText = asked?.content ?? '';
      const marker = markersIn(playerText).at(-1) ?? null;
      return speech(
        { marker, playerText, sentences: 3, fault: null, assistantPrefix: '', voice: null },
        random,
      );
    },
  });
}
