/**
 * Preloaded by `npm test` into the process of every test file. The runner limits tests, not files: a file whose tests
 * have ended but that something keeps alive would hold the whole run. It says what keeps it, and ends as failed.
 */
/** The longest file, the guides, takes three minutes on two free cores. */
const FILE_LIMIT_MS = 20 * 60_000;

/** The runner itself, which waits for all files, has no such variable. */
const isTestFile = process.env['NODE_TEST_CONTEXT'] !== undefined;
if (isTestFile) setTimeout(end, FILE_LIMIT_MS).unref();

function end(): never {
  const kept = process.getActiveResourcesInfo().join(', ');
  process.stderr.write(`${process.argv[1]} has not ended after ${FILE_LIMIT_MS / 60_000} min: ${kept}\n`);
  process.exit(1);
}
