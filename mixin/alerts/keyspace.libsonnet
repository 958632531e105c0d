// What fills the database: history that nobody compacts, events, and whether anybody
// counts; and mirrors, which the counts tell of.
function(config, lib)
  local cluster = lib.labels();
  local prefix = lib.labels(['prefix']);

  // Joined over exporters and pods, at a time in the past.
  local at(name, offset) =
    lib.max('last_over_time(%s[%s] offset %s)' % [lib.exporter(name), lib.scaled('5m'), lib.scaled(offset)]);
  local now(name) = lib.max('last_over_time(%s[%s])' % [lib.exporter(name), lib.scaled('5m')]);

  local ofPrefix(name) = lib.max('last_over_time(%s[%s])' % [lib.exporter(name), lib.scaled('4m')], ['prefix']);

  local events = lib.exporter('keyspace_keys', ['prefix="%s"' % config.eventPrefix]);
  local count = lib.max('last_over_time(%s[%s])' % [events, lib.scaled('5m')], ['prefix']);
  // The average of a day, up to an hour ago: a flood does not raise the bar it is
  // measured by.
  local usual = lib.max('avg_over_time(%s[%s] offset %s)' % [events, lib.scaled(config.floodRange), lib.scaled('1h')], ['prefix']);
  local hourAgo = lib.max('last_over_time(%s[%s] offset %s)' % [events, lib.scaled('5m'), lib.scaled('1h')], ['prefix']);

  [
    // The same compact revision then and now, and many revisions since. A cluster that
    // went back (a restore) or that nobody watched then is not stalled.
    lib.alert(
      'EtcdCompactionStalled',
      'warning',
      '30m',
      |||
        (%(now)s - on (%(cluster)s) %(before)s) > %(revisions).12g
        and on (%(cluster)s) %(compacted)s == on (%(cluster)s) %(compactedBefore)s
      ||| % {
        cluster: cluster,
        now: now('cluster_revision'),
        before: at('cluster_revision', config.compactionWithin),
        revisions: config.compactionRevisions,
        compacted: now('cluster_compact_revision'),
        compactedBefore: at('cluster_compact_revision', config.compactionWithin),
      },
      'The key space is written to, and its history is not compacted.',
      'The revision of cluster {{ $labels.cluster }} grew by {{ $value | humanize }} within ' + config.compactionWithin + ', and nothing was compacted: the database grows until its quota is used up.',
      keep='5m',
    ),
    lib.alert(
      'EtcdEventsFlood',
      'warning',
      '15m',
      |||
        (%(count)s > %(most).12g)
        or
        (
          %(count)s > %(young).12g
          unless on (%(prefix)s) (%(hourAgo)s and on (%(prefix)s) %(count)s <= on (%(prefix)s) %(factor).12g * %(usual)s)
        )
      ||| % {
        prefix: prefix,
        count: count,
        most: config.floodKeys,
        young: config.floodKeysYoung,
        hourAgo: hourAgo,
        factor: config.floodFactor,
        usual: usual,
      },
      'Kubernetes writes far more events than it should.',
      'Cluster {{ $labels.cluster }} holds {{ $value | humanize }} events below {{ $labels.prefix }}; the panel of event namespaces tells whose they are.',
      keep='5m',
    ),
    lib.alert(
      'EtcdKeyspaceStale',
      'warning',
      '15m',
      'time() - %s > %.12g' % [
        lib.max('last_over_time(%s[%s])' % [lib.exporter('keyspace_scan_timestamp_seconds'), lib.scaled('5m')], ['prefix']),
        lib.seconds(config.scanAge),
      ],
      'The keys were not counted for a while.',
      'The last complete count of the keys below {{ $labels.prefix }} of cluster {{ $labels.cluster }} is {{ $value | humanizeDuration }} old.',
    ),
    // Equal counts do not show that a mirror follows: what the source makes and deletes
    // may balance. So a source that has changed since the mirror did tells as well.
    lib.alert(
      'EtcdMirrorBehind',
      'warning',
      '15m',
      |||
        (
          %(lacks)s > 0
          unless on (%(prefix)s) %(lacks)s <= %(share).12g * %(keys)s
        )
        or
        (
          %(lacks)s
          and on (%(prefix)s) %(source)s - on (%(cluster)s) group_left () %(mirror)s > %(still).12g
        )
      ||| % {
        prefix: prefix,
        cluster: cluster,
        lacks: ofPrefix('mirror_keys_difference'),
        keys: ofPrefix('keyspace_keys'),
        share: config.mirrorLacks,
        source: ofPrefix('mirror_source_change_timestamp_seconds'),
        mirror: now('mirror_revision_timestamp_seconds'),
        still: lib.seconds(config.mirrorStill),
      },
      'A mirror does not keep up with its source.',
      'The mirror {{ $labels.cluster }} lacks {{ $value }} keys of its source below {{ $labels.prefix }}; where that is 0 or less, it has not changed for a while though its source has.',
    ),
  ]
