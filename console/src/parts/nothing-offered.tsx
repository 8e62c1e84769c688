/** Why there are no lines, or not more: how a line comes here, how many are counted, and what keeps the others back. */
import { count, words } from '../format.ts';
import type { Offer } from '../wire-lines.ts';

const REASONS: Readonly<Record<string, string>> = {
  too_few_players: 'heard by too few players yet',
  too_few_hearings: 'heard too seldom yet',
  interrupted: 'cut off too often',
  guarded: 'mended by the guard too often',
  near_duplicate: 'as good as in the pool already',
  decided_before: 'much like one you decided about',
  secret: 'near a secret',
  forbidden: 'with words its speaker never says',
  markup: 'with markup in it',
  'too-long': 'too long',
};

export function NothingOffered({ offer }: { offer: Offer }) {
  const { data, known, refused, thresholds } = offer;
  const reasons = Object.entries(refused).map(
    ([reason, times]) => `${count(times)} ${REASONS[reason] ?? words(reason)}`,
  );
  const kept = reasons.length > 0 && <p className="hint">Not offered: {reasons.join(', ')}.</p>;
  if (data.length > 0) return kept || null;
  return (
    <div className="first-step">
      <p>
        No line waits for you. While players talk, Greenroom counts the short lines that a model made: one
        that {count(thresholds.players_min)} players have heard {count(thresholds.heard_min)} times, and let
        the speaker finish, comes here by itself. What you approve then costs nothing to say, also offline.
      </p>
      <p>
        {known === 0
          ? 'Nothing is counted yet: let somebody play, or talk to the cast here.'
          : `${count(known)} ${known === 1 ? 'line is' : 'lines are'} being counted.`}
      </p>
      {kept}
    </div>
  );
}
