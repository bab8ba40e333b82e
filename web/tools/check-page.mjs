// Holds the built page to its bounds: small, nothing inline, nothing loaded from elsewhere.
import { readdir, readFile } from 'node:fs/promises';
import process from 'node:process';
import { gzipSync } from 'node:zlib';

const DIST = new URL('../demo/dist/', import.meta.url);
const MOST_BYTES = 100_000;

const files = (await readdir(DIST, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
const contents = await Promise.all(files.map((file) => readFile(`${file.parentPath}/${file.name}`)));
const bytes = contents.reduce((sum, content) => sum + gzipSync(content).length, 0);
const html = await readFile(new URL('index.html', DIST), 'utf8');

const faults = [
  bytes >= MOST_BYTES && `the page has ${bytes} bytes compressed, allowed are ${MOST_BYTES}`,
  /<style|\sstyle=|<script(?![^>]*\ssrc=)|\son\w+=/i.test(html) && 'index.html has a script or style inline, which the policy forbids',
  /(?:src|href)="(?!\/)/i.test(html) && 'index.html loads something by an address that is not a path of the server',
  contents.some((content) => /\b(?:url\(|import\s*\(?)\s*["']?https?:/i.test(content.toString())) && 'a file loads something from elsewhere',
].filter(Boolean);

for (const fault of faults) console.error(`built page: ${String(fault)}`);
if (faults.length > 0) process.exitCode = 1;
else console.log(`built page: ${(bytes / 1_000).toFixed(1)} kB compressed`);
