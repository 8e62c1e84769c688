/**
 * The metrics catalogue: every series the gateway exports, declared once with its question. `docs/reference/metrics.md`
 * is generated from it. Names are Prometheus base units; where vLLM has a name for the same thing ours ends alike.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';

/** Seconds; the low end resolves cached and written lines, the high end a cold model on a laptop. */
const LATENCY_BUCKETS = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 13, 20, 30,
];

interface MetricRow {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** The question an operator answers with it. */
  readonly question: string;
  /** A gauge without labels stands at 0 before it is told anything, which for this one would be a claim. */
  readonly isAbsentUntilTold?: true;
}

export const METRICS = {
  greenroom_dialogues_total: {
    kind: 'counter',
    help: 'Dialogues ended, by tier, source and finish reason (or error code).',
    labels: ['tier', 'source', 'finish'],
    question: 'How much is asked, and what answers it?',
  },
  greenroom_dialogues_active: {
    kind: 'gauge',
    help: 'Dialogues being answered now.',
    labels: [],
    question: 'How busy is this instance?',
  },
  greenroom_time_to_first_token_seconds: {
    kind: 'histogram',
    help: 'From the whole request to the first token of an engine.',
    labels: ['tier'],
    question: 'Do engines start in time?',
  },
  greenroom_time_to_first_sentence_seconds: {
    kind: 'histogram',
    help: 'From the whole request to the first sentence sent.',
    labels: ['tier', 'source'],
    question: 'How long does a player wait to hear something?',
  },
  greenroom_dialogue_duration_seconds: {
    kind: 'histogram',
    help: 'From the whole request to done.',
    labels: ['tier', 'source'],
    question: 'Are answers whole within their deadline?',
  },
  greenroom_recall_lines_total: {
    kind: 'counter',
    help: 'Questions by what the dialogue cache did for them (hit, shared_hit, meaning_hit, joined, miss, bypass), by kind of NPC.',
    labels: ['outcome', 'kind'],
    question: 'Which share of the lines costs nothing?',
  },
  greenroom_recall_saved_usd_total: {
    kind: 'counter',
    help: 'What the lines that were said again cost when they were generated, in dollars.',
    labels: [],
    question: 'What does the dialogue cache save?',
  },
  greenroom_recall_saved_tokens_total: {
    kind: 'counter',
    help: 'Tokens that engines did not read (prompt) or write (completion) because a line was said again.',
    labels: ['direction'],
    question: 'How much work does the dialogue cache take off the engines?',
  },
  greenroom_recall_saved_wait_seconds_total: {
    kind: 'counter',
    help: 'Time to the first sentence that the lines said again took when they were generated.',
    labels: [],
    question: 'How long did players not have to wait?',
  },
  greenroom_recall_bytes: {
    kind: 'gauge',
    help: 'Bytes of lines kept in this process.',
    labels: [],
    question: 'Is the dialogue cache full?',
  },
  greenroom_recall_variants: {
    kind: 'gauge',
    help: 'Lines kept in this process.',
    labels: [],
    question: 'How many lines can be said again?',
  },
  greenroom_recall_keys: {
    kind: 'gauge',
    help: 'Questions to which a line is kept in this process.',
    labels: [],
    question: 'How many questions are answered without an engine?',
  },
  greenroom_recall_evictions: {
    kind: 'gauge',
    help: 'Lines that had to make room for others since the start.',
    labels: [],
    question: 'Should the dialogue cache be larger?',
  },
  greenroom_recall_flights: {
    kind: 'gauge',
    help: 'Generations under way that an equal question would join.',
    labels: [],
    question: 'How much is being generated that others may want?',
  },
  greenroom_recall_shared_reachable: {
    kind: 'gauge',
    help: '1 while the shared tier of the dialogue cache answers, 0 while it does not, or there is none.',
    labels: [],
    question: 'Do the gateways share their lines?',
    isAbsentUntilTold: true,
  },
  greenroom_recall_shared_faults_total: {
    kind: 'counter',
    help: 'What was wrong with the shared tier of the dialogue cache, by fault; none of it costs a line.',
    labels: ['fault'],
    question: 'Why do the gateways not share their lines?',
  },
  greenroom_lines_counted: {
    kind: 'gauge',
    help: 'Generated lines whose hearings are counted in memory.',
    labels: [],
    question: 'Is the written pool learning?',
  },
  greenroom_lines_learned: {
    kind: 'gauge',
    help: 'Lines that were learned, approved, and serve.',
    labels: [],
    question: 'What did the written pool learn?',
  },
  greenroom_prefix_prompt_tokens_total: {
    kind: 'counter',
    help: 'Prompt tokens that engines were sent, by NPC (the first 200 asked for; the rest are `other`).',
    labels: ['npc'],
    question: 'Who costs most to speak for?',
  },
  greenroom_prefix_cached_tokens_total: {
    kind: 'counter',
    help: 'Of those, the tokens that engines had in their cache.',
    labels: ['npc'],
    question: 'Whose prefix stays warm?',
  },
  greenroom_prefix_warmups_total: {
    kind: 'counter',
    help: 'Prefixes read in before a player came, by engine and result (warmed, failed, busy).',
    labels: ['engine', 'result'],
    question: 'Do hints find engines that have time?',
  },
  greenroom_events_unspoken_total: {
    kind: 'counter',
    help: 'Lines to an event that were left to another NPC, by reason.',
    labels: ['reason'],
    question: 'Do crowds talk over one another, or hold their tongues too much?',
  },
  greenroom_queue_seconds: {
    kind: 'histogram',
    help: 'Time waiting for a place at an engine.',
    labels: ['engine'],
    question: 'Is an engine short of room?',
  },
  greenroom_engine_requests_running: {
    kind: 'gauge',
    help: 'Requests of this gateway running at an engine.',
    labels: ['engine'],
    question: 'How full is each engine?',
  },
  greenroom_engine_places: {
    kind: 'gauge',
    help: 'Lines without a first sentence that an engine is given at once now; maxInFlight while none comes late.',
    labels: ['engine'],
    question: 'Is an engine pressed, and how far?',
  },
  greenroom_engine_requests_waiting: {
    kind: 'gauge',
    help: 'Requests of this gateway waiting for an engine.',
    labels: ['engine', 'priority'],
    question: 'Is a queue growing?',
  },
  greenroom_prompt_tokens_total: {
    kind: 'counter',
    help: 'Prompt tokens, as engines report them.',
    labels: ['tier'],
    question: 'What does reading cost?',
  },
  greenroom_cached_tokens_total: {
    kind: 'counter',
    help: 'Prompt tokens that came from a prefix cache.',
    labels: ['tier'],
    question: 'Do persona prefixes stay warm?',
  },
  greenroom_completion_tokens_total: {
    kind: 'counter',
    help: 'Tokens generated.',
    labels: ['tier'],
    question: 'What does speaking cost?',
  },
  greenroom_fallbacks_total: {
    kind: 'counter',
    help: 'Dialogues that ended below their first rung, by cause.',
    labels: ['tier', 'cause'],
    question: 'Why do players hear written lines?',
  },
  greenroom_lean_prompts_total: {
    kind: 'counter',
    help: 'Dialogues whose prompt was kept short, because the first sentence would have come late.',
    labels: ['tier'],
    question: 'Are the engines so pressed that prompts are cut?',
  },
  greenroom_attempts_total: {
    kind: 'counter',
    help: 'Calls of engines ended, by how: a finish reason, a cause, or left.',
    labels: ['engine', 'result'],
    question: 'Which engine fails, and how?',
  },
  greenroom_attempt_cost_usd_total: {
    kind: 'counter',
    help: 'US dollars that calls cost by the price table.',
    labels: ['engine', 'tier'],
    question: 'Where does the money go?',
  },
  greenroom_paid_engines_off: {
    kind: 'gauge',
    help: '1 while the operator has switched paid engines off.',
    labels: [],
    question: 'Why does no cloud answer?',
  },
  greenroom_jobs_running: {
    kind: 'gauge',
    help: 'Jobs that this gateway works on now.',
    labels: [],
    question: 'Is work that is answered later getting done?',
  },
  greenroom_adapters_registered: {
    kind: 'gauge',
    help: 'Adapters in the registry, every version counted.',
    labels: [],
    question: 'Does the registry grow without end?',
  },
  greenroom_adapters_resident: {
    kind: 'gauge',
    help: 'Adapters that are verified and answer at once, by engine.',
    labels: ['engine'],
    question: 'What is loaded where?',
  },
  greenroom_adapter_bytes: {
    kind: 'gauge',
    help: 'Bytes that resident adapters are computed to take at an engine.',
    labels: ['engine'],
    question: 'How much memory do adapters take?',
  },
  greenroom_adapter_loads_total: {
    kind: 'counter',
    help: 'Loads ended: resident, failed (tried again) or given up.',
    labels: ['engine', 'result'],
    question: 'Do adapters load, and answer as themselves?',
  },
  greenroom_adapter_load_seconds: {
    kind: 'histogram',
    help: 'Time of a load until the engine said that it has it.',
    labels: ['engine'],
    question: 'What does a swap cost?',
  },
  greenroom_adapter_verify_seconds: {
    kind: 'histogram',
    help: 'Time of the probes after a load.',
    labels: ['engine'],
    question: 'What does knowing cost?',
  },
  greenroom_adapter_swaps_total: {
    kind: 'counter',
    help: 'Loads that pushed another adapter out.',
    labels: ['engine'],
    question: 'Are there fewer slots than adapters in use?',
  },
  greenroom_adapter_thrashing: {
    kind: 'gauge',
    help: '1 while an engine swaps more often than adapters.swapsPerMinuteMax.',
    labels: ['engine'],
    question: 'Do adapters chase one another out?',
  },
  greenroom_adapters_lost_total: {
    kind: 'counter',
    help: 'Adapters that an engine did not hold any more though nobody had unloaded them.',
    labels: ['engine'],
    question: 'Does an engine forget, or restart unseen?',
  },
  greenroom_adapter_wishes_total: {
    kind: 'counter',
    help: 'Lines that wanted an adapter, by whether it was there or why it was not.',
    labels: ['priority', 'outcome'],
    question: 'How many lines does the base speak instead, and why?',
  },
  greenroom_adapter_wait_seconds: {
    kind: 'histogram',
    help: 'Time that lines waited for their adapter.',
    labels: ['priority'],
    question: 'Do players feel the slots?',
  },
  greenroom_adapter_operations_total: {
    kind: 'counter',
    help: 'Operations on adapters ended, by kind and outcome (succeeded, failed).',
    labels: ['kind', 'outcome'],
    question: 'Do publishes and swaps come to their end?',
  },
  greenroom_engine_breaker_state: {
    kind: 'gauge',
    help: 'Circuit breaker of an engine: 0 closed, 1 half open, 2 open.',
    labels: ['engine'],
    question: 'Which engine is taken out, and comes it back?',
  },
  greenroom_engine_first_token_seconds: {
    kind: 'gauge',
    help: 'Learned time to the first token of an engine, by quantile; absent until some lines were heard.',
    labels: ['engine', 'quantile'],
    question: 'What do first-token limits follow?',
  },
  greenroom_guard_hits_total: {
    kind: 'counter',
    help: 'Sentences stopped or changed by a rule, by what became of them.',
    labels: ['rule', 'outcome'],
    question: 'What goes wrong in generated text?',
  },
  greenroom_engine_restarts_total: {
    kind: 'counter',
    help: 'Restarts of a supervised engine.',
    labels: ['engine'],
    question: 'Does the engine crash?',
  },
  greenroom_http_requests_total: {
    kind: 'counter',
    help: 'HTTP requests ended, by route and status.',
    labels: ['route', 'status'],
    question: 'Who calls what, and does it work?',
  },
  greenroom_store_failures_total: {
    kind: 'counter',
    help: 'Store operations that failed; dialogue goes on without memory.',
    labels: ['operation'],
    question: 'Is memory being lost?',
  },
  greenroom_event_loop_delay_seconds: {
    kind: 'gauge',
    help: 'Event-loop delay over the last scrape interval, by quantile.',
    labels: ['quantile'],
    question: 'Is the gateway itself the bottleneck?',
  },
  greenroom_ready: {
    kind: 'gauge',
    help: '1 when a warm-up line was generated and traffic is welcome.',
    labels: [],
    question: 'May traffic come?',
  },
} as const satisfies Record<string, MetricRow>;

