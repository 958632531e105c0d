// Who belongs to the cluster, and whether the members agree on it.
function(config, lib)
  local cluster = lib.labels();
  // Bridges missed scrapes and a member's restart, which would start a long `for` anew.
  local last(name, matchers=[], range='5m') =
    'last_over_time(%s[%s])' % [lib.exporter(name, matchers), lib.scaled(range)];
  local views(of) = lib.max(last('cluster_views', ['of="%s"' % of])) + ' > 1';

  [
    lib.alert(
      'EtcdMemberUnstarted',
      'warning',
      '15m',
      lib.max(last('member_started'), ['member_id']) + ' == 0',
      'A member was added and has never started.',
      'Member {{ $labels.member_id }} of cluster {{ $labels.cluster }} was added and has never started (started: {{ $value }}): as a voter it raises the quorum and adds nothing.',
    ),
    // A learner that crashes over and over is stuck as well: hence the long range.
    lib.alert(
      'EtcdLearnerStuck',
      'warning',
      '1h',
      lib.max(last('endpoint_is_learner', range='15m'), ['url']) + ' == 1',
      'A learner has not been promoted for an hour.',
      'The member at {{ $labels.url }} of cluster {{ $labels.cluster }} has been a learner for an hour (is_learner: {{ $value }}): it does not vote and adds no fault tolerance.',
    ),
    lib.alert(
      'EtcdEvenVoters',
      'info',
      '1h',
      |||
        %(voters)s > 0
        unless on (%(cluster)s) %(voters)s %% 2 == 1
      ||| % { cluster: cluster, voters: lib.max(last('cluster_members', ['role="voter"'])) },
      'The number of voters is even.',
      'Cluster {{ $labels.cluster }} has {{ $value }} voters: one less could fail just as often, and would need a smaller quorum.',
    ),
    lib.alert(
      'EtcdMembershipMismatch',
      'critical',
      '10m',
      views('membership'),
      'The voters disagree on who is a member.',
      'The voters of cluster {{ $labels.cluster }} give {{ $value }} different member lists.',
      keep='5m',
    ),
    lib.alert(
      'EtcdClusterIDMismatch',
      'critical',
      '5m',
      views('cluster_id'),
      'Endpoints of one cluster belong to different clusters.',
      'The endpoints of cluster {{ $labels.cluster }} name {{ $value }} different cluster ids: data differs by the endpoint that a client happens to use.',
      keep='5m',
    ),
    lib.alert(
      'EtcdLeaderMismatch',
      'warning',
      '5m',
      views('leader'),
      'The voters disagree on who leads.',
      'The voters of cluster {{ $labels.cluster }} name {{ $value }} different leaders.',
      keep='5m',
    ),
    // The exporter that knows most counts. A configured address that has not answered
    // since the exporter started may lead to the member that seems to be missing.
    lib.alert(
      'EtcdMemberUnmonitored',
      'warning',
      '30m',
      |||
        label_replace(
          %(unmonitored)s > 0
          unless on (%(cluster)s) %(up)s == 0,
          "of", "members", "", ""
        )
        or
        label_replace(%(unlisted)s > 0, "of", "endpoints", "", "")
      ||| % {
        cluster: cluster,
        unmonitored: lib.min(last('cluster_members_unmonitored')),
        unlisted: lib.min(last('cluster_endpoints_unlisted')),
        up: lib.max(last('endpoint_up'), ['url']),
      },
      'The endpoints of the exporter are not those of the members.',
      '{{ if eq $labels.of "members" }}No endpoint leads to {{ $value }} of the started members of cluster {{ $labels.cluster }}.{{ else }}Endpoints of cluster {{ $labels.cluster }} that answer for a member which its member list does not have: {{ $value }}.{{ end }}',
    ),
    lib.alert(
      'EtcdVersionSkew',
      'warning',
      '2h',
      |||
        count by (%(cluster)s) (
          count by (%(version)s) (%(info)s)
        ) > 1
      ||| % {
        cluster: cluster,
        version: lib.labels(['version']),
        info: last('endpoint_info', ['version!=""']),
      },
      'The members have run different versions of etcd for two hours.',
      'The members of cluster {{ $labels.cluster }} run {{ $value }} different versions of etcd: an upgrade seems to have stopped half way.',
    ),
    // A member that does not tell a flag is not compared: it may have the same by default.
    lib.alert(
      'EtcdFlagsDiffer',
      'warning',
      '1h',
      |||
        count by (%(flag)s) (
          max by (%(value)s) (%(info)s)
        ) > 1
      ||| % {
        flag: lib.labels(['flag']),
        value: lib.labels(['flag', 'value']),
        info: lib.max(last('endpoint_flag_info', ['flag=~"%s"' % std.join('|', config.flagsAlike)], '15m'), ['url', 'flag', 'value']),
      },
      'The members run with different flags.',
      'The members of cluster {{ $labels.cluster }} run with {{ $value }} different values of --{{ $labels.flag }}; etcdops_endpoint_flag_info has them.',
    ),
    // One for the cluster, however many hazards and members: one upgrade is the answer.
    // The series' own label severity must go, since the alert's takes its place.
    lib.alert(
      'EtcdKnownBadVersion',
      'info',
      '1h',
      |||
        count by (%(cluster)s) (
          count by (%(issue)s) (%(known)s == 1)
        )
      ||| % { cluster: cluster, issue: lib.labels(['issue']), known: last('endpoint_known_issue') },
      'A member runs a version of etcd with known hazards.',
      'Members of cluster {{ $labels.cluster }} run versions of etcd with {{ $value }} known hazards that an upgrade within the minor version ends; etcdops_endpoint_known_issue names them.',
    ),
  ]
