// How long certificates are still good for.
function(config, lib)
  // A certificate that was renewed has another time: the one presented last counts, and
  // of two exporters the one that saw it later.
  local left(roles) = '%s - time()' %
                      lib.max('last_over_time(%s[%s])' % [lib.exporter('certificate_not_after_timestamp_seconds', ['role=~"%s"' % roles]), lib.scaled('5m')], ['role', 'url', 'subject']);
  local days(n) = '%.12g' % (n * 86400);
  local ending(name, severity, expr, summary) = lib.alert(
    name,
    severity,
    '1h',
    expr,
    summary,
    'The {{ $labels.role }} certificate {{ $labels.subject }}{{ if $labels.url }} at {{ $labels.url }}{{ end }} of cluster {{ $labels.cluster }} expires in {{ $value | humanizeDuration }}; a negative time is the time since.',
  );

  [
    // The warning goes on beside the critical one, whose hour begins anew: Alertmanager
    // holds it back then, and nobody reads meanwhile that it is resolved.
    ending(
      'EtcdCertificateExpiring',
      'warning',
      '(%s) < %s' % [left('server|peer|client'), days(config.certificateWarningDays)],
      'A certificate expires soon.'
    ),
    ending(
      'EtcdCertificateExpiring',
      'critical',
      '(%s) < %s' % [left('server|peer|client'), days(config.certificateCriticalDays)],
      'A certificate expires within days.'
    ),
    ending(
      'EtcdCAExpiring',
      'warning',
      '(%s) < %s' % [left('issuer'), days(config.caWarningDays)],
      'A certificate authority expires soon.'
    ),
  ]
