{{- /* What the schema cannot see, because it takes two values to be wrong. Each says what, where and what to do. */ -}}
{{- define "relay.guards" -}}
{{- include "relay.guardShape" . }}
{{- include "relay.guardCredentials" . }}
{{- range $component := include "relay.components" . | splitList " " }}
{{- $of := include "relay.component" (dict "root" $ "component" $component) | fromYaml }}
{{- $where := ternary "" (printf "split.%s." $component) (eq $component "server") }}
{{- include "relay.guardScaling" (dict "of" $of "where" $where) }}
{{- include "relay.guardDisruption" (dict "of" $of "where" $where) }}
{{- end }}
{{- include "relay.guardReaching" . }}
{{- include "relay.guardSettings" . }}
{{- include "relay.guardNetworks" . }}
{{- include "relay.guardMonitoring" . }}
{{- end }}

{{- define "relay.guardShape" -}}
{{- if eq .Values.database.kind "sqlite" }}
{{- if .Values.split.enabled }}
{{- fail "split.enabled: a SQLite file has one process. Set split.enabled to false, or database.kind to postgres." }}
{{- end }}
{{- if ne .Values.autoscaling.kind "none" }}
{{- fail (printf "autoscaling.kind: %s wants more replicas, and a SQLite file has one writer. Set it to none, or database.kind to postgres." .Values.autoscaling.kind) }}
{{- end }}
{{- if gt (int .Values.replicas) 1 }}
{{- fail "replicas: a SQLite file has one writer. Set replicas to 1, or database.kind to postgres." }}
{{- end }}
{{- end }}
{{- if not .Values.split.enabled }}
{{- range list "api" "worker" }}
{{- if get $.Values.split . }}
{{- fail (printf "split.%s: is not read while split.enabled is false. Set that to true, or say it of all pods at the top level." .) }}
{{- end }}
{{- end }}
{{- end }}
{{- $least := add .Values.shutdown.preStopSeconds .Values.shutdown.drainSeconds }}
{{- if le (int64 .Values.terminationGracePeriodSeconds) $least }}
{{- fail (printf "terminationGracePeriodSeconds: must exceed shutdown.preStopSeconds + shutdown.drainSeconds, which is %d, or the pod is killed while it drains. Raise it, or lower these." $least) }}
{{- end }}
{{- end }}

