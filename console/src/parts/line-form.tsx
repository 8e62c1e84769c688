/** A candidate as the designer wants it in the pool: its words, who says it, upon what, and under which conditions. */
import { type FormEvent, useEffect, useId, useRef, useState } from 'react';
import { words } from '../format.ts';
import type { Candidate, LineChoices, LineWish } from '../wire-lines.ts';

interface LineFormProps {
  readonly candidate: Candidate;
  readonly choices: LineChoices;
  readonly isBusy: boolean;
  readonly onApprove: (wish: LineWish) => void;
  readonly onClose: () => void;
}

const TEXT_LENGTH_MAX = 600;

export function LineForm({ candidate, choices, isBusy, onApprove, onClose }: LineFormProps) {
  const [fields, setFields] = useState({
    text: candidate.text,
    speaker: candidate.speaker,
    trigger: candidate.trigger ?? '',
    when: '',
    mood: '',
    locale: candidate.locale,
  });
  const first = useRef<HTMLTextAreaElement>(null);
  const id = useId();
  useEffect(() => first.current?.focus(), []);
  const set = (change: Partial<typeof fields>): void => setFields((before) => ({ ...before, ...change }));
  const isIncomplete = fields.text.trim() === '' || fields.trigger === '' || fields.speaker.trim() === '';
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    if (isIncomplete || isBusy) return;
    onApprove({
      ...fields,
      when: fields.when
        .split(';')
        .map((condition) => condition.trim())
        .filter((condition) => condition !== ''),
      mood: fields.mood.trim() === '' ? null : fields.mood.trim(),
    });
  };
  return (
    <form
      className="line-form"
      aria-label={`Edit: ${candidate.text}`}
      onSubmit={submit}
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose();
        // The line is one line: Enter says yes to it.
        if (event.key !== 'Enter' || !(event.target instanceof HTMLTextAreaElement)) return;
        event.preventDefault();
        submit(event);
      }}
    >
      <div className="field line-form-text">
        <label htmlFor={`${id} text`}>Words</label>
        <textarea
          id={`${id} text`}
          ref={first}
          rows={2}
          maxLength={TEXT_LENGTH_MAX}
          value={fields.text}
          onChange={(event) => set({ text: event.target.value })}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id} speaker`}>Said by</label>
        <input
          id={`${id} speaker`}
          list={`${id} speakers`}
          autoComplete="off"
          value={fields.speaker}
          onChange={(event) => set({ speaker: event.target.value })}
        />
        <datalist id={`${id} speakers`}>
          {[...new Set([candidate.speaker, candidate.kind, ...choices.speakers])].map((speaker) => (
            <option key={speaker} value={speaker} />
          ))}
        </datalist>
      </div>
      <div className="field">
        <label htmlFor={`${id} trigger`}>Upon</label>
        <select
          id={`${id} trigger`}
          required
          value={fields.trigger}
          onChange={(event) => set({ trigger: event.target.value })}
        >
          <option value="">choose when</option>
          {choices.triggers.map((trigger) => (
            <option key={trigger} value={trigger}>
              {words(trigger.replace('fallback:', 'fallback: '))}
            </option>
          ))}
        </select>
      </div>
      <div className="field">
        <label htmlFor={`${id} when`}>Only if</label>
        <input
          id={`${id} when`}
          autoComplete="off"
          placeholder="health<30; weather=rain"
          value={fields.when}
          onChange={(event) => set({ when: event.target.value })}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id} mood`}>Mood</label>
        <input
          id={`${id} mood`}
          autoComplete="off"
          placeholder="any"
          maxLength={60}
          value={fields.mood}
          onChange={(event) => set({ mood: event.target.value })}
        />
      </div>
      <div className="field">
        <label htmlFor={`${id} locale`}>Language</label>
        <input
          id={`${id} locale`}
          autoComplete="off"
          maxLength={35}
          value={fields.locale}
          onChange={(event) => set({ locale: event.target.value })}
        />
      </div>
      <div className="candidate-acts">
        <button type="submit" className="primary" aria-disabled={isIncomplete || isBusy}>
          Approve
        </button>
        <button type="button" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}
