import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { generate, TARGET } from '../tools/generate-messages.mjs';

it('the message types are those of the schema: npm run generate', async () => {
  expect(await readFile(TARGET, 'utf8')).toBe(await generate());
});
