/** Today's money by tier, what is under way, and the one switch that stops it. */
import { useState } from 'react';
import { count, ledgerDollars } from '../format.ts';
import type { Live } from '../use-live.ts';
import type { SpendingSwitch } from '../use-spending-switch.ts';
import type { SpendingStatus } from '../wire.ts';
import { Confirmation } from './confirmation.tsx';
import { Notice } from './notice.tsx';

interface SpendingPanelProps {
  readonly live: Live;
  readonly onOff: SpendingSwitch;
}

export function SpendingPanel({ live, onOff }: SpendingPanelProps) {
  const { spending, spendingTrouble } = live;
  return (
    <section className="part spending" aria-labelledby="spending">
      <h2 id="spending">Spending</h2>
      <div>
        {!spending && live.connection === 'lost' && <p className="empty">Not known.</p>}
        {spending && <Switch spending={spending} onOff={onOff} />}
        {spendingTrouble && live.connection === 'up' && (
          <Notice
            trouble={
              spendingTrouble.code === 'forbidden'
                ? { code: 'forbidden', message: 'This key may talk, but not see or stop what is spent.' }
                : spendingTrouble
            }
          />
        )}
        {spending && <Ledger spending={spending} />}
      </div>
    </section>
  );
}

function Switch({ spending, onOff }: { spending: SpendingStatus; onOff: SpendingSwitch }) {
  const [isAsking, setAsking] = useState(false);
  const { off } = spending;
  return (
    <>
      <div className="switch">
        <p className="lamp" data-tone={off ? 'dark' : 'go'} role="status">
          <span className="lamp-shape" aria-hidden="true" />
          {off ? 'All paid calls are stopped' : 'Paid calls are allowed'}
        </p>
        <p className="in-flight">
          <strong>{count(spending.calls_in_flight)}</strong> paid{' '}
          {spending.calls_in_flight === 1 ? 'call' : 'calls'} in flight
        </p>
        {/* One button for both ways, and never a disabled one: the focus stays on it. */}
        <button
          type="button"
          className={off ? 'primary' : 'danger'}
          aria-disabled={onOff.isBusy}
          onClick={() => {
            if (onOff.isBusy) return;
            if (off) onOff.turn(false);
            else setAsking(true);
          }}
        >
          {off ? 'Allow again' : 'Stop all paid calls'}
        </button>
      </div>
      {onOff.trouble && (
        <div role="alert">
          {onOff.trouble.code === 'store_unavailable' ? (
            // The gateway throws the switch first and writes it down after that.
            <Notice
              trouble={{
                code: 'store_unavailable',
                message:
                  'The switch holds in this gateway. A restart would forget it: throw it again when the store is back.',
              }}
            />
          ) : (
            <Notice trouble={onOff.trouble} />
          )}
        </div>
      )}
      {isAsking && (
        <Confirmation
          title="Stop all paid calls?"
          yes="Stop them"
          no="Keep them running"
          onYes={() => onOff.turn(true)}
          onClose={() => setAsking(false)}
        >
          <p>
            {spending.calls_in_flight === 0
              ? 'No paid call is in flight. '
              : `${count(spending.calls_in_flight)} in flight ${spending.calls_in_flight === 1 ? 'ends' : 'end'} at once. `}
            No paid engine of this gateway is asked again until you allow it, also after a restart.
          </p>
          <p>NPCs go on speaking: with local engines, then with written lines. Jobs for paid engines wait.</p>
        </Confirmation>
      )}
    </>
  );
}

function Ledger({ spending: { day } }: { spending: SpendingStatus }) {
  if (day === null)
    return (
      <div className="notice" data-code="store_unavailable">
        <p>The store does not answer: what was spent today is not known. The switch works all the same.</p>
        <p className="notice-detail">
          Where a daily cap is set, no paid call is made until the store is back.
        </p>
      </div>
    );
  const tiers = Object.entries(day.tiers).sort(([one], [other]) => one.localeCompare(other));
  return (
    <table className="ledger">
      <caption>
        Today, {day.date} <abbr title="The day begins at midnight, universal time">UTC</abbr>
      </caption>
      <thead>
        <tr>
          <th scope="col">Tier</th>
          <th scope="col" className="figure">
            Spent
          </th>
          <th scope="col" className="figure">
            <abbr title="The most that calls under way may cost">Held</abbr>
          </th>
        </tr>
      </thead>
      <tbody>
        {tiers.map(([tier, amounts]) => (
          <tr key={tier}>
            <th scope="row">{tier}</th>
            <td className="figure">{ledgerDollars(amounts.spent_usd)}</td>
            <td className="figure">{ledgerDollars(amounts.held_usd)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">All</th>
          <td className="figure">{ledgerDollars(day.spent_usd)}</td>
          <td className="figure">{ledgerDollars(day.held_usd)}</td>
        </tr>
      </tfoot>
    </table>
  );
}
