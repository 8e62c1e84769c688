/** A persona for reading. Secrets stay covered until asked for, so that a screen can be shared. */
import { type ReactNode, useId, useState } from 'react';
import { words } from '../format.ts';
import type { Persona } from '../wire.ts';

export function PersonaSheet({ persona }: { persona: Persona }) {
  const { identity, personality, voice, style, knowledge, forbidden } = persona;
  return (
    <div className="persona">
      <Part title="Identity">
        <Facts
          rows={[
            ['Role', identity?.role],
            ['Age', identity?.age],
            ['Era', identity?.era],
            ['Nickname', persona.nickname],
            ['Pronouns', persona.pronouns],
            ['Tags', persona.tags],
          ]}
        />
        {identity?.background && <p className="prose">{identity.background}</p>}
        {identity?.appearance && <p className="prose prose-quiet">{identity.appearance}</p>}
        <Facts
          rows={[
            ['Traits', personality?.traits],
            ['Flaws', personality?.flaws],
            ['Fears', personality?.fears],
          ]}
        />
        <Bullets title="Wants" items={persona.goals?.map((goal) => goal.text)} />
      </Part>
      <Part title="Voice">
        <Facts
          rows={[
            ['Register', voice?.register],
            ['Rhythm', voice?.rhythm],
            ['Tics', voice?.tics],
            ['Says', voice?.words_use],
            ['Never says', voice?.words_avoid],
            ['Language', voice?.language],
            ['Longest answer', wordsText(style?.max_words)],
            ['In a fight', wordsText(style?.combat_max_words)],
            ['First sentence', wordsText(style?.first_sentence_max_words)],
          ]}
        />
      </Part>
      {persona.examples && persona.examples.length > 0 && (
        <Part title="Examples">
          {persona.examples.map((example) => (
            <div className="example" key={`${example.player} ${example.npc}`}>
              {example.situation && <p className="direction">({words(example.situation)})</p>}
              <p className="example-player">{example.player}</p>
              <p className="example-npc">{example.npc}</p>
            </div>
          ))}
        </Part>
      )}
      <Part title="Knowledge">
        <Facts rows={[['Moment', knowledge?.time_point]]} />
        <Bullets title="Knows" items={knowledge?.knows} />
        <Bullets title="Does not know" items={knowledge?.unknown} />
        <Bullets title="Deflects with" items={knowledge?.deflections} isSpoken />
        {persona.relationships && persona.relationships.length > 0 && <h3>Towards others</h3>}
        {persona.relationships && persona.relationships.length > 0 && (
          <Facts
            rows={persona.relationships.map((one) => [
              words(one.target),
              `${stanceText(one.stance)}. ${one.facts?.join(' ') ?? ''}`,
            ])}
          />
        )}
      </Part>
      {persona.secrets && persona.secrets.length > 0 && <Secrets secrets={persona.secrets} />}
      <Part title="Refusals">
        <Bullets items={persona.refusals} isSpoken />
        <Facts
          rows={[
            ['Off limits', forbidden?.topics],
            ['Never says', forbidden?.phrases],
            ['Never does', forbidden?.behaviours],
          ]}
        />
      </Part>
      {persona.greetings && persona.greetings.length > 0 && (
        <Part title="Greetings">
          <Bullets items={persona.greetings} isSpoken />
        </Part>
      )}
    </div>
  );
}

function wordsText(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value} words`;
}

function stanceText(stance: number | undefined): string {
  return (
    { '-2': 'Hates', '-1': 'Dislikes', '0': 'Neutral', '1': 'Likes', '2': 'Loves' }[String(stance ?? 0)] ?? ''
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="part">
      <h2>{title}</h2>
      <div>{children}</div>
    </section>
  );
}

function Facts({ rows }: { rows: readonly (readonly [string, string | readonly string[] | undefined])[] }) {
  const present = rows.filter(([, value]) => value !== undefined && value.length > 0);
  if (present.length === 0) return null;
  return (
    <dl className="facts facts-wide">
      {present.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{typeof value === 'string' ? value : value?.join('; ')}</dd>
        </div>
      ))}
    </dl>
  );
}

function Bullets({
  title,
  items,
  isSpoken = false,
}: {
  title?: string;
  items: readonly string[] | undefined;
  isSpoken?: boolean;
}) {
  if (!items || items.length === 0) return null;
  return (
    <>
      {title && <h3>{title}</h3>}
      <ul className={isSpoken ? 'spoken' : undefined}>
        {items.map((item) => (
          <li key={item}>{item}</li>
        ))}
      </ul>
    </>
  );
}

function Secrets({ secrets }: { secrets: NonNullable<Persona['secrets']> }) {
  const [isOpen, setIsOpen] = useState(false);
  const id = useId();
  return (
    <Part title="Secrets">
      <button type="button" aria-expanded={isOpen} aria-controls={id} onClick={() => setIsOpen(!isOpen)}>
        {isOpen ? 'Cover' : `Reveal ${secrets.length === 1 ? 'the secret' : `${secrets.length} secrets`}`}
      </button>
      <div id={id}>
        {isOpen &&
          secrets.map((secret) => (
            <div className="secret" key={secret.text}>
              <p className="prose">{secret.text}</p>
              <Facts
                rows={[
                  ['May be told', secret.reveal_when ? `when ${secret.reveal_when}` : 'never'],
                  ['Canaries', secret.canaries?.map((canary) => `“${canary}”`)],
                ]}
              />
            </div>
          ))}
      </div>
    </Part>
  );
}
