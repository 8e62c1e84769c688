/** The first glance: what share of lines cost nothing now, and what that has saved since the start. */
import { count } from '../format.ts';
import { percent, savedDollars, savedWait } from '../recall-words.ts';
import type { RecallStatus } from '../wire-recall.ts';

export function RecallNow({ status }: { status: RecallStatus }) {
  const { recent, total } = status;
  const free = recent.hits + recent.joined;
  const asked = free + recent.misses;
  const minutes = Math.max(1, Math.round(recent.window_s / 60));
  const last = minutes === 1 ? 'the last minute' : `the last ${minutes} minutes`;
  return (
    <div className="recall-now">
      <div className="recall-share">
        {asked === 0 ? (
          <>
            <p className="recall-quiet">
              {recent.bypassed === 0
                ? `Nobody asked for a line in ${last}.`
                : `No line of ${last} was for the cache.`}
            </p>
            <Bypassed amount={recent.bypassed} />
          </>
        ) : (
          <>
            <p className="recall-figure">{percent(recent.hit_share)}</p>
            <ShareBar hits={recent.hits} joined={recent.joined} of={asked} />
            <p>
              of the lines of {last} cost nothing: <strong>{count(free)}</strong> of {count(asked)}.
            </p>
            <p className="hint">
              {count(recent.hits)} said again, {count(recent.joined)} shared with somebody who asked the same
              at that moment, {count(recent.misses)} generated.
            </p>
            <Bypassed amount={recent.bypassed} />
          </>
        )}
      </div>
      <div>
        <dl className="recall-saved">
          <div>
            <dt>Waiting saved</dt>
            <dd>{savedWait(total.wait_s)}</dd>
          </div>
          <div>
            <dt>Money saved</dt>
            <dd>{savedDollars(total.cost_usd)}</dd>
          </div>
          <div>
            <dt>Tokens saved</dt>
            <dd>{count(total.prompt_tokens + total.completion_tokens)}</dd>
          </div>
        </dl>
        <p className="hint">
          Since the start of this gateway. Saved is what a line took when it was generated.
          {total.joined > 0 && ' What sharing saved was not measured and is not in it.'}
          {total.cost_usd === 0 &&
            total.hits > 0 &&
            ' Your own machine charges nothing for a line, so what you save here is time.'}
        </p>
      </div>
    </div>
  );
}

/** Lines that were not asked of the cache, and why that may be: an operator who wonders looks here first. */
function Bypassed({ amount }: { amount: number }) {
  if (amount === 0) return null;
  return (
    <p className="hint">
      {count(amount)} {amount === 1 ? 'line was' : 'lines were'} not for the cache: nobody had said a word,
      the NPC’s adapter is not there, its persona says “off”, or an operator tried a version.
    </p>
  );
}

/** For the eye; the sentence below has the same figures. */
function ShareBar({ hits, joined, of }: { hits: number; joined: number; of: number }) {
  const hitWidth = (100 * hits) / of;
  return (
    <svg className="recall-bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
      <rect className="recall-bar-hits" width={hitWidth} height="4" />
      <rect className="recall-bar-joined" x={hitWidth} width={(100 * joined) / of} height="4" />
    </svg>
  );
}
