/**
 * Messages to tokens through the model's own jinja template. Invariant: only the template's own text can become a
 * control token. The template is rendered with placeholders, its control-token texts are cut out of what it wrote, and
 * what stands between them (message contents included) is tokenised with special parsing off.
 */
import { Template } from '@huggingface/jinja';
import { ServiceError } from '../core/errors.ts';
import { invariant } from '../lib/invariant.ts';
import { literalPattern } from './literal-pattern.ts';

export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
}

/** What the template needs of a model; `LoadedModel` has it. */
export interface TemplateVocabulary {
  readonly chatTemplate: string | null;
  readonly bosText: string;
  readonly eosText: string;
  readonly bosToken: number | null;
  readonly controlTokens: ReadonlyMap<string, number>;
  tokenize(text: string, special: boolean): number[];
}

export interface RenderedPrompt {
  readonly tokens: number[];
  /** Tokens up to and with the one that closes the leading system messages: a persona's prefix. 0 without one. */
  readonly systemTokens: number;
}

export interface RenderOptions {
  readonly addGenerationPrompt: boolean;
  /** Leaves the last message open, so that the model goes on inside it. */
  readonly continueFinalMessage: boolean;
  readonly extra?: Readonly<Record<string, unknown>>;
}

/** Private-use characters: contents never pass through the template, so nothing a player types can look like one. */
const OPEN = '\uE0F1';
const CLOSE = '\uE0F2';
const PLACEHOLDER = new RegExp(`${OPEN}(\\d+)${CLOSE}`, 'g');

export class ChatTemplate {
  readonly #vocabulary: TemplateVocabulary;
  readonly #template: Template | null;
  readonly #control: RegExp | null;
  readonly #trims: boolean;

  /** Throws `model_invalid` when the model's template is not jinja. */
  constructor(vocabulary: TemplateVocabulary) {
    this.#vocabulary = vocabulary;
    this.#control = literalPattern(vocabulary.controlTokens.keys());
    try {
      this.#template = vocabulary.chatTemplate === null ? null : new Template(vocabulary.chatTemplate);
    } catch (error) {
      throw new ServiceError(
        'model_invalid',
        `the chat template of the model cannot be read: ${String(error)}`,
        {
          cause: error,
        },
      );
    }
    this.#trims = this.#template !== null && this.#probeTrim();
  }

  /** Throws `bad_request` when the model has no template or its template refuses these messages. */
  render(messages: readonly TemplateMessage[], options: RenderOptions): RenderedPrompt {
    const text = this.#renderText(
      messages.map((message, index) => ({ ...message, content: `${OPEN}${index}${CLOSE}` })),
      options,
    );
    const last = messages.length - 1;
    const pieces = options.continueFinalMessage ? cutAfter(text, `${OPEN}${last}${CLOSE}`) : text;
    const leadingSystem = messages.findIndex((message) => message.role !== 'system') - 1;
    const contents = messages.map((message, index) =>
      this.#contentOf(message.content, options.continueFinalMessage && index === last),
    );
    return this.#tokenise(pieces, contents, leadingSystem);
  }

  #renderText(messages: readonly TemplateMessage[], options: RenderOptions): string {
    if (this.#template === null)
      throw new ServiceError('bad_request', 'this model has no chat template; use /v1/completions');
    try {
      return this.#template.render({
        ...options.extra,
        messages,
        add_generation_prompt: options.addGenerationPrompt,
        bos_token: this.#vocabulary.bosText,
        eos_token: this.#vocabulary.eosText,
      });
    } catch (error) {
      throw new ServiceError(
        'bad_request',
        `messages: the chat template of the model refuses them: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
    }
  }

  /** Whether the template trims contents: with placeholders it cannot, so it is done here. */
  #probeTrim(): boolean {
    try {
      const probe = this.#renderText([{ role: 'user', content: '  probe  ' }], {
        addGenerationPrompt: false,
        continueFinalMessage: false,
      });
      return !probe.includes('  probe  ');
    } catch {
      return false;
    }
  }

  #contentOf(content: string, isOpen: boolean): string {
    if (!this.#trims) return content;
    return isOpen ? content.trimStart() : content.trim();
  }

  #tokenise(text: string, contents: readonly string[], leadingSystem: number): RenderedPrompt {
    const tokens: number[] = [];
    let run = '';
    let systemTokens = 0;
    let awaitsSystemEnd = false;
    const flush = () => {
      if (run !== '') for (const token of this.#vocabulary.tokenize(run, false)) tokens.push(token);
      run = '';
    };
    const literal = (part: string) => {
      let from = 0;
      for (const match of this.#control === null ? [] : part.matchAll(this.#control)) {
        run += part.slice(from, match.index);
        from = match.index + match[0].length;
        flush();
        const token = this.#vocabulary.controlTokens.get(match[0]);
        invariant(token !== undefined, 'a matched control text is in the vocabulary');
        tokens.push(token);
        if (awaitsSystemEnd) {
          systemTokens = tokens.length;
          awaitsSystemEnd = false;
        }
      }
      run += part.slice(from);
    };
    let from = 0;
    for (const match of text.matchAll(PLACEHOLDER)) {
      literal(text.slice(from, match.index));
      from = match.index + match[0].length;
      const index = Number(match[1]);
      run += contents[index] ?? '';
      if (index === leadingSystem) awaitsSystemEnd = true;
    }
    literal(text.slice(from));
    flush();
    const { bosToken } = this.#vocabulary;
    if (bosToken !== null && tokens[0] !== bosToken) {
      tokens.unshift(bosToken);
      if (systemTokens > 0) systemTokens += 1;
    }
    return { tokens, systemTokens };
  }
}

function cutAfter(text: string, marker: string): string {
  const at = text.lastIndexOf(marker);
  if (at < 0)
    throw new ServiceError(
      'bad_request',
      'continue_final_message: the chat template of the model does not show the last message',
    );
  return text.slice(0, at + marker.length);
}
