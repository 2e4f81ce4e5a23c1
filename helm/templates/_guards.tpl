{{- /* What the schema cannot see, because it takes two values to be wrong. */ -}}
{{- define "relay.guards" -}}
{{- $sqlite := eq .Values.database.kind "sqlite" }}
{{- if and $sqlite (gt (int .Values.replicas) 1) }}
{{- fail "replicas: a SQLite file has one writer. Set replicas to 1, or database.kind to postgres." }}
{{- end }}

{{- if and .Values.existingSecret .Values.secrets }}
{{- fail "existingSecret and secrets are both set: the relay reads one of them. Keep everything in existingSecret." }}
{{- end }}
{{- if not (or .Values.existingSecret .Values.secrets) }}
{{- fail "existingSecret: the relay has no credential. Name a Secret with RELAY_API_TOKENS, RELAY_CAMB_API_KEY and RELAY_SIGNING_SECRETS, or set these in secrets." }}
{{- end }}
{{- if .Values.secrets }}
{{- $clients := false }}
{{- range $name, $_ := .Values.secrets }}
{{- if hasPrefix "RELAY_CLIENTS__" $name }}{{ $clients = true }}{{ end }}
{{- end }}
{{- if not $clients }}
{{- range list "RELAY_API_TOKENS" "RELAY_CAMB_API_KEY" "RELAY_SIGNING_SECRETS" }}
{{- if not (hasKey $.Values.secrets .) }}
{{- fail (printf "secrets: %s is missing." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $sqlite (hasKey .Values.secrets "RELAY_DATABASE__URL") }}
{{- fail "secrets: RELAY_DATABASE__URL needs database.kind postgres." }}
{{- end }}
{{- if not (or $sqlite .Values.database.urlSecret.name (hasKey .Values.secrets .Values.database.urlSecret.key)) }}
{{- fail (printf "secrets: %s is missing. Set it, or name the Secret that holds the URL in database.urlSecret." .Values.database.urlSecret.key) }}
{{- end }}
{{- end }}

{{- $least := add .Values.shutdown.preStopSeconds .Values.shutdown.drainSeconds }}
{{- if le (int64 .Values.terminationGracePeriodSeconds) $least }}
{{- fail (printf "terminationGracePeriodSeconds: must exceed preStopSeconds + drainSeconds, which is %d." $least) }}
{{- end }}

{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: name the host under which the relay is reached." }}
{{- end }}

{{- $elsewhere := dict
  "RELAY_SERVER__PORT" "service.port, which is the Service's; the pod's is always 8080"
  "RELAY_SERVER__OPERATIONS_PORT" "operationsPort"
  "RELAY_SERVER__DRAIN" "shutdown.drainSeconds"
  "RELAY_DATABASE__URL" "existingSecret, secrets or database.urlSecret"
  "RELAY_DATABASE__MIGRATE_AT_START" "database.migration"
}}
{{- $variables := dict }}
{{- include "relay.flatten" (dict "prefix" "RELAY_" "tree" .Values.config "variables" $variables) }}
{{- range $name, $_ := $variables }}
{{- with get $elsewhere $name }}
{{- fail (printf "config: %s is set by %s." $name .) }}
{{- end }}
{{- if regexMatch "(^RELAY|__|_)(API_TOKENS?|TOKENS?|API_KEYS?|SIGNING_SECRETS?|SECRETS?|CALLBACK_HEADERS|PASSWORD)$" $name }}
{{- fail (printf "config: %s is a secret and a ConfigMap is not. Put it into existingSecret or secrets." $name) }}
{{- end }}
{{- end }}
{{- end }}
