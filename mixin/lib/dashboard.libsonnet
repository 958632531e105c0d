// What the dashboards share: selectors, variables, links, annotations, the grid.
function(config)
  local cluster = config.clusterLabel;
  local braces(matchers) =
    local given = std.filter(function(m) m != '', matchers);
    if given == [] then '' else '{%s}' % std.join(', ', given);
  local chosen = '%s=~"$cluster"' % cluster;

  (import 'panel.libsonnet')(config) {
    local d = self,
    local datasource = { type: 'prometheus', uid: '${datasource}' },

    // Series of the chosen clusters: the exporter's, etcd's own, the remediator's.
    exporter(name, matchers=[]):: 'etcdops_' + name + braces([config.exporterSelector, chosen, 'job=~"$job"'] + matchers),
    native(name, matchers=[]):: name + braces([config.nativeSelector, chosen] + matchers),
    remediation(name, matchers=[]):: 'etcdops_remediation_' + name + braces([config.remediatorSelector, chosen] + matchers),
    // The remediator's that tell of no cluster.
    remediator(name, matchers=[]):: 'etcdops_remediation_' + name + braces([config.remediatorSelector] + matchers),
    alertmanager(name, matchers=[]):: name + braces([config.alertmanagerSelector] + matchers),
    // Alerts of the bundle that fire: of the chosen clusters and of no cluster. The
    // heartbeat always does, and is none.
    alerts(matchers=[]):: 'ALERTS' + braces(['alertstate="firing"', 'alertname=~"Etcd.+"', 'alertname!="EtcdRemediationHeartbeat"', '%s=~"$cluster|"' % cluster] + matchers),

    // Reduced to the cluster and the labels given: two exporters count once.
    by(op, extra, expr):: '%s by (%s) (%s)' % [op, std.join(', ', [cluster] + extra), expr],
    max(expr, extra=[]):: d.by('max', extra, expr),
    min(expr, extra=[]):: d.by('min', extra, expr),
    sum(expr, extra=[]):: d.by('sum', extra, expr),
    // The name of the cluster in a legend.
    cluster:: '{{%s}}' % cluster,
    clusterLabel:: cluster,

    local variable(name, label, query, all=true) = {
      name: name,
      label: label,
      type: 'query',
      datasource: datasource,
      query: { query: query, refId: 'variable-' + name },
      definition: query,
      refresh: 2,
      sort: 1,
      hide: 0,
      multi: all,
      includeAll: all,
      allValue: '.*',
      current: { selected: true, text: ['All'], value: ['$__all'] },
      options: [],
      regex: '',
    },
    local up = 'etcdops_endpoint_up' + braces([config.exporterSelector]),
    variables:: [
      {
        name: 'datasource',
        label: 'Data source',
        type: 'datasource',
        query: 'prometheus',
        current: {},
        hide: 0,
        includeAll: false,
        multi: false,
        options: [],
        refresh: 1,
        regex: '',
      },
      variable('cluster', 'Cluster', 'label_values(%s, %s)' % [up, cluster]),
      variable('job', "Exporter's job", 'label_values(%s, job)' % up),
    ],
    // Host and port of an endpoint. They are in the exporter's url, and the instance of
    // etcd's own metrics where those come by way of the exporter.
    memberVariable:: variable('member', 'Member', 'label_values(%s, url)' % ('etcdops_endpoint_up' + braces([config.exporterSelector, chosen, 'job=~"$job"']))) {
      regex: '/^[a-z]+:\\/\\/(.+)$/',
    },

    // Where a person goes on. The other dashboards keep time and variables.
    local documents = config.dashboards.documentsURL,
    links:: [
      {
        title: 'etcd dashboards',
        type: 'dashboards',
        tags: config.dashboards.tags,
        asDropdown: true,
        includeVars: true,
        keepTime: true,
        targetBlank: false,
        icon: 'external link',
        tooltip: '',
        url: '',
      },
    ] + [
      { title: link[0], type: 'link', url: documents + link[1], icon: 'doc', tags: [], asDropdown: false, includeVars: false, keepTime: false, targetBlank: true, tooltip: link[2] }
      for link in [['Runbooks', 'runbooks', 'What to do when an alert fires'], ['Metrics', 'metrics.md', 'What each metric means']]
    ],
    // From a cell with the name of a cluster to another dashboard on that cluster.
    toDashboard(uid, title):: {
      title: title,
      url: '/d/%s?var-datasource=${datasource}&var-cluster=${__value.raw}&${__url_time_range}' % uid,
      targetBlank: false,
    },
    // From a cell with the name of an alert to its runbook.
    toRunbook:: { title: 'Runbook', url: config.runbookURLPattern % '${__value.raw}', targetBlank: true },

    local annotation(name, expr, title, color, text, extra={}) = {
      name: name,
      datasource: datasource,
      enable: true,
      hide: false,
      iconColor: color,
      expr: expr,
      step: '1m',
      titleFormat: title,
      textFormat: text,
      tagKeys: cluster,
    } + extra,
    annotations:: [
      // The value of the series is the time of the run.
      annotation(
        'Remediation runs',
        '%s * 1000 > 0' % d.max(d.remediation('last_run_timestamp_seconds', ['outcome=~"succeeded|failed|interrupted"']), ['policy', 'outcome']),
        'Remediation of ' + d.cluster,
        d.colors.purple,
        '{{policy}}: {{outcome}}',
        { useValueForTime: 'on' },
      ),
      annotation(
        'Leader changes',
        '%s > 0' % d.max('changes(%s[2m])' % d.exporter('endpoint_raft_term')),
        'Election in ' + d.cluster,
        d.colors.orange,
        'The raft term rose: the leader changed, or an election was held.',
      ),
    ],

    // From left to right, and on when a row of the grid is full.
    local placed(panels) = std.foldl(
      function(at, p)
        local fits = p.type != 'row' && at.x + p.w <= 24;
        local x = if fits then at.x else 0;
        local y = if fits then at.y else at.next;
        {
          x: x + p.w,
          y: y,
          next: if fits then std.max(at.next, y + p.h) else y + p.h,
          panels: at.panels + [p { id: std.length(at.panels) + 1, gridPos: { x: x, y: y, w: p.w, h: p.h } }],
        },
      panels,
      { x: 0, y: 0, next: 0, panels: [] },
    ).panels,

    dashboard(uid, title, description, panels, variables=[]):: {
      uid: uid,
      title: 'etcd / ' + title,
      description: description,
      tags: config.dashboards.tags,
      schemaVersion: 39,
      version: 1,
      editable: true,
      graphTooltip: 1,
      refresh: config.dashboards.refresh,
      time: { from: config.dashboards.from, to: 'now' },
      timezone: config.dashboards.timezone,
      links: d.links,
      annotations: { list: d.annotations },
      templating: { list: d.variables + variables },
      panels: placed(panels),
    },
  }
