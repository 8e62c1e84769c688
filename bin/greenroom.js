#!/usr/bin/env node
// Plain JavaScript on purpose: an old Node cannot even read src/main.ts, and must be told so in one clear sentence.
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `greenroom needs Node 24 or newer, this is ${process.versions.node}. Run it through npm (npm start, npm run greenroom -- --help): npm ci installs the right Node. If it was run with --ignore-scripts, run: npm rebuild node`,
  );
  process.exit(1);
}
await import('../src/main.ts');
