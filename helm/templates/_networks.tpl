{{- /*
Where a cloud hands out credentials, with the hosts that answer beside it: the guard's own list. Policies never open these,
however wide a network the operator names.
*/ -}}
{{- define "relay.metadata" -}}
169.254.169.254 169.254.170.2 169.254.170.23 169.254.0.23 169.254.42.42 100.96.0.96 100.100.100.200 168.63.129.16 192.0.0.192
fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:c1::a9fe:a9fe fd00:42::42 fd00:a9fe:a9fe::1 fd00:100::100:200 fe80::a9fe:a9fe
{{- end }}

{{- /* What is no public address, from the guard's table. IPv6's public ones lie in 2000::/3. */ -}}
{{- define "relay.notPublic" -}}
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
2001::/23 2001:db8::/32 2002::/16 3fff::/20
{{- end }}

{{- /* An address as 32 or 128 digits of 0 and 1. */ -}}
{{- define "relay.bits" -}}
{{- if contains ":" . }}
{{- $halves := splitList "::" (lower .) }}
{{- $head := splitList ":" (first $halves) | compact }}
{{- $tail := splitList ":" (last $halves) | compact }}
{{- if eq (len $halves) 1 }}{{ $tail = list }}{{ end }}
{{- $between := list }}
{{- range until (int (sub 8 (add (len $head) (len $tail)))) }}{{ $between = append $between "0" }}{{ end }}
{{- $digits := dict "0" "0000" "1" "0001" "2" "0010" "3" "0011" "4" "0100" "5" "0101" "6" "0110" "7" "0111"
  "8" "1000" "9" "1001" "a" "1010" "b" "1011" "c" "1100" "d" "1101" "e" "1110" "f" "1111" }}
{{- range concat $head $between $tail }}
{{- range splitList "" (printf "%04s" .) }}{{ get $digits . }}{{ end }}
{{- end }}
{{- else }}
{{- range splitList "." . }}{{ printf "%08b" (atoi .) }}{{ end }}
{{- end }}
{{- end }}

{{- /* Takes an address and a cidr; gives "yes" or nothing. */ -}}
{{- define "relay.inside" -}}
{{- $parts := splitList "/" .cidr }}
{{- $network := first $parts }}
{{- $length := last $parts | atoi }}
{{- if eq (contains ":" .address) (contains ":" $network) }}
{{- if eq $length 0 }}yes
{{- else if eq $length 32 | and (not (contains ":" $network)) }}
{{- if eq .address $network }}yes{{ end }}
{{- else if eq (include "relay.bits" .address | substr 0 $length) (include "relay.bits" $network | substr 0 $length) }}yes{{ end }}
{{- end }}
{{- end }}

{{- /* The metadata services in a cidr, as a list of cidrs. */ -}}
{{- define "relay.metadataIn" -}}
{{- range splitList " " (include "relay.metadata" . | replace "\n" " ") }}
{{- if include "relay.inside" (dict "address" . "cidr" $) }}
- {{ printf "%s/%s" . (ternary "128" "32" (contains ":" .)) }}
{{- end }}
{{- end }}
{{- end }}

{{- /* What the operator opens to callbacks beyond the Internet, as a list of peers. */ -}}
{{- define "relay.allowedNetworks" -}}
{{- range dig "callbacks" "allow_networks" list .Values.config }}
{{- $named := get (dict "loopback" list "private" (list "10.0.0.0/8" "172.16.0.0/12" "192.168.0.0/16" "fc00::/7")) . }}
{{- $cidrs := list . }}
{{- if kindIs "slice" $named }}{{ $cidrs = $named }}{{ end }}
{{- range $cidrs }}
{{- $cidr := ternary . (printf "%s/%s" . (ternary "128" "32" (contains ":" .))) (contains "/" .) }}
{{- $metadata := include "relay.metadataIn" $cidr | fromYamlArray }}
{{- if not (has $cidr $metadata) }}
- ipBlock:
    cidr: {{ $cidr | quote }}
    {{- with $metadata }}
    except:
      {{- toYaml . | nindent 6 }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "relay.namespaces" -}}
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: In
      values:
        {{- toYaml . | nindent 8 }}
{{- end }}

{{- define "relay.ports" -}}
{{- range . }}
- {port: {{ toJson . }}, protocol: TCP}
{{- end }}
{{- end }}

{{- /* Who is named, by namespaces and as peers; empty where nobody is. */ -}}
{{- define "relay.peers" -}}
{{- with .namespaces }}
- {{- include "relay.namespaces" . | nindent 2 }}
{{- end }}
{{- with .from }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "relay.ownTest" -}}
- podSelector:
    matchLabels:
      {{- include "relay.selector" (dict "root" . "component" "test") | nindent 6 }}
{{- end }}
