/** The prompt as the model sees it, message by message, before any player spoke. */
import { count } from '../format.ts';
import type { NpcDetail } from '../wire.ts';

export function PromptSheet({ prompt }: { prompt: NpcDetail['prompt'] }) {
  return (
    <section className="prompt" aria-label="Prompt">
      <p className="prompt-count">
        <strong>{count(prompt.prompt_tokens)}</strong> tokens before the player speaks
      </p>
      {prompt.messages.map((message, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: messages have no identity but their place
        <div className="message" key={index}>
          <h2>{message.role}</h2>
          <pre>{message.content}</pre>
        </div>
      ))}
    </section>
  );
}
