/** Who is to speak: the base and up to three adapters, each taken in or left out with one press. */
import { type FormEvent, useId, useState } from 'react';
import type { Voice } from '../use-compare.ts';
import type { AdapterView } from '../wire-adapters.ts';

/** More are found by typing. */
const OFFERED_MAX = 8;

interface VoicePickerProps {
  readonly voices: readonly Voice[];
  /** null: not known yet. */
  readonly published: readonly AdapterView[] | null;
  readonly isFull: boolean;
  readonly onChoose: (voices: readonly Voice[]) => void;
}

export function VoicePicker({ voices, published, isFull, onChoose }: VoicePickerProps) {
  const [typed, setTyped] = useState('');
  const ids = { title: useId(), add: useId(), list: useId(), full: useId() };
  const all = published?.map(({ id }) => id) ?? [];
  // Those that speak keep their place in the row, so that nothing moves under the pointer.
  const offered = [...new Set([...all.slice(0, OFFERED_MAX), ...voices.filter((voice) => voice !== null)])];
  const toggle = (voice: Voice): void => {
    if (voices.includes(voice)) onChoose(voices.filter((one) => one !== voice));
    else if (voice === null) onChoose([null, ...voices]);
    else if (!isFull) onChoose([...voices, voice]);
  };
  const add = (event: FormEvent): void => {
    event.preventDefault();
    const wanted = typed.trim();
    if (wanted === '' || isFull || voices.includes(wanted)) return;
    setTyped('');
    onChoose([...voices, wanted]);
  };
  return (
    <section className="voices" aria-labelledby={ids.title}>
      <h2 id={ids.title}>Voices</h2>
      <div className="voice-row">
        <VoiceButton isOn={voices.includes(null)} onPress={() => toggle(null)}>
          the base
        </VoiceButton>
        {offered.map((id) => (
          <VoiceButton
            key={id}
            isOn={voices.includes(id)}
            isBarred={isFull && !voices.includes(id)}
            onPress={() => toggle(id)}
          >
            {id}
          </VoiceButton>
        ))}
        {all.length > OFFERED_MAX && (
          <form className="voice-add" onSubmit={add}>
            <label htmlFor={ids.add}>Another</label>
            <input
              id={ids.add}
              list={ids.list}
              autoComplete="off"
              placeholder="name@version"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
            <datalist id={ids.list}>
              {all.map((id) => (
                <option key={id} value={id} />
              ))}
            </datalist>
            <button type="submit" aria-disabled={isFull || typed.trim() === ''}>
              Add
            </button>
          </form>
        )}
      </div>
      {isFull && offered.length > voices.length && (
        <p className="hint">Three adapters at most: leave one out to hear another.</p>
      )}
      {published?.length === 0 && (
        <p className="hint">
          No adapter is published yet, so only the base can speak.{' '}
          <a href="#/adapters">Add and publish one</a>
        </p>
      )}
    </section>
  );
}

interface VoiceButtonProps {
  readonly isOn: boolean;
  readonly isBarred?: boolean;
  readonly onPress: () => void;
  readonly children: string;
}

function VoiceButton({ isOn, isBarred = false, onPress, children }: VoiceButtonProps) {
  return (
    <button type="button" className="voice" aria-pressed={isOn} aria-disabled={isBarred} onClick={onPress}>
      <span className="voice-mark" aria-hidden="true" />
      {children}
    </button>
  );
}
