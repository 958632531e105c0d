// What does the remediator do, what keeps it from doing it, and would it hear of an alert?
function(config, d)
  local cluster = config.clusterLabel;
  local c = d.colors;
  local policy(op, name, matchers=[]) = d.by(op, ['policy'], d.remediation(name, matchers));
  local rate(name, by, matchers=[]) = 'sum by (%s) (increase(%s[$__rate_interval]))' % [by, d.remediation(name, matchers)];
  local last(outcome) = 'time() - (%s > 0)' % policy('max', 'last_run_timestamp_seconds', ['outcome="%s"' % outcome]);
  local heartbeat = 'max(%s)' % d.remediator('heartbeat_timestamp_seconds');
  local line = '{{%s}} {{policy}}' % cluster;
  // An aim that EtcdRemediationHeartbeatMissing has: twice the trigger route's repeat.
  local repeat = (import '../lib/time.libsonnet')(1).seconds(config.triggerRepeat);

  d.dashboard('etcdops-remediation', 'Remediation', 'What the remediator does, what keeps it from doing it, and whether it would hear of an alert tonight.', [
    d.stat('May it act', 'The ceiling of --mode: plan acts never, approve after a word from a person, enforce by itself.', 'max(3 * %s or 2 * %s or %s)' % [
      d.remediator('mode', ['mode="enforce"']) + ' > 0',
      d.remediator('mode', ['mode="approve"']) + ' > 0',
      d.remediator('mode', ['mode="plan"']) + ' > 0',
    ], mappings=d.words({ '1': ['plan', c.sky], '2': ['approve', c.sky], '3': ['enforce', c.green] }), none='no remediator', w=3),
    d.stat('Paused', 'A person has paused every run (POST /-/pause, EtcdRemediationPaused).', 'max(%s)' % d.remediator('paused'), mappings=d.words({ '0': ['no', c.green], '1': ['paused', c.orange] }), none='no remediator', w=3),
    d.stat('One leads', 'Processes that may act. With replicas one of them does; without an election each.', 'sum(%s)' % d.remediator('leader'), thresholds=d.steps([[null, c.vermillion], [1, c.green], [2, c.orange]]), none='no remediator', w=3),
    d.stat('Heartbeat', 'Since EtcdRemediationHeartbeat last came by the webhook. Past %s the chain is broken (EtcdRemediationHeartbeatMissing).' % config.triggerRepeat, 'time() - (%s > 0)' % heartbeat, 's', d.rising(2 * repeat), none='never came', w=3, decimals=0),
    d.stat('Under way', 'Runs that go on now.', 'sum(%s) or vector(0)' % d.sum(d.remediation('in_progress'), ['action']), w=3),
    d.stat('Waiting', 'Runs that wait for their turn.', 'sum(%s)' % d.remediator('queue_length'), none='no remediator', w=3),
    d.stat('Breakers', 'Policies that are held back because two runs brought too little; POST /-/resume closes them.', 'sum(%s) or vector(0)' % policy('max', 'breaker_open'), thresholds=d.steps([[null, c.green], [1, c.vermillion]]), mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('Given back', 'Bytes by which defragmentations made database files smaller, in the time shown.', 'sum(increase(%s[$__range])) or vector(0)' % d.remediation('reclaimed_bytes_total'), 'bytes', w=3, decimals=1),
    d.table(
      'Policies',
      'One row a policy and cluster, those whose alert fires first. Refusals are those of the last day.',
      [
        d.label(cluster, 'Cluster'),
        d.label('policy', 'Policy'),
        d.value(policy('max', 'alert_firing'), 'Alert', mappings=d.words({ '0': ['quiet', c.none], '1': ['fires', c.orange] }), width=80),
        d.value(policy('min', 'budget_remaining'), 'Runs left today', thresholds=d.steps([[null, c.orange], [1, c.none]]), width=125),
        d.value(policy('max', 'breaker_open'), 'Breaker', mappings=d.words({ '0': ['closed', c.none], '1': ['open', c.vermillion] }), width=85),
        d.value(last('succeeded'), 'Succeeded before', 's', decimals=0, width=135),
        d.value(last('failed'), 'Failed before', 's', decimals=0, width=115),
        d.value(last('refused'), 'Refused before', 's', decimals=0, width=120),
        d.value('round(sum by (%s, policy) (increase(%s[1d])))' % [cluster, d.remediation('refused_total')], 'Refusals', 'short', width=85),
      ],
      ['-Alert'],
      none='no policy',
      h=7,
    ),
    d.graph('Runs by outcome', 'planned: in mode plan, nothing was changed. refused: by a guard, and tried again until the alert is gone.', [d.query(rate('runs_total', 'policy, outcome') + ' > 0', '{{policy}} {{outcome}}')], 'short', min=0, none='no run') + { fieldConfig+: { defaults+: { custom+: { drawStyle: 'bars', fillOpacity: 80, stacking: { mode: 'normal', group: 'A' } } } } },
    d.graph('Refused by which guard', 'The guard that refused first. EtcdRemediationBlocked tells of refusals while the alert fires.', [d.query(rate('refused_total', cluster + ', guard') + ' > 0', '{{%s}} {{guard}}' % cluster)], 'short', min=0, none='no refusal') + { fieldConfig+: { defaults+: { custom+: { drawStyle: 'bars', fillOpacity: 80, stacking: { mode: 'normal', group: 'A' } } } } },
    d.graph('Alerts that start a policy', '1 while one fires.', [d.query(policy('max', 'alert_firing'), line)], 'none', min=0, max=1, decimals=0),
    d.graph('Bytes given back', 'By defragmentations, summed over members.', [d.query(d.sum('increase(%s[$__rate_interval])' % d.remediation('reclaimed_bytes_total')), d.cluster)], 'bytes', min=0),
    d.graph('Keys pruned', 'Events deleted a second, by every policy.', [d.query(d.sum('rate(%s[$__rate_interval])' % d.remediation('pruned_keys_total')), d.cluster)], 'short', min=0),
    d.graph('Time of a run, 90th percentile', 'From its first look to its end, waits included. EtcdRemediationStuck tells of one that takes %s.' % config.remediationStuck, [d.query('histogram_quantile(0.9, sum by (action, le) (rate(%s[$__range])))' % d.remediator('duration_seconds_bucket'), '{{action}}')], 's', min=0, none='no run'),
    d.graph('Runs left today', 'EtcdRemediationBudgetSpent tells of 0.', [d.query(policy('min', 'budget_remaining'), line)], 'none', min=0, decimals=0),
    d.graph('Requests to the webhook', 'By the code of the answer. 401 and 403: EtcdWebhookAuthFailures. 503: the journal cannot be written, and Alertmanager sends again.', [d.query('sum by (code) (rate(%s[$__rate_interval]))' % d.remediator('webhook_requests_total'), '{{code}}')], 'reqps', min=0),
    d.graph('What Alertmanager could not deliver', 'Notifications of its webhook integration that failed (EtcdWebhookUndelivered), and alerts that max_alerts cut off.', [
      d.query('sum(rate(%s[$__rate_interval]))' % d.alertmanager('alertmanager_notifications_failed_total', ['integration="webhook"']), 'failed'),
      d.query('sum(rate(%s[$__rate_interval]))' % d.remediator('webhook_truncated_alerts_total'), 'cut off'),
    ], 'reqps', min=0, none='no Alertmanager'),
  ])
