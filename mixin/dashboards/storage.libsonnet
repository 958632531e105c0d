// What fills etcd: the database, its history, its keys.
function(config, d)
  local cluster = config.clusterLabel;
  local instance = config.instanceLabel;
  local c = d.colors;
  local exporter(name, extra=['url'], matchers=[]) = d.max(d.exporter(name, matchers), extra);
  local size = exporter('endpoint_db_size_bytes');
  local inUse = exporter('endpoint_db_in_use_bytes');
  local quota = exporter('endpoint_db_quota_bytes');
  local reclaimable = '%s - %s' % [size, inUse];
  local member = '{{%s}} {{url}}' % cluster;
  local notEvents = ['prefix!="%s"' % config.eventPrefix];
  local events = ['prefix="%s"' % config.eventPrefix];
  local native(name, extra=[instance]) = d.sum('rate(%s[$__rate_interval])' % d.native(name), extra);

  d.dashboard('etcdops-storage', 'Keyspace and storage', 'What fills etcd: the database file, its history, its keys, and who writes them.', [
    d.stat('NOSPACE', 'Members for which the alarm is raised: every write to their cluster is refused.', 'sum(%s) or vector(0)' % d.max(d.exporter('alarm_active', ['alarm="NOSPACE"']), ['member_id']), thresholds=d.steps([[null, c.green], [1, c.vermillion]]), mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('CORRUPT', 'Members for which the alarm is raised: their data is not that of the others.', 'sum(%s) or vector(0)' % d.max(d.exporter('alarm_active', ['alarm="CORRUPT"']), ['member_id']), thresholds=d.steps([[null, c.green], [1, c.vermillion]]), mappings=d.words({ '0': ['none', c.green] }), w=3),
    d.stat('Same data', 'Whether all voters gave one hash of the key space at one revision; unknown without --collector.hash.', 'min(%s)' % d.min(d.exporter('cluster_hash_consistent')), mappings=d.words({ '0': ['no', c.vermillion], '1': ['yes', c.green] }), none='unknown', w=3),
    d.stat('Fullest', 'The largest database, as a share of its quota. Coloured from EtcdQuotaLow on.', 'max(%s / %s)' % [size, quota], 'percentunit', d.rising(config.quotaLowWarning, config.quotaLowCritical), none='unknown', w=3, decimals=1),
    d.stat('Reclaimable', 'The most that one member would give back.', 'max(%s)' % reclaimable, 'bytes', w=3, decimals=1),
    d.stat('Keys', 'Below the prefixes that are counted; that of events lies within /registry/ and is not added.', 'sum(%s)' % exporter('keyspace_keys', [], notEvents), 'short', none='not counted', w=3),
    d.stat('Events', 'Kubernetes events. EtcdEventsFlood tells of %g.' % config.floodKeys, 'sum(%s)' % exporter('keyspace_keys', [], events), 'short', d.rising(config.floodKeys), none='not counted', w=3),
    d.stat('Counted', 'Time since the oldest of the last complete scans. Coloured from EtcdKeyspaceStale on.', 'time() - min(%s)' % d.max(d.exporter('keyspace_scan_timestamp_seconds'), ['prefix']), 's', d.rising(30 * 60), none='not yet', w=3, decimals=0),

    d.graph('Database as a share of its quota', 'The whole file, free pages counted. Lines: EtcdQuotaLow.', [d.query('%s / %s' % [size, quota], member)], 'percentunit', d.rising(config.quotaLowWarning, config.quotaLowCritical, c.none), min=0, max=1),
    d.graph('Database: file and in use', 'The file (above) and what is in use of it; the difference comes back with a defragmentation.', [
      d.query(size, member + ' file'),
      d.query(inUse, member + ' in use'),
    ], 'bytes', min=0),
    d.graph('Unused share of the file', 'EtcdFragmented tells of more than %g %% when that is also %g %% of the quota.' % [100 * config.fragmentedFile, 100 * config.fragmentedQuota], [d.query('1 - %s / %s' % [inUse, size], member)], 'percentunit', d.rising(config.fragmentedFile, null, c.none), min=0, max=1),
    d.graph('Growth of what is in use', 'Bytes an hour, over the last hour; a compaction makes it negative.', [d.query(d.max('deriv(%s[1h])' % d.exporter('endpoint_db_in_use_bytes'), ['url']) + ' * 3600', member)], 'bytes'),
    d.graph('Full in', 'Time until what is in use reaches the quota if it goes on as within the last %s. EtcdQuotaFullIn4h and EtcdQuotaFullIn24h.' % config.quotaFullSlow.range, [
      d.query('(%s - %s) / (%s > 0)' % [quota, inUse, d.max('deriv(%s[%s])' % [d.exporter('endpoint_db_in_use_bytes'), config.quotaFullSlow.range], ['url'])], member),
    ], 's', d.falling(24 * 3600, 4 * 3600, c.none), min=0, none='it does not grow', legend=['lastNotNull', 'min']),
    d.graph('Disk free', 'On the file system of the data directory, where data_dirs names one. A defragmentation needs %g times what is in use and %g GiB.' % [config.diskFactor, config.diskBytes / 1073741824], [
      d.query(exporter('endpoint_disk_free_bytes'), member),
      d.query('%g * %s + %d and on (%s, url) %s' % [config.diskFactor, inUse, config.diskBytes, cluster, exporter('endpoint_disk_free_bytes')], member + ' needed'),
    ], 'bytes', min=0, none='unknown: no data_dirs'),

    d.row('History'),
    d.graph('Revisions a second', 'Each changed key is one, of a transaction all together.', [d.query(d.max('rate(%s[$__rate_interval])' % d.exporter('cluster_revision')), d.cluster)], 'short', min=0),
    d.graph('Revisions kept', 'Those since the last compaction. EtcdCompactionStalled tells of none within %s.' % config.compactionWithin, [d.query('%s - %s' % [d.max(d.exporter('cluster_revision')), d.max(d.exporter('cluster_compact_revision'))], d.cluster)], 'short', min=0),
    d.graph('Puts, deletes, reads', "A second, from etcd's own metrics: every member applies each write, and answers reads of its own.", [
      d.query('max by (%s) (%s)' % [cluster, native('etcd_mvcc_put_total')], 'puts'),
      d.query('max by (%s) (%s)' % [cluster, native('etcd_mvcc_delete_total')], 'deletes'),
      d.query(native('etcd_mvcc_range_total', []), 'reads'),
    ], 'ops', min=0),

    d.row('Keys'),
    d.table('Largest groups', 'The next path segment below a prefix: resources below /registry/. __other__ is all that is not named.', [
      d.label(cluster, 'Cluster', width=90),
      d.label('prefix', 'Prefix', width=120),
      d.label('group', 'Group'),
      d.value('topk by (%s) (15, %s)' % [cluster, exporter('keyspace_group_keys', ['prefix', 'group'], notEvents)], 'Keys', 'short', width=90),
    ], ['-Keys'], none='not counted', w=8, h=9),
    d.table('Events by namespace', 'Who writes the events. etcd_exporter top says which object and which reason.', [
      d.label(cluster, 'Cluster', width=90),
      d.label('group', 'Namespace'),
      d.value('topk by (%s) (15, %s)' % [cluster, exporter('keyspace_group_keys', ['group'], events)], 'Events', 'short', width=90),
    ], ['-Events'], none='not counted', w=8, h=9),
    d.graph('Events', 'Line: EtcdEventsFlood tells of so many whatever the past was.', [d.query(exporter('keyspace_keys', [], events), d.cluster)], 'short', d.rising(config.floodKeys, null, c.none), min=0, none='not counted', h=9),
    d.graph('Keys by group', 'The eight largest groups of the clusters chosen.', [d.query('topk(8, %s)' % exporter('keyspace_group_keys', ['prefix', 'group'], notEvents), '{{%s}} {{prefix}}{{group}}' % cluster)], 'short', min=0, none='not counted'),
    d.graph('Bytes by group', 'Estimated from samples; only where sample_bytes is on.', [d.query('topk(8, %s)' % exporter('keyspace_group_bytes', ['prefix', 'group']), '{{%s}} {{prefix}}{{group}}' % cluster)], 'bytes', min=0, none='sample_bytes is off'),
    d.graph('Time of a scan', 'Of the last complete one, with its pauses.', [d.query(exporter('keyspace_scan_duration_seconds', ['prefix']), '{{%s}} {{prefix}}' % cluster)], 's', min=0, none='not counted'),
  ])
