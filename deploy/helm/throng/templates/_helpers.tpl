{{- define "throng.name" -}}
{{- if contains "throng" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-throng" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "throng.labels" -}}
app.kubernetes.io/name: throng
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "throng.selector" -}}
app.kubernetes.io/name: throng
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: control
{{- end }}

{{- define "throng.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "throng.scheme" -}}
{{ if .Values.tls.secret }}https{{ else }}http{{ end }}
{{- end }}

{{- define "throng.door" -}}
{{ include "throng.scheme" . }}://{{ include "throng.name" . }}.{{ .Release.Namespace }}.svc:7700
{{- end }}

{{/* The Fleets with all their values, as a JSON list. */}}
{{- define "throng.fleets" -}}
{{- $all := list }}
{{- range .Values.fleets }}{{ $all = append $all (mergeOverwrite (deepCopy $.Values.fleetDefaults) .) }}{{ end }}
{{- $all | toJson }}
{{- end }}

{{/* Namespaces of this cluster with Fleets, as a JSON list. */}}
{{- define "throng.namespaces" -}}
{{- $all := list }}
{{- range include "throng.fleets" . | fromJsonArray }}{{ $all = append $all (.namespace | default $.Release.Namespace) }}{{ end }}
{{- range .Values.clusters }}{{ if not .kubeconfigSecret }}{{ $all = append $all (.namespace | default $.Release.Namespace) }}{{ end }}{{ end }}
{{- $all | uniq | sortAlpha | toJson }}
{{- end }}

{{- define "throng.account" -}}
{{ include "throng.name" . }}-control
{{- end }}

{{/* Where the consumers of events are: "" nowhere, "beside" in all replicas, or the only one on its volume, "apart" in a further
     replica. */}}
{{- define "throng.consumers" -}}
{{- if .Values.consumers.enabled }}
{{- if .Values.dynamo.url }}beside
{{- else if or (gt (int .Values.controlPlane.replicas) 1) .Values.autoscaling.enabled }}apart{{ else }}beside{{ end }}
{{- end }}
{{- end }}

{{/* What the values say together. */}}
{{- define "throng.check" -}}
{{- $many := or (gt (int .Values.controlPlane.replicas) 1) .Values.autoscaling.enabled }}
{{- if .Values.controlPlane.enabled }}
{{- if and $many (not .Values.redis.urlSecret.name) }}
{{- fail "controlPlane.replicas: more than one replica needs redis.urlSecret.name: a Secret with the URL of the Redis that they share" }}
{{- end }}
{{- if and $many .Values.places.url (not .Values.ringSecret) (not .Values.data.existingClaim) (ne .Values.data.accessMode "ReadWriteMany") }}
{{- fail "controlPlane.replicas: more than one replica with places.url needs ringSecret: the ring of secrets that they share" }}
{{- end }}
{{- if and $many .Values.places.url .Values.data.enabled (not .Values.data.existingClaim) (ne .Values.data.accessMode "ReadWriteMany") }}
{{- fail "data.enabled: more than one replica cannot have one volume; with places.url and ringSecret none is needed: false" }}
{{- end }}
{{- if and .Values.peers.doors (not .Values.peers.tokensSecret.name) }}
{{- fail "peers.tokensSecret.name: is needed with peers.doors: a Secret with what the other regions let this one in by" }}
{{- end }}
{{- if and .Values.peers.kafkaSecret.name (not .Values.kafka.urlSecret.name) }}
{{- fail "kafka.urlSecret.name: is needed with peers.kafkaSecret: by it the other regions hear of this one" }}
{{- end }}
{{- if and .Values.peers.home (or (not .Values.peers.doors) (not .Values.peers.kafkaSecret.name)) }}
{{- fail "peers.home: goes with peers.doors and peers.kafkaSecret, by which a region reaches the home and copies what it writes" }}
{{- end }}
{{- with .Values.nearest }}
{{- if and (ne .latencyRecords.provider "none") (or (not .latencyRecords.name) (not .latencyRecords.location)) }}
{{- fail "nearest.latencyRecords: name and location are needed with a provider" }}
{{- end }}
{{- if and (ne .latencyRecords.provider "none") (not $.Values.ingress.enabled) (ne $.Values.service.type "LoadBalancer") }}
{{- fail "nearest.latencyRecords.provider: needs ingress.enabled, or service.type LoadBalancer: else there is no address" }}
{{- end }}
{{- if and (ne .anycast.provider "none") (or (not .anycast.addresses) (ne $.Values.service.type "LoadBalancer")) }}
{{- fail "nearest.anycast: addresses are needed with a provider, and service.type LoadBalancer" }}
{{- end }}
{{- end }}
{{- if and .Values.places.regions (not .Values.places.url) }}
{{- fail "places.url: is needed with places.regions: which of the buckets is this region's" }}
{{- end }}
{{- if and $many (not .Values.places.url) (not .Values.data.existingClaim) (or (not .Values.data.enabled) (ne .Values.data.accessMode "ReadWriteMany")) }}
{{- fail "controlPlane.replicas: more than one replica needs places.url, or data.accessMode ReadWriteMany, or data.existingClaim of a claim that all can write" }}
{{- end }}
{{- if gt (int .Values.controlPlane.warm) (int .Values.controlPlane.max) }}
{{- fail (printf "controlPlane.warm: %d idle servers are more than controlPlane.max (%d)" (int .Values.controlPlane.warm) (int .Values.controlPlane.max)) }}
{{- end }}
{{- if and .Values.tls.secret (not (hasPrefix "https://" .Values.controlPlane.public)) }}
{{- fail "controlPlane.public: with tls.secret it must be an https URL whose host is in the certificate" }}
{{- end }}
{{- if and .Values.consumers.enabled (not .Values.kafka.urlSecret.name) }}
{{- fail "consumers.enabled: needs kafka.urlSecret.name: a Secret with the URL of the Kafka that has the events" }}
{{- end }}
{{- $lasts := or .Values.data.enabled .Values.data.existingClaim }}
{{- if and .Values.consumers.enabled (not $many) (not $lasts) (not .Values.dynamo.url) }}
{{- fail "consumers.enabled: one replica has them in its data folder, which must last: data.enabled or data.existingClaim; or dynamo.url" }}
{{- end }}
{{- if and .Values.consumers.enabled (not $lasts) .Values.dynamo.url (not .Values.places.url) (not .Values.consumers.numbers) }}
{{- fail "consumers.numbers: is needed with dynamo.url where there is neither places.url nor a data folder that lasts: files of numbers would be gone with the pod" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: is needed with ingress.enabled" }}
{{- end }}
{{- if and (ne .Values.ingress.webFirewall.provider "none") (not .Values.ingress.webFirewall.id) }}
{{- fail "ingress.webFirewall.id: is needed with a provider" }}
{{- end }}
{{- end }}
{{- if and .Values.autoscaler.enabled (eq .Values.autoscaler.tls.mode "secret") (not .Values.autoscaler.tls.caBundle) }}
{{- fail "autoscaler.tls.caBundle: is needed with mode secret: Agones trusts nobody else" }}
{{- end }}
{{- if and .Values.autoscaler.enabled .Values.controlPlane.enabled (eq .Values.autoscaler.tls.mode "secret") (not .Values.autoscaler.tls.secret) }}
{{- fail "autoscaler.tls.secret: is needed with mode secret" }}
{{- end }}
{{- if and .Values.autoscaler.enabled (not .Values.controlPlane.enabled) .Values.fleets (not .Values.autoscaler.url) }}
{{- fail "autoscaler.url: is needed where the control plane is not: the https URL of the region's webhook" }}
{{- end }}
{{- if and .Values.autoscaler.enabled (not .Values.controlPlane.enabled) (eq .Values.autoscaler.tls.mode "generate") .Values.fleets }}
{{- fail "autoscaler.tls.mode: generate makes a certificate for this release's own webhook; where the control plane is not, say none or secret with the caBundle of the region's" }}
{{- end }}
{{- if and .Values.edge.gateway.enabled (not .Values.edge.gateway.keysSecret.name) }}
{{- fail "edge.gateway.keysSecret.name: is needed: a Secret with what throng edge keys prints" }}
{{- end }}
{{- if and .Values.kafka.caSecret (not .Values.kafka.urlSecret.name) }}
{{- fail "kafka.urlSecret.name: is needed with kafka.caSecret" }}
{{- end }}
{{- range include "throng.fleets" . | fromJsonArray }}
{{- $b := .autoscaler }}
{{- if $b.enabled }}
{{- if or (lt (int $b.min) (int $b.buffer)) (lt (int $b.max) (int $b.min)) }}
{{- fail (printf "fleets: %s: autoscaler.buffer, min and max must not fall (%d, %d, %d): Agones refuses that" .name (int $b.buffer) (int $b.min) (int $b.max)) }}
{{- end }}
{{- end }}
{{- if and (not .door) (not $.Values.controlPlane.enabled) }}
{{- fail (printf "fleets: %s: door is needed where the control plane is not" .name) }}
{{- end }}
{{- end }}
{{- end }}

{{/* Annotations for latency records, as JSON. */}}
{{- define "throng.latencyRecords" -}}
{{- $out := dict }}
{{- with .Values.nearest.latencyRecords }}
{{- if eq .provider "aws" }}
{{- $_ := set $out "external-dns.alpha.kubernetes.io/hostname" .name }}
{{- $_ := set $out "external-dns.alpha.kubernetes.io/ttl" "30" }}
{{- $_ := set $out "external-dns.alpha.kubernetes.io/set-identifier" $.Values.region }}
{{- $_ := set $out "external-dns.alpha.kubernetes.io/aws-region" .location }}
{{- if .healthCheck }}{{ $_ := set $out "external-dns.alpha.kubernetes.io/aws-health-check-id" .healthCheck }}{{ end }}
{{- end }}
{{- end }}
{{- toJson $out }}
{{- end }}
