// The scripts of ../tests, which no tsconfig knows: run from the folder above (see the Makefile).
import js from '@eslint/js';
import { defineConfig } from 'eslint/config';

/** What scripts find in Node and, inside `page.evaluate`, in a browser. */
const GLOBALS = ['Buffer', 'console', 'document', 'fetch', 'navigator', 'performance', 'process', 'window'];
const TIMERS = ['clearInterval', 'clearTimeout', 'setInterval', 'setTimeout'];

export default defineConfig(js.configs.recommended, {
  languageOptions: {
    globals: Object.fromEntries([...GLOBALS, ...TIMERS].map((name) => [name, 'readonly'])),
  },
  linterOptions: { reportUnusedDisableDirectives: 'error' },
  rules: {
    eqeqeq: 'error',
    'no-var': 'error',
    'prefer-const': 'error',
    'no-shadow': 'error',
    'max-lines': ['error', { max: 350, skipBlankLines: true, skipComments: true }],
  },
});
