/** The engine's Prometheus metrics, under vLLM's names where the meaning is the same (engines.md §3.9). */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Scheduler, SchedulerObserver } from './scheduler.ts';

const TTFT_BUCKETS = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30];
const TOKEN_BUCKETS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1, 2.5];
const COUNT_BUCKETS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

export type FinishedReason = 'stop' | 'length' | 'abort' | 'error';

export class EngineMetrics {
  readonly registry = new Registry();
  readonly observer: SchedulerObserver;
  readonly #success: Counter<'finished_reason'>;
  readonly #endToEnd: Histogram;
  readonly #generated: Histogram;

  constructor(modelName: string, scheduler: () => Scheduler | null) {
    const registers = [this.registry];
    this.registry.setDefaultLabels({ model_name: modelName, engine: '0' });
    const gauge = (name: string, help: string, value: (scheduler: Scheduler) => number) =>
      new Gauge({
        name,
        help,
        registers,
        collect() {
          const current = scheduler();
          this.set(current === null ? 0 : value(current));
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
      stepped: ({ tokens, durationMs, threads }) => {
        threadCount.set(threads);
        iteration.observe(tokens);
        step.observe(durationMs / 1_000);
      },
    };
  }

  ended(event: { reason: FinishedReason; totalMs: number; completionTokens: number }): void {
    this.#success.inc({ finished_reason: event.reason });
    if (event.reason !== 'stop' && event.reason !== 'length') return;
    this.#endToEnd.observe(event.totalMs / 1_000);
    this.#generated.observe(event.completionTokens);
  }
}
