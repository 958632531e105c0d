// Whether the members still hold the same data, and still that of yesterday.
function(config, lib)
  local cluster = lib.labels();

  // The revision of a cluster never falls, so whatever was seen in the last minutes is at
  // least all that was seen before, by whichever exporter, scrape or member. Both sides
  // are ranges: the samples of two exporters differ by a scrape interval, and so do those
  // of a balanced address that leads now to this member, now to that.
  local highest(name, ago, extra=[]) = {
    local series = lib.exporter(name),
    local over(range, offset) = lib.max(
      'max_over_time(%s[%s]%s)' % [series, lib.scaled(range), if offset == 0 then '' else ' offset ' + lib.scaled('%dm' % offset)],
      extra,
    ),
    now: over('2m', ago),
    // A day, for a restore takes hours.
    before: over('1d', ago + 2),
  };
  // Lower than before, and none of the endpoints that answer is where it was or further:
  // where only a member that lags behind is seen, that one has lost nothing. An address
  // that is new after a restore has a past of its own two minutes later; by then the
  // alert fires, and goes on by its keep_firing_for.
  local regressed(ago) = |||
    %(now)s < %(before)s
    unless on (%(cluster)s) %(endpointNow)s >= %(endpointBefore)s
  ||| % {
    local all = highest('cluster_revision', ago),
    local endpoint = highest('endpoint_revision', ago, ['url']),
    cluster: cluster,
    now: all.now,
    before: all.before,
    endpointNow: endpoint.now,
    endpointBefore: endpoint.before,
  };
  local indented(text) = std.strReplace(std.rstripChars(text, '\n'), '\n', '\n  ');

  [
    lib.alert(
      'EtcdAlarmCorrupt',
      'critical',
      '0m',
      lib.max('last_over_time(%s[%s])' % [lib.exporter('alarm_active', ['alarm="CORRUPT"']), lib.scaled('5m')], ['member', 'member_id']) + ' == 1',
      'etcd has found a member with other data than the rest.',
      'The alarm CORRUPT is raised (active: {{ $value }}) for member {{ $labels.member }} ({{ $labels.member_id }}) of cluster {{ $labels.cluster }}: its data differs from that of the other members, and it refuses requests.',
    ),
    // An exporter that starts has no verdict until the next compaction, which is no
    // all-clear: the last one stands for an hour. What one found, no other refutes.
    lib.alert(
      'EtcdHashMismatch',
      'critical',
      '0m',
      lib.min('last_over_time(%s[%s])' % [lib.exporter('cluster_hash_consistent'), lib.scaled('1h')]) + ' == 0',
      'The members hold different data.',
      'Two voters of cluster {{ $labels.cluster }} gave different hashes of the key space at one revision (consistent: {{ $value }}).',
    ),
    // For an hour after the fact, and not for the day that the past is remembered.
    lib.alert(
      'EtcdRevisionRegressed',
      'critical',
      '0m',
      |||
        (
          %(now)s
        )
        unless on (%(cluster)s) (
          %(hourAgo)s
        )
      ||| % { cluster: cluster, now: indented(regressed(0)), hourAgo: indented(regressed(60)) },
      'The revision of the cluster went back, as after a restore without a bump of the revision.',
      'The revision of cluster {{ $labels.cluster }} went back, to {{ $value | printf "%.0f" }}. Clients that watch, such as the informers of Kubernetes, wait for a revision that they have seen already and miss every change until then.',
      keep='1h',
    ),
  ]
