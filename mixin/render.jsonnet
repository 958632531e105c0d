// Everything that is rendered from the mixin, by file; jsonnet -S -m . writes it.
function(timeScale=1, config={})
  local mixin = (import 'mixin.libsonnet') + { _config+:: { timeScale: timeScale } + config };
  local operator = mixin._config.operator;
  local note = '# Generated from mixin/ by make generate: do not edit.\n';
  local yaml(value) = std.manifestYamlDoc(value, indent_array_in_object=true, quote_keys=false) + '\n';
  local groups = mixin.prometheusRules.groups + mixin.prometheusAlerts.groups;

  { 'docs/alerts.md': (import 'lib/document.libsonnet')(groups, import 'gallery.json') } +
  { ['alerts/%s.yaml' % g.name]: note + yaml({ groups: [g] }) for g in groups if g.rules != [] } +
  {
    ['dashboards/' + name]: std.manifestJsonEx(mixin.grafanaDashboards[name], '  ') + '\n'
    for name in std.objectFields(mixin.grafanaDashboards)
  } +
  {
    'deploy/prometheus-operator/rules.yaml': note + yaml({
      apiVersion: 'monitoring.coreos.com/v1',
      kind: 'PrometheusRule',
      metadata: { name: 'etcdops', namespace: operator.namespace, labels: operator.ruleLabels },
      spec: { groups: [g for g in groups if g.rules != []] },
    }),
    'deploy/prometheus-operator/dashboards.yaml': note + std.join('---\n', [
      yaml({
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          name: std.strReplace(name, '.json', ''),
          namespace: operator.namespace,
          labels: operator.dashboardLabels,
          [if operator.dashboardAnnotations != {} then 'annotations']: operator.dashboardAnnotations,
        },
        data: { [name]: std.manifestJsonEx(mixin.grafanaDashboards[name], '  ') + '\n' },
      })
      for name in std.objectFields(mixin.grafanaDashboards)
    ]),
  }
