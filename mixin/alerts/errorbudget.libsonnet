// How fast the error budget of unary requests burns, over a long window that tells
// that it matters and a short one that tells that it still does.
function(config, lib)
  local budget = 1 - config.errorBudgetTarget;
  local ratio(window) = 'cluster:etcdops_unary_errors:ratio_rate' + window;
  local failed(window) = 'cluster:etcdops_unary_errors:increase' + window;
  local burns(pair) = |||
    (
      %(long)s > %(factor).12g * %(budget).12g
      and on (%(cluster)s) %(short)s > %(factor).12g * %(budget).12g
      and on (%(cluster)s) %(failed)s > %(least).12g
    )
  ||| % {
    long: ratio(pair.long),
    short: ratio(pair.short),
    failed: failed(pair.long),
    factor: pair.factor,
    budget: budget,
    cluster: lib.labels(),
    least: config.errorBudgetLeast,
  };
  local burn(severity, hold, pairs, summary) = lib.alert(
    'EtcdErrorBudgetBurn',
    severity,
    hold,
    std.join('or\n', [burns(pair) for pair in pairs]),
    summary,
    '{{ $value | humanizePercentage }} of the unary requests to cluster {{ $labels.cluster }} fail by a fault of etcd; ' +
    '%g%% are to succeed.' % (100 * config.errorBudgetTarget),
  );

  [
    burn('critical', '2m', [
      { long: '1h', short: '5m', factor: 14.4 },
      { long: '6h', short: '30m', factor: 6 },
    ], 'So many requests fail that the error budget of a month is gone within days.'),
    burn('warning', '15m', [
      { long: '1d', short: '2h', factor: 3 },
      { long: '3d', short: '6h', factor: 1 },
    ], 'More requests fail than the error budget bears.'),
  ]
