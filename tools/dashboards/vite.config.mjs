// SPDX-License-Identifier: Apache-2.0
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  publicDir: '../../dashboards',
  build: { outDir: 'dist', target: 'esnext', chunkSizeWarningLimit: 16384 },
  define: { 'process.env': {} },
  // Grafana's components still ask for the bridge between two versions of the router.
  resolve: { alias: { 'react-router-dom-v5-compat': 'react-router-dom' } },
});
