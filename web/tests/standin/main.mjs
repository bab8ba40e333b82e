import process from 'node:process';
import { Standin } from './server.mjs';

const port = await new Standin().listen(Number(process.argv[2] ?? 8099));
console.log(`http://127.0.0.1:${port}/`);
