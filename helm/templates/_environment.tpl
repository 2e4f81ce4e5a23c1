{{- /* The settings that are no secret, as a map of variables. */ -}}
{{- define "relay.environment" -}}
{{- $variables := dict }}
{{- include "relay.flatten" (dict "prefix" "RELAY_" "tree" .Values.config "variables" $variables) }}
{{- $_ := set $variables "RELAY_SERVER__PORT" "8080" }}
{{- if and (hasSuffix "DualStack" .Values.service.ipFamilyPolicy) (not (hasKey $variables "RELAY_SERVER__HOST")) }}
{{- $_ := set $variables "RELAY_SERVER__HOST" "::" }}
{{- end }}
{{- $_ := set $variables "RELAY_SERVER__DRAIN" (printf "PT%dS" (int .Values.shutdown.drainSeconds)) }}
{{- $_ := set $variables "RELAY_SERVER__OPERATIONS_PORT" (.Values.operationsPort | int | toString) }}
{{- with .Values.callbacks.inCluster }}
{{- if .serviceCIDR }}
{{- $named := get $variables "RELAY_CALLBACKS__ALLOW_NETWORKS" }}
{{- $_ := set $variables "RELAY_CALLBACKS__ALLOW_NETWORKS" (list $named .serviceCIDR | compact | join ",") }}
{{- end }}
{{- if and .http (ne (get $variables "RELAY_CALLBACKS__ALLOW_HTTP") "always") }}
{{- $_ := set $variables "RELAY_CALLBACKS__ALLOW_HTTP" "allowed-networks" }}
{{- end }}
{{- end }}
{{- if eq .Values.database.kind "sqlite" }}
{{- $_ := set $variables "RELAY_DATABASE__URL" "sqlite:////data/relay.db" }}
{{- else if eq .Values.database.migration "start" }}
{{- $_ := set $variables "RELAY_DATABASE__MIGRATE_AT_START" "true" }}
{{- end }}
{{- toYaml $variables }}
{{- end }}

{{- /* {camb: {rate_per_second: 5}} becomes RELAY_CAMB__RATE_PER_SECOND: "5". */ -}}
{{- define "relay.flatten" -}}
{{- range $key, $value := .tree }}
{{- $variable := printf "%s%s" $.prefix (upper $key) }}
{{- if kindIs "map" $value }}
{{- include "relay.flatten" (dict "prefix" (printf "%s__" $variable) "tree" $value "variables" $.variables) }}
{{- else if not (kindIs "invalid" $value) }}
{{- $_ := set $.variables $variable (include "relay.text" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Numbers go through JSON: printed plainly, 1000000 would be 1e+06. */ -}}
{{- define "relay.text" -}}
{{- if kindIs "string" . }}
{{- . }}
{{- else if kindIs "slice" . }}
{{- $parts := list }}
{{- range . }}
{{- $parts = append $parts (include "relay.text" .) }}
{{- end }}
{{- join "," $parts }}
{{- else }}
{{- toJson . }}
{{- end }}
{{- end }}
