// Whether the clocks of the members agree, among each other and with the exporter's.
function(config, lib)
  local views = lib.labels(config.exporterLabels);
  local cluster = lib.labels();
  local last(name) = 'last_over_time(%s[%s])' % [lib.exporter(name), lib.scaled('5m')];
  local skew = last('endpoint_clock_skew_seconds');
  local err = last('endpoint_clock_skew_error_seconds');
  // Every skew is relative to the clock of the exporter that measured it: differences
  // are taken within one exporter's view, and only then compared.
  local parts = {
    views: views,
    cluster: cluster,
    // The least that a member is ahead, and the most, given the errors.
    low: 'max by (%s) (%s - %s)' % [views, skew, err],
    high: 'min by (%s) (%s + %s)' % [views, skew, err],
    least: 'min by (%s) (%s - %s)' % [views, skew, err],
    most: 'max by (%s) (%s + %s)' % [views, skew, err],
    limit: config.clockSkew,
  };

  [
    lib.alert(
      'EtcdClockSkew',
      'warning',
      '10m',
      |||
        max by (%(cluster)s) (
          %(low)s
          - %(high)s
        ) > %(limit).12g
      ||| % parts,
      'The clocks of the members differ.',
      'The clocks of two members of cluster {{ $labels.cluster }} differ by at least {{ $value | humanizeDuration }}: leases are kept by elapsed time, but certificates, logs and compaction by time are not.',
      keep='5m',
    ),
    // All members on one side of it: then it is the exporter's own clock that is wrong.
    lib.alert(
      'EtcdExporterClockSkew',
      'warning',
      '10m',
      |||
        max by (%(cluster)s) (
          %(least)s > %(limit).12g
          or
          -1 * (%(most)s) > %(limit).12g
        )
        unless on (%(cluster)s) (
          max by (%(cluster)s) (
            %(low)s
            - %(high)s
          ) > %(limit).12g
        )
      ||| % parts,
      'The clock of the exporter differs from those of all members.',
      'All members of cluster {{ $labels.cluster }} differ from the clock of the exporter by at least {{ $value | humanizeDuration }}: ages of backups and certificates are judged by a wrong clock.',
      keep='5m',
    ),
  ]
