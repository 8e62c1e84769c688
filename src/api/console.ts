/** `/`: the console as it was built, or a page that says how to build it. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import fastifyStatic from '@fastify/static';
import type { Door } from './door.ts';
import { PAGE_HEADERS, page } from './pages.ts';

const MISSING = page(
  'Greenroom',
  `<h1>Greenroom is running</h1>
<p>The console was not built. Build it, then load this page again after a restart:</p>
<pre>npm run build -w console</pre>
<p>The API works without it: <a href="docs">how to call it</a> · <a href="readyz">is it ready</a>.</p>`,
);

export const consoleDoor: Door = async (scope, { consoleDirectory }) => {
  if (consoleDirectory === null || !existsSync(path.join(consoleDirectory, 'index.html'))) {
    scope.get('/', { schema: { hide: true } }, (_request, reply) =>
      reply.headers(PAGE_HEADERS).type('text/html; charset=utf-8').send(MISSING),
    );
    return;
  }
  await scope.register(fastifyStatic, {
    root: path.resolve(consoleDirectory),
    schemaHide: true,
    cacheControl: false,
    setHeaders: (response, file) => {
      for (const [name, value] of Object.entries(PAGE_HEADERS)) response.header(name, value);
      // Built files carry a digest in their name; the page that names them does not.
      const isDigested = file.includes(`${path.sep}assets${path.sep}`);
      response.header('cache-control', isDigested ? 'public, max-age=31536000, immutable' : 'no-cache');
    },
  });
};
