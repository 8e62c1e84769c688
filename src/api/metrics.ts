/** GET /metrics for Prometheus, from the metrics catalogue. */
import type { Door } from './door.ts';

export const metricsDoor: Door = (scope, { services }) => {
  scope.get(
    '/metrics',
    {
      config: { access: 'operator' },
      schema: { summary: 'Metrics in the Prometheus text format', tags: ['operations'] },
    },
    async (_request, reply) => {
      const { contentType, text } = await services.expose();
      return reply.header('content-type', contentType).send(text);
    },
  );
};
