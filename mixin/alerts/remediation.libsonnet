// Whether the remediator would act tonight, and whether what it does helps. The label
// cluster is the remediator's own here.
function(config, lib)
  local braces(matchers) = '{%s}' % std.join(', ', std.filter(function(m) m != '', matchers));
  local up = 'up' + braces([config.remediatorUpSelector]);
  local policy = std.join(', ', [config.clusterLabel, 'policy']);
  local maxPolicy(expr) = 'max by (%s) (%s)' % [policy, expr];
  local last(name, matchers=[]) = 'last_over_time(%s[%s])' % [lib.remediation(name, matchers), lib.scaled('5m')];
  local firing = maxPolicy(last('alert_firing')) + ' == 1';
  // Each run counts at the one replica that did it, which may be another every time.
  local ran(outcomes, range) = 'sum by (%s) (increase(%s[%s]))' % [
    policy,
    lib.remediation('runs_total', ['outcome=~"%s"' % outcomes]),
    lib.scaled(range),
  ];
  local what = 'policy {{ $labels.policy }} on cluster {{ $labels.cluster }}';
  local repeat = lib.seconds(config.triggerRepeat);
  // 0 after a start, until the first heartbeat comes: the start counts as one.
  local heartbeat = 'max by (job) (%(beat)s > 0 or on (%(replica)s) (process_start_time_seconds and on (%(replica)s) %(beat)s) or on (%(replica)s) %(beat)s)' % {
    beat: lib.remediation('heartbeat_timestamp_seconds'),
    replica: 'job, ' + config.instanceLabel,
  };

  [
    lib.alert(
      'EtcdRemediationFailed',
      'warning',
      '0m',
      '%s > 0' % ran('failed', config.remediationFailedRange),
      'A remediation failed.',
      'A run of ' + what + ' failed within ' + config.remediationFailedRange + ' ({{ $value | printf "%.0f" }} in all): /api/v1/runs of the remediator has its reason.',
    ),
    lib.alert(
      'EtcdRemediationIneffective',
      'critical',
      '10m',
      |||
        (
          %(ran)s >= %(runs).12g
          or on (%(policy)s) %(breaker)s == 1
        )
        and on (%(policy)s) %(firing)s
      ||| % {
        // increase() is stretched to the whole range, and may come out a little short.
        ran: 'round(%s)' % ran('succeeded|failed', config.remediationRunsRange),
        runs: config.remediationRuns,
        policy: policy,
        breaker: maxPolicy(last('breaker_open')),
        firing: firing,
      },
      'What the remediator does changes nothing: its alert goes on.',
      'The alert of ' + what + ' fires although the remediator acted (runs within ' + config.remediationRunsRange + ', or 1 for an open breaker: {{ $value | printf "%.0f" }}): the cause is another.',
    ),
    lib.alert(
      'EtcdRemediationBlocked',
      'warning',
      '30m',
      |||
        sum by (%(policy)s) (increase(%(refused)s[%(range)s])) > 0
        and on (%(policy)s) %(firing)s
      ||| % {
        policy: policy,
        refused: lib.remediation('refused_total', ['guard!="cooldown"']),
        range: lib.scaled(config.remediationRefusedRange),
        firing: firing,
      },
      'A guard keeps the remediator from acting.',
      'The alert of ' + what + ' fires, and guards have refused {{ $value | printf "%.0f" }} times within ' + config.remediationRefusedRange + ': the status page says which and why.',
      keep='5m',
    ),
    // Somebody must have looked for that long: the first sample of a run is no half hour.
    lib.alert(
      'EtcdRemediationStuck',
      'critical',
      '5m',
      |||
        min_over_time((max by (%(action)s) (%(runs)s))[%(range)s:%(step)s]) > 0
        and on (%(action)s) last_over_time(%(runs)s[%(bridge)s] offset %(range)s)
      ||| % {
        action: config.clusterLabel + ', action',
        runs: lib.remediation('in_progress'),
        range: lib.scaled(config.remediationStuck),
        step: lib.scaled('1m'),
        bridge: lib.scaled('5m'),
      },
      'A remediation does not come to an end.',
      'A run of {{ $labels.action }} on cluster {{ $labels.cluster }} is under way for ' + config.remediationStuck + ' or longer (runs: {{ $value }}).',
    ),
    lib.alert(
      'EtcdRemediationBudgetSpent',
      'warning',
      '0m',
      'min by (%s) (%s) <= 0' % [policy, last('budget_remaining')],
      'The remediator may not act again today.',
      'The budget of ' + what + ' is spent (runs left: {{ $value }}): until some of its runs are a day old nothing is done.',
    ),
    lib.alert(
      'EtcdRemediationPaused',
      'info',
      '24h',
      'max by (job) (%s) == 1' % last('paused'),
      'Remediation has been paused for a day.',
      'A person paused the remediator (paused: {{ $value }}) more than a day ago: it acts on nothing until POST /-/resume.',
    ),
    lib.alert(
      'EtcdRemediatorDown',
      'warning',
      '5m',
      |||
        max by (job) (last_over_time(%(up)s[%(bridge)s])) == 0
        or
        absent(%(up)s) - 1
      ||| % { up: up, bridge: lib.scaled('5m') },
      'The remediator cannot be scraped.',
      'No remediator can be scraped (up is {{ $value }}): alerts are not acted on.',
    ),
    lib.alert(
      'EtcdWebhookAuthFailures',
      'warning',
      '5m',
      'sum by (job) (increase(%s[%s])) > 0' % [lib.remediation('webhook_requests_total', ['code=~"401|403"']), lib.scaled('15m')],
      'Somebody calls the webhook without the right to.',
      'The webhook refused {{ $value | printf "%.0f" }} requests within 15 minutes for want of credentials: Alertmanager has an old token, or somebody else tries.',
    ),
    lib.alert(
      'EtcdWebhookUndelivered',
      'warning',
      '15m',
      |||
        sum by (job) (increase(%(failed)s[%(range)s])) > 0
        unless on () (time() - %(heartbeat)s <= %(age).12g)
      ||| % {
        failed: lib.alertmanager('alertmanager_notifications_failed_total', ['integration="webhook"']),
        range: lib.scaled('15m'),
        heartbeat: std.strReplace(heartbeat, 'max by (job)', 'max'),
        age: 2 * repeat,
      },
      'Alertmanager cannot deliver to the webhook.',
      'Alertmanager failed to deliver {{ $value | printf "%.0f" }} notifications to a webhook within 15 minutes, and the remediator had no heartbeat meanwhile.',
    ),
    // One for each cluster that the exporter tells of: it proves the chain from the
    // exporter to the webhook.
    lib.alert(
      'EtcdRemediationHeartbeat',
      'info',
      '0m',
      'count by (%s) (%s)' % [lib.labels(), lib.max('last_over_time(%s[%s])' % [lib.exporter('endpoint_up'), lib.scaled('5m')], ['url'])],
      'The heartbeat of the chain from the exporter to the remediator.',
      'Always fires while cluster {{ $labels.cluster }} is watched (endpoints: {{ $value }}); it goes to the webhook and to nobody else.',
    ),
    lib.alert(
      'EtcdRemediationHeartbeatMissing',
      'warning',
      '5m',
      'time() - %s > %.12g' % [heartbeat, 2 * repeat],
      'No alert would reach the remediator tonight.',
      'The last heartbeat came to the webhook {{ $value | humanizeDuration }} ago, and should come every ' + config.triggerRepeat + ': Prometheus, Alertmanager, its route or the token is at fault.',
    ),
  ]
