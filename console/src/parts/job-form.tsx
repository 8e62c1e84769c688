/** What a job asks for: the words, which ladder works on it, and whose voice it has. */
import { type FormEvent, useId, useState } from 'react';
import type { Trouble } from '../api.ts';
import type { JobBody, NpcSummary } from '../wire.ts';
import { Notice } from './notice.tsx';

/** Of the contract; a quest is far below it. */
const PROMPT_CHARACTERS_MAX = 100_000;
const TOKENS_DEFAULT = 1_024;
const TOKENS_MAX = 32_768;

interface JobFormProps {
  readonly npcs: readonly NpcSummary[];
  readonly isSending: boolean;
  readonly trouble: Trouble | null;
  readonly onSubmit: (body: JobBody) => Promise<boolean>;
}

export function JobForm({ npcs, isSending, trouble, onSubmit }: JobFormProps) {
  const [prompt, setPrompt] = useState('');
  const [tier, setTier] = useState('4');
  const [npcId, setNpcId] = useState('');
  const [maxTokens, setMaxTokens] = useState(String(TOKENS_DEFAULT));
  const ids = { prompt: useId(), tier: useId(), npc: useId(), tokens: useId() };
  const isEmpty = prompt.trim() === '';
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isEmpty || isSending) return;
    const ask = async (): Promise<void> => {
      const wasAccepted = await onSubmit({
        prompt: prompt.trim(),
        tier: Number(tier),
        max_tokens: Number(maxTokens) || TOKENS_DEFAULT,
        ...(npcId === '' ? {} : { npc_id: npcId }),
      });
      // What was written meanwhile is kept.
      if (wasAccepted) setPrompt((now) => (now === prompt ? '' : now));
    };
    void ask();
  };
  return (
    <form className="job-form" onSubmit={submit}>
      <div className="field job-prompt">
        <label htmlFor={ids.prompt}>What is to be written</label>
        <textarea
          id={ids.prompt}
          rows={4}
          maxLength={PROMPT_CHARACTERS_MAX}
          value={prompt}
          onChange={(event) => setPrompt(event.target.value)}
        />
      </div>
      <div className="field">
        <label htmlFor={ids.tier}>Tier</label>
        <select id={ids.tier} value={tier} onChange={(event) => setTier(event.target.value)}>
          <option value="1">1, grunt</option>
          <option value="2">2, elite</option>
          <option value="3">3, boss</option>
          <option value="4">4, cloud</option>
        </select>
      </div>
      <div className="field">
        <label htmlFor={ids.npc}>In the voice of</label>
        <select id={ids.npc} value={npcId} onChange={(event) => setNpcId(event.target.value)}>
          <option value="">nobody</option>
          {npcs.map((npc) => (
            <option key={npc.npc_id} value={npc.npc_id}>
              {npc.name}
            </option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor={ids.tokens}>Tokens at most</label>
        <input
          id={ids.tokens}
          type="number"
          min={1}
          max={TOKENS_MAX}
          value={maxTokens}
          onChange={(event) => setMaxTokens(event.target.value)}
        />
      </div>
      <button type="submit" className="primary" aria-disabled={isEmpty || isSending}>
        Send job
      </button>
      {trouble && (
        <div role="alert" className="job-trouble">
          <Notice trouble={trouble} />
        </div>
      )}
    </form>
  );
}
