{{- define "sallyport.name" -}}
{{- .Values.nameOverride | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "sallyport.selector" -}}
app.kubernetes.io/name: sallyport
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sallyport.labels" -}}
{{ include "sallyport.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sallyport.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "sallyport.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end -}}
{{- end -}}

{{- define "sallyport.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end }}{{ end -}}
{{- end -}}

{{/* What the chart says under listen. */}}
{{- define "sallyport.listen" -}}
{{- if eq .Values.mode "Sidecar" -}}
grpc: {{ .Values.sidecar.listen }}
{{- else -}}
grpc: 0.0.0.0:9191
{{- if .Values.tls.secretName }}
tls:
  certFile: /etc/sallyport/tls/tls.crt
  keyFile: /etc/sallyport/tls/tls.key
  clientCAFile: /etc/sallyport/tls/ca.crt
  {{- with .Values.tls.allowedClients }}
  allowedClients: {{ toJson . }}
  {{- end }}
{{- else if .Values.insecure }}
insecure: true
{{- else }}
{{- fail "mode Deployment needs tls.secretName (mutual TLS), or insecure: true where a mesh does mutual TLS around it" }}
{{- end }}
{{- end }}
# The kubelet's probes and Prometheus come from elsewhere; the NetworkPolicy says who else.
admin: 0.0.0.0:9192
insecureAdmin: true
{{- end -}}

{{/* The configuration: the chart's, and over it that of the values. */}}
{{- define "sallyport.config" -}}
{{- $config := dict "listen" (include "sallyport.listen" . | fromYaml) -}}
{{- if .Values.policies -}}
{{- $_ := set $config "policy" (dict "files" (list "/etc/sallyport/policies")) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy .Values.config) | toYaml -}}
{{- end -}}
