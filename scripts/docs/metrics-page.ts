/** docs/reference/metrics.md: the gateway's catalogue, and what the embedded engine registers. */
import { EngineMetrics } from '../../src/embedded/metrics.ts';
import { METRICS } from '../../src/telemetry/metrics.ts';
import { code, page, table } from './markdown.ts';

export async function metricsPage(): Promise<string> {
  return page(
    'Metrics',
    'src/telemetry/metrics.ts and src/embedded/metrics.ts',
    '## The gateway\n\n`GET /metrics` of the service, in the Prometheus text format.',
    table(
      ['name', 'kind', 'labels', 'what it is', 'the question it answers'],
      Object.entries(METRICS).map(([name, row]) => [
        code(name),
        row.kind,
        row.labels.map(code).join(', '),
        row.help,
        row.question,
      ]),
    ),
    `## The embedded engine

\`GET /metrics\` of \`greenroom engine\`. Names are vLLM's where the meaning is the same, so that its dashboards can be used.
Every series also has the labels \`model_name\` and \`engine\`.`,
    table(['name', 'kind', 'labels', 'what it is'], await engineRows()),
  );
}

/** The engine keeps no catalogue; its registry says what it registered. Labels show where a series exists from the start. */
async function engineRows(): Promise<string[][]> {
  const { registry } = new EngineMetrics({ modelName: 'model', adapterSlots: 1 });
  const everywhere = new Set(['model_name', 'engine', 'le', 'quantile']);
  const metrics = await registry.getMetricsAsJSON();
  return metrics.map(({ name, help, type, values }) => {
    const labels = new Set(values.flatMap((value) => Object.keys(value.labels)));
    const own = [...labels].filter((label) => !everywhere.has(label));
    return [code(name), String(type), own.map(code).join(', '), help];
  });
}
