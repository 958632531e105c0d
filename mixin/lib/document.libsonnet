// docs/alerts.md: every alert, and which of them told of which fault of a real cluster
// (mixin/gallery.json, which make gallery writes).
function(groups, gallery)
  local page(name) = '[%s](runbooks/%s.md)' % [name, name];
  local alerts(group) = [r for r in group.rules if std.objectHas(r, 'alert')];
  local names(group) = std.set([r.alert for r in alerts(group)]);

  // The rules of one name in a row: two severities are two rules.
  local row(name, rules) = '| %s | %s | %s | %s |' % [
    page(name),
    std.join('/', std.uniq([r.labels.severity for r in rules])),
    std.join('/', std.uniq([if std.objectHas(r, 'for') then r['for'] else '0m' for r in rules])),
    std.join(' ', std.uniq([r.annotations.summary for r in rules])),
  ];
  local rows(group) = [row(name, [r for r in alerts(group) if r.alert == name]) for name in names(group)];
  local section(group) = [
    '',
    '## %s' % std.strReplace(group.name, 'etcdops-', ''),
    '',
    '| alert | severity | for | in a line |',
    '|---|---|---|---|',
  ] + rows(group);

  local told(a) = '%s (%d min)' % [page(a.alert), a.minutes];
  local of(fault, severities) =
    local found = [told(a) for a in fault.alerts if std.member(severities, a.severity)];
    if found == [] then '-' else std.join(', ', found);
  local fault(f) = '| %s | %s | %s |' % [f.fault, of(f, ['critical']), of(f, ['warning', 'info'])];

  std.join('\n', [
    '# Alerts',
    '',
    'Generated from mixin/ by make generate: do not edit. Every threshold is a knob in [mixin/config.libsonnet](../mixin/config.libsonnet); each name leads to its runbook. Rules on what members log, for Loki, are apart: [operations/logs.md](operations/logs.md).',
    '',
    '## Faults and the alerts that tell of them',
    '',
    'What fired when each fault was brought about on a real cluster of three members, and after how many minutes (`make gallery`, whose times are divided by 120 and multiplied again here). The fault goes on for 20 minutes after the alerts that must tell of it.',
    '',
    '| fault | critical | warning and info |',
    '|---|---|---|',
  ] + [fault(f) for f in gallery] + std.flatMap(section, [g for g in groups if alerts(g) != []])) + '\n'