{{- define "relay.guardCredentials" -}}
{{- $sqlite := eq .Values.database.kind "sqlite" }}
{{- if and .Values.existingSecret .Values.secrets }}
{{- fail "existingSecret and secrets are both set: the relay reads one of them. Keep everything in existingSecret." }}
{{- end }}
{{- if not (or .Values.existingSecret .Values.secrets) }}
{{- fail "existingSecret: the relay has no credential. Name a Secret with RELAY_API_TOKENS, RELAY_CAMB_API_KEY and RELAY_SIGNING_SECRETS, or set these in secrets." }}
{{- end }}
{{- if .Values.secrets }}
{{- include "relay.guardClients" . }}
{{- if and $sqlite (hasKey .Values.secrets "RELAY_DATABASE__URL") }}
{{- fail "secrets: RELAY_DATABASE__URL needs database.kind postgres." }}
{{- end }}
{{- if not (or $sqlite .Values.database.urlSecret.name (hasKey .Values.secrets .Values.database.urlSecret.key)) }}
{{- fail (printf "secrets: %s is missing. Set it, or name the Secret that holds the URL in database.urlSecret." .Values.database.urlSecret.key) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Each client that is named, or the default one, has what the relay wants of it; some of that may come by extraEnv. */ -}}
{{- define "relay.guardClients" -}}
{{- $credentials := list "API_TOKENS" "CAMB_API_KEY" "SIGNING_SECRETS" }}
{{- $given := keys .Values.secrets }}
{{- range .Values.extraEnv }}
{{- $given = append $given .name }}
{{- end }}
{{- $clients := dict }}
{{- range $given }}
{{- if hasPrefix "RELAY_CLIENTS__" . }}
{{- $_ := set $clients (splitList "__" . | rest | first) true }}
{{- else if has (trimPrefix "RELAY_" .) $credentials }}
{{- $_ := set $clients "DEFAULT" true }}
{{- end }}
{{- end }}
{{- range keys ($clients | default (dict "DEFAULT" true)) | sortAlpha }}
{{- $client := . }}
{{- range $credentials }}
{{- $name := printf "RELAY_CLIENTS__%s__%s" $client . }}
{{- $short := printf "RELAY_%s" . }}
{{- if eq $client "DEFAULT" }}
{{- if not (or (has $name $given) (has $short $given)) }}
{{- fail (printf "secrets: %s is missing. Set it, or name clients with RELAY_CLIENTS__<NAME>__… instead." $short) }}
{{- end }}
{{- else if not (has $name $given) }}
{{- fail (printf "secrets: %s is missing. Each client that is named needs its API_TOKENS, CAMB_API_KEY and SIGNING_SECRETS." $name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.guardScaling" -}}
{{- $scaling := .of.autoscaling }}
{{- $where := printf "%sautoscaling" .where }}
{{- if ne $scaling.kind "none" }}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) }}
{{- fail (printf "%s: minReplicas %d is above maxReplicas %d. Lower the one or raise the other." $where (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
{{- end }}
{{- if and (eq $scaling.kind "cpu") (not $scaling.cpuPercent) }}
{{- fail (printf "%s.cpuPercent: kind cpu needs it. Set it, such as to 70, or kind to none." $where) }}
{{- end }}
{{- if and $scaling.cpuPercent (not (dig "requests" "cpu" "" .of.resources)) }}
{{- fail (printf "%sresources.requests.cpu: %s.cpuPercent is a share of it, and it is not set. Set it, such as to 100m." .where $where) }}
{{- end }}
{{- if eq $scaling.kind "backlog" }}
{{- if eq .of.role "api" }}
{{- fail (printf "%s.kind: the API's pods do not work off the backlog. Set it to cpu or none, and split.worker.autoscaling.kind to backlog." $where) }}
{{- end }}
{{- if not $scaling.backlog.perReplica }}
{{- fail (printf "%s.backlog.perReplica: say for how many deliveries that are due there should be one replica, such as 500." $where) }}
{{- end }}
{{- if not $scaling.backlog.prometheus }}
{{- fail (printf "%s.backlog.prometheus: KEDA reads the backlog from Prometheus. Set its address, such as http://prometheus.monitoring.svc:9090." $where) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.guardDisruption" -}}
{{- $budget := .of.podDisruptionBudget }}
{{- $where := printf "%spodDisruptionBudget" .where }}
{{- $pods := include "relay.fewest" .of | int }}
{{- if and $budget.enabled (gt $pods 0) }}
{{- if kindIs "invalid" $budget.minAvailable }}
{{- if kindIs "invalid" $budget.maxUnavailable }}
{{- fail (printf "%s: says neither maxUnavailable nor minAvailable. Set maxUnavailable to 1, or enabled to false." $where) }}
{{- end }}
{{- if regexMatch "^0+%?$" ($budget.maxUnavailable | toString) }}
{{- fail (printf "%s.maxUnavailable: 0 allows no disruption, and a node with a pod on it could never be drained. Set it to 1." $where) }}
{{- end }}
{{- else }}
{{- $needed := int $budget.minAvailable }}
{{- if hasSuffix "%" ($budget.minAvailable | toString) }}
{{- $needed = divf (mulf $pods (trimSuffix "%" $budget.minAvailable | atoi)) 100 | ceil | int }}
{{- end }}
{{- if ge $needed $pods }}
{{- fail (printf "%s.minAvailable: %v of %d pods allows no disruption, and a node with a pod on it could never be drained. Lower it, or set maxUnavailable to 1 instead." $where $budget.minAvailable $pods) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.guardReaching" -}}
{{- if .Values.ingress.enabled }}
{{- if not .Values.ingress.hosts }}
{{- fail "ingress.hosts: name at least one host under which the relay is reached." }}
{{- end }}
{{- if not .Values.ingress.paths }}
{{- fail "ingress.paths: the Ingress leads nowhere. Name at least one path, or set ingress.enabled to false." }}
{{- end }}
{{- end }}
{{- if .Values.httpRoute.enabled }}
{{- if not .Values.httpRoute.parentRefs }}
{{- fail "httpRoute.parentRefs: name the Gateway that the route hangs on, such as [{name: public, namespace: gateways}]." }}
{{- end }}
{{- if not .Values.httpRoute.paths }}
{{- fail "httpRoute.paths: the route leads nowhere. Name at least one path, or set httpRoute.enabled to false." }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A setting that the chart makes itself, with the value that it is made of. */ -}}
{{- define "relay.ownSettings" -}}
RELAY_ROLE: split.enabled
RELAY_SERVER__PORT: service.port, which is the Service's; the pod's is always 8080
RELAY_SERVER__OPERATIONS_PORT: operationsPort
RELAY_SERVER__DRAIN: shutdown.drainSeconds
RELAY_DATABASE__URL: existingSecret, secrets or database.urlSecret
RELAY_DATABASE__MIGRATE_AT_START: database.migration
{{- end }}

{{- define "relay.guardSettings" -}}
{{- $own := include "relay.ownSettings" . | fromYaml }}
{{- $secret := "(^RELAY|__|_)(API_TOKENS?|TOKENS?|API_KEYS?|SIGNING_SECRETS?|SECRETS?|HEADERS|PASSWORD)$" }}
{{- $looksSecret := "whs(ec|k)_|[Bb]earer |://[^/@]*:[^/@]*@" }}
{{- $variables := dict }}
{{- include "relay.flatten" (dict "prefix" "RELAY_" "tree" .Values.config "variables" $variables) }}
{{- range $name, $value := $variables }}
{{- with get $own $name }}
{{- fail (printf "config: %s is set by %s." $name .) }}
{{- end }}
{{- if or (regexMatch $secret $name) (regexMatch $looksSecret $value) }}
{{- fail (printf "config: %s is a secret and a ConfigMap is not. Put it into existingSecret or secrets." $name) }}
{{- end }}
{{- end }}
{{- include "relay.guardDrain" (dict "root" . "variables" $variables) }}
{{- if and .Values.callbacks.inCluster.http (eq (get $variables "RELAY_CALLBACKS__ALLOW_HTTP") "never") }}
{{- fail "config.callbacks.allow_http: never contradicts callbacks.inCluster.http. Leave one of them out." }}
{{- end }}
{{- range $at, $variable := .Values.extraEnv }}
{{- with get (merge (dict "RELAY_SECRETS_DIR" "secretsAs") $own) $variable.name }}
{{- fail (printf "extraEnv[%d]: %s is set by %s." $at $variable.name .) }}
{{- end }}
{{- if and (hasKey $variable "value") (or (and (hasPrefix "RELAY_" $variable.name) (regexMatch $secret $variable.name)) (regexMatch $looksSecret $variable.value)) }}
{{- fail (printf "extraEnv[%d]: %s is a secret and a pod's description is not. Take it from a Secret: valueFrom.secretKeyRef." $at $variable.name) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The relay would refuse to start: what is in flight has its deadline, and a drain waits for it. */ -}}
{{- define "relay.guardDrain" -}}
{{- $drain := .root.Values.shutdown.drainSeconds }}
{{- $given := dict "RELAY_DELIVERY__DEADLINE" "PT15S" "RELAY_CAMB__DEADLINE" "PT10S" }}
{{- range $name, $_ := $given }}
{{- $_ := set $given $name (get $.variables $name | default (get $given $name)) }}
{{- end }}
{{- range .root.Values.extraEnv }}
{{- if and (hasKey $given .name) (hasKey . "value") }}
{{- $_ := set $given .name .value }}
{{- end }}
{{- end }}
{{- range $name, $deadline := $given }}
{{- if gt (include "relay.ofDuration" $deadline | float64) (float64 $drain) }}
{{- fail (printf "shutdown.drainSeconds: %d is below %s, %s, and the relay would not start. Raise it, or lower config.%s." (int $drain) $name $deadline ($name | trimPrefix "RELAY_" | lower | replace "__" ".")) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* The seconds of `PT1M30.5S`; 0 where it is no duration, which the relay itself refuses. */ -}}
{{- define "relay.ofDuration" -}}
{{- $seconds := 0.0 }}
{{- if regexMatch "^P([0-9]+W)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+([.][0-9]+)?S)?)?$" . }}
{{- range $unit, $length := dict "W" 604800 "D" 86400 "H" 3600 "M" 60 "S" 1 }}
{{- with regexFind (printf "[0-9.]+%s" $unit) $ }}
{{- $seconds = addf $seconds (mulf (trimSuffix $unit .) $length) }}
{{- end }}
{{- end }}
{{- end }}
{{- $seconds }}
{{- end }}

{{- define "relay.guardNetworks" -}}
{{- with .Values.callbacks.inCluster }}
{{- if not .serviceCIDR }}
{{- if or .namespaces .ports }}
{{- fail "callbacks.inCluster.serviceCIDR: the relay's guard needs it to let callbacks into the cluster. Set it to the cluster's service range, or leave namespaces and ports out." }}
{{- end }}
{{- else if $.Values.networkPolicy.enabled }}
{{- if not (and .namespaces .ports) }}
{{- fail "callbacks.inCluster: the NetworkPolicy needs to know the namespaces and ports that may be called. Name both." }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- include "relay.guardPeers" (dict "where" "networkPolicy.dns.to" "peers" .Values.networkPolicy.dns.to) }}
{{- include "relay.guardPeers" (dict "where" "networkPolicy.database.to" "peers" .Values.networkPolicy.database.to) }}
{{- include "relay.guardPeers" (dict "where" "networkPolicy.tracing.to" "peers" .Values.networkPolicy.tracing.to) }}
{{- range $at, $rule := .Values.networkPolicy.extraEgress }}
{{- $where := printf "networkPolicy.extraEgress[%d].to" $at }}
{{- if not $rule.to }}
{{- fail (printf "%s: a rule without it leads anywhere, to the cloud's metadata service too. Say where to." $where) }}
{{- end }}
{{- include "relay.guardPeers" (dict "where" $where "peers" $rule.to) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* No peer may contain a metadata service. */ -}}
{{- define "relay.guardPeers" -}}
{{- range .peers }}
{{- with .ipBlock }}
{{- $block := . }}
{{- range include "relay.metadataIn" .cidr | fromYamlArray }}
{{- $address := splitList "/" . | first }}
{{- $excepted := false }}
{{- range $block.except }}
{{- if include "relay.inside" (dict "address" $address "cidr" .) }}{{ $excepted = true }}{{ end }}
{{- end }}
{{- if not $excepted }}
{{- fail (printf "%s: %s contains %s, where clouds hand out credentials. Add that to its except." $.where $block.cidr .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.guardMonitoring" -}}
{{- with .Values.monitoring.serviceMonitor }}
{{- if gt (include "relay.inSeconds" .scrapeTimeout | int) (include "relay.inSeconds" .interval | int) }}
{{- fail (printf "monitoring.serviceMonitor.scrapeTimeout: %s is longer than the interval, %s, which Prometheus refuses. Shorten it." .scrapeTimeout .interval) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* Of `30s` or `1m`. */ -}}
{{- define "relay.inSeconds" -}}
{{- mul (regexFind "^[0-9]+" .) (ternary 60 1 (hasSuffix "m" .)) }}
{{- end }}
