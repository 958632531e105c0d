// Whether there is a quorum, how much may still fail, and who does not answer.
function(config, lib)
  // One exporter's view of a cluster. What two of them say is never added up.
  local view = config.exporterLabels;
  local views = lib.labels(view);
  local cluster = lib.labels();

  // Bridges a missed scrape, which would start a long `for` anew.
  local last(name, matchers=[]) =
    'last_over_time(%s[%s])' % [lib.exporter(name, matchers), lib.scaled('5m')];

  // An endpoint that fails by these says nothing of its member: the fault may well be
  // the exporter's own certificate, password or resolver. EtcdExporterBlind tells of it.
  local blind = ['reason=~"tls|auth|dns"'];
  local seen = ['reason!~"tls|auth|dns"'];

  // The tolerance if every voter were well that this exporter cannot judge: those at
  // endpoints that it is blind to, and those that the given series counts.
  local best(series, others=[]) =
    local tolerance = lib.max(series('cluster_failure_tolerance'), view);
    local added(count) = '\n    + on (%(views)s) (%(count)s or on (%(views)s) 0 * %(tolerance)s)' % { views: views, count: count, tolerance: tolerance };
    '(\n    %s%s\n  )' % [
      tolerance,
      std.join('', [added(count) for count in [lib.sum(series('endpoint_failure', blind), view)] + others]),
    ];

  [
    // An exporter that is blind to every endpoint has no say; of the others it is enough
    // that one knows of a leader. Where nobody answers there is none, as far as we know.
    lib.alert(
      'EtcdNoLeader',
      'critical',
      '1m',
      |||
        max by (%(cluster)s) (
          %(leader)s
          unless on (%(views)s) (%(blind)s == 1 unless on (%(views)s) (%(up)s == 1 or %(seen)s == 1))
        ) == 0
      ||| % {
        cluster: cluster,
        views: views,
        leader: lib.exporter('cluster_has_leader'),
        blind: lib.exporter('endpoint_failure', blind),
        seen: lib.exporter('endpoint_failure', seen),
        up: lib.exporter('endpoint_up'),
      },
      'The cluster has no leader.',
      'No voter of cluster {{ $labels.cluster }} that answers knows a leader (voters that do: {{ $value }}), or none answers at all: nothing can be written.',
      keep='5m',
    ),
    // An exporter that counts a quorum of healthy voters is right, whatever another one
    // fails to reach. So is one that knows a leader, and has a linearizable read answered
    // or members that no endpoint of it leads to (one of three, without discovery): what
    // it counts is too few, and there is a quorum.
    lib.alert(
      'EtcdInsufficientMembers',
      'critical',
      '3m',
      |||
        max by (%(cluster)s) (
          %(best)s < 0
        )
        unless on (%(cluster)s) (
          %(tolerance)s >= 0
          or
          (%(healthy)s > 0 or %(unmonitored)s > 0) and on (%(views)s) %(leader)s == 1
        )
      ||| % {
        cluster: cluster,
        views: views,
        best: best(lib.exporter),
        tolerance: lib.exporter('cluster_failure_tolerance'),
        healthy: lib.exporter('cluster_voters_healthy'),
        unmonitored: lib.exporter('cluster_members_unmonitored'),
        leader: lib.exporter('cluster_has_leader'),
      },
      'Too few members are healthy: the cluster has lost its quorum.',
      'The healthy voters of cluster {{ $labels.cluster }}, less those that a quorum needs, come to {{ $value }}: it cannot write, and answers no linearizable read.',
      keep='5m',
    ),
    // By design of one member there is none. Another exporter that sees more is right.
    // Where no endpoint leads to a member, EtcdMemberUnmonitored tells what is wrong.
    lib.alert(
      'EtcdNoFaultTolerance',
      'warning',
      '15m',
      |||
        max by (%(cluster)s) (
          %(best)s == 0
        )
        and on (%(cluster)s) %(voters)s > 1
        unless on (%(cluster)s) %(tolerance)s > 0
      ||| % {
        cluster: cluster,
        best: best(last, [lib.max(last('cluster_members_unmonitored'), view)]),
        voters: lib.max(last('cluster_members', ['role="voter"'])),
        tolerance: lib.max(last('cluster_failure_tolerance')),
      },
      'One more failure costs the cluster its quorum.',
      'Cluster {{ $labels.cluster }} has just as many healthy voters as a quorum needs: at best, {{ $value }} more may fail.',
      keep='5m',
    ),
    // Where TLS or the password fails something did answer: EtcdExporterBlind tells. A
    // name that does not resolve says nothing, its member may be gone as well.
    lib.alert(
      'EtcdMemberDown',
      'warning',
      '10m',
      |||
        max by (%(labels)s) (
          %(up)s
          unless on (%(views)s) %(answered)s == 1
        ) == 0
      ||| % {
        labels: lib.labels(['url']),
        views: lib.labels(view + ['url']),
        up: last('endpoint_up'),
        answered: lib.exporter('endpoint_failure', ['reason=~"tls|auth"']),
      },
      'A member does not answer.',
      '{{ $labels.url }} of cluster {{ $labels.cluster }} has not answered for 10 minutes (endpoint_up is {{ $value }}).',
      keep='5m',
    ),
    lib.alert(
      'EtcdMemberUnhealthy',
      'warning',
      '5m',
      |||
        %(healthy)s == 0
        and on (%(labels)s) %(up)s == 1
      ||| % {
        labels: lib.labels(['url']),
        healthy: lib.max(last('endpoint_healthy'), ['url', 'check']),
        up: lib.max(last('endpoint_up'), ['url']),
      },
      'A member answers, but cannot serve a read.',
      'The check {{ $labels.check }} fails at {{ $labels.url }} of cluster {{ $labels.cluster }}, which answers otherwise (healthy: {{ $value }}).',
      keep='5m',
    ),
  ]
