import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ServiceError } from '../core/errors.ts';
import { grammarSchema } from './json-schema.ts';

describe('grammarSchema', () => {
  it('translates what the grammar can enforce and leaves annotations out', () => {
    assert.deepEqual(
      grammarSchema({
        $schema: 'x',
        title: 'Reply',
        definitions: { mood: { enum: ['calm', 'angry'] } },
        properties: {
          mood: { $ref: '#/definitions/mood' },
          lines: { items: { minLength: 1, maxLength: 9 }, maxItems: 3 },
          gold: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
        },
        required: ['mood'],
        additionalProperties: false,
      }),
      {
        $defs: { mood: { enum: ['calm', 'angry'] } },
        properties: {
          mood: { $ref: '#/$defs/mood' },
          lines: { items: { minLength: 1, maxLength: 9, type: 'string' }, maxItems: 3, type: 'array' },
          gold: { oneOf: [{ type: 'integer' }, { type: 'null' }] },
        },
        additionalProperties: false,
        type: 'object',
      },
    );
  });

  let deep: Record<string, unknown> = { type: 'string' };
  for (let level = 0; level < 20; level++) deep = { type: 'array', items: deep };
  const wide = {
    type: 'object',
    properties: Object.fromEntries(
      Array.from({ length: 600 }, (_none, index) => [`p${index}`, { type: 'null' }]),
    ),
  };
  const refused: [string, unknown, RegExp][] = [
    ['a pattern', { type: 'string', pattern: 'x' }, /#\/pattern/],
    ['allOf', { allOf: [{ type: 'string' }] }, /#\/allOf/],
    ['a foreign reference', { $ref: 'http://x/y' }, /#\/\$ref/],
    ['an unknown type', { type: 'date' }, /#\/type/],
    ['no type', { properties: { a: {} } }, /#\/properties\/a needs a type/],
    ['an empty enum', { enum: [] }, /#\/enum/],
    ['a list for a schema', { items: [] }, /#\/items/],
    ['a huge repetition', { type: 'string', maxLength: 1e9 }, /#\/maxLength/],
    ['too deep', deep, /levels/],
    ['too wide', wide, /parts/],
    ['no object at all', 'string', /#/],
  ];
  for (const [what, schema, message] of refused) {
    it(`refuses ${what} by its path`, () => {
      assert.throws(
        () => grammarSchema(schema),
        (error: unknown) =>
          error instanceof ServiceError && error.code === 'bad_request' && message.test(error.message),
      );
    });
  }
});
