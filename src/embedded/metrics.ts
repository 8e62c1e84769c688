/** The engine's Prometheus metrics, under vLLM's names where the meaning is the same (engines.md §3.9). */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Adapters } from './adapters.ts';
import type { Scheduler, SchedulerObserver } from './scheduler.ts';

const TTFT_BUCKETS = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30];
const TOKEN_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1, 2.5];
const COUNT_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

export type FinishedReason = 'stop' | 'length' | 'abort' | 'error';

/** What the gauges read when they are asked. */
export interface WatchedEngine {
  readonly scheduler: Scheduler;
  readonly adapters: Adapters;
  readonly nowSeconds: () => number;
}

export class EngineMetrics {
  readonly registry = new Registry();
  readonly observer: SchedulerObserver;
  readonly #success: Counter<'finished_reason'>;
  readonly #endToEnd: Histogram;
  readonly #generated: Histogram;

  #engine: WatchedEngine | null = null;

  constructor({ modelName, adapterSlots }: { modelName: string; adapterSlots: number }) {
    const registers = [this.registry];
    const engine = () => this.#engine;
    this.registry.setDefaultLabels({ model_name: modelName, engine: '0' });
    const gauge = (name: string, help: string, value: (scheduler: Scheduler) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          const current = engine();
          this.set(current === null ? 0 : value(current.scheduler));
        },
      });
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    const histogram = (name: string, help: string, buckets: number[]) =>
      new Histogram({ name, help, buckets, registers });
    gauge('vllm:num_requests_running', 'Lines that hold a sequence.', (current) => current.runningCount);
    gauge('vllm:num_requests_waiting', 'Lines that wait for a sequence.', (current) => current.waitingCount);
    gauge(
      'vllm:kv_cache_usage_perc',
      'Share of the cache that holds tokens, kept prefixes included; 1 is full.',
      (current) => current.cacheUse,
    );
    gauge(
      'greenroom:engine_prefix_store_bytes',
      'Copies of what prompts begin with, outside the context.',
      (current) => current.prefixStore.bytes,
    );
    gauge(
      'greenroom:engine_prefix_store_entries',
      'Beginnings of prompts in the prefix store.',
      (current) => current.prefixStore.entries,
    );
    const total = (name: string, help: string, value: (scheduler: Scheduler) => number) =>
      new Counter({
        name,
        help,
        registers,
        collect() {
          const current = engine();
          this.reset();
          this.inc(current === null ? 0 : value(current.scheduler));
        },
      });
    total(
      'greenroom:engine_prefix_store_hits_total',
      'Lines whose prompt began like something in the prefix store.',
      (current) => current.prefixStore.hits,
    );
    total(
      'greenroom:engine_prefix_store_restores_total',
      'Copies put back from the prefix store into a sequence.',
      (current) => current.prefixStore.restores,
    );
    total(
      'greenroom:engine_prefix_store_evictions_total',
      'Entries that left the prefix store to make room.',
      (current) => current.prefixStore.evictions,
    );
    const queries = counter('vllm:prefix_cache_queries_total', 'Prompt tokens looked up in the cache.');
    const hits = counter('vllm:prefix_cache_hits_total', 'Prompt tokens found in the cache.');
    const prompt = counter('vllm:prompt_tokens_total', 'Prompt tokens of admitted requests.');
    const cached = counter('vllm:prompt_tokens_cached_total', 'Prompt tokens that were not evaluated again.');
    const generation = counter('vllm:generation_tokens_total', 'Tokens generated.');
    const iteration = histogram('vllm:iteration_tokens_total', 'Tokens per pass.', COUNT_BUCKETS);
    const ttft = histogram(
      'vllm:time_to_first_token_seconds',
      'From arrival to the first token.',
      TTFT_BUCKETS,
    );
    const gap = histogram('vllm:inter_token_latency_seconds', 'Between two tokens of a line.', TOKEN_BUCKETS);
    const queue = histogram('vllm:request_queue_time_seconds', 'From arrival to a sequence.', TTFT_BUCKETS);
    const prefill = histogram(
      'vllm:request_prefill_time_seconds',
      'From a sequence to the first token.',
      TTFT_BUCKETS,
    );
    const promptLength = histogram('vllm:request_prompt_tokens', 'Prompt tokens per request.', COUNT_BUCKETS);
    const step = histogram('greenroom:engine_step_seconds', 'Duration of one pass.', TOKEN_BUCKETS);
    const threadCount = new Gauge({
      name: 'greenroom:engine_threads',
      help: 'Threads of the last pass; below the setting while other programs hold the cores.',
      registers,
    });
    const switches = counter(
      'greenroom:engine_adapter_switches_total',
      'Passes computed under another adapter than the pass before.',
    );
    new Gauge({
      name: 'vllm:lora_requests_info',
      help: 'Adapters that have lines, by name; the value is the time of asking, as in vLLM.',
      labelNames: ['max_lora', 'running_lora_adapters', 'waiting_lora_adapters'],
      registers,
      collect() {
        const current = engine();
        if (current === null) return;
        const lines = current.scheduler.linesByAdapter();
        const names = (ids: ReadonlySet<number>) =>
          current.adapters.inMemory
            .filter((adapter) => ids.has(adapter.id))
            .map((adapter) => adapter.name)
            .join(',');
        this.reset();
        this.set(
          {
            max_lora: String(adapterSlots),
            running_lora_adapters: names(lines.running),
            waiting_lora_adapters: names(lines.waiting),
          },
          current.nowSeconds(),
        );
      },
    });
    new Gauge({
      name: 'greenroom:engine_adapter_bytes',
      help: 'Weights of each adapter in memory, those included that drain.',
      labelNames: ['adapter'],
      registers,
      collect() {
        this.reset();
        for (const adapter of engine()?.adapters.inMemory ?? [])
          this.inc({ adapter: adapter.name }, adapter.bytes);
      },
    });
    this.#success = new Counter({
      name: 'vllm:request_success_total',
      help: 'Requests that ended, by reason.',
      labelNames: ['finished_reason'],
      registers,
    });
    for (const reason of ['stop', 'length', 'abort', 'error'])
      this.#success.inc({ finished_reason: reason }, 0);
    this.#endToEnd = histogram('vllm:e2e_request_latency_seconds', 'From arrival to the end.', TTFT_BUCKETS);
    this.#generated = histogram(
      'vllm:request_generation_tokens',
      'Generated tokens per request.',
      COUNT_BUCKETS,
    );
    this.observer = {
      admitted: ({ queueMs, promptTokens }) => {
        queue.observe(queueMs / 1_000);
        promptLength.observe(promptTokens);
      },
      reused: ({ promptTokens, cachedTokens }) => {
        queries.inc(promptTokens);
        prompt.inc(promptTokens);
        hits.inc(cachedTokens);
        cached.inc(cachedTokens);
      },
      firstToken: ({ sinceArrivalMs, prefillMs }) => {
        ttft.observe(sinceArrivalMs / 1_000);
        prefill.observe(prefillMs / 1_000);
        generation.inc();
      },
      nextToken: ({ gapMs }) => {
        gap.observe(gapMs / 1_000);
        generation.inc();
      },
      switched: () => switches.inc(),
      stepped: ({ tokens, durationMs, threads }) => {
        threadCount.set(threads);
        iteration.observe(tokens);
        step.observe(durationMs / 1_000);
      },
    };
  }

  /** From now on the gauges read this engine; until then they are 0. */
  watch(engine: WatchedEngine): void {
    this.#engine = engine;
  }

  ended(event: { reason: FinishedReason; totalMs: number; completionTokens: number }): void {
    this.#success.inc({ finished_reason: event.reason });
    if (event.reason !== 'stop' && event.reason !== 'length') return;
    this.#endToEnd.observe(event.totalMs / 1_000);
    this.#generated.observe(event.completionTokens);
  }
}
