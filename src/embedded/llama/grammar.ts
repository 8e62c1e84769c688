/** What an answer may look like: a JSON schema as a grammar of llama.cpp. */
import type { Llama, LlamaGrammar } from 'node-llama-cpp';
import { ServiceError } from '../../core/errors.ts';
import { grammarSchema } from '../json-schema.ts';
import { messageOf } from './native.ts';

export interface Grammar {
  readonly native: LlamaGrammar;
}

/** The end of the root rule of a generated grammar, as text: `"\n\n\n\n" [\n]*`. */
const NEWLINE_TAIL = / "(?:\\n){4}" \[\\n\]\*(?=\n|$)/;

/** Throws `bad_request` when the schema uses what the grammar cannot say. */
export async function jsonGrammar(llama: Llama, schema: Readonly<Record<string, unknown>>): Promise<Grammar> {
  const accepted = grammarSchema(schema);
  try {
    // The library's type follows literal schemas; ours comes from outside and was checked.
    const create = llama.createGrammarForJsonSchema.bind(llama) as (schema: unknown) => Promise<LlamaGrammar>;
    const { grammar } = await create(accepted);
    // The library ends its root with newlines for a stop trigger of its own; without them an answer that is whole can
    // only end.
    return { native: await llama.createGrammar({ grammar: grammar.replace(NEWLINE_TAIL, '') }) };
  } catch (error) {
    throw new ServiceError('bad_request', `the JSON schema cannot be made a grammar: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
