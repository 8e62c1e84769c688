/** Where the player speaks. Enter says it, Shift+Enter breaks the line; while the NPC speaks, Esc or the button interrupts. */
import { type FormEvent, type KeyboardEvent, useEffect, useId, useRef, useState } from 'react';
import { words } from '../format.ts';
import { useIsWide } from '../use-is-wide.ts';

/** The contract's limit on `prompt`, in characters before cleaning. */
const PROMPT_CHARACTERS_MAX = 2000;

const TRIGGER_GROUPS: readonly (readonly [string, readonly string[]])[] = [
  ['Meeting', ['greet', 'farewell', 'trade', 'refuse', 'interrupted', 'too_far', 'no_answer']],
  [
    'Fight',
    ['spot', 'attack', 'hit', 'hurt', 'low_health', 'ally_died', 'kill', 'death', 'flee', 'search', 'lose'],
  ],
  ['Around', ['idle', 'thinking', 'overload', 'night', 'weather']],
];

interface ComposerProps {
  readonly npcName: string;
  readonly isSpeaking: boolean;
  readonly isReady: boolean;
  readonly onSay: (prompt: string) => void;
  readonly onTrigger: (trigger: string) => void;
  readonly onInterrupt: () => void;
}

export function Composer({ npcName, isSpeaking, isReady, onSay, onTrigger, onInterrupt }: ComposerProps) {
  const [prompt, setPrompt] = useState('');
  const [trigger, setTrigger] = useState('greet');
  const box = useRef<HTMLTextAreaElement>(null);
  const boxId = useId();
  const triggerId = useId();
  const isWide = useIsWide();

  // Whoever opens an NPC came to talk; on a phone the keyboard would cover what there is to see.
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when the page opens
  useEffect(() => {
    if (isWide) box.current?.focus({ preventScroll: true });
  }, []);

  const say = (): void => {
    const said = prompt.trim();
    if (said === '') return;
    setPrompt('');
    onSay(said);
  };
  const onSubmit = (event: FormEvent): void => {
    event.preventDefault();
    say();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    say();
  };
  const interrupt = (): void => {
    // The button leaves with the line it cut; the focus must not be lost with it.
    box.current?.focus({ preventScroll: true });
    onInterrupt();
  };
  return (
    <div className="composer">
      {!isReady && (
        <p className="composer-note">
          The model is not ready yet; until then {npcName} answers with written lines, or not at all.
        </p>
      )}
      <form className="composer-say" onSubmit={onSubmit}>
        <label htmlFor={boxId}>Say to {npcName}</label>
        <textarea
          ref={box}
          id={boxId}
          rows={2}
          maxLength={PROMPT_CHARACTERS_MAX}
          value={prompt}
          onChange={(event) => setPrompt(event.target.value)}
          onKeyDown={onKeyDown}
          enterKeyHint="send"
        />
        {(!isSpeaking || prompt.trim() !== '') && (
          <button type="submit" className="primary" disabled={prompt.trim() === ''}>
            Say it
          </button>
        )}
        {isSpeaking && (
          <button type="button" className="interrupt" onClick={interrupt}>
            Interrupt <kbd>Esc</kbd>
          </button>
        )}
        {prompt.length > PROMPT_CHARACTERS_MAX - 200 && (
          <p className="composer-count">{PROMPT_CHARACTERS_MAX - prompt.length} characters left</p>
        )}
      </form>
      <form
        className="composer-trigger"
        onSubmit={(event) => {
          event.preventDefault();
          onTrigger(trigger);
        }}
      >
        <label htmlFor={triggerId}>or set off</label>
        <select id={triggerId} value={trigger} onChange={(event) => setTrigger(event.target.value)}>
          {TRIGGER_GROUPS.map(([group, triggers]) => (
            <optgroup key={group} label={group}>
              {triggers.map((name) => (
                <option key={name} value={name}>
                  {words(name)}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
        <button type="submit">Bark</button>
      </form>
    </div>
  );
}
