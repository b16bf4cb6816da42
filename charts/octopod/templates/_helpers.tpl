{{- define "octopod.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Selectors cannot be changed by an upgrade: nothing in here that an upgrade changes. */}}
{{- define "octopod.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "octopod.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "octopod.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "octopod.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "octopod.controlScriptsImage" -}}
{{ .Values.controlScripts.image | default (printf "octopod-helm-control-scripts:%s" .Chart.AppVersion) }}
{{- end }}

{{- define "octopod.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "octopod.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{- define "octopod.host" -}}
{{- if .Values.ingress.host }}
{{- .Values.ingress.host }}
{{- else if .Values.octopod.baseDomain }}
{{- printf "octopod.%s" .Values.octopod.baseDomain }}
{{- else }}
{{- fail "ingress.enabled needs a host: set octopod.baseDomain, or ingress.host." }}
{{- end }}
{{- end }}

{{- define "octopod.url" -}}
{{ ternary "https" "http" .Values.ingress.tls.enabled }}://{{ include "octopod.host" . }}
{{- end }}

{{/* Whether there is a PostgreSQL, which several servers can share: "true", or nothing. */}}
{{- define "octopod.hasPostgresql" -}}
{{- if or .Values.postgresql.enabled .Values.externalDatabase.existingSecret }}true{{ end }}
{{- end }}

{{- define "octopod.postgresql" -}}
{{ include "octopod.fullname" . }}-postgresql
{{- end }}

{{- define "octopod.postgresqlSecret" -}}
{{ .Values.postgresql.existingSecret | default (include "octopod.postgresql" .) }}
{{- end }}

{{/* What the server is told in secret: which setting, which part of `secrets` says where it is, how it looks. */}}
{{- define "octopod.secrets" -}}
uiAuth: {setting: OCTOPOD_UI_BASIC_AUTH, value: uiAuthSecret, prefix: "octopod:", generated: ""}
adminAuth: {setting: OCTOPOD_UI_ADMIN_BASIC_AUTH, value: adminAuthSecret, prefix: "admin:", generated: ""}
cliAuth: {setting: OCTOPOD_POWER_AUTHORIZATION_HEADER, value: cliAuthSecret, prefix: "", generated: "Bearer "}
servoToken: {setting: OCTOPOD_SERVO_TOKEN, value: servoToken, prefix: "", generated: ""}
{{- end }}

{{/* The settings that follow from the values. */}}
{{- define "octopod.settings" -}}
OCTOPOD_HOST: {{ .Values.octopod.host | quote }}
OCTOPOD_PORT: "8000"
OCTOPOD_DATA_DIR: /var/lib/octopod
OCTOPOD_CONTROL_SCRIPTS: /utils
OCTOPOD_PROJECT_NAME: {{ .Values.octopod.projectName | quote }}
OCTOPOD_NAMESPACE: {{ .Values.octopod.deploymentNamespace | quote }}
{{- with .Values.octopod.baseDomain }}
OCTOPOD_BASE_DOMAIN: {{ . | quote }}
{{- end }}
OCTOPOD_STATUS_UPDATE_TIMEOUT: {{ .Values.octopod.statusUpdateTimeout | int64 | quote }}
OCTOPOD_ARCHIVE_RETENTION: {{ .Values.octopod.archiveRetention | int64 | quote }}
OCTOPOD_DRAIN_TIMEOUT: {{ .Values.octopod.drainTimeout | int64 | quote }}
{{- if not (include "octopod.hasPostgresql" .) }}
OCTOPOD_DATABASE_URL: sqlite:////var/lib/octopod/octopod.db
{{- end }}
{{- if .Values.ingress.enabled }}
OCTOPOD_PUBLIC_URL: {{ include "octopod.url" . | quote }}
{{- end }}
{{- with .Values.kubernetesDashboard }}
{{- if .enabled }}
OCTOPOD_KUBERNETES_DASHBOARD_URL_TEMPLATE: {{ printf "%s/#/search?namespace=%s&q=" (trimSuffix "/" .url) $.Values.octopod.deploymentNamespace | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What a schema cannot say: values that do not go together. */}}
{{- define "octopod.check" -}}
{{- $postgresql := include "octopod.hasPostgresql" . }}
{{- if and .Values.postgresql.enabled .Values.externalDatabase.existingSecret }}
{{- fail "There are two databases: set postgresql.enabled to false, or leave externalDatabase.existingSecret empty." }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (not $postgresql) }}
{{- fail "replicaCount above 1 needs a PostgreSQL, because SQLite is for one server: set postgresql.enabled or externalDatabase.existingSecret." }}
{{- end }}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.secrets.servoToken.enabled) }}
{{- fail "replicaCount above 1 needs secrets.servoToken.enabled: each server would make a token of its own." }}
{{- end }}
{{- if and .Values.persistence.enabled $postgresql }}
{{- fail "persistence is for SQLite: with a PostgreSQL the servers keep nothing, so set persistence.enabled to false." }}
{{- end }}
{{- if and .Values.kubernetesDashboard.enabled (not .Values.kubernetesDashboard.url) }}
{{- fail "kubernetesDashboard.enabled needs kubernetesDashboard.url." }}
{{- end }}
{{- $ours := include "octopod.settings" . | fromYaml }}
{{- range $name, $value := .Values.octopod.env }}
{{- if or (hasKey $ours $name) (eq $name "OCTOPOD_DATABASE_URL") }}
{{- fail (printf "octopod.env.%s: the chart sets that itself, from its other values." $name) }}
{{- end }}
{{- if and (regexMatch "(?i)pass|secret|token|credential|auth(orization_header)?$" $name) (not (eq $name "OCTOPOD_SECRET_KEYS")) }}
{{- fail (printf "octopod.env.%s looks like a secret, and everybody who may see pods could read it: put it into a Secret, and name that in extraEnvFrom." $name) }}
{{- end }}
{{- end }}
{{- end }}
