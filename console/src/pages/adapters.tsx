/** Adapters: what lies on which engine now, and the registry of all of them. */
import { Notice } from '../parts/notice.tsx';
import { RegistrySection } from '../parts/registry-section.tsx';
import { ReplicaBoard } from '../parts/replica-board.tsx';
import type { Live } from '../use-live.ts';
import { useReplicas } from '../use-replicas.ts';

interface AdaptersPageProps {
  readonly live: Live;
  readonly stamp: string;
  readonly keyGeneration: number;
}

export function AdaptersPage({ live, stamp, keyGeneration }: AdaptersPageProps) {
  const replicas = useReplicas(keyGeneration);
  const { engines, trouble } = replicas;
  const isForbidden = trouble?.code === 'forbidden';
  return (
    <div className="operations adapters">
      <header className="adapters-head">
        <h1>Adapters</h1>
        <a href="#/compare">Hear the difference</a>
      </header>
      {isForbidden && (
        <Notice trouble={{ code: 'forbidden', message: 'This key may talk, but not see adapters.' }} />
      )}
      <section className="part adapters-part" aria-labelledby="residency">
        <h2 id="residency">On the engines now</h2>
        <div className="wide">
          {engines && (
            <ReplicaBoard engines={engines} toldMonoMs={replicas.toldMonoMs} isStale={trouble !== null} />
          )}
          {engines?.length === 0 && (
            <p className="empty">
              {live.readiness?.ready
                ? 'No engine of the configuration can hold adapters. Those that can: embedded, vLLM, SGLang, TensorRT-LLM, llama-server, Ollama.'
                : 'No engine is up yet. What lies on them comes back by itself.'}
            </p>
          )}
          {engines && trouble && <p className="hint">No answer: this is how it last stood. Trying again.</p>}
          {!engines && !trouble && <p className="empty">Asking the gateway…</p>}
          {!engines && trouble && !isForbidden && live.connection === 'up' && <Notice trouble={trouble} />}
          {!engines && trouble && live.connection === 'lost' && <p className="empty">Not known.</p>}
        </div>
      </section>
      {!isForbidden && <RegistrySection engines={engines} stamp={stamp} keyGeneration={keyGeneration} />}
    </div>
  );
}
