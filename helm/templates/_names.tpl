{{- define "relay.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- /* 50 characters leave room for a suffix within a label's 63. */ -}}
{{- define "relay.fullname" -}}
{{- $name := include "relay.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- /* Every pod of the release. */ -}}
{{- define "relay.instance" -}}
app.kubernetes.io/name: {{ include "relay.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- /* Takes the root context and a component. */ -}}
{{- define "relay.selector" -}}
{{ include "relay.instance" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "relay.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" (include "relay.name" .)
  "app.kubernetes.io/instance" .Release.Name
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
}}
{{- toYaml (merge $own .Values.commonLabels) }}
{{- end }}

{{- /* Where health and metrics are, one address for each pod. */ -}}
{{- define "relay.operationsName" -}}
{{- printf "%s-operations" (include "relay.fullname" .) }}
{{- end }}

{{- define "relay.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "relay.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "relay.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "relay.secretName" -}}
{{- .Values.existingSecret | default (include "relay.fullname" .) }}
{{- end }}

{{- /* Takes the root context and `own`, the name under which the release's Secret is found at that moment. */ -}}
{{- define "relay.databaseUrl" -}}
- name: RELAY_DATABASE__URL
  valueFrom:
    secretKeyRef:
      name: {{ coalesce .root.Values.database.urlSecret.name .root.Values.existingSecret .own | quote }}
      key: {{ .root.Values.database.urlSecret.key | quote }}
{{- end }}
