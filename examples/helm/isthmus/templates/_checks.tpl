{{/* What the schema cannot say: values that do not go together. Each message says what to write instead. */}}
{{- define "isthmus.checks" -}}
{{- $serve := ne .Values.gateway "standalone" -}}
{{- with .Values.config -}}
{{- if and (kindIs "string" .) (not (regexMatch "(?m)^(model_list|include)\\s*:" .)) -}}
{{- fail "config: there is neither model_list nor include in it; the text of a file comes by --set-file config=FILE" -}}
{{- end -}}
{{- end -}}
{{- if and (kindIs "string" .Values.manifests) .Values.manifests (not (regexMatch "(?m)^kind\\s*:" .Values.manifests)) -}}
{{- fail "manifests: there is no resource of Kubernetes in it; what isthmus envoy writes with --format istio or gateway-api comes by --set-file manifests=FILE" -}}
{{- end -}}
{{- if and .Values.redis.url (not (regexMatch "(?i)redis" (include "isthmus.config" .))) -}}
{{- fail "redis.url: the config does not use it; add router_settings: {redis_url: os.environ/REDIS_URL}" -}}
{{- end -}}
{{- if gt (int .Values.drain.graceSeconds) (int .Values.drain.timeoutSeconds) -}}
{{- fail "drain.graceSeconds is a part of drain.timeoutSeconds: it cannot be longer" -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (not .requestsInFlight) (not .cpuPercent) -}}
{{- fail "autoscaling: say requestsInFlight or cpuPercent, by which the pods are counted" -}}
{{- end -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.sharedSecret.existingSecret .Values.sharedSecret.value -}}
{{- fail "sharedSecret: say existingSecret or value, not both" -}}
{{- end -}}
{{- if and (not $serve) (or (include "isthmus.sharedSecretName" .) .Values.tls.existingSecret) -}}
{{- fail "sharedSecret and tls are for the port 9100, which gateway: standalone does not have: leave them out" -}}
{{- end -}}
{{- if and (eq .Values.gateway "istio") .Values.tls.existingSecret .Values.istio.sidecar -}}
{{- fail "tls: the sidecar has the mesh's mTLS on that port; leave tls out, or set istio.sidecar: false" -}}
{{- end -}}
{{- if and $serve (not .Values.networkPolicy.enabled) (eq (include "isthmus.callersAreKnown" .) "") -}}
{{- fail "networkPolicy.enabled: who reaches the port 9100 gets the providers' keys, and nothing else restricts access to it; set sharedSecret, or tls with clientCA" -}}
{{- end -}}
{{- if and $serve .Values.networkPolicy.enabled (not (include "isthmus.gatewayPeer" .)) -}}
{{- fail "networkPolicy.gateway: say the namespace and labels of your Envoy's pods, which come to the port 9100" -}}
{{- end -}}
{{- end -}}
