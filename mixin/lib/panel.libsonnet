// Panels of Grafana, as plain JSON. A panel has its width and height on the grid of 24
// columns as hidden fields w and h; dashboard.libsonnet gives it a place and an id.
function(config) {
  local panel = self,

  // The palette of Okabe and Ito, which people see alike who see colours differently.
  // No colour stands alone: states are words as well.
  colors:: {
    blue: '#0072B2',
    sky: '#56B4E9',
    green: '#009E73',
    yellow: '#F0E442',
    orange: '#E69F00',
    vermillion: '#D55E00',
    purple: '#CC79A7',
    none: 'transparent',
  },

  local datasource = { type: 'prometheus', uid: '${datasource}' },

  // Steps from [bound, colour] pairs; the first bound is null.
  steps(pairs):: { mode: 'absolute', steps: [{ value: p[0], color: p[1] } for p in pairs] },
  // Bad from a bound on, and below a bound. critical may be null.
  rising(warning, critical=null, good=panel.colors.green)::
    panel.steps([[null, good], [warning, panel.colors.orange]] + if critical == null then [] else [[critical, panel.colors.vermillion]]),
  falling(warning, critical=null, good=panel.colors.green)::
    panel.steps((if critical == null then [[null, panel.colors.orange]] else [[null, panel.colors.vermillion], [critical, panel.colors.orange]]) + [[warning, good]]),
  plain:: panel.steps([[null, panel.colors.blue]]),

  // Words for values: {value: [text, colour]}, keys are numbers as text, or null.
  words(table):: [
    { type: 'value', options: {
      [key]: { text: table[key][0], color: table[key][1], index: 0 }
      for key in std.objectFields(table)
      if key != 'null'
    } },
  ] + if !std.objectHas(table, 'null') then [] else [
    { type: 'special', options: { match: 'null+nan', result: { text: table['null'][0], color: table['null'][1] } } },
  ],
  // A word for everything from a bound on or below one.
  range(from, to, text, color):: { type: 'range', options: { from: from, to: to, result: { text: text, color: color } } },

  // A query; a table's and a stat's are of this instant.
  query(expr, legend='__auto', instant=false):: {
    expr: std.rstripChars(expr, '\n'),
    legendFormat: legend,
    instant: instant,
    range: !instant,
    editorMode: 'code',
    datasource: datasource,
  },
  local letters = std.stringChars('ABCDEFGHIJKLMNOPQRSTUVWXYZ'),
  local lettered(queries) = std.mapWithIndex(function(i, q) q { refId: letters[i] }, queries),

  local base(type, title, description, w, h) = {
    w:: w,
    h:: h,
    type: type,
    title: title,
    description: description,
    datasource: datasource,
  },

  row(title, collapsed=false):: { w:: 24, h:: 1, type: 'row', title: title, collapsed: collapsed, panels: [] },

  text(title, description, content, w=24, h=3):: base('text', title, description, w, h) {
    options: { mode: 'markdown', content: content },
  },

  // One figure. thresholds colour it; mappings put it into words.
  stat(title, description, expr, unit='none', thresholds=panel.plain, mappings=[], none='none', w=4, h=3, decimals=null):: base('stat', title, description, w, h) {
    targets: lettered([panel.query(expr, title, instant=true)]),
    fieldConfig: {
      defaults: {
        unit: unit,
        color: { mode: 'thresholds' },
        thresholds: thresholds,
        mappings: mappings,
        noValue: none,
        [if decimals != null then 'decimals']: decimals,
      },
      overrides: [],
    },
    options: {
      colorMode: 'value',
      graphMode: 'none',
      justifyMode: 'center',
      orientation: 'auto',
      textMode: 'value',
      reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
    },
  },

  // Lines over time. thresholds are drawn as dashed lines, those of the alerts.
  graph(title, description, queries, unit='short', thresholds=null, min=null, max=null, w=8, h=8, none='no data', legend=['lastNotNull', 'max'], stack=false, decimals=null, softMax=null, overrides=[]):: base('timeseries', title, description, w, h) {
    targets: lettered(queries),
    fieldConfig: {
      defaults: {
        unit: unit,
        color: { mode: config.dashboards.palette },
        [if thresholds != null then 'thresholds']: thresholds,
        [if min != null then 'min']: min,
        [if max != null then 'max']: max,
        [if decimals != null then 'decimals']: decimals,
        noValue: none,
        custom: {
          drawStyle: 'line',
          lineWidth: 1.5,
          fillOpacity: if stack then 25 else 0,
          showPoints: 'never',
          spanNulls: false,
          // A flat line at 0 has no scale of its own.
          [if softMax != null then 'axisSoftMax']: softMax,
          stacking: { mode: if stack then 'normal' else 'none', group: 'A' },
          thresholdsStyle: { mode: if thresholds == null then 'off' else 'dashed' },
        },
      },
      overrides: overrides,
    },
    options: {
      legend: { displayMode: if legend == [] then 'list' else 'table', placement: 'bottom', calcs: legend, showLegend: true },
      tooltip: { mode: 'multi', sort: 'desc' },
    },
  },

  // A row for each set of labels, a column for each label and each query, in the order
  // given. label and value make a column; every query is reduced to the same labels.
  label(name, title, width=null, links=[]):: { label:: name, title:: title, width:: width, unit:: null, links:: links, look:: {} },
  value(expr, title, unit='none', width=null, thresholds=null, mappings=[], decimals=null):: {
    expr:: expr,
    title:: title,
    width:: width,
    unit:: unit,
    links:: [],
    look:: (if thresholds == null then {} else { thresholds: thresholds, 'custom.cellOptions': { type: 'color-background', mode: 'basic' } }) +
           (if mappings == [] then {} else { mappings: mappings, 'custom.cellOptions': { type: 'color-background', mode: 'basic' } }) +
           (if decimals == null then {} else { decimals: decimals }),
  },
  table(title, description, columns, sort, none='none', w=24, h=7):: base('table', title, description, w, h) {
    local queries = [c for c in columns if std.objectHasAll(c, 'expr')],
    local numbered = std.mapWithIndex(function(i, c) { title: c.title, field: if std.length(queries) == 1 then 'Value' else 'Value #' + letters[i] }, queries),
    local field(c) = if std.objectHasAll(c, 'label') then c.label else [n.field for n in numbered if n.title == c.title][0],
    targets: lettered([panel.query(c.expr, instant=true) { format: 'table' } for c in queries]),
    transformations: [
      { id: 'merge', options: {} },
      { id: 'organize', options: {
        excludeByName: { Time: true },
        indexByName: { [field(columns[i])]: i for i in std.range(0, std.length(columns) - 1) },
        renameByName: { [field(c)]: c.title for c in columns },
      } },
    ],
    fieldConfig: {
      defaults: {
        noValue: none,
        color: { mode: 'thresholds' },
        thresholds: panel.steps([[null, panel.colors.none]]),
        custom: { align: 'left', cellOptions: { type: 'auto' }, filterable: false },
      },
      overrides: [
        {
          matcher: { id: 'byName', options: c.title },
          properties:
            [{ id: 'noValue', value: '-' }] +
            (if c.unit == null then [] else [{ id: 'unit', value: c.unit }]) +
            (if c.width == null then [] else [{ id: 'custom.width', value: c.width }]) +
            (if c.links == [] then [] else [{ id: 'links', value: c.links }]) +
            [{ id: key, value: c.look[key] } for key in std.objectFields(c.look)],
        }
        for c in columns
      ],
    },
    options: { showHeader: true, cellHeight: 'sm', sortBy: [{ displayName: std.lstripChars(s, '-'), desc: s[0] == '-' } for s in sort] },
  },
}
