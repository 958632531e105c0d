// How fast the members are, by etcd's own metrics for the most part.
function(config, lib)
  local member = std.join(', ', config.clusterLabels + [config.instanceLabel]);
  local rate(name, range, matchers=[]) = 'rate(%s[%s])' % [lib.native(name, matchers), lib.scaled(range)];
  local p99(name, extra=[]) = 'histogram_quantile(0.99, sum by (%s) (%s))' %
                              [std.join(', ', [member] + extra + ['le']), rate(name + '_bucket', '5m')];
  // Bridges a missed scrape, which would start a `for` anew.
  local last(series) = 'last_over_time(%s[%s])' % [series, lib.scaled('5m')];
  local who = '{{ $labels.%s }} of cluster {{ $labels.%s }}' % [config.instanceLabel, config.clusterLabel];

  local resident = last(lib.native('process_resident_memory_bytes'));
  local byMember = std.join(', ', [config.clusterLabel, config.instanceLabel]);
  local memoryLimit =
    if std.isNumber(config.memoryLimit) then 'max by (%s) (%s) * 0 + %.12g' % [byMember, resident, config.memoryLimit]
    else if config.memoryLimit == 'process' then 'min by (%s) (%s)' % [byMember, last(lib.native('', ['__name__=~"go_gc_gomemlimit_bytes|process_virtual_memory_max_bytes"']))]
    else config.memoryLimit;

  local fsync(severity, limit) = lib.alert(
    'EtcdWALFsyncSlow',
    severity,
    '10m',
    '%s > %.12g' % [p99('etcd_disk_wal_fsync_duration_seconds'), limit],
    'The disk is slow to make the log durable.',
    'The 99th percentile of an fsync of the write-ahead log on ' + who + ' is {{ $value | humanizeDuration }}: every write waits for it, and leaders are lost over it.',
    keep='5m',
  );

  [
    lib.alert(
      'EtcdApplyLag',
      'warning',
      '5m',
      lib.max('%s - %s' % [last(lib.exporter('endpoint_raft_index')), last(lib.exporter('endpoint_raft_applied_index'))], ['url']) + ' > %.12g' % config.applyLag,
      'A member does not keep up with what is committed.',
      'The member at {{ $labels.url }} of cluster {{ $labels.cluster }} has {{ $value | humanize }} committed entries still to apply; from 5,000 on it refuses requests as too many.',
      keep='5m',
    ),
    // One rule for both signs: the exporter's own reads, and etcd's count of read
    // indexes that took long (grpc_server_handling_seconds is off by default). A member
    // that is scraped by way of two exporters counts once.
    lib.alert(
      'EtcdRequestsSlow',
      'warning',
      '10m',
      |||
        %(read)s > %(slow).12g
        or
        max by (%(member)s) (increase(%(indexes)s[%(range)s])) > %(many).12g
      ||| % {
        read: lib.max('quantile_over_time(0.9, %s[%s])' % [lib.exporter('endpoint_check_duration_seconds', ['check="linearizable_read"']), lib.scaled('10m')], ['url']),
        slow: config.readSlow,
        member: member,
        indexes: lib.native('etcd_server_slow_read_indexes_total'),
        range: lib.scaled('5m'),
        many: config.slowReadIndexes,
      },
      'Reads through the quorum are slow.',
      'Linearizable reads are slow at {{ or $labels.url $labels.instance }} of cluster {{ $labels.cluster }}: {{ if $labels.url }}one in ten took {{ $value | humanizeDuration }} or more{{ else }}{{ $value | humanize }} of them were slow within 5 minutes{{ end }}.',
      keep='5m',
    ),
    fsync('warning', config.fsyncWarning),
    fsync('critical', config.fsyncCritical),
    lib.alert(
      'EtcdCommitSlow',
      'warning',
      '10m',
      '%s > %.12g' % [p99('etcd_disk_backend_commit_duration_seconds'), config.commitSlow],
      'The disk is slow to commit the database.',
      'The 99th percentile of a commit of the database on ' + who + ' is {{ $value | humanizeDuration }}.',
      keep='5m',
    ),
    // Each member counts the changes it saw: the one that saw most was there for all.
    lib.alert(
      'EtcdLeaderChanges',
      'warning',
      '5m',
      '%s >= %.12g' % [lib.max('round(increase(%s[%s]))' % [lib.native('etcd_server_leader_changes_seen_total'), lib.scaled(config.leaderRange)]), config.leaderChanges],
      'The leadership changes too often.',
      'Cluster {{ $labels.cluster }} changed its leader {{ $value | humanize }} times within ' + config.leaderRange + ': each time writes stop for a moment.',
    ),
    lib.alert(
      'EtcdProposalsFailing',
      'warning',
      '15m',
      'max by (%s) (increase(%s[%s])) > %.12g' % [member, lib.native('etcd_server_proposals_failed_total'), lib.scaled(config.proposalsRange), config.proposalsFailing],
      'Writes fail before they are committed.',
      'On ' + who + ' {{ $value | humanize }} proposals failed within ' + config.proposalsRange + ': elections, or a quorum that is lost.',
    ),
    lib.alert(
      'EtcdPeerLatencyHigh',
      'warning',
      '10m',
      '%s > %.12g' % [p99('etcd_network_peer_round_trip_time_seconds', ['To']), config.peerLatency],
      'The network between two members is slow.',
      'The 99th percentile of a round trip from ' + who + ' to member {{ $labels.To }} is {{ $value | humanizeDuration }}.',
      keep='5m',
    ),
    lib.alert(
      'EtcdFileDescriptorsLow',
      'warning',
      '10m',
      'max by (%s) (%s / %s) > %.12g' % [member, last(lib.native('process_open_fds')), last(lib.native('process_max_fds')), config.fileDescriptors],
      'A member has few file descriptors left.',
      'On ' + who + ' {{ $value | humanizePercentage }} of the file descriptors are in use; without one no client can connect.',
      keep='5m',
    ),
    lib.alert(
      'EtcdDefragSlow',
      'warning',
      '1m',
      'max by (%s) (%s) == 1' % [member, lib.native('etcd_disk_defrag_inflight')],
      'A defragmentation takes long, and its member serves nothing meanwhile.',
      'The defragmentation (under way: {{ $value }}) of ' + who + ' has gone on for a minute.',
    ),
  ] + if config.memoryLimit == '' then [] else [
    lib.alert(
      'EtcdMemoryHigh',
      'warning',
      '15m',
      |||
        max by (%(labels)s) (%(resident)s)
        / on (%(labels)s) group_left () (%(limit)s) > %(share).12g
      ||| % {
        labels: byMember,
        resident: resident,
        limit: memoryLimit,
        share: config.memoryShare,
      },
      'A member uses most of its memory.',
      'The resident memory of ' + who + ' is {{ $value | humanizePercentage }} of its limit.',
      keep='5m',
    ),
  ]
