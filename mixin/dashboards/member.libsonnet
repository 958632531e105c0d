// One member or all of a cluster: how it fares, and how fast it is.
function(config, d)
  local cluster = config.clusterLabel;
  local instance = config.instanceLabel;
  local c = d.colors;
  local of = ['url=~"[a-z]+://$member"'];
  local ofNative = ['%s=~"$member"' % instance];
  local exporter(name, matchers=[]) = d.max(d.exporter(name, of + matchers), ['url']);
  local native(name, matchers=[]) = d.native(name, ofNative + matchers);
  local rate(name, by, matchers=[]) = d.sum('rate(%s[$__rate_interval])' % native(name, matchers), by);
  local p99(name, extra=[]) = 'histogram_quantile(0.99, %s)' % rate(name + '_bucket', [instance] + extra + ['le']);
  local url = '{{url}}';
  local who = '{{%s}}' % instance;

  // Up, with the name and the version of who answers there.
  local named = |||
    %(up)s * on (%(cluster)s, url) group_left (member, version) %(info)s
    or on (%(cluster)s, url) %(up)s
  ||| % { up: exporter('endpoint_up'), cluster: cluster, info: d.max(d.exporter('endpoint_info', of), ['url', 'member', 'version']) };

  d.dashboard('etcdops-member', 'Member', 'How each member fares: is it up, does it keep up, and how fast are its disk and its network?', [
    d.table(
      'Members',
      'One row an endpoint, those that are down first. Behind: revisions of the key space that the member has not, compared with who has most.',
      [
        d.label(cluster, 'Cluster'),
        d.label('url', 'Endpoint', width=190),
        d.label('member', 'Name'),
        d.label('version', 'Version', width=80),
        d.value(named, 'Up', mappings=d.words({ '0': ['down', c.vermillion], '1': ['up', c.none] }), width=70),
        d.value(exporter('endpoint_healthy', ['check="linearizable_read"']), 'Healthy', mappings=d.words({ '0': ['no', c.vermillion], '1': ['yes', c.none] }), width=80),
        d.value('2 * %s + %s' % [exporter('endpoint_is_learner'), exporter('endpoint_is_leader')], 'Role', mappings=d.words({ '0': ['follower', c.none], '1': ['leader', c.sky], '2': ['learner', c.yellow] }), width=80),
        d.value(
          '%s - on (%s) group_right () %s' % [d.max(d.exporter('endpoint_revision')), cluster, exporter('endpoint_revision')],
          'Behind',
          'short',
          thresholds=d.rising(config.applyLag, null, c.none),
          width=80,
        ),
        d.value('%s - %s' % [exporter('endpoint_raft_index'), exporter('endpoint_raft_applied_index')], 'To apply', 'short', thresholds=d.rising(config.applyLag, null, c.none), width=85),
        d.value('%s / %s' % [exporter('endpoint_db_size_bytes'), exporter('endpoint_db_quota_bytes')], 'Quota used', 'percentunit', thresholds=d.rising(config.quotaLowWarning, config.quotaLowCritical, c.none), decimals=1, width=100),
        d.value(exporter('endpoint_clock_skew_seconds'), 'Clock', 's', decimals=2, width=90),
        d.value('count by (%s, url) (%s == 1)' % [cluster, d.max(d.exporter('endpoint_known_issue', of), ['url', 'issue'])], 'Hazards', thresholds=d.rising(1, null, c.none), width=80),
      ],
      ['Up', 'Endpoint'],
      none='no endpoint',
      h=7,
    ),
    d.table(
      'Why endpoints are down',
      'tls, auth and dns are for the exporter to mend (EtcdExporterBlind); defragmenting ends by itself.',
      [
        d.label(cluster, 'Cluster'),
        d.label('url', 'Endpoint', width=190),
        d.label('reason', 'Reason'),
        d.value(d.max(d.exporter('endpoint_failure', of), ['url', 'reason']), 'Now', width=60),
      ],
      ['Cluster'],
      none='all are up',
      w=8,
      h=6,
    ),
    d.table(
      'Member list',
      'What etcd itself holds for the members of the clusters chosen. One that never started raises the quorum and adds nothing.',
      [
        d.label(cluster, 'Cluster', width=90),
        d.label('member', 'Name', width=80),
        d.label('member_id', 'ID', width=140),
        d.label('peer_urls', 'Peer URLs'),
        d.label('learner', 'Learner', width=70),
        d.value(
          '%s * on (%s, member_id) group_right () %s' % [
            d.max(d.exporter('member_started'), ['member_id']),
            cluster,
            d.max(d.exporter('member_info'), ['member_id', 'member', 'peer_urls', 'learner']),
          ],
          'Started',
          mappings=d.words({ '0': ['never', c.orange], '1': ['yes', c.none] }),
          width=80,
        ),
      ],
      ['Cluster', 'Name'],
      none='no member list',
      w=16,
      h=6,
    ),
    d.graph('Time of a linearizable read', 'A read of the probe key through the leader and a quorum. Line: EtcdRequestsSlow.', [d.query(exporter('endpoint_check_duration_seconds', ['check="linearizable_read"']), url)], 's', d.rising(config.readSlow, null, c.none), min=0),
    d.graph('Committed, not yet applied', 'Raft entries that a member knows to be committed and has not applied. Line: EtcdApplyLag; from 5,000 on etcd refuses requests.', [d.query('%s - %s' % [exporter('endpoint_raft_index'), exporter('endpoint_raft_applied_index')], url)], 'short', d.rising(config.applyLag, null, c.none), min=0),
    d.graph('Raft term', 'It rises with each election. Members that stay apart cannot speak to each other.', [d.query(exporter('endpoint_raft_term'), url)], 'none', decimals=0),
    d.graph("Members' clocks less the exporter's", 'EtcdClockSkew tells of members that differ from each other by more than %g s, EtcdExporterClockSkew where all differ from the exporter.' % config.clockSkew, [d.query(exporter('endpoint_clock_skew_seconds'), url)], 's', d.steps([[null, c.orange], [-config.clockSkew, c.none], [config.clockSkew, c.orange]])),
    d.graph('fsync of the log, 99th percentile', "From etcd's own metrics. Every write waits for it. Lines: EtcdWALFsyncSlow.", [d.query(p99('etcd_disk_wal_fsync_duration_seconds'), who)], 's', d.rising(config.fsyncWarning, config.fsyncCritical, c.none), min=0),
    d.graph('Commit of the database, 99th percentile', "From etcd's own metrics. Line: EtcdCommitSlow.", [d.query(p99('etcd_disk_backend_commit_duration_seconds'), who)], 's', d.rising(config.commitSlow, null, c.none), min=0),
    d.graph('Round trip between members, 99th percentile', "From etcd's own metrics. Line: EtcdPeerLatencyHigh.", [d.query(p99('etcd_network_peer_round_trip_time_seconds', ['To']), who + ' to {{To}}')], 's', d.rising(config.peerLatency, null, c.none), min=0, none='one member'),
    d.graph('Requests', 'Unary requests a second that a member answered.', [d.query(rate('grpc_server_handled_total', [instance], ['grpc_type="unary"']), who)], 'reqps', min=0),
    d.graph('Requests by method', 'The eight methods that are called most, over the members chosen.', [d.query('topk(8, sum by (grpc_method) (rate(%s[$__rate_interval])))' % native('grpc_server_handled_total', ['grpc_type="unary"']), '{{grpc_method}}')], 'reqps', min=0),
    d.graph('Requests that fail', 'By the code of the answer; NotFound, OutOfRange and the like are answers, not faults.', [d.query('sum by (grpc_code) (rate(%s[$__rate_interval]))' % native('grpc_server_handled_total', ['grpc_code!="OK"', 'grpc_type="unary"']), '{{grpc_code}}')], 'reqps', min=0, none='none failed'),
    d.graph('Proposals that wait, and that failed', 'Writes on their way through raft, and those that failed within the interval. EtcdProposalsFailing tells of more than %g in %s.' % [config.proposalsFailing, config.proposalsRange], [
      d.query(d.max(native('etcd_server_proposals_pending'), [instance]), who + ' waiting'),
      d.query(d.sum('increase(%s[$__rate_interval])' % native('etcd_server_proposals_failed_total'), [instance]), who + ' failed'),
    ], 'short', min=0),
    d.graph('Leader changes seen', 'Within %s. Line: EtcdLeaderChanges.' % config.leaderRange, [d.query(d.max('increase(%s[%s])' % [native('etcd_server_leader_changes_seen_total'), config.leaderRange], [instance]), who)], 'short', d.rising(config.leaderChanges, null, c.none), min=0),
    d.graph('Watchers', 'Watches that are open, and those that do not keep up.', [
      d.query(d.max(native('etcd_debugging_mvcc_watcher_total'), [instance]), who),
      d.query(d.max(native('etcd_debugging_mvcc_slow_watcher_total'), [instance]), who + ' slow'),
    ], 'short', min=0),
    d.graph('Traffic with clients', 'Bytes a second that go out to clients (above) and come in (below).', [
      d.query(rate('etcd_network_client_grpc_sent_bytes_total', [instance]), who + ' out'),
      d.query('-' + rate('etcd_network_client_grpc_received_bytes_total', [instance]), who + ' in'),
    ], 'Bps'),
    d.graph('Memory, resident', "Of the etcd process. EtcdMemoryHigh compares it with the limit that the mixin's knob names.", [d.query(d.max(native('process_resident_memory_bytes'), [instance]), who)], 'bytes', min=0),
    d.graph('CPU', 'Cores that the etcd process keeps busy.', [d.query(rate('process_cpu_seconds_total', [instance]), who)], 'short', min=0),
    d.graph('File descriptors in use', 'As a share of the limit. Line: EtcdFileDescriptorsLow.', [d.query(d.max('%s / %s' % [native('process_open_fds'), native('process_max_fds')], [instance]), who)], 'percentunit', d.rising(config.fileDescriptors, null, c.none), min=0, max=1),
    d.graph("The exporter's requests that fail", 'By method and code. Unauthenticated and PermissionDenied: docs/etcd-auth.md.', [d.query('sum by (method, code) (rate(%s[$__rate_interval]))' % d.exporter('exporter_rpc_errors_total'), '{{method}} {{code}}')], 'reqps', min=0, none='none failed'),
    d.table(
      'Known hazards of the versions that run',
      "Issues of etcd's tracker, CVEs and advisories; docs/metrics.md says which versions and what happens.",
      [
        d.label(cluster, 'Cluster'),
        d.label('version', 'Version', width=80),
        d.label('severity', 'Severity', width=90),
        d.label('issue', 'Issue'),
        d.value(
          'count by (%(cluster)s, version, severity, issue) (%(issue)s == 1)' % {
            cluster: cluster,
            issue: '%s * on (%s, url) group_left (version) %s' % [d.max(d.exporter('endpoint_known_issue', of), ['url', 'issue', 'severity']), cluster, d.max(d.exporter('endpoint_info', of), ['url', 'version'])],
          },
          'Members',
          width=80,
        ),
      ],
      ['Severity'],
      none='none known',
      w=16,
      h=7,
    ),
  ], [d.memberVariable])
