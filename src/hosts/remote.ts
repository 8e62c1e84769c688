/** The host of an engine that is a server of its own: a driver of the list, an address and a key. */
import { resolve } from 'node:path';
import { isPaid } from '../config/paid.ts';
import type { RemoteEngineConfig } from '../config/schema.ts';
import { ServiceError } from '../core/errors.ts';
import type { Runtime } from '../core/runtime.ts';
import type { DriverDefinition } from '../engines/driver.ts';
import { DRIVERS } from '../engines/index.ts';
import { Host, type HostParts } from './host.ts';

export function startRemote(name: string, config: RemoteEngineConfig, parts: HostParts): Host {
  const driver: DriverDefinition = DRIVERS[config.kind];
  const options = driver.options.strip().parse(config);
  const host = new Host(
    {
      name,
      kind: config.kind,
      model: config.model,
      modelVersion: config.version ?? null,
      contextTokens: config.contextTokens ?? null,
      isPaid: isPaid(config),
      relaysOpenAi: driver.relaysOpenAi ?? true,
      origin: new URL(config.baseUrl).origin,
      base: config.base ?? config.model,
      adapterLimits: {
        slots: config.adapterSlots ?? null,
        rankMax: config.adapterRankMax ?? null,
        bytesMax: config.adapterBytesMax ?? null,
      },
      artefactRoot: config.artefactRoot ?? null,
      admission: {
        engine: name,
        maxInFlight: config.maxInFlight,
        maxQueued: config.maxQueued,
        maxPromptTokens: config.maxPromptTokens ?? null,
      },
      createDriver: (transport) => driver.create({ name, model: config.model, options, transport }),
    },
    parts,
  );
  if (config.baseFiles !== undefined)
    host.modelFile = { path: resolve(parts.directory, config.baseFiles), sha256: null };
  host.connect({
    baseUrl: config.baseUrl,
    connections: config.connections,
    connectTimeoutMs: config.connectTimeoutMs,
    headers: driver.headers(
      secretOf(`engines.${name}`, config.apiKeyEnv, parts.runtime.environment),
      options,
    ),
  });
  return host;
}

/** A key from the environment; null where none is named. Throws `config_invalid` when the one that is named is not set. */
export function secretOf(
  path: string,
  variable: string | undefined,
  environment: Runtime['environment'],
): string | null {
  if (variable === undefined) return null;
  const key = environment[variable];
  if (key !== undefined && key !== '') return key;
  throw new ServiceError(
    'config_invalid',
    `${path}.apiKeyEnv names the environment variable ${variable}, which is not set; set it, or take the engine out`,
  );
}
