{{- define "ctkeeper.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride }}
{{- else if contains "ctkeeper" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-ctkeeper" (.Release.Name | trunc 31 | trimSuffix "-") }}
{{- end }}
{{- end }}

{{/* The name is the job of the alerts (jobLabel), so it is fixed. */}}
{{- define "ctkeeper.selectorLabels" -}}
app.kubernetes.io/name: ctkeeper
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "ctkeeper.labels" -}}
{{ include "ctkeeper.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The labels of the chart and those of the values; a key that both have has the chart's value. */}}
{{- define "ctkeeper.labelsWith" -}}
{{- toYaml (merge (include "ctkeeper.labels" .root | fromYaml) (.labels | default dict)) }}
{{- end }}

{{- define "ctkeeper.image" -}}
{{- $repository := required "image.repository is empty: build the image (make image), push dist/image to a registry of yours, and name it here" .Values.image.repository }}
{{- if .Values.image.digest }}{{ printf "%s@%s" $repository .Values.image.digest }}
{{- else }}{{ printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/*
The profiles as a JSON list, the default one first, each with the objects' name, its complete nodeSelector, its guard,
and in "apart" the nodeSelectors of the profiles that go before it.
*/}}
{{- define "ctkeeper.profiles" -}}
{{- $root := . }}
{{- $name := include "ctkeeper.fullname" . }}
{{- $list := list }}
{{- $before := list }}
{{- $names := list "default" "dashboard" }}
{{- range $profile := .Values.profiles }}
{{- if has .name $names }}
{{- fail (printf "profiles: the name %s is taken" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- range $earlier := $before }}
{{- $open := 0 }}
{{- range $key, $value := $earlier }}
{{- if or (not (hasKey $profile.nodeSelector $key)) (ne (get $profile.nodeSelector $key) $value) }}
{{- $open = 1 }}
{{- end }}
{{- end }}
{{- if not $open }}
{{- fail (printf "profiles: an earlier profile has every node that %s selects: put %s before it" $profile.name $profile.name) }}
{{- end }}
{{- end }}
{{- /* merge would take a value of the profile that is empty or false for an absent one. */}}
{{- $selector := mergeOverwrite (deepCopy ($root.Values.nodeSelector | default dict)) .nodeSelector }}
{{- $guard := mergeOverwrite (deepCopy $root.Values.guard) (.guard | default dict) }}
{{- $list = append $list (dict "profile" .name "name" (printf "%s-%s" $name .name) "nodeSelector" $selector "guard" $guard "config" (.config | default dict) "apart" $before) }}
{{- $before = append $before .nodeSelector }}
{{- end }}
{{- $default := dict "profile" "default" "name" $name "nodeSelector" $root.Values.nodeSelector "guard" $root.Values.guard "apart" $before }}
{{- prepend $list $default | toJson }}
{{- end }}

{{/*
The affinity of a profile's pods, from the values and with terms that exclude the nodes of earlier profiles. Terms are
alternatives and the expressions of a term must all match, so "not (a=1 and b=2)" is two terms, and each profile
multiplies the terms.
*/}}
{{- define "ctkeeper.affinity" -}}
{{- $affinity := deepCopy .root.Values.affinity }}
{{- $node := $affinity.nodeAffinity | default dict }}
{{- $required := $node.requiredDuringSchedulingIgnoredDuringExecution | default dict }}
{{- $terms := $required.nodeSelectorTerms | default (list dict) }}
{{- range $selector := .profile.apart }}
{{- $next := list }}
{{- range $term := $terms }}
{{- range $key, $value := $selector }}
{{- $not := dict "key" $key "operator" "NotIn" "values" (list $value) }}
{{- $expressions := append ($term.matchExpressions | default list) $not }}
{{- $next = append $next (merge (dict "matchExpressions" $expressions) (omit $term "matchExpressions")) }}
{{- end }}
{{- end }}
{{- if gt (len $next) 256 }}
{{- fail "profiles: their nodeSelectors need more than 256 terms of affinity: use fewer profiles, or one label in each" }}
{{- end }}
{{- $terms = $next }}
{{- end }}
{{- if .profile.apart }}
{{- $_ := set $node "requiredDuringSchedulingIgnoredDuringExecution" (dict "nodeSelectorTerms" $terms) }}
{{- $_ := set $affinity "nodeAffinity" $node }}
{{- end }}
{{- if $affinity }}{{ toYaml $affinity }}{{ end }}
{{- end }}

{{/* A configuration as YAML. Helm reads an unquoted off as false, which ctkeeper refuses as a mode of the guard. */}}
{{- define "ctkeeper.config" -}}
{{- $config := deepCopy (. | default dict) }}
{{- if kindIs "bool" $config.guard }}
{{- $_ := set $config "guard" "off" }}
{{- else if kindIs "map" $config.guard }}
{{- if kindIs "bool" $config.guard.mode }}{{ $_ := set $config.guard "mode" "off" }}{{ end }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* Fails where a configuration asks for the guard and its profile lacks the capability. */}}
{{- define "ctkeeper.checkGuard" -}}
{{- $mode := "off" }}
{{- range $config := list (.root.Values.config | default dict) (.profile.config | default dict) }}
{{- $own := $config.guard }}
{{- if kindIs "map" $own }}{{ $own = $own.mode }}{{ end }}
{{- if not (kindIs "invalid" $own) }}{{ $mode = $own }}{{ end }}
{{- end }}
{{- if and (has $mode (list "watch" "hold" "lock")) (not .profile.guard.bpf) }}
{{- fail (printf "the configuration has guard: %s, which needs guard.bpf: true (profile %s)" $mode .profile.profile) }}
{{- end }}
{{- if and .profile.guard.perfmon (not .profile.guard.bpf) }}
{{- fail (printf "guard.perfmon needs guard.bpf: true (profile %s)" .profile.profile) }}
{{- end }}
{{- end }}

{{/* What every container may do, as far as it is the same for all. */}}
{{- define "ctkeeper.confinement" -}}
privileged: false
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
seccompProfile:
  {{- toYaml .Values.seccompProfile | nindent 2 }}
{{- with .Values.seLinuxOptions }}
seLinuxOptions:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the exporter listens. An address may be in brackets, also if it is not IPv6. */}}
{{- define "ctkeeper.listen" -}}
{{- $host := get (dict "all" "" "node" "[$(NODE_IP)]" "loopback" "127.0.0.1") .Values.exporter.listen }}
{{- printf "%s:%d" $host (int .Values.exporter.port) }}
{{- end }}
