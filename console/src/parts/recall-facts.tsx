/** How full the memory is, how the shared tier stands, and by which rules lines are kept. */
import { useState } from 'react';
import { bytes, count } from '../format.ts';
import { lifetime, percent, sharedTier } from '../recall-words.ts';
import type { RecallView } from '../use-recall.ts';
import type { RecallStatus } from '../wire-recall.ts';
import { Confirmation } from './confirmation.tsx';
import { ForgetWords } from './recall-table.tsx';

interface RecallFactsProps {
  readonly status: RecallStatus;
  readonly recall: RecallView;
}

export function RecallMemory({ status, recall }: RecallFactsProps) {
  const [isAsking, setAsking] = useState(false);
  const { memory } = status;
  const shared = sharedTier(status);
  return (
    <div className="recall-memory">
      <p>
        <strong>{bytes(memory.bytes)}</strong> of {bytes(memory.bytes_max)}: {answers(memory.variants)} to{' '}
        {count(memory.keys)} {memory.keys === 1 ? 'question' : 'questions'}
      </p>
      <meter
        className="recall-fill"
        aria-label="How full the memory is"
        value={memory.bytes}
        max={Math.max(1, memory.bytes_max)}
      />
      <p className="hint">
        {memory.evictions === 0
          ? 'Nothing had to make room yet.'
          : `${answers(memory.evictions)} had to make room since the start. If that goes on rising, raise recall.memoryBytesMax.`}
      </p>
      <h3>Shared tier</h3>
      <p className="lamp" data-tone={shared.tone}>
        <span className="lamp-shape" aria-hidden="true" />
        {shared.text}
      </p>
      <button
        type="button"
        className="danger"
        aria-disabled={recall.isForgetting}
        onClick={() => {
          if (!recall.isForgetting) setAsking(true);
        }}
      >
        Forget everything
      </button>
      {isAsking && (
        <Confirmation
          title="Forget what everybody said?"
          yes="Forget everything"
          no="Keep it"
          onYes={() => recall.forget(null, 'everybody')}
          onClose={() => setAsking(false)}
        >
          <ForgetWords status={status} />
        </Confirmation>
      )}
    </div>
  );
}

export function RecallRules({ status: { options, prefix } }: { status: RecallStatus }) {
  return (
    <dl className="facts">
      <dt>Answers kept for a question</dt>
      <dd>up to {options.variants_max}</dd>
      {options.variants_min > 1 && (
        <>
          <dt>Said again from</dt>
          <dd>{options.variants_min} answers on</dd>
        </>
      )}
      <dt>Kept for</dt>
      <dd>{lifetime(options.ttl_s)}</dd>
      <dt>Equal questions at once</dt>
      <dd>{options.join_equal ? 'share one answer' : 'each gets its own'}</dd>
      <dt>Barks of equal meaning</dt>
      <dd>{options.barks_by_meaning ? 'share answers' : 'stay apart'}</dd>
      <dt>Prompts of generated lines</dt>
      <dd>{prefix.cached_share === null ? 'none yet' : `${percent(prefix.cached_share)} read before`}</dd>
    </dl>
  );
}

function answers(amount: number): string {
  return `${count(amount)} ${amount === 1 ? 'answer' : 'answers'}`;
}
