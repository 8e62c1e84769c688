/** /livez: the process runs. /readyz: a real line was generated. Both answer always, also when the service is full. */
import { z } from 'zod';
import type { Door } from './door.ts';

const readinessSchema = z.object({
  ready: z.boolean(),
  stage: z.string(),
  detail: z.string(),
  percent: z.number().optional(),
});

export const healthDoor: Door = (scope, { services }) => {
  scope.get(
    '/livez',
    {
      config: { access: 'health' },
      schema: {
        summary: 'The process runs',
        tags: ['health'],
        response: { 200: z.object({ live: z.boolean() }) },
      },
    },
    (_request, reply) => reply.header('cache-control', 'no-store').send({ live: true }),
  );
  scope.get(
    '/readyz',
    {
      config: { access: 'health' },
      schema: {
        summary: 'Ready for dialogue, or the stage of the start',
        tags: ['health'],
        response: { 200: readinessSchema, 503: readinessSchema },
      },
    },
    (_request, reply) => {
      const readiness = services.readiness();
      return reply
        .code(readiness.ready ? 200 : 503)
        .header('cache-control', 'no-store')
        .send(readiness);
    },
  );
};
