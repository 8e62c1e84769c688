/** The margin note: where a reply came from, what it took, what it cost. Every figure is the gateway's own. */
import type { ReactNode } from 'react';
import { absenceText } from '../adapter-words.ts';
import type { Reply } from '../conversation.ts';
import { count, dollars, milliseconds } from '../format.ts';
import { causeText } from '../trouble.ts';
import type { Outcome } from '../wire.ts';

const KINDS: Readonly<Record<string, string>> = {
  engine: 'Generated',
  cache: 'From the cache',
  written: 'Written line',
};

export function Provenance({ reply }: { reply: Reply }) {
  const { outcome } = reply;
  if (outcome) return <FullNote outcome={outcome} />;
  if (reply.seenTtfsMs === null) return null;
  return (
    <aside className="margin" aria-label="Where this reply came from">
      <p className="margin-absent">It ended before its figures came.</p>
      <dl>
        <Figure name="TTFS here" title="Time to first sentence, seen by this page">
          {milliseconds(reply.seenTtfsMs)}
        </Figure>
      </dl>
    </aside>
  );
}

function FullNote({ outcome }: { outcome: Outcome }) {
  const { source, usage, timing, conversation } = outcome;
  return (
    <aside className="margin" aria-label="Where this reply came from">
      <p className="margin-kind" data-kind={source.kind}>
        {KINDS[source.kind] ?? source.kind}
      </p>
      {source.cause && <p className="margin-cause">Fell back: {causeText(source.cause, source.kind)}.</p>}
      <p className="margin-model">
        {[source.engine, source.model, source.adapter].filter(Boolean).join(' / ')}
      </p>
      {source.adapter_missing && (
        <p className="margin-cause">
          Without its adapter: {source.adapter_missing.adapter} {absenceText(source.adapter_missing.reason)}.
        </p>
      )}
      {source.lean_prompt && <p className="margin-cause">Pressed for time: from a short prompt.</p>}
      {source.model_version && <p className="margin-model">version {source.model_version}</p>}
      <dl>
        {source.adapter_generation !== undefined && (
          <Figure
            name="adapter"
            title="The generation of the adapter: it rises whenever another version is swapped in"
          >
            generation {source.adapter_generation}
          </Figure>
        )}
        <Figure name="rung" title="Its place on the ladder of the tier; 0 is the first choice">
          {source.rung === 0 ? '0, first choice' : source.rung}
        </Figure>
        {usage.prompt_tokens + usage.completion_tokens > 0 && <Tokens usage={usage} />}
        <Figure name="TTFT" title="Time to first token">
          {milliseconds(timing.ttft_ms)}
        </Figure>
        <Figure name="TTFS" title="Time to first sentence">
          {milliseconds(timing.ttfs_ms)}
        </Figure>
        <Figure name="total">{milliseconds(timing.total_ms)}</Figure>
        {usage.cost_usd > 0 && <Figure name="cost">{dollars(usage.cost_usd)}</Figure>}
      </dl>
      {outcome.finish_reason === 'length' && <p className="margin-cause">Stopped at its length limit.</p>}
      {conversation?.stored === false && <p className="margin-cause">Not kept: the store did not answer.</p>}
    </aside>
  );
}

/** What was read and written for this line, by engines that failed at it too. */
function Tokens({ usage }: Pick<Outcome, 'usage'>) {
  const cachedShare = usage.prompt_tokens > 0 ? usage.cached_tokens / usage.prompt_tokens : 0;
  return (
    <>
      <Figure name="prompt">
        {count(usage.prompt_tokens)} <span className="unit">tokens</span>
      </Figure>
      <Figure name="cached">
        <meter
          className="share"
          min={0}
          max={1}
          value={cachedShare}
          aria-label="Share of the prompt that was cached"
        />{' '}
        {count(usage.cached_tokens)} <span className="unit">tokens</span>
      </Figure>
      <Figure name="completion">
        {count(usage.completion_tokens)} <span className="unit">tokens</span>
      </Figure>
    </>
  );
}

function Figure({ name, title, children }: { name: string; title?: string; children: ReactNode }) {
  return (
    <div>
      <dt>{title ? <abbr title={title}>{name}</abbr> : name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
