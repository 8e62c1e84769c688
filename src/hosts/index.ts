/** The engines of one configuration, each with what runs for it. */
import type { EngineConfig } from '../config/schema.ts';
import { startEmbedded } from './embedded.ts';
import type { Host, HostParts } from './host.ts';
import { startRemote } from './remote.ts';

/** Starts what one engine needs, in the background. Throws `config_invalid` when its key is not in the environment. */
export function startHost(name: string, config: EngineConfig, parts: HostParts): Host {
  return config.kind === 'embedded' ? startEmbedded(name, config, parts) : startRemote(name, config, parts);
}
