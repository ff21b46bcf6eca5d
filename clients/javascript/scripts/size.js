// Fails if the client is larger than 12 kB, minified and gzipped. How large it is as Herald serves it is checked by
// tests/integration/test_client_files.py.
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const LIMIT = 12_000;

const bundle = await build({
  absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
  entryPoints: ['src/index.js'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  write: false,
});
const size = gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length;
process.stdout.write(`minified and gzipped: ${size} bytes of ${LIMIT}\n`);
if (size > LIMIT) process.exitCode = 1;
