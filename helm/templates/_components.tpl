{{- /* The Deployments there are, by name: `server`, or `api` and `worker`. */ -}}
{{- define "relay.components" -}}
{{- ternary "api worker" "server" .Values.split.enabled }}
{{- end }}

{{- /* Which of them the API's Service leads to. */ -}}
{{- define "relay.serving" -}}
{{- ternary "api" "server" .Values.split.enabled }}
{{- end }}

{{- /*
One of them: what is said of all pods, and over it what `split` says of its own.
Takes the root context and a component, gives a map.
*/ -}}
{{- define "relay.component" -}}
{{- $of := deepCopy (pick .root.Values "replicas" "resources" "autoscaling" "podDisruptionBudget"
    "podAnnotations" "podLabels" "nodeSelector" "tolerations" "affinity" "topologySpreadConstraints" "priorityClassName") }}
{{- $name := include "relay.fullname" .root }}
{{- $role := "all" }}
{{- if ne .component "server" }}
{{- $name = printf "%s-%s" $name .component }}
{{- $role = .component }}
{{- range $key, $value := get .root.Values.split .component }}
{{- if has $key (list "autoscaling" "podDisruptionBudget") }}
{{- include "relay.override" (dict "into" (get $of $key) "by" $value) }}
{{- else }}
{{- $_ := set $of $key $value }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml (merge (dict "component" .component "name" $name "role" $role) $of) }}
{{- end }}

{{- /* Sprig's own takes false and 0 for nothing. */ -}}
{{- define "relay.override" -}}
{{- range $key, $value := .by }}
{{- $before := get $.into $key }}
{{- if and (kindIs "map" $value) (kindIs "map" $before) }}
{{- include "relay.override" (dict "into" $before "by" $value) }}
{{- else }}
{{- $_ := set $.into $key $value }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The fewest replicas that are wanted of it at any time. */ -}}
{{- define "relay.fewest" -}}
{{- if eq .autoscaling.kind "none" }}{{ int .replicas }}{{ else }}{{ int .autoscaling.minReplicas }}{{ end }}
{{- end }}
