/**
 * Builds the console into `dist/`, which the gateway serves at `/`. Addresses are relative, so that it also works
 * behind a proxy that puts it under a path. `npm run dev -w console` proxies to a gateway, or to the double, on port 8080.
 */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const gateway = 'http://127.0.0.1:8080';

export default defineConfig({
  base: './',
  plugins: [react()],
  build: { target: 'es2023', sourcemap: false, modulePreload: false },
  server: {
    host: '127.0.0.1',
    proxy: { '/v1': gateway, '/admin': gateway, '/readyz': gateway, '/livez': gateway },
  },
});
