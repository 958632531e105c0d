// What the rules are made of. Everything takes the configuration, so that two mixins
// with different knobs can stand in one file.
function(config) {
  local lib = self,
  local time = (import 'time.libsonnet')(config.timeScale),

  // A duration of PromQL, divided by the time scale.
  scaled:: time.scaled,
  // The same in seconds, a number.
  seconds:: time.seconds,

  // The labels of a cluster and those given.
  labels(extra=[]):: std.join(', ', config.clusterLabels + extra),

  local braces(matchers) =
    local given = std.filter(function(m) m != '', matchers);
    if given == [] then '' else '{%s}' % std.join(', ', given),

  // Selectors: of a series of the exporter (or of the exporter itself), of etcd's own,
  // of the remediator's. name goes without etcdops_ for the two of ours.
  exporter(name, matchers=[]):: 'etcdops_' + name + braces([config.exporterSelector] + matchers),
  native(name, matchers=[]):: name + braces([config.nativeSelector] + matchers),
  remediation(name, matchers=[]):: 'etcdops_remediation_' + name + braces([config.remediatorSelector] + matchers),
  alertmanager(name, matchers=[]):: name + braces([config.alertmanagerSelector] + matchers),

  // Reduced to the labels of a cluster and those given: a pod rolled out anew goes on
  // where the old one ended, and two exporters count once.
  max(expr, extra=[]):: 'max by (%s) (%s)' % [lib.labels(extra), expr],
  min(expr, extra=[]):: 'min by (%s) (%s)' % [lib.labels(extra), expr],
  sum(expr, extra=[]):: 'sum by (%s) (%s)' % [lib.labels(extra), expr],

  // Templates say $labels.cluster and $labels.instance, whatever the labels are called.
  local named(text) =
    std.strReplace(std.strReplace(text, '$labels.cluster ', '$labels.%s ' % config.clusterLabel), '$labels.instance ', '$labels.%s ' % config.instanceLabel),

  // An alert. hold is its `for`; summary is static, description has templates.
  alert(name, severity, hold, expr, summary, description, keep=null):: {
    alert: name,
    expr: std.rstripChars(expr, '\n'),
    [if hold != '0m' then 'for']: lib.scaled(hold),
    [if keep != null then 'keep_firing_for']: lib.scaled(keep),
    labels: { severity: severity } + config.alertLabels,
    annotations: {
      summary: summary,
      description: named(description),
      runbook_url: config.runbookURLPattern % name,
    },
  },

  record(name, expr, labels={}):: {
    record: name,
    expr: std.rstripChars(expr, '\n'),
    [if labels != {} then 'labels']: labels,
  },

  // A group of alerts; its name in Prometheus begins with etcdops.
  group(name, rules):: { name: 'etcdops-' + name, rules: rules },
}
