// Recording rules: expressions that are used more than once.
{
  local config = $._config,
  local lib = (import '../lib/alert.libsonnet')(config),
  // A fault of etcd's, not of who asks: Unknown covers errors that etcd gives no code,
  // ResourceExhausted a full database and too many requests. FailedPrecondition,
  // NotFound and the like are answers.
  local faults = 'grpc_code=~"Unknown|ResourceExhausted|Internal|Unavailable|DataLoss|DeadlineExceeded"',
  // Streams (watches, lease keep-alives) end with a code whenever a client goes away.
  local unary(function_, matchers, window) =
    lib.sum('%s(%s[%s])' % [function_, lib.native('grpc_server_handled_total', ['grpc_type="unary"'] + matchers), lib.scaled(window)]),
  local windows = ['5m', '30m', '1h', '2h', '6h', '1d', '3d'],

  prometheusRules+:: {
    groups+:
      if !config.groups.errorbudget then [] else [
        lib.group('rules', [
          lib.record('cluster:etcdops_unary_errors:ratio_rate' + window, '%s\n/ %s' % [
            unary('rate', [faults], window),
            unary('rate', [], window),
          ])
          for window in windows
        ] + [
          lib.record('cluster:etcdops_unary_errors:increase' + window, unary('increase', [faults], window))
          for window in ['1h', '6h', '1d', '3d']
        ]),
      ],
  },
}
