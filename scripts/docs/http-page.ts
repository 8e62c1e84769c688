/** docs/reference/http.md: every address of the service, from the OpenAPI document that it serves. */
import { doorHarness } from '../../src/testing/door-harness.ts';
import { code, page, table } from './markdown.ts';
import { type SchemaNode, typeText } from './schema-node.ts';

interface Media {
  readonly schema?: SchemaNode;
}

interface Operation {
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required?: boolean;
    readonly description?: string;
    readonly schema?: SchemaNode;
  }[];
  readonly requestBody?: { readonly content?: Readonly<Record<string, Media>> };
  readonly responses?: Readonly<
    Record<string, { readonly description?: string; readonly content?: Readonly<Record<string, Media>> }>
  >;
}

interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** Deeper fields are in /openapi.json. */
const DEPTH_MAX = 4;

export async function httpPage(): Promise<string> {
  await using harness = await doorHarness();
  const { paths } = harness.openapi() as OpenApi;
  const operations = Object.entries(paths).flatMap(([address, methods]) =>
    Object.entries(methods)
      .filter(([method]) => method !== 'head')
      .map(([method, operation]) => ({ name: `${method.toUpperCase()} ${address}`, operation })),
  );
  return page(
    'HTTP',
    'the schemas in src/api',
    `The running service has the whole of this, for programs, at \`GET /openapi.json\`, and for people at \`GET /docs\`. Errors outside a stream are RFC 9457 problem
documents, on the OpenAI-compatible addresses OpenAI's form; the codes are in [errors.md](errors.md). With API keys, send
\`Authorization: Bearer <key>\`: addresses below \`/v1\` take a key with the scope \`game\`, \`/admin\` and \`/metrics\` one with
\`operator\`, the others none. Every reply has the header \`x-request-id\`.`,
    table(
      ['address', 'what it does'],
      operations.map(({ name, operation }) => [code(name), operation.summary ?? '']),
    ),
    ...operations.flatMap(({ name, operation }) => section(name, operation)),
  );
}

function section(name: string, operation: Operation): string[] {
  const parts = [`## ${code(name)}`, sentence(operation.summary), operation.description ?? ''];
  const { parameters = [], requestBody, responses = {} } = operation;
  if (parameters.length > 0)
    parts.push(
      table(
        ['parameter', 'in', 'type', 'what it is'],
        parameters.map((each) => [
          code(each.name),
          each.in,
          [
            each.schema === undefined ? '' : typeText(each.schema),
            each.required === true ? '**required**' : '',
          ]
            .filter((part) => part !== '')
            .join(', '),
          each.description ?? each.schema?.description ?? '',
        ]),
      ),
    );
  const body = schemaOf(requestBody?.content);
  if (body !== null) parts.push('Body:', fieldTable(body, 'asked'));
  const replies = Object.entries(responses).flatMap(([status, response]) => {
    const schema = schemaOf(response.content);
    return schema === null ? [] : [{ status, text: fieldTable(schema, 'given') }];
  });
  for (const [text, alike] of Map.groupBy(replies, (reply) => reply.text))
    parts.push(`Reply ${alike.map(({ status }) => status).join(' and ')}:`, text);
  return parts.filter((part) => part !== '');
}

function schemaOf(content: Readonly<Record<string, Media>> | undefined): SchemaNode | null {
  return Object.values(content ?? {})[0]?.schema ?? null;
}

/** What is asked has defaults and required fields; what is given is there, or may be absent. */
type Direction = 'asked' | 'given';

function fieldTable(schema: SchemaNode, direction: Direction): string {
  const rows = fields(schema, direction, '', 1);
  if (rows.length === 0) return typeText(schema);
  return table(['field', 'type', direction === 'asked' ? 'default' : 'always there', 'what it is'], rows);
}

function fields(node: SchemaNode, direction: Direction, before: string, depth: number): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([name, field]) => {
    const path = `${before}${name}`;
    const isRequired = node.required?.includes(name) === true;
    const row = [
      code(path),
      typeText(field),
      direction === 'asked' ? defaultText(field, isRequired) : isRequired ? 'yes' : 'no',
      field.description ?? '',
    ];
    if (depth >= DEPTH_MAX) return [row];
    const list = field.items;
    return [row, ...fields(list ?? field, direction, list ? `${path}[].` : `${path}.`, depth + 1)];
  });
}

function defaultText(field: SchemaNode, isRequired: boolean): string {
  if (isRequired) return '**required**';
  return field.default === undefined || field.properties !== undefined
    ? ''
    : code(JSON.stringify(field.default));
}

function sentence(text: string | undefined): string {
  if (text === undefined || text === '') return '';
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
