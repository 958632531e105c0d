{{- define "etcdops.exporter" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-exporter{{- end }}
{{- define "etcdops.remediator" -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}-remediator{{- end }}

{{/* Labels of an object; the argument is a list of the context and the program. */}}
{{- define "etcdops.labels" -}}
{{- $ := index . 0 -}}
{{ include "etcdops.selector" . }}
app.kubernetes.io/part-of: etcdops
app.kubernetes.io/version: {{ $.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
helm.sh/chart: {{ $.Chart.Name }}-{{ $.Chart.Version }}
{{- end }}

{{- define "etcdops.selector" -}}
{{- $ := index . 0 -}}
app.kubernetes.io/name: {{ index . 1 }}
app.kubernetes.io/instance: {{ $.Release.Name }}
{{- end }}

{{- define "etcdops.image" -}}
{{- $ := index . 0 -}}{{- $image := index . 1 -}}
{{ $image.repository }}:{{ $image.tag | default $.Chart.AppVersion }}
{{- end }}

{{/* etcdops.yml, which both programs read. */}}
{{- define "etcdops.config" -}}
{{- $tls := dict "ca_file" "/etc/etcdops/tls/ca.crt" "cert_file" "/etc/etcdops/tls/tls.crt" "key_file" "/etc/etcdops/tls/tls.key" -}}
{{- $cluster := dict "name" .Values.cluster.name "endpoints" .Values.cluster.endpoints "discover" .Values.cluster.discover "tls" $tls -}}
{{- $config := dict "clusters" (list (merge $cluster .Values.cluster.extra)) -}}
{{- if .Values.remediator.enabled -}}
{{- $policies := list -}}
{{- range .Values.remediator.policies -}}
{{- $policies = append $policies (merge (dict) . (dict "clusters" (list $.Values.cluster.name))) -}}
{{- end -}}
{{- $remediation := dict "journal" "/var/lib/etcd_remediator/journal" "bearer_token_file" "/etc/etcdops/tokens/bearer" "admin_token_file" "/etc/etcdops/tokens/admin" "policies" $policies -}}
{{- $_ := set $config "remediation" (merge $remediation .Values.remediator.extra) -}}
{{- end -}}
{{ toYaml $config }}
{{- end }}

{{/* How Prometheus reaches the exporter. */}}
{{- define "etcdops.exporterAccess" -}}
{{- if .Values.exporter.web.secret -}}
basicAuth:
  username: {name: {{ .Values.operator.scrapeSecret }}, key: username}
  password: {name: {{ .Values.operator.scrapeSecret }}, key: password}
tlsConfig:
  ca:
    secret: {name: {{ .Values.operator.scrapeSecret }}, key: ca.crt}
{{- end -}}
{{- end }}
