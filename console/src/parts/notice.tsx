/** A failure as a sentence that says what to do, with the gateway's own words below it. */
import type { Trouble } from '../api.ts';
import { troubleText } from '../trouble.ts';

export function Notice({ trouble }: { trouble: Pick<Trouble, 'code' | 'message'> }) {
  const { sentence, detail } = troubleText(trouble);
  return (
    <div className="notice" data-code={trouble.code}>
      <p>{sentence}</p>
      {detail && <p className="notice-detail">{detail}</p>}
    </div>
  );
}
