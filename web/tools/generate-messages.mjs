// Writes the TypeScript types of every message from the one JSON Schema of them. With --check it
// only says whether the written file is up to date.
import { readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { compile } from 'json-schema-to-typescript';

const SCHEMA = new URL('../../configs/schema/messages.schema.json', import.meta.url);
export const TARGET = new URL('../client/src/generated/messages.ts', import.meta.url);

/** The text that the target should have. */
export async function generate() {
  const parsed = /** @type {unknown} */ (JSON.parse(await readFile(SCHEMA, 'utf8')));
  const schema = /** @type {import('json-schema-to-typescript').JSONSchema} */ (parsed);
  allowAnything(schema);
  return compile(schema, 'Message', {
    bannerComment: '// Generated from configs/schema/messages.schema.json by `npm run generate`. Do not edit.',
    additionalProperties: false,
    style: { singleQuote: true, printWidth: 110 },
  });
}

const SAYS_WHAT_IT_IS = ['type', '$ref', 'const', 'enum', 'oneOf', 'anyOf', 'allOf', 'tsType'];

/**
 * A property whose schema says nothing may hold any JSON, not only an object.
 * @param {unknown} schema
 */
function allowAnything(schema) {
  if (typeof schema !== 'object' || schema === null) return;
  const { properties } = /** @type {{ properties?: Record<string, Record<string, unknown>> }} */ (schema);
  for (const property of Object.values(properties ?? {})) {
    if (!SAYS_WHAT_IT_IS.some((key) => key in property)) property['tsType'] = 'unknown';
  }
  for (const each of Object.values(schema)) allowAnything(each);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await generate();
  if (process.argv.includes('--check')) {
    const written = await readFile(TARGET, 'utf8').catch(() => '');
    if (written !== text) {
      console.error('client/src/generated/messages.ts is out of date: npm run generate');
      process.exitCode = 1;
    }
  } else {
    await writeFile(TARGET, text);
  }
}
