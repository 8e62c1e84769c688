/** docs/reference/config.md and config.schema.json, both from the one configuration schema. */
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import { code, page, table } from './markdown.ts';
import { type SchemaNode, typeText } from './schema-node.ts';

/** Defaults that are this machine's and no two readers' alike, and how the page names them. */
const MACHINE_DEFAULTS: Readonly<Record<string, string>> = { threads: 'every core' };

/** For editors: point a YAML language server at this file. */
export function configSchemaFile(): string {
  return `${JSON.stringify(schema(), null, 2)}\n`;
}

export function configPage(): string {
  const root = schema();
  return page(
    'Configuration',
    'src/config/schema.ts',
    `\`greenroom serve --config FILE\` reads one YAML file. Every key may be left out; an unknown key is an error. Flags win over the
environment, the environment over the file, the file over the defaults. \`greenroom config check\` says what is wrong and
where each value came from, \`greenroom config print\` shows the whole as JSON. Times are in the unit that ends the name (\`Ms\`:
milliseconds), sizes in bytes or tokens likewise. [config.schema.json](config.schema.json) is the same for editors.`,
    '## Top level',
    sectionTable(root),
    ...Object.entries(root.properties ?? {}).flatMap(([name, node]) => sections(name, node)),
  );
}

function schema(): SchemaNode {
  const made = z.toJSONSchema(configSchema, { io: 'input' });
  return withoutMachineDefaults(made) as SchemaNode;
}

function withoutMachineDefaults(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutMachineDefaults);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, child]) => {
      if (!(key in MACHINE_DEFAULTS)) return [[key, withoutMachineDefaults(child)]];
      // In `properties` it is the option's schema; inside a default it is the machine's value.
      if (typeof child !== 'object' || child === null) return [];
      const { default: _machine, ...rest } = child as Record<string, unknown>;
      return [[key, rest]];
    }),
  );
}

/** A heading for every object below, one for each alternative of a union. */
function sections(path: string, node: SchemaNode): string[] {
  const alternatives = node.oneOf ?? node.anyOf;
  if (alternatives?.some((each) => each.properties !== undefined)) {
    return alternatives.flatMap((each) => {
      const kind = each.properties?.['kind'];
      const kinds = kind?.const === undefined ? (kind?.enum ?? []) : [kind.const];
      return section(
        `${code(path)}, kind ${kinds.map((name) => code(String(name))).join(' or ')}`,
        path,
        each,
      );
    });
  }
  if (typeof node.additionalProperties === 'object')
    return sections(`${path}.<name>`, node.additionalProperties);
  return node.properties === undefined ? [] : section(code(path), path, node);
}

function section(title: string, path: string, node: SchemaNode): string[] {
  const children = Object.entries(node.properties ?? {});
  const alike = sameChildren(node);
  return [
    `## ${title}`,
    ...(node.description === undefined ? [] : [node.description]),
    ...(alike === null ? [sectionTable(node)] : [alike]),
    ...(alike === null ? children.flatMap(([name, child]) => sections(`${path}.${name}`, child)) : []),
  ];
}

/** Sections whose children all have the same keys (the tiers) are one table with a column of defaults for each. */
function sameChildren(node: SchemaNode): string | null {
  const children = Object.entries(node.properties ?? {});
  const first = children[0]?.[1].properties;
  if (first === undefined || children.length < 2) return null;
  const keys = Object.keys(first).join();
  if (children.some(([, child]) => Object.keys(child.properties ?? {}).join() !== keys)) return null;
  const required = children[0]?.[1].required ?? [];
  const whole =
    required.length === 0
      ? ''
      : `An entry that the file names must be given whole (${required.map(code).join(', ')}); one that it does not name has these defaults.\n\n`;
  const defaults = table(
    ['key', 'type', ...children.map(([name]) => code(name)), 'what it does'],
    Object.entries(first).map(([key, option]) => [
      code(key),
      typeText(option),
      ...children.map(([, child]) => {
        const given = child.default as Readonly<Record<string, unknown>> | undefined;
        const value = given?.[key] ?? child.properties?.[key]?.default;
        return value === undefined ? '' : code(JSON.stringify(value));
      }),
      option.description ?? '',
    ]),
  );
  return whole + defaults;
}

function sectionTable(node: SchemaNode): string {
  return table(
    ['key', 'type', 'default', 'what it does'],
    Object.entries(node.properties ?? {}).map(([name, option]) => [
      code(name),
      typeText(option),
      node.required?.includes(name) ? '**required**' : defaultText(name, option),
      option.description ?? (option.properties === undefined ? '' : 'See below.'),
    ]),
  );
}

function defaultText(name: string, option: SchemaNode): string {
  const machine = MACHINE_DEFAULTS[name];
  if (machine !== undefined) return machine;
  if (option.default === undefined || option.properties !== undefined) return '';
  if (typeof option.default === 'object' && option.default !== null && !Array.isArray(option.default))
    return Object.keys(option.default).map(code).join(', ');
  return code(JSON.stringify(option.default));
}
