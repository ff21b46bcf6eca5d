// Fails if the client is larger than what is promised: 12 kB minified and gzipped, 30 kB gzipped as Herald serves it.
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('..', import.meta.url));
const LIMITS = { minified: 12_000, served: 30_000 };

const bundle = await build({
  absWorkingDir: root,
  entryPoints: ['src/index.js'],
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  write: false,
});
const modules = readdirSync(`${root}/src`, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
const sizes = {
  minified: gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length,
  served: modules.reduce((sum, name) => sum + gzipSync(readFileSync(`${root}/src/${name}`)).length, 0),
};

for (const [name, limit] of Object.entries(LIMITS)) {
  const size = sizes[/** @type {keyof typeof sizes} */ (name)];
  process.stdout.write(`${name} and gzipped: ${size} bytes of ${limit}\n`);
  if (size > limit) process.exitCode = 1;
}
