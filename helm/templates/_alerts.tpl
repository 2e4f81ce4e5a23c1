{{- /*
The alerts there are, each with the key of its values. Every worker reports what the database holds, so that is a max() and never a
sum(). What is counted is counted by the process that did it, so that is a sum().
*/ -}}
{{- define "relay.alerts" -}}
{{- $of := printf "namespace=%q,service=%q" .Release.Namespace (include "relay.operationsName" .) }}
{{- $alerts := .Values.monitoring.rules.alerts }}
{{- $wanted := 0 }}
{{- range $component := include "relay.components" . | splitList " " }}
{{- $wanted = add $wanted (include "relay.component" (dict "root" $ "component" $component) | fromYaml | include "relay.fewest") }}
{{- end }}
{{- if gt $wanted 0 }}
- alert: RelayDown
  of: down
  expr: absent(up{ {{- $of -}} } == 1)
  summary: No replica of the relay answers.
  description: >-
    Prometheus reaches no replica's metrics. Nothing is accepted, polled or delivered; what was accepted is kept.
{{- end }}
{{- if gt $wanted 1 }}
- alert: RelayReplicasMissing
  of: replicasMissing
  expr: count(up{ {{- $of -}} } == 1) < {{ $wanted }}
  summary: Fewer replicas answer than there should be.
  description: >-
    {{`{{ $value }}`}} of at least {{ $wanted }} replicas answer Prometheus.
{{- end }}
- alert: RelayNotReady
  of: notReady
  expr: >-
    max by (pod, reason) (relay_not_ready{ {{- $of -}} ,reason!~"database|draining"}) > 0
    unless on (pod) max by (pod) (relay_not_ready{ {{- $of -}} ,reason=~"database|draining"}) > 0
  summary: A replica does not look at its queues.
  description: >-
    {{`{{ $labels.pod }} does not look at its {{ $labels.reason }}`}}, and is not ready.
- alert: RelayDatabaseLost
  of: databaseLost
  expr: max by (pod) (relay_not_ready{ {{- $of -}} ,reason="database"}) > 0
  summary: A replica has lost the database.
  description: >-
    The database has not answered {{`{{ $labels.pod }}`}} for more than five seconds. It claims nothing and comes back by itself.
- alert: RelayDeliveriesBehind
  of: deliveriesBehind
  expr: max(relay_due_oldest_age_seconds{ {{- $of -}} ,queue="deliveries"}) > {{ $alerts.deliveriesBehind.threshold }}
  summary: Notifications leave late.
  description: >-
    A delivery that nothing holds back has been due for {{`{{ $value | humanizeDuration }}`}}.
- alert: RelayPollsBehind
  of: pollsBehind
  expr: max(relay_due_oldest_age_seconds{ {{- $of -}} ,queue="tasks"}) > {{ $alerts.pollsBehind.threshold }}
  summary: Tasks are polled late.
  description: >-
    A task has waited for its poll for {{`{{ $value | humanizeDuration }}`}}, so that its end is seen as late.
- alert: RelayDeliveriesDead
  of: deliveriesDead
  expr: round(sum by (reason) (increase(relay_deliveries_dead_total{ {{- $of -}} }[15m]))) > {{ $alerts.deliveriesDead.threshold }}
  summary: Deliveries are given up.
  description: >-
    {{`{{ $value }} deliveries were given up within 15 minutes ({{ $labels.reason }})`}}. They are kept, and can be sent again.
- alert: RelayKeyUnauthorized
  of: keyUnauthorized
  expr: sum(increase(relay_polls_total{ {{- $of -}} ,result="unauthorized"}[3m])) > 0
  summary: CAMB refuses a key.
  description: >-
    CAMB answers 401 or 403. Tasks of that key's clients are asked for once a minute and not told of until the key is right.
- alert: RelayKeyPaused
  of: keyPaused
  expr: max(relay_keys_paused{ {{- $of -}} }) > 0
  summary: CAMB has not answered a key for long.
  description: >-
    {{`{{ $value }}`}} CAMB keys were paused, by 429, 5xx, silence or a refusal, and no probe has been answered since.
- alert: RelayCommitsSlow
  of: commitsSlow
  expr: histogram_quantile(0.9, sum by (le, writes) (rate(relay_commit_seconds_bucket{ {{- $of -}} }[5m]))) > {{ $alerts.commitsSlow.threshold }}
  summary: The database commits slowly.
  description: >-
    A tenth of the commits of {{`{{ $labels.writes }} takes more than {{ $value | humanizeDuration }}`}}.
- alert: RelayClockSkewed
  of: clockSkewed
  expr: max by (pod) (abs(relay_clock_skew_seconds{ {{- $of -}} })) > {{ $alerts.clockSkewed.threshold }}
  summary: A replica's clock and its reference disagree.
  description: >-
    {{`{{ $labels.pod }} is {{ $value | humanizeDuration }} off the database's clock (on SQLite the node's)`}}.
- alert: RelayClockHalted
  of: clockHalted
  expr: max by (pod) (relay_clock_halted{ {{- $of -}} }) > 0
  summary: A replica does not believe its reference clock.
  description: >-
    The reference of {{`{{ $labels.pod }}`}} has jumped by more than an hour. Nothing expires and nothing is pruned until it is believed again.
{{- end }}
