/** docs/reference/errors.md: the error catalogue of `src/core/errors.ts`. */
import { ERRORS } from '../../src/core/errors.ts';
import { code, page, table } from './markdown.ts';

export function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(([name, row]) => [
    code(name),
    String(row.status),
    code(row.openai),
    row.retryable ? 'yes' : 'no',
    row.title,
    row.advice,
  ]);
  return page(
    'Errors',
    'src/core/errors.ts',
    `Every operating error has a code that does not change. Outside a stream an error is an RFC 9457 problem document
with that \`code\`; in a stream it is the last event, \`error\`, with \`{code, message, retryable}\`. The
OpenAI-compatible addresses answer in OpenAI's shape, with the code in \`error.code\` and the type of the third column in
\`error.type\`. *Retry* says whether the same request may succeed later or elsewhere.`,
    table(['code', 'HTTP', 'OpenAI type', 'retry', 'what it means', 'what to do'], rows),
  );
}
