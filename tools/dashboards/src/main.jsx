// SPDX-License-Identifier: Apache-2.0
// One dashboard on one page, by Grafana's own components: ?dashboard=NAME&from=&to=.
import { ThemeContext, createTheme, dateTime } from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, Table, TimeSeries } from '@grafana/ui';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { MemoryRouter } from 'react-router-dom';

import { styled } from './fields.js';
import { frames } from './query.js';

const asked = new URLSearchParams(location.search);
const theme = createTheme({ colors: { mode: asked.get('theme') ?? 'dark' } });
const gap = 8;
const cell = 30;

function Values({ data, width, height, panel }) {
  const field = data[0]?.fields.find((f) => f.type === 'number');
  const { noValue } = panel.fieldConfig.defaults;
  const value = field && field.values.length > 0 ? field.display(field.values.at(-1)) : { text: noValue, numeric: NaN, color: theme.colors.text.secondary };
  return <BigValue theme={theme} value={value} width={width} height={height} colorMode="value" graphMode="none" justifyMode="center" textMode="value" />;
}

function Nothing({ panel }) {
  return <div className="nothing" style={{ color: theme.colors.text.secondary, padding: 12 }}>{panel.fieldConfig?.defaults?.noValue}</div>;
}

// What is no number makes a gap, as in Grafana's panel.
function finite(frame) {
  const fields = frame.fields.map((f) => (f.type === 'number' ? { ...f, values: f.values.map((v) => (Number.isFinite(v) ? v : null)) } : f));
  return { ...frame, fields };
}

function Lines({ data, width, height, panel, view }) {
  const range = { from: dateTime(view.from * 1000), to: dateTime(view.to * 1000), raw: { from: '', to: '' } };
  return <TimeSeries frames={data.map(finite)} structureRev={1} width={width} height={height} timeRange={range} timeZone="utc" legend={panel.options.legend} options={{}} />;
}

function Rows({ data, width, height, panel }) {
  return <Table data={data[0]} width={width} height={height} initialSortBy={panel.options.sortBy} cellHeight="sm" columnMinWidth={60} />;
}

const kinds = { stat: Values, timeseries: Lines, table: Rows };

function Panel({ panel, view, total, done }) {
  const [state, setState] = useState({});
  useEffect(() => {
    frames(panel, view)
      .then((found) => styled(panel, found, theme))
      .then((data) => setState({ data }), (error) => setState({ error: String(error) }))
      .finally(done);
  }, []);
  const { x, y, w, h } = panel.gridPos;
  const at = { position: 'absolute', left: (x * total) / 24, top: y * (cell + gap) };
  const width = (w * total) / 24 - gap;
  const height = h * (cell + gap) - gap;
  if (panel.type === 'row') return <h4 style={{ ...at, margin: 0, lineHeight: `${cell}px` }}>{panel.title}</h4>;
  const Kind = state.data?.some((f) => f.length > 0) || panel.type === 'stat' ? kinds[panel.type] : Nothing;
  return (
    <div style={at} data-panel={panel.title} data-error={state.error} data-empty={state.data && state.data.length === 0}>
      <PanelChrome title={panel.title} description={panel.description} width={width} height={height} statusMessage={state.error}>
        {(innerWidth, innerHeight) => state.data ? <Kind data={state.data} width={innerWidth} height={innerHeight} panel={panel} view={view} /> : null}
      </PanelChrome>
    </div>
  );
}

function Dashboard({ dashboard }) {
  const [left, setLeft] = useState(dashboard.panels.filter((p) => p.type !== 'row').length);
  const total = document.documentElement.clientWidth - 2 * gap;
  const to = Number(asked.get('to') ?? Math.floor(Date.now() / 1000));
  const from = Number(asked.get('from') ?? to - 600);
  const scrape = Number(asked.get('scrape') ?? 1);
  const view = { from, to, scrape, step: Math.max(scrape, Math.ceil((to - from) / 300)), variables: {} };
  const rows = Math.max(...dashboard.panels.map((p) => p.gridPos.y + p.gridPos.h));
  return (
    <main data-left={left} style={{ margin: gap }}>
      <h3 style={{ margin: '4px 0 8px' }}>{dashboard.title}</h3>
      <div style={{ position: 'relative', height: rows * (cell + gap) }}>
        {dashboard.panels.map((p) => <Panel key={p.id} panel={p} view={view} total={total} done={() => setLeft((n) => n - (p.type === 'row' ? 0 : 1))} />)}
      </div>
    </main>
  );
}

const dashboard = await (await fetch(`/${asked.get('dashboard')}.json`)).json();
createRoot(document.getElementById('root')).render(
  <MemoryRouter>
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Dashboard dashboard={dashboard} />
    </ThemeContext.Provider>
  </MemoryRouter>,
);
