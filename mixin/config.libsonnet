// Every knob of the bundle. Override them in a file of your own:
//   (import 'mixin/mixin.libsonnet') { _config+:: { quotaLowWarning: 0.6 } }
{
  _config+:: {
    // ---- Where series come from -------------------------------------------------

    // Matchers on every series of the exporter that tells of a cluster (etcdops_*).
    exporterSelector: '',
    // Matchers on `up` of the exporter's scrape targets. Kubernetes takes no underscore in
    // the name of a Service, which prometheus-operator makes that of the job.
    exporterUpSelector: 'job=~"etcd[_-](exporter|cluster)"',
    // Matchers on etcd's own metrics, scraped by way of /sd/native or directly.
    nativeSelector: 'job="etcd"',
    // Matchers on every series of the remediator (etcdops_remediation_*).
    remediatorSelector: '',
    // Matchers on `up` of the remediator's scrape targets.
    remediatorUpSelector: 'job=~"etcd[_-]remediator"',
    // Matchers on Alertmanager's own metrics (alertmanager_*).
    alertmanagerSelector: '',

    // Labels that tell one cluster from another. Joins between the exporter, etcd's own
    // metrics and the remediator use clusterLabel alone, since their jobs differ.
    clusterLabels: ['job', 'cluster'],
    clusterLabel: 'cluster',
    // Label that tells the members apart in etcd's own metrics.
    instanceLabel: 'instance',
    // Labels that tell two exporters apart that watch the same cluster.
    exporterLabels: ['instance', 'pod'],

    // ---- What is rendered -------------------------------------------------------

    // Where a person reads on; %s is the name of the alert.
    runbookURLPattern: 'https://github.com/etcdops/etcdops/blob/main/docs/runbooks/%s.md',
    // The same for the alerts on logs; %s is a heading of that page.
    logsURLPattern: 'https://github.com/etcdops/etcdops/blob/main/docs/operations/logs.md#%s',
    // Labels that every alert carries beside its severity.
    alertLabels: {},
    // Groups of alerts; false leaves one out.
    groups: {
      cluster: true,
      membership: true,
      integrity: true,
      space: true,
      keyspace: true,
      clock: true,
      certificates: true,
      backups: true,
      exporter: true,
      performance: true,  // needs etcd's own metrics
      errorbudget: true,  // needs etcd's own metrics
      remediation: true,  // needs etcd_remediator
    },
    // The forms for prometheus-operator and for Grafana's sidecar.
    operator: {
      namespace: 'monitoring',
      // Labels that the ruleSelector of your Prometheus object wants.
      ruleLabels: { prometheus: 'k8s', role: 'alert-rules' },
      // Label and value by which Grafana's sidecar finds dashboards.
      dashboardLabels: { grafana_dashboard: '1' },
      // Annotations of the ConfigMaps of dashboards, such as the sidecar's folder.
      dashboardAnnotations: {},
    },
    dashboards: {
      tags: ['etcd', 'etcdops'],
      refresh: '30s',
      from: 'now-3h',
      timezone: 'browser',
      // How lines are coloured. This palette stays clear to eyes that see colours
      // differently; a Grafana too old to know it takes 'palette-classic'.
      palette: 'palette-colorblind',
      // Where the documents are that the links lead to.
      documentsURL: 'https://github.com/etcdops/etcdops/blob/main/docs/',
    },

    // For tests alone: every `for`, range, offset and horizon is divided by it.
    timeScale: 1,

    // ---- Size -------------------------------------------------------------------

    // Share of the quota that the database file may take.
    quotaLowWarning: 0.75,
    quotaLowCritical: 0.90,
    // Prediction of what is in use: horizon, range that the trend is taken over, and
    // the share of the quota that must be in use before anybody is told.
    quotaFullSlow: { horizon: '24h', range: '6h', share: 0.5 },
    quotaFullFast: { horizon: '4h', range: '1h', share: 0.7 },
    // What a defragmentation would give back as a share of the quota, and the share of
    // the file that must be unused.
    fragmentedQuota: 0.20,
    fragmentedFile: 0.50,
    // By how much of the largest the sizes in use of the members may differ, and from
    // how many bytes on that is worth a word.
    divergence: 0.5,
    divergenceBytes: 100e6,
    // Free disk that a defragmentation needs: a copy of what is in use, and some.
    diskFactor: 1.2,
    diskBytes: 1024 * 1024 * 1024,
    // Mount point of the data directories, where node_exporter watches them; '' leaves
    // node_exporter's figures out. nodeSelector picks the control plane's nodes.
    diskMountpoint: '',
    nodeSelector: 'job="node"',

    // ---- Key space --------------------------------------------------------------

    // No compaction for that long while the revision grew by so many. An automatic
    // compaction with periodic retention of an hour is healthy.
    compactionWithin: '90m',
    compactionRevisions: 1000,
    // Event keys that are too many whatever the past was; so many are when they are
    // also floodFactor times the average of floodRange up to an hour ago, or when
    // nothing is known of an hour ago.
    floodKeys: 100000,
    floodKeysYoung: 20000,
    floodFactor: 3,
    floodRange: '1d',
    eventPrefix: '/registry/events/',
    // Age of the last complete scan.
    scanAge: '30m',
    // Share of its keys that a mirror may lack, and how long it may not have changed
    // after its source did.
    mirrorLacks: 0.001,
    mirrorStill: '15m',

    // ---- Time -------------------------------------------------------------------

    // Seconds by which clocks may differ, measurement errors come on top.
    clockSkew: 1,
    // Days that a certificate must still be good for.
    certificateWarningDays: 30,
    certificateCriticalDays: 7,
    caWarningDays: 180,

    // ---- Backups ----------------------------------------------------------------

    // Age of the newest sound backup, in intervals of its store.
    backupWarningIntervals: 2,
    backupCriticalIntervals: 4,
    // Days since the newest file was judged.
    verifyAgeDays: 7,
    // Least share of the size in use that an uncompressed snapshot may have.
    backupShrunk: 0.5,
    // How far back its revision must have grown for a newer file.
    backupAdvance: '1d',

    // ---- Members ----------------------------------------------------------------

    // Entries between what is committed and what a member has applied.
    applyLag: 5000,
    // Failed authentications and refused permissions in authRange.
    authDenied: 0,
    authRange: '15m',

    // Flags that every member of a cluster should have alike. initial-cluster-state is
    // not among them: a member that was added later has another.
    flagsAlike: [
      'auto-compaction-mode',
      'auto-compaction-retention',
      'client-cert-auth',
      'election-timeout',
      'heartbeat-interval',
      'quota-backend-bytes',
      'snapshot-count',
    ],

    // ---- etcd's own metrics -----------------------------------------------------

    // Seconds: 99th percentiles of a WAL fsync, a backend commit and a round trip
    // between peers; 90th of a linearizable read.
    fsyncWarning: 0.5,
    fsyncCritical: 1,
    commitSlow: 0.25,
    peerLatency: 0.15,
    readSlow: 1,
    // Slow read indexes in five minutes, over all members.
    slowReadIndexes: 10,
    // In leaderRange.
    leaderChanges: 4,
    leaderRange: '15m',
    proposalsFailing: 5,
    proposalsRange: '15m',
    fileDescriptors: 0.8,
    // Resident memory as a share of memoryLimit: bytes, or an expression that gives them
    // by clusterLabel and instanceLabel; '' leaves the alert out. 'process' takes what
    // etcd itself is bound by: GOMEMLIMIT (told from 3.6 on) and the limit of its address
    // space. Where neither is set nothing fires: name the host's or the pod's memory.
    memoryShare: 0.8,
    memoryLimit: 'process',
    // Share of unary requests that must succeed.
    errorBudgetTarget: 0.999,
    // Failed requests in the longer window below which a burn is not worth a word: a
    // quiet night has few requests, and a handful of failed ones is a large share.
    errorBudgetLeast: 20,

    // ---- Logs, by Loki ----------------------------------------------------------

    // Matchers on the streams of the members' logs, which carry clusterLabel and
    // instanceLabel as docs/operations/logs.md has it.
    logSelector: 'job="etcd-logs"',
    // Lines of one member in logRange.
    logRange: '10m',
    // What took longer than that to apply, and how often. etcd warns from 100ms on.
    slowApply: '500ms',
    slowApplies: 10,
    // WAL syncs of more than a second: etcd tells of no shorter ones.
    slowSyncs: 3,
    // The prober looks at each peer every 30 s, over two connections.
    clockDrifts: 10,
    rejectedConnections: 5,
    // In lostLeaderRange. A planned change of the leader counts as one.
    lostLeaders: 3,
    lostLeaderRange: '15m',

    // ---- Remediation ------------------------------------------------------------

    // repeat_interval of the route that triggers the webhook.
    triggerRepeat: '10m',
    remediationFailedRange: '30m',
    remediationRunsRange: '6h',
    remediationRuns: 2,
    remediationStuck: '30m',
    // How far back a refusal counts: longer than the remediator waits between two tries
    // of an open intent, ten minutes at most.
    remediationRefusedRange: '15m',
  },
}
