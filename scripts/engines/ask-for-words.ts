/** The readiness that counts at an engine with OpenAI's chat wire: a line that it generated (design.md §5, Health). */

/** Asks for a few words and gives them. Throws while the engine cannot, with what it answered. */
export async function askForWords(origin: string, model: string, signal: AbortSignal): Promise<string> {
  const reply = await fetch(`${origin}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model,
      messages: [{ role: 'user', content: 'Who goes there?' }],
      max_tokens: 8,
      temperature: 0,
    }),
    signal,
  });
  const said = await reply.text();
  if (!reply.ok) throw new Error(`HTTP ${reply.status}: ${said.slice(0, 500)}`);
  const body = JSON.parse(said) as {
    readonly choices?: readonly { readonly message?: { readonly content?: string | null } }[];
  };
  const words = body.choices?.[0]?.message?.content ?? '';
  if (words.trim() === '') throw new Error(`no words in ${said.slice(0, 500)}`);
  return words;
}
