// Whether the exporter itself sees what it is to watch.
function(config, lib)
  local braces(matchers) = '{%s}' % std.join(', ', std.filter(function(m) m != '', matchers));
  local up = 'up' + braces([config.exporterUpSelector]);
  local errors(matchers) = lib.exporter('exporter_rpc_errors_total', matchers);
  local denied = [errors(['code=~"PermissionDenied|Unauthenticated"']), errors(['method="Authenticate"', 'code!~"Unavailable|DeadlineExceeded|Canceled"'])];

  [
    // Missing altogether: no label is left to tell what is missing. Where targets are
    // left, a cluster that was watched within the hour and has none is told of by name.
    lib.alert(
      'EtcdExporterDown',
      'warning',
      '5m',
      |||
        max by (%(labels)s) (last_over_time(%(up)s[%(bridge)s])) == 0
        or
        absent(%(up)s) - 1
        or
        0 * max by (%(cluster)s) (last_over_time(%(watched)s[%(hour)s]))
        unless on (%(cluster)s) last_over_time(%(watched)s[%(bridge)s])
        unless on (%(cluster)s) up
        unless on () absent(%(up)s)
      ||| % {
        up: up,
        labels: lib.labels([config.instanceLabel]),
        cluster: lib.labels(),
        watched: lib.exporter('endpoint_up'),
        bridge: lib.scaled('5m'),
        hour: lib.scaled('1h'),
      },
      'The exporter cannot be scraped: nobody watches etcd.',
      'Prometheus cannot scrape the exporter{{ if $labels.instance }} at {{ $labels.instance }}{{ end }}{{ if $labels.cluster }} for cluster {{ $labels.cluster }}{{ end }} (up is {{ $value }}): no alert on etcd can fire.',
    ),
    lib.alert(
      'EtcdExporterBlind',
      'warning',
      '5m',
      lib.max('last_over_time(%s[%s])' % [lib.exporter('endpoint_failure', ['reason=~"tls|auth|dns"']), lib.scaled('5m')], ['url', 'reason']) + ' == 1',
      'The exporter cannot speak to a member, for reasons of its own.',
      'The exporter fails at {{ $labels.url }} of cluster {{ $labels.cluster }} by {{ $labels.reason }} (failing: {{ $value }}): what etcd itself does there is not known.',
    ),
    lib.alert(
      'EtcdCollectorFailing',
      'warning',
      '15m',
      lib.max('last_over_time(%s[%s])' % [lib.exporter('exporter_collector_success'), lib.scaled('5m')], ['collector']) + ' == 0',
      'A collector of the exporter does not learn all it asks for.',
      'The collector {{ $labels.collector }} fails on cluster {{ $labels.cluster }} (success: {{ $value }}): some of its series are missing or old.',
    ),
    // A refused password is counted at the request for a token.
    lib.alert(
      'EtcdAuthDenied',
      'warning',
      '15m',
      'sum by (%s) (increase(%s[%s]) or increase(%s[%s])) > %.12g' % [
        lib.labels(['method', 'code']),
        denied[0],
        lib.scaled(config.authRange),
        denied[1],
        lib.scaled(config.authRange),
        config.authDenied,
      ],
      'etcd refuses what the exporter asks for.',
      'In ' + config.authRange + ' etcd refused {{ $value | humanize }} requests {{ $labels.method }} of the exporter on cluster {{ $labels.cluster }} with {{ $labels.code }}: its user, password or role is wrong.',
    ),
    lib.alert(
      'EtcdConfigReloadFailed',
      'warning',
      '10m',
      'max by (%s) (last_over_time(%s[%s])) == 0' % [
        std.join(', ', std.setUnion(['job'], std.set([config.instanceLabel]))),
        lib.exporter('exporter_config_last_reload_successful'),
        lib.scaled('5m'),
      ],
      'The exporter refused its new configuration.',
      'The exporter at {{ $labels.instance }} could not read its configuration anew (successful: {{ $value }}) and goes on with the old one.',
    ),
  ]
