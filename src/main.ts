#!/usr/bin/env node
/** The entry of every process: refuses an old Node with one clear sentence, then hands over to the command line. */
const major = Number(process.versions.node.split('.')[0]);
if (major < 24) {
  console.error(
    `greenroom needs Node 24 or newer, this is ${process.versions.node}. Run it through npm (npm start, npm run greenroom), which uses the Node that npm ci installed.`,
  );
  process.exit(1);
}
const { runCommandLine } = await import('./cli/index.ts');
process.exitCode = await runCommandLine(process.argv);
