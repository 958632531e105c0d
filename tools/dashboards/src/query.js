// SPDX-License-Identifier: Apache-2.0
// Asks Prometheus, and makes the data frames that Grafana's Prometheus data source makes.
import { FieldType } from '@grafana/data';

/** The variables as Grafana fills them in with All chosen. */
export function fill(text, view) {
  return text
    .replaceAll('$__rate_interval', `${Math.max(4 * view.scrape, view.step)}s`)
    .replaceAll('$__range', `${view.to - view.from}s`)
    .replaceAll(/\$(cluster|job|member)\b/g, (_, name) => view.variables[name] ?? '.*');
}

async function ask(path, values) {
  const answer = await (await fetch(`/prom/api/v1/${path}?${new URLSearchParams(values)}`)).json();
  if (answer.status !== 'success') throw new Error(answer.error);
  return answer.data.result;
}

function legend(target, labels) {
  if (target.legendFormat === '__auto') {
    const pairs = Object.entries(labels).filter(([name]) => name !== '__name__');
    return pairs.length === 0 ? 'Value' : pairs.map(([name, value]) => `${name}="${value}"`).join(', ');
  }
  return target.legendFormat.replaceAll(/{{\s*(\w+)\s*}}/g, (_, name) => labels[name] ?? '');
}

function number(text) {
  return { '+Inf': Infinity, '-Inf': -Infinity, NaN: NaN }[text] ?? Number(text);
}

async function series(target, view) {
  const { from, to, step } = view;
  const found = await ask('query_range', { query: fill(target.expr, view), start: from, end: to, step });
  return found.map(({ metric, values }) => {
    const known = new Map(values.map(([at, value]) => [Math.round((at - from) / step), number(value)]));
    const points = Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, i) => i);
    return {
      refId: target.refId,
      length: points.length,
      fields: [
        { name: 'Time', type: FieldType.time, config: {}, values: points.map((i) => (from + i * step) * 1000) },
        { name: 'Value', type: FieldType.number, labels: metric, config: { displayNameFromDS: legend(target, metric) }, values: points.map((i) => known.get(i) ?? null) },
      ],
    };
  });
}

async function instant(target, view, alone) {
  const found = await ask('query', { query: fill(target.expr, view), time: view.to });
  const names = [...new Set(found.flatMap(({ metric }) => Object.keys(metric)))];
  const fields = [
    { name: 'Time', type: FieldType.time, config: {}, values: found.map(({ value }) => value[0] * 1000) },
    ...names.map((name) => ({ name, type: FieldType.string, config: {}, values: found.map(({ metric }) => metric[name]) })),
    { name: alone ? 'Value' : `Value #${target.refId}`, type: FieldType.number, config: {}, values: found.map(({ value }) => number(value[1])) },
  ];
  return found.length === 0 ? [] : [{ refId: target.refId, length: found.length, fields }];
}

/** The frames of a panel. */
export async function frames(panel, view) {
  const targets = panel.targets ?? [];
  const one = (t) => (t.instant ? instant(t, view, targets.length === 1) : series(t, view));
  return (await Promise.all(targets.map(one))).flat();
}
