/** /openapi.json, made from the schemas that validate, and /docs: the same for people, written by the server. */
import type { Door } from './door.ts';
import { escapeHtml, PAGE_HEADERS, PAGE_STYLE, page } from './pages.ts';

interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

interface Content {
  readonly content?: Readonly<Record<string, { readonly schema?: Schema }>>;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[];
  readonly requestBody?: Content;
  readonly responses?: Readonly<Record<string, Content>>;
}

interface Document {
  readonly info: { readonly title: string; readonly version: string };
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export const openApiDoor: Door = (scope) => {
  const hide = { schema: { hide: true } };
  scope.get('/openapi.json', hide, () => scope.swagger());
  // Written at the first visit: every door is there by then, and none is added later.
  let html: string | undefined;
  scope.get('/docs', hide, (_request, reply) => {
    html ??= docsPage(scope.swagger() as unknown as Document);
    return reply.headers(PAGE_HEADERS).type('text/html; charset=utf-8').send(html);
  });
  scope.get('/docs.css', hide, (_request, reply) =>
    reply.headers(PAGE_HEADERS).type('text/css; charset=utf-8').send(PAGE_STYLE),
  );
};

function docsPage(document: Document): string {
  const operations = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => method !== 'head')
      .map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
  const list = operations.map(
    ({ name, operation }) =>
      `<li><a href="#${anchor(name)}"><code>${escapeHtml(name)}</code></a> ${escapeHtml(operation.summary ?? '')}</li>`,
  );
  const { title, version } = document.info;
  return page(
    `${title} API`,
    `<h1>${escapeHtml(title)} API <small>${escapeHtml(version)}</small></h1>
<p>The same for programs: <a href="openapi.json">openapi.json</a>. Where keys are in use, send <code>Authorization: Bearer &lt;key&gt;</code>.</p>
<ul>
${list.join('\n')}
</ul>
${operations.map(({ name, operation }) => section(name, operation)).join('\n')}`,
  );
}

function section(name: string, operation: Operation): string {
  const parts = [`<h2 id="${anchor(name)}"><code>${escapeHtml(name)}</code></h2>`];
  for (const text of [operation.summary, operation.description])
    if (text !== undefined) parts.push(`<p>${escapeHtml(text)}</p>`);
  const parameters = operation.parameters ?? [];
  if (parameters.length > 0)
    parts.push(
      table(
        'Parameters',
        parameters.flatMap(({ name: field, schema }) => rows(field, schema ?? {}, false)),
      ),
    );
  parts.push(contentTable('Body', operation.requestBody));
  for (const [status, response] of Object.entries(operation.responses ?? {}))
    parts.push(contentTable(`Reply ${status}`, response));
  return parts.join('\n');
}

function contentTable(caption: string, content: Content | undefined): string {
  const schema = content?.content?.['application/json']?.schema;
  return schema === undefined ? '' : table(caption, fields(schema, ''));
}

function table(caption: string, body: readonly string[]): string {
  if (body.length === 0) return '';
  return `<h3>${escapeHtml(caption)}</h3>
<table><thead><tr><th>Field</th><th>Type</th><th>Meaning</th></tr></thead><tbody>
${body.join('\n')}
</tbody></table>`;
}

function fields(schema: Schema, prefix: string): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) =>
    rows(prefix + name, inner, schema.required?.includes(name) ?? false),
  );
}

/** A field, and below it the fields of what it holds. */
function rows(name: string, schema: Schema, isRequired: boolean): string[] {
  const meaning = [
    schema.description,
    isRequired ? 'Required.' : undefined,
    schema.default === undefined ? undefined : `Default: ${JSON.stringify(schema.default)}.`,
  ].filter((part) => part !== undefined);
  const row = `<tr><td><code>${escapeHtml(name)}</code></td><td>${escapeHtml(typeOf(schema))}</td><td>${escapeHtml(meaning.join(' '))}</td></tr>`;
  const item = schema.items;
  return [row, ...fields(schema, `${name}.`), ...(item === undefined ? [] : fields(item, `${name}[].`))];
}

function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' · ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ');
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`;
  const type = typeof schema.type === 'string' ? schema.type : (schema.type ?? ['any']).join(' or ');
  const { minimum, maximum, maxLength } = schema;
  if (minimum !== undefined && maximum !== undefined) return `${type}, ${minimum}..${maximum}`;
  return maxLength === undefined ? type : `${type}, at most ${maxLength} characters`;
}

function anchor(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
}
