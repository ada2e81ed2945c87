{{/* Name of all resources. */}}
{{- define "isthmus.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 54 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" (.Release.Name | trunc 46 | trimSuffix "-") .Chart.Name -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods; they never change. */}}
{{- define "isthmus.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Labels of every resource. */}}
{{- define "isthmus.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "isthmus.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{/* Name, namespace and labels of a resource. Takes a list: the root, and what follows the name. */}}
{{- define "isthmus.metadata" -}}
{{- $root := index . 0 -}}
name: {{ include "isthmus.fullname" $root }}{{ index . 1 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "isthmus.labels" $root | nindent 2 }}
{{- end -}}

{{- define "isthmus.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "isthmus.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{- define "isthmus.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- $kind := eq .Values.gateway "standalone" | ternary "run" "serve" -}}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default (printf "%s-%s" .Chart.AppVersion $kind)) -}}
{{- end -}}
{{- end -}}

{{/* Text of the model config. */}}
{{- define "isthmus.config" -}}
{{- if kindIs "string" .Values.config -}}
{{- .Values.config -}}
{{- else -}}
{{- toYaml .Values.config -}}
{{- end -}}
{{- end -}}

{{/* Name of the Secret with the shared secret; empty: there is none. */}}
{{- define "isthmus.sharedSecretName" -}}
{{- if .Values.sharedSecret.existingSecret -}}
{{- .Values.sharedSecret.existingSecret -}}
{{- else if .Values.sharedSecret.value -}}
{{- include "isthmus.fullname" . }}-shared-secret
{{- end -}}
{{- end -}}

{{- define "isthmus.sharedSecretKey" -}}
{{- if .Values.sharedSecret.existingSecret -}}{{- .Values.sharedSecret.key -}}{{- else -}}secret{{- end -}}
{{- end -}}

{{/* Arguments of isthmus, a YAML list. */}}
{{- define "isthmus.args" -}}
{{- $args := list "--config" "/etc/isthmus/config.yaml" "--admin" "0.0.0.0:9102" (printf "--watch=%t" .Values.reload) -}}
{{- if eq .Values.gateway "standalone" -}}
{{- $args = concat (list "run") $args (list "--host" "0.0.0.0" "--port" "4000" "--concurrency" (toString .Values.concurrency)) -}}
{{- else -}}
{{- $peers := printf "%s-replicas.%s.svc:9100" (include "isthmus.fullname" .) .Release.Namespace -}}
{{- $args = concat (list "serve") $args (list "--listen" "0.0.0.0:9100" "--advertise" "$(POD_IP):9100" "--peers" $peers) -}}
{{- if include "isthmus.sharedSecretName" . -}}
{{- $args = concat $args (list "--shared-secret-file" (printf "/etc/isthmus-secret/%s" (include "isthmus.sharedSecretKey" .))) -}}
{{- end -}}
{{- if .Values.tls.existingSecret -}}
{{- $args = concat $args (list "--tls-cert" "/etc/isthmus-tls/tls.crt" "--tls-key" "/etc/isthmus-tls/tls.key") -}}
{{- if .Values.tls.clientCA -}}
{{- $args = concat $args (list "--tls-client-ca" "/etc/isthmus-tls/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- if eq (include "isthmus.callersAreKnown" .) "" -}}
{{- $args = append $args "--insecure-listen" -}}
{{- end -}}
{{- end -}}
{{- $args = concat $args (list "--drain-grace" (printf "%ds" (int .Values.drain.graceSeconds))) -}}
{{- $args = concat $args (list "--drain-timeout" (printf "%ds" (int .Values.drain.timeoutSeconds))) -}}
{{- toYaml (concat $args .Values.extraArgs) -}}
{{- end -}}

{{/* Not empty when callers of the port 9100 must say a secret or have a certificate. */}}
{{- define "isthmus.callersAreKnown" -}}
{{- if or (include "isthmus.sharedSecretName" .) (and .Values.tls.existingSecret .Values.tls.clientCA) -}}yes{{- end -}}
{{- end -}}

{{/* Seconds that a pod has to end: settling and sending what is left take 23 s after the drain. */}}
{{- define "isthmus.terminationSeconds" -}}
{{- add .Values.drain.preStopSeconds .Values.drain.timeoutSeconds 25 -}}
{{- end -}}

{{/* The gateway's pods, a peer of a NetworkPolicy. */}}
{{- define "isthmus.gatewayPeer" -}}
{{- $namespace := .Values.networkPolicy.gateway.namespace -}}
{{- $labels := .Values.networkPolicy.gateway.labels -}}
{{- if eq .Values.gateway "istio" -}}
{{- $namespace = $namespace | default "istio-ingress" -}}
{{- $labels = $labels | default (dict "istio" "ingress") -}}
{{- else if eq .Values.gateway "envoyGateway" -}}
{{- $namespace = $namespace | default "envoy-gateway-system" -}}
{{- $labels = $labels | default (dict "app.kubernetes.io/managed-by" "envoy-gateway" "app.kubernetes.io/component" "proxy") -}}
{{- end -}}
{{- $peer := dict -}}
{{- if $namespace -}}
{{- $_ := set $peer "namespaceSelector" (dict "matchLabels" (dict "kubernetes.io/metadata.name" $namespace)) -}}
{{- end -}}
{{- if $labels -}}
{{- $_ := set $peer "podSelector" (dict "matchLabels" $labels) -}}
{{- end -}}
{{- if $peer -}}
{{- toYaml $peer -}}
{{- end -}}
{{- end -}}
