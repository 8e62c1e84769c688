/** The entry of every process (bin/greenroom.js checks the Node version first): hands over to the command line. */
import { runCommandLine } from './cli/index.ts';

process.exitCode = await runCommandLine(process.argv);
