// SPDX-License-Identifier: Apache-2.0
// Takes a screenshot of every dashboard: node look.mjs PROMETHEUS_URL DIRECTORY [SECONDS]
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { launch } from 'puppeteer-core';
import { preview } from 'vite';

const [prometheus, directory, seconds = '600'] = process.argv.slice(2);
if (!directory) {
  console.error('usage: node look.mjs PROMETHEUS_URL DIRECTORY [SECONDS]');
  process.exit(2);
}
const ready = await fetch(new URL('/-/ready', prometheus)).catch((error) => ({ ok: false, statusText: error.cause?.message ?? error.message }));
if (!ready.ok) {
  console.error(`${prometheus} is no Prometheus that is ready: ${ready.statusText}`);
  process.exit(1);
}
const here = import.meta.dirname;
const server = await preview({
  root: here,
  preview: { port: 0, proxy: { '/prom': { target: prometheus, rewrite: (p) => p.replace(/^\/prom/, '') } } },
});
const browser = await launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--force-color-profile=srgb'] });
let failed = false;
try {
  await mkdir(directory, { recursive: true });
  const to = Math.floor(Date.now() / 1000);
  for (const file of await readdir(path.join(here, '..', '..', 'dashboards'))) {
    const name = path.basename(file, '.json');
    const page = await browser.newPage();
    await page.setViewport({ width: 1280, height: 900 });
    page.on('pageerror', (error) => console.error(`${name}: ${error.message}`));
    const query = new URLSearchParams({ dashboard: name, to, from: to - Number(seconds), theme: process.env.THEME ?? 'dark' });
    await page.goto(`${server.resolvedUrls.local[0]}?${query}`);
    await page.waitForSelector('main[data-left="0"]', { timeout: 60000 });
    await page.waitForNetworkIdle();
    const panels = await page.$$eval('[data-panel]', (all) => all.map((p) => ({ ...p.dataset })));
    for (const p of panels) {
      if (p.error) failed = true;
      if (p.error || p.empty === 'true') console.log(`${name}: ${p.panel}: ${p.error ?? 'nothing to show'}`);
    }
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    await page.setViewport({ width: 1280, height });
    await page.screenshot({ path: path.join(directory, `${name}.png`) });
    await page.close();
    console.log(`${name}: ${panels.length} panels`);
  }
} finally {
  await browser.close();
  server.httpServer.close();
}
process.exit(failed ? 1 : 0);
