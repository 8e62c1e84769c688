/** What the game would send along: who speaks, where, in what mood, at which tier; and which conversation this is. */
import { type ReactNode, useId } from 'react';
import type { Scene } from '../use-talk.ts';

interface SceneFormProps {
  readonly scene: Scene;
  readonly onScene: (scene: Scene) => void;
  readonly conversationId: string;
  readonly onRestart: () => void;
}

export function SceneForm({ scene, onScene, conversationId, onRestart }: SceneFormProps) {
  const set = (change: Partial<Scene>): void => onScene({ ...scene, ...change });
  const said = [scene.playerName, scene.location, scene.mood, scene.tier && `tier ${scene.tier}`].filter(
    Boolean,
  );
  return (
    <div className="scene">
      <details>
        <summary>
          Scene
          <span className="scene-said">{said.length > 0 ? said.join(', ') : 'as the persona sets it'}</span>
        </summary>
        <div className="scene-fields">
          <Field label="Player name">
            {(id) => (
              <input
                id={id}
                maxLength={100}
                autoComplete="off"
                value={scene.playerName}
                onChange={(event) => set({ playerName: event.target.value })}
              />
            )}
          </Field>
          <Field label="Location">
            {(id) => (
              <input
                id={id}
                maxLength={100}
                autoComplete="off"
                value={scene.location}
                onChange={(event) => set({ location: event.target.value })}
              />
            )}
          </Field>
          <Field label="Mood">
            {(id) => (
              <input
                id={id}
                maxLength={100}
                autoComplete="off"
                value={scene.mood}
                onChange={(event) => set({ mood: event.target.value })}
              />
            )}
          </Field>
          <Field label="Tier">
            {(id) => (
              <select id={id} value={scene.tier} onChange={(event) => set({ tier: event.target.value })}>
                <option value="">the NPC's own</option>
                <option value="1">1, grunt</option>
                <option value="2">2, elite</option>
                <option value="3">3, boss</option>
                <option value="4">4, cloud</option>
              </select>
            )}
          </Field>
        </div>
      </details>
      <div className="conversation">
        {conversationId && (
          <p>
            Conversation <code>{conversationId}</code>
          </p>
        )}
        <button type="button" className="quiet" onClick={onRestart} disabled={conversationId === ''}>
          New conversation
        </button>
      </div>
    </div>
  );
}

function Field({ label, children }: { label: string; children: (id: string) => ReactNode }) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children(id)}
    </div>
  );
}
