// Everything that is rendered from the mixin, by file; jsonnet -S -m . writes it.
function(timeScale=1, config={})
  local mixin = (import 'mixin.libsonnet') + { _config+:: { timeScale: timeScale } + config };
  local operator = mixin._config.operator;
  local note = '# Generated from mixin/ by make generate: do not edit.\n';
  local yaml(value) = std.manifestYamlDoc(value, indent_array_in_object=true, quote_keys=false) + '\n';
  local groups = [g for g in mixin.prometheusRules.groups + mixin.prometheusAlerts.groups if g.rules != []];
  local dashboards = std.objectFields(mixin.grafanaDashboards);
  // The remediator is not everybody's, and its alerts miss it where it is not.
  local remediation = 'etcdops-remediation';
  local kustomization(resources) = note + yaml({
    apiVersion: 'kustomize.config.k8s.io/v1beta1',
    kind: 'Kustomization',
    resources: resources,
  });
  local prometheusRule(name, groups) = note + yaml({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: name, namespace: operator.namespace, labels: operator.ruleLabels },
    spec: { groups: groups },
  });
  local configMaps(names) = note + std.join('---\n', [
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
    for name in names
  ]);

  { 'docs/alerts.md': (import 'lib/document.libsonnet')(groups, import 'gallery.json') } +
  { ['alerts/%s.yaml' % g.name]: note + yaml({ groups: [g] }) for g in groups } +
  { ['alerts/loki/%s.yaml' % g.name]: note + yaml({ groups: [g] }) for g in mixin.lokiAlerts.groups } +
  {
    ['dashboards/' + name]: std.manifestJsonEx(mixin.grafanaDashboards[name], '  ') + '\n'
    for name in dashboards
  } +
  {
    'deploy/prometheus-operator/kustomization.yaml': kustomization(['rules.yaml', 'dashboards.yaml']),
    'deploy/prometheus-operator/rules.yaml': prometheusRule('etcdops', [g for g in groups if g.name != remediation]),
    'deploy/prometheus-operator/dashboards.yaml': configMaps([d for d in dashboards if d != remediation + '.json']),
    'deploy/prometheus-operator/remediation/kustomization.yaml': kustomization(['rules.yaml', 'dashboards.yaml']),
    'deploy/prometheus-operator/remediation/rules.yaml': prometheusRule(remediation, [g for g in groups if g.name == remediation]),
    'deploy/prometheus-operator/remediation/dashboards.yaml': configMaps([d for d in dashboards if d == remediation + '.json']),
  }
