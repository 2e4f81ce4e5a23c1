{{- /* What every pod of ours has, the migration's and the test's too. */ -}}
{{- define "relay.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- /* What belongs to the connection to the database, which the migration makes too. */ -}}
{{- define "relay.initContainers" -}}
{{- with .Values.initContainers }}
initContainers:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- end }}

{{- /* Takes what may be placed: the values, or a component. */ -}}
{{- define "relay.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end }}

{{- /* Takes the root context and a component's map. Constraints are soft by default: a pod anywhere beats none. */ -}}
{{- define "relay.topology" -}}
{{- $constraints := .of.topologySpreadConstraints }}
{{- if and (kindIs "invalid" $constraints) (ne .root.Values.database.kind "sqlite") }}
{{- $constraints = list }}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
{{- $constraints = append $constraints (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway"
    "matchLabelKeys" (list "pod-template-hash")) }}
{{- end }}
{{- end }}
{{- with $constraints }}
{{- $selector := dict "matchLabels" (include "relay.selector" (dict "root" $.root "component" $.of.component) | fromYaml) }}
topologySpreadConstraints:
{{- range . }}
  - {{- toYaml (ternary . (merge (dict "labelSelector" $selector) .) (hasKey . "labelSelector")) | nindent 4 }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.probe" -}}
{{- toYaml (merge (dict "httpGet" (dict "path" .path "port" "operations")) .over .timings) }}
{{- end }}