type CounterName = {
  [K in keyof typeof METRICS]: (typeof METRICS)[K]['kind'] extends 'counter' ? K : never;
}[keyof typeof METRICS];
type GaugeName = {
  [K in keyof typeof METRICS]: (typeof METRICS)[K]['kind'] extends 'gauge' ? K : never;
}[keyof typeof METRICS];
type HistogramName = {
  [K in keyof typeof METRICS]: (typeof METRICS)[K]['kind'] extends 'histogram' ? K : never;
}[keyof typeof METRICS];
type Labels<N extends keyof typeof METRICS> = Readonly<Record<(typeof METRICS)[N]['labels'][number], string>>;

/** One registry per app, so two apps in one process (tests, simulation) never share a series. */
export class Metrics implements Disposable {
  readonly #registry = new Registry();
  readonly #counters = new Map<string, Counter>();
  readonly #gauges = new Map<string, Gauge>();
  readonly #histograms = new Map<string, Histogram>();
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 10 });

  constructor() {
    for (const [name, row] of Object.entries(METRICS)) {
      const base = { name, help: row.help, labelNames: [...row.labels], registers: [this.#registry] };
      if (row.kind === 'counter') this.#counters.set(name, new Counter(base));
      else if (row.kind === 'gauge') {
        const gauge = new Gauge(base);
        if ('isAbsentUntilTold' in row) gauge.remove();
        this.#gauges.set(name, gauge);
      } else this.#histograms.set(name, new Histogram({ ...base, buckets: LATENCY_BUCKETS }));
    }
    this.#loopDelay.enable();
  }

  count<N extends CounterName>(name: N, labels: Labels<N>, by = 1): void {
    if (by > 0) this.#counters.get(name)?.inc(labels as Record<string, string>, by);
  }

  gauge<N extends GaugeName>(name: N, labels: Labels<N>, value: number): void {
    this.#gauges.get(name)?.set(labels as Record<string, string>, value);
  }

  observe<N extends HistogramName>(name: N, labels: Labels<N>, seconds: number): void {
    this.#histograms.get(name)?.observe(labels as Record<string, string>, seconds);
  }

  /** 99th percentile of the event-loop delay since the last scrape, in milliseconds. */
  eventLoopDelayP99Ms(): number {
    return Math.round(this.#loopDelay.percentile(99) / 1e4) / 100;
  }

  /** The Prometheus text exposition. */
  async expose(): Promise<{ contentType: string; text: string }> {
    for (const quantile of [50, 99, 100]) {
      this.gauge(
        'greenroom_event_loop_delay_seconds',
        { quantile: String(quantile / 100) },
        this.#loopDelay.percentile(quantile) / 1e9,
      );
    }
    const text = await this.#registry.metrics();
    this.#loopDelay.reset();
    return { contentType: this.#registry.contentType, text };
  }

  [Symbol.dispose](): void {
    this.#loopDelay.disable();
    this.#registry.clear();
  }
}
