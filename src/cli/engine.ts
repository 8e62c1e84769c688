/** `greenroom engine`: one model behind vLLM's wire, as the gateway's child or by hand. */

import { ServiceError } from '../core/errors.ts';
import type { ParentChannel } from '../embedded/child.ts';
import type { EmbeddedOptions } from '../embedded/options.ts';
import { embeddedOptionsSchema } from '../embedded/options.ts';
import { createLogger } from '../telemetry/log.ts';
import type { Verb } from './index.ts';

interface Flags {
  readonly model: string;
  readonly name?: string;
  readonly host: string;
  readonly port: string;
  readonly threads?: string;
  readonly sequences?: string;
  readonly prefixSequences?: string;
  readonly context?: string;
  readonly prefillTokens?: string;
  readonly queue?: string;
  readonly gpu?: string;
  readonly options?: string;
}

export const engineVerb: Verb = (program, runtime, signal) => {
  program
    .command('engine')
    .description('Serve one GGUF model over the OpenAI-compatible wire that vLLM speaks.')
    .requiredOption('--model <path>', 'the GGUF file')
    .option('--name <name>', 'what clients call the model')
    .option(
      '--host <address>',
      'address to listen on; there are no keys here, so keep it on loopback',
      '127.0.0.1',
    )
    .option('--port <number>', 'port to listen on; 0 takes a free one', '8081')
    .option('--threads <count>', 'CPU threads (default: all cores)')
    .option('--sequences <count>', 'lines generated at once (default: 8)')
    .option('--prefix-sequences <count>', 'persona prefixes kept besides (default: 4)')
    .option('--context <tokens>', 'longest prompt plus answer (default: the train context, at most 2048)')
    .option('--prefill-tokens <count>', 'most prompt tokens per step (default: 256)')
    .option('--queue <count>', 'requests that may wait (default: 64)')
    .option('--gpu <backend>', 'auto, cuda, vulkan or metal; its binary must be installed (default: CPU)')
    .option('--options <json>', 'further options as JSON; flags win')
    .action(async (flags: Flags) => {
      const options = engineOptions(flags);
      const port = Number(flags.port);
      if (!Number.isInteger(port) || port < 0 || port > 65_535)
        throw new ServiceError('config_invalid', `--port is ${flags.port}; expected 0 to 65535`);
      // Loaded here, so that every other command starts without the native library.
      const { runEngine } = await import('../embedded/child.ts');
      const log = createLogger({
        level: 'info',
        format: process.stderr.isTTY ? 'text' : 'json',
        write: (line) => process.stderr.write(line),
      });
      await runEngine(
        { options, host: flags.host, port, version: '0.1.0' },
        {
          runtime,
          log,
          parent: process as ParentChannel,
          onReady: (baseUrl) => {
            if (process.send === undefined)
              console.log(`engine ready: ${baseUrl}/v1  (model ${options.modelName})`);
          },
        },
        signal,
      );
    });
};

function engineOptions(flags: Flags): EmbeddedOptions {
  let base: unknown = {};
  try {
    base = JSON.parse(flags.options ?? '{}');
  } catch (error) {
    throw new ServiceError('config_invalid', `--options is not JSON: ${(error as Error).message}`);
  }
  const result = embeddedOptionsSchema.safeParse({
    ...(base as object),
    modelPath: flags.model,
    ...(flags.name === undefined ? {} : { modelName: flags.name }),
    ...number('threads', flags.threads),
    ...number('sequences', flags.sequences),
    ...number('prefixSequences', flags.prefixSequences),
    ...number('contextTokens', flags.context),
    ...number('prefillTokensPerStep', flags.prefillTokens),
    ...number('queueMax', flags.queue),
    ...(flags.gpu === undefined ? {} : { gpu: flags.gpu === 'false' ? false : flags.gpu }),
  });
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new ServiceError('config_invalid', `${issue?.path.join('.')}: ${issue?.message}`);
}

function number(key: string, text: string | undefined): Record<string, number> {
  return text === undefined ? {} : { [key]: Number(text) };
}
