// Whether the database, its quota and the disk have room, for now and for a while.
function(config, lib)
  local cluster = lib.labels();
  local member = lib.labels(['url']);
  // Bridges a missed scrape, which would start a long `for` anew.
  local last(name, matchers=[]) =
    'last_over_time(%s[%s])' % [lib.exporter(name, matchers), lib.scaled('5m')];

  local size = lib.max(last('endpoint_db_size_bytes'), ['url']);
  local inUse = lib.max(last('endpoint_db_in_use_bytes'), ['url']);
  local quota = lib.max(last('endpoint_db_quota_bytes'), ['url']);
  local inUseNow = lib.max(lib.exporter('endpoint_db_in_use_bytes'), ['url']);

  local quotaLow(severity, share) = lib.alert(
    'EtcdQuotaLow',
    severity,
    '10m',
    '%s\n/ on (%s) %s > %.12g' % [size, member, quota, share],
    'The database is close to its quota.',
    'The database at {{ $labels.url }} of cluster {{ $labels.cluster }} takes {{ $value | humanizePercentage }} of its quota; at 100% every write is refused.',
    keep='5m',
  );

  local half(range) =
    local ms = std.round(lib.seconds(range) * 500);
    if ms % 60000 == 0 then '%dm' % (ms / 60000) else '%dms' % ms;

  // What is in use is looked at, not the file: a defragmentation makes that fall, and
  // tells nothing of growth. The inner query joins what several exporters, and the pods
  // of one, have seen; the trend wants half of its range at least, a line through the
  // first samples points anywhere. Keys that come and go with an hourly compaction grow
  // for most of an hour: only what is above all that came before in the range is growth.
  local full(name, severity, hold, knob, step, recent) = lib.alert(
    name,
    severity,
    hold,
    |||
      predict_linear((%(inUseNow)s)[%(range)s:%(step)s], %(horizon).12g) > on (%(member)s) %(quota)s
      and on (%(member)s) %(inUse)s / on (%(member)s) %(quota)s > %(share).12g
      and on (%(member)s) max_over_time((%(inUseNow)s)[%(half)s:%(step)s] offset %(half)s)
      unless on (%(member)s)
        max_over_time((%(inUseNow)s)[%(recent)s:%(step)s])
        <= max_over_time((%(inUseNow)s)[%(range)s:%(step)s] offset %(recent)s)
    ||| % {
      member: member,
      inUse: inUse,
      inUseNow: inUseNow,
      quota: quota,
      range: lib.scaled(knob.range),
      half: half(knob.range),
      horizon: lib.seconds(knob.horizon),
      share: knob.share,
      step: lib.scaled(step),
      recent: lib.scaled(recent),
    },
    'At this rate the quota is soon used up.',
    'What is in use at {{ $labels.url }} of cluster {{ $labels.cluster }} grows to {{ $value | humanize1024 }}B within ' + knob.horizon + ' if it goes on like that: more than the quota.',
    keep='15m',
  );

  local diskNeeded = '%.12g * %%s + %.12g' % [config.diskFactor, config.diskBytes];
  local diskLow =
    [lib.min(last('endpoint_disk_free_bytes'), ['url']) + '\n< on (%s) %s' % [member, diskNeeded % inUse]] +
    // A node does not tell which cluster it belongs to: the largest member counts.
    if config.diskMountpoint == '' then [] else [
      'min by (%s) (%s)\n< on () group_left () (%s)' % [
        std.join(', ', [config.clusterLabel, config.instanceLabel]),
        'node_filesystem_avail_bytes{%s}' % std.join(', ', std.filter(function(m) m != '', [config.nodeSelector, 'mountpoint="%s"' % config.diskMountpoint])),
        diskNeeded % ('max(%s)' % last('endpoint_db_in_use_bytes')),
      ],
    ];

  [
    lib.alert(
      'EtcdAlarmNoSpace',
      'critical',
      '0m',
      lib.max(last('alarm_active', ['alarm="NOSPACE"']), ['member', 'member_id']) + ' == 1',
      'The database has reached its quota: every write is refused.',
      'The alarm NOSPACE is raised for member {{ $labels.member }} ({{ $labels.member_id }}) of cluster {{ $labels.cluster }} (active: {{ $value }}): writes are refused on all members until there is room and the alarm is disarmed.',
    ),
    quotaLow('warning', config.quotaLowWarning),
    quotaLow('critical', config.quotaLowCritical),
    lib.alert(
      'EtcdQuotaMismatch',
      'warning',
      '1h',
      |||
        max by (%(cluster)s) (%(quota)s)
        - min by (%(cluster)s) (%(quota)s) > 0
      ||| % { cluster: cluster, quota: last('endpoint_db_quota_bytes') },
      'The members have different quotas.',
      'The quotas of the members of cluster {{ $labels.cluster }} differ by {{ $value | humanize1024 }}B: the smallest of them stops the writes on all.',
    ),
    lib.alert(
      'EtcdDiskLow',
      'warning',
      '10m',
      std.join('\nor\n', diskLow),
      'The disk has no room for a defragmentation.',
      'Only {{ $value | humanize1024 }}B are free where {{ or $labels.url $labels.instance }}{{ if $labels.cluster }} of cluster {{ $labels.cluster }}{{ end }} keeps its data: too little for a copy of what is in use.',
      keep='5m',
    ),
    full('EtcdQuotaFullIn24h', 'warning', '1h', config.quotaFullSlow, '5m', '1h'),
    full('EtcdQuotaFullIn4h', 'critical', '15m', config.quotaFullFast, '1m', '15m'),
    lib.alert(
      'EtcdFragmented',
      'warning',
      '2h',
      |||
        (%(size)s - on (%(member)s) %(inUse)s) > on (%(member)s) %(ofQuota).12g * %(quota)s
        and on (%(member)s) (1 - %(inUse)s / on (%(member)s) %(size)s) > %(ofFile).12g
      ||| % {
        member: member,
        size: size,
        inUse: inUse,
        quota: quota,
        ofQuota: config.fragmentedQuota,
        ofFile: config.fragmentedFile,
      },
      'A defragmentation would give back much of the database file.',
      '{{ $value | humanize1024 }}B of the database file at {{ $labels.url }} of cluster {{ $labels.cluster }} are not in use and count towards the quota: a defragmentation gives them back.',
    ),
    lib.alert(
      'EtcdSizeDivergence',
      'warning',
      '1h',
      |||
        1 - min by (%(cluster)s) (%(inUse)s) / on (%(cluster)s) max by (%(cluster)s) (%(inUse)s) > %(share).12g
        and on (%(cluster)s) max by (%(cluster)s) (%(inUse)s) > %(bytes).12g
      ||| % { cluster: cluster, inUse: inUse, share: config.divergence, bytes: config.divergenceBytes },
      'The members hold amounts of data that differ by much.',
      'What is in use differs by {{ $value | humanizePercentage }} between the members of cluster {{ $labels.cluster }}: all should hold the same data.',
    ),
  ]
