"""What each field of a spec becomes: a row per rule."""

import base64
import dataclasses
import json
from pathlib import Path

import pytest
from hspec_services import CONTEXT, LABELS, a_service, manifests, strings, values

from octopod.hspec import names
from octopod.hspec.errors import ManifestError
from octopod.hspec.manifests.plugins import load_balancer
from octopod.hspec.manifests.tree import parse
from octopod.hspec.service import (
    Agent,
    Attachment,
    Context,
    Credentials,
    Image,
    LoadBalancer,
    Port,
    PortMapping,
    Prop,
    Range,
    Replicas,
    Secrets,
    TrafficRule,
    Volume,
)

ABSENT = "absent"
POD, C0 = "spec.template.spec", "spec.template.spec.containers[0]"
D, S, CM, SEC, SVC = "Deployment", "StatefulSet", "ConfigMap", "Secret", "Service"
HPA, NP, ING = "HorizontalPodAutoscaler", "NetworkPolicy", "Ingress"
VOLUME = (Volume("data", "/data"),)
TIMES = {"initialDelaySeconds": 10, "periodSeconds": 30, "timeoutSeconds": 30, "failureThreshold": 10}
WEB = Port(8080, "http")
BALANCER = LoadBalancer("nginx", "shop.test", (PortMapping(8080, ("/",)),))
AGENT_NAME = "service-catalog-agent-log"


def ref(kind, name, key):
    return {"name": key, "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}


def b64(text):
    return base64.b64encode(text.encode()).decode()


def balanced(provider="nginx", **fields):
    balancer = dataclasses.replace(BALANCER, provider=provider, **fields)
    return {"external": True, "ports": (WEB,), "load_balancer": balancer}


def agent(**fields):
    return {"agents": (Agent("log", "fluent", **fields),)}


def backend(port):
    return {"service": {"name": "catalog", "port": {"number": port}}}


# fields of the service, kind (and identifier), path in the manifest ("" the whole), what is there
RULES = {
    # metadata
    "without volumes there is a Deployment": ({}, D, "apiVersion", "apps/v1"),
    "and no StatefulSet": ({}, S, "", ABSENT),
    "with volumes there is a StatefulSet": ({"volumes": VOLUME}, S, "apiVersion", "apps/v1"),
    "and no Deployment": ({"volumes": VOLUME}, D, "", ABSENT),
    "a workload is named after app and service": ({}, D, "metadata.name", "shop-catalog"),
    "everything has the labels": ({}, D, "metadata.labels", LABELS),
    "names are normalized": ({"name": "Cata Log"}, D, "metadata.name", "shop-cata-log"),
    "no props, no ConfigMap": ({}, CM, "", ABSENT),
    "no secrets, no Secret": ({}, SEC, "", ABSENT),
    "no ports, no Service": ({}, SVC, "", ABSENT),
    "no range of replicas, no autoscaler": ({"replicas": Replicas(2)}, HPA, "", ABSENT),
    "names of secrets make no Secret": ({"secrets": Secrets(("A",))}, SEC, "", ABSENT),
    "the Service is named after the service": (
        {"ports": (WEB,)},
        SVC,
        "metadata",
        {"name": "catalog", "labels": LABELS},
    ),
    # config_map_data
    "props are texts": ({"props": strings(A="1", B="")}, CM, "data", {"A": "1", "B": ""}),
    "an endpoint is the name of a service": ({"props": {"DB": Prop("endpoint", "db")}}, CM, "data.DB", "db"),
    "a path adds a file of all props": (
        {"props": strings(A="1", B="x"), "props_volume_path": "/p"},
        CM,
        "data",
        {"A": "1", "B": "x", "config.props": "A=1\nB=x\n"},
    ),
    "no empty binaryData": ({"props": strings(A="1")}, CM, "binaryData", ABSENT),
    # secrets_data
    "secrets are base64": ({"secrets": values(A="s3cret", B="ü")}, SEC, "data", {"A": b64("s3cret"), "B": b64("ü")}),
    "a path adds a file of all secrets": (
        {"secrets": values(A="1", B="2"), "secrets_volume_path": "/s"},
        SEC,
        'data."secret.props"',
        b64("A=1\nB=2\n"),
    ),
    "a Secret has no type": ({"secrets": values(A="1")}, SEC, "type", ABSENT),
    # replicas
    "no replicas, no number": ({}, D, "spec.replicas", ABSENT),
    "replicas": ({"replicas": Replicas(3)}, D, "spec.replicas", 3),
    "replicas of a StatefulSet": ({"replicas": Replicas(3), "volumes": VOLUME}, S, "spec.replicas", 3),
    "none at all": ({"replicas": Replicas(0)}, D, "spec.replicas", 0),
    "the fewest, when autoscaled": ({"replicas": Replicas(2, 5, 60)}, D, "spec.replicas", 2),
    # selector_labels, pod_labels
    "the workload selects by all labels": ({}, D, "spec.selector", {"matchLabels": LABELS}),
    "the Service as well": ({"ports": (WEB,)}, SVC, "spec.selector", LABELS),
    "pods have them": ({}, D, "spec.template.metadata", {"labels": LABELS}),
    # volumes, volume_mounts
    "no paths, no volumes": ({"props": strings(A="1"), "secrets": values(B="2")}, D, f"{POD}.volumes", ABSENT),
    "nor mounts": ({"props": strings(A="1"), "secrets": values(B="2")}, D, f"{C0}.volumeMounts", ABSENT),
    "paths without props and secrets": (
        {"props_volume_path": "/p", "secrets_volume_path": "/s"},
        D,
        f"{POD}.volumes",
        ABSENT,
    ),
    "volumes of props and secrets": (
        {"props": strings(A="1"), "secrets": values(B="2"), "props_volume_path": "/p", "secrets_volume_path": "/s"},
        D,
        f"{POD}.volumes",
        [
            {"name": "shop-catalog-configmap", "configMap": {"name": "shop-catalog"}},
            {"name": "shop-catalog-secret", "secret": {"secretName": "shop-catalog"}},
        ],
    ),
    "mounts in their order": (
        {
            "volumes": (Volume("data", "/data"), Volume("old", "/old", read_only=True)),
            "props": strings(A="1"),
            "secrets": values(B="2"),
            "props_volume_path": "/p",
            "secrets_volume_path": "/s",
        },
        S,
        f"{C0}.volumeMounts",
        [
            {"name": "data", "mountPath": "/data", "readOnly": False},
            {"name": "old", "mountPath": "/old", "readOnly": True},
            {"name": "shop-catalog-configmap", "mountPath": "/p", "readOnly": True},
            {"name": "shop-catalog-secret", "mountPath": "/s", "readOnly": True},
        ],
    ),
    "a Secret that exists already has a volume": (
        {"secrets": Secrets(("A",)), "secrets_volume_path": "/s"},
        D,
        f"{POD}.volumes",
        [{"name": "shop-catalog-secret", "secret": {"secretName": "shop-catalog"}}],
    ),
    "and is mounted too": (
        {"secrets": Secrets(("A",)), "secrets_volume_path": "/s"},
        D,
        f"{C0}.volumeMounts",
        [{"name": "shop-catalog-secret", "mountPath": "/s", "readOnly": True}],
    ),
    # container_name, start_command, image
    "the container is named like the service": ({}, D, f"{C0}.name", "catalog"),
    "no start command": ({}, D, f"{C0}.command", ABSENT),
    "the first part is the command": ({"start_command": ("/bin/sh", "-c", "run")}, D, f"{C0}.command", ["/bin/sh"]),
    "the others are its arguments": ({"start_command": ("/bin/sh", "-c", "run")}, D, f"{C0}.args", ["-c", "run"]),
    "a command alone has none": ({"start_command": ("run",)}, D, f"{C0}.args", ABSENT),
    "an image is always pulled": ({}, D, f"{C0}.imagePullPolicy", "Always"),
    "an image with all parts": ({"image": Image("a/b", "r.test", "1.10")}, D, f"{C0}.image", "r.test/a/b:1.10"),
    "an image without registry": ({"image": Image("a/b", tag="2")}, D, f"{C0}.image", "a/b:2"),
    "an image without tag": ({"image": Image("a/b", "r.test")}, D, f"{C0}.image", "r.test/a/b"),
    # pod_env
    "no props, no variables": ({}, D, f"{C0}.env", ABSENT),
    "variables refer to props, then secrets": (
        {"props": strings(A="1") | {"DB": Prop("endpoint", "db")}, "secrets": values(C="2")},
        D,
        f"{C0}.env",
        [
            ref("configMap", "shop-catalog", "A"),
            ref("configMap", "shop-catalog", "DB"),
            ref("secret", "shop-catalog", "C"),
        ],
    ),
    "names of secrets do too": ({"secrets": Secrets(("A",))}, D, f"{C0}.env", [ref("secret", "shop-catalog", "A")]),
    # ports
    "ports of the container": (
        {"ports": (Port(80, "http"), Port(53, "udp"), Port(443, "https"), Port(22))},
        D,
        f"{C0}.ports",
        [
            {"containerPort": 80, "name": "80-tcp", "protocol": "TCP"},
            {"containerPort": 53, "name": "53-udp", "protocol": "UDP"},
            {"containerPort": 443, "name": "443-tcp", "protocol": "TCP"},
            {"containerPort": 22, "name": "22-tcp", "protocol": "TCP"},
        ],
    ),
    "ports of the Service": (
        {"ports": (Port(80, "http"), Port(53, "udp"))},
        SVC,
        "spec.ports",
        [
            {"name": "80-tcp", "port": 80, "protocol": "TCP", "targetPort": 80},
            {"name": "53-udp", "port": 53, "protocol": "UDP", "targetPort": 53},
        ],
    ),
    "the same port twice is one": (
        {"ports": (Port(80), Port(80))},
        SVC,
        "spec.ports",
        [{"name": "80-tcp", "port": 80, "protocol": "TCP", "targetPort": 80}],
    ),
    # health_checks
    "no health check, no probe": ({"ports": (Port(80),)}, D, f"{C0}.readinessProbe", ABSENT),
    "a path is asked for": (
        {"ports": (Port(80, "http", True, "/up"),)},
        D,
        f"{C0}.readinessProbe",
        {"httpGet": {"path": "/up", "port": 80}} | TIMES,
    ),
    "also for being alive": (
        {"ports": (Port(80, "http", True, "/up"),)},
        D,
        f"{C0}.livenessProbe",
        {"httpGet": {"path": "/up", "port": 80}} | TIMES,
    ),
    "by HTTPS, when the port speaks it": (
        {"ports": (Port(443, "https", True, "/up"),)},
        D,
        f"{C0}.readinessProbe.httpGet",
        {"path": "/up", "port": 443, "scheme": "HTTPS"},
    ),
    "without a path the port is connected to": (
        {"ports": (Port(80, is_checked=True),)},
        D,
        f"{C0}.readinessProbe",
        {"tcpSocket": {"port": 80}} | TIMES,
    ),
    "an empty path is none": (
        {"ports": (Port(80, "http", True, ""),)},
        D,
        f"{C0}.readinessProbe.tcpSocket",
        {"port": 80},
    ),
    "a path goes before a mere check": (
        {"ports": (Port(80, is_checked=True), Port(81, "http", True, "/up"), Port(82, "http", True, "/2"))},
        D,
        f"{C0}.readinessProbe.httpGet",
        {"path": "/up", "port": 81},
    ),
    "the first of several checks": (
        {"ports": (Port(79), Port(80, is_checked=True), Port(81, is_checked=True))},
        D,
        f"{C0}.readinessProbe.tcpSocket",
        {"port": 80},
    ),
    "UDP cannot be connected to": ({"ports": (Port(53, "udp", True),)}, D, f"{C0}.readinessProbe", ABSENT),
    # resources
    "no memory, no cpu, no resources": ({}, D, f"{C0}.resources", ABSENT),
    "an amount is the limit": ({"memory": Range("1024Mi")}, D, f"{C0}.resources", {"limits": {"memory": "1Gi"}}),
    "a range is request and limit": (
        {"memory": Range("1.5Gi", "512Mi"), "cpu": Range("1000m", "0.5")},
        D,
        f"{C0}.resources",
        {"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "1", "memory": "1536Mi"}},
    ),
    "one range, one amount": (
        {"memory": Range("1Gi"), "cpu": Range("2", "1")},
        D,
        f"{C0}.resources",
        {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    ),
    # volume_templates
    "a claim for each volume": (
        {"volumes": (Volume("data", "/d"), Volume("fast", "/f", "2048Mi", "ssd"))},
        S,
        "spec.volumeClaimTemplates",
        [
            {
                "metadata": {"name": "data", "labels": LABELS | {"hyscale.io/volume-name": "data"}},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            },
            {
                "metadata": {"name": "fast", "labels": LABELS | {"hyscale.io/volume-name": "fast"}},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "ssd",
                    "resources": {"requests": {"storage": "2Gi"}},
                },
            },
        ],
    ),
    "a StatefulSet names its Service": ({"volumes": VOLUME}, S, "spec.serviceName", "catalog"),
    "a Deployment has none": ({}, D, "spec.serviceName", ABSENT),
    # service_type
    "a Service is internal": ({"ports": (WEB,)}, SVC, "spec.type", "ClusterIP"),
    "or external": ({"ports": (WEB,), "external": True}, SVC, "spec.type", "LoadBalancer"),
    "behind a load balancer it is internal": (balanced(), SVC, "spec.type", "ClusterIP"),
    "external without ports makes no Service": ({"external": True}, SVC, "", ABSENT),
    # service_spec_annotation
    "the spec is kept without secrets": (
        {
            "source": {
                "name": "catalog",
                "secrets": {"A": "s"},
                "props": {"secrets": "kept", "ü": 1},
                "agents": [{"name": "log", "secrets": {"B": "s"}}],
            }
        },
        D,
        'metadata.annotations."hyscale.io/service-spec"',
        '{"name":"catalog","props":{"secrets":"kept","ü":1},"agents":[{"name":"log"}]}',
    ),
    "and without what a build is told": (
        {
            "source": {
                "image": {"name": "web", "dockerfile": {"path": "./", "args": {"TOKEN": "s"}}},
                "props": {"args": 1},
            }
        },
        D,
        'metadata.annotations."hyscale.io/service-spec"',
        '{"image":{"name":"web","dockerfile":{"path":"./"}},"props":{"args":1}}',
    ),
    # autoscaling
    "an autoscaler": (
        {"replicas": Replicas(2, 5, 60)},
        HPA,
        "spec",
        {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-catalog"},
            "minReplicas": 2,
            "maxReplicas": 5,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                }
            ],
        },
    ),
    "of a StatefulSet": (
        {"replicas": Replicas(1, 2, 50), "volumes": VOLUME},
        HPA,
        "spec.scaleTargetRef.kind",
        "StatefulSet",
    ),
    "half a range is none": ({"replicas": Replicas(1, 2)}, HPA, "", ABSENT),
    # agents
    "an agent is a container of its own": (
        agent(),
        D,
        f"{POD}.containers[1]",
        {"name": "log", "image": "fluent", "imagePullPolicy": "Always"},
    ),
    "agents come in their order": (
        {"agents": (Agent("a", "x"), Agent("b", "y"))},
        D,
        f"{POD}.containers[2].name",
        "b",
    ),
    "a name that YAML could misread stays a text": (
        {"agents": (Agent("on", "1.0"),)},
        D,
        f"{POD}.containers[1].name",
        "on",
    ),
    "an agent has a ConfigMap of its own": (
        agent(props=strings(A="1"), props_volume_path="/p"),
        (CM, AGENT_NAME),
        "",
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": AGENT_NAME, "labels": LABELS},
            "data": {"A": "1", "config.props": "A=1\n"},
        },
    ),
    "and a Secret": (
        agent(secrets=values(B="2"), secrets_volume_path="/s"),
        (SEC, AGENT_NAME),
        "data",
        {"B": b64("2"), "secret.props": b64("B=2\n")},
    ),
    "names of its secrets make no Secret": (agent(secrets=Secrets(("B",))), (SEC, AGENT_NAME), "", ABSENT),
    "but variables": (
        agent(secrets=Secrets(("B",))),
        D,
        f"{POD}.containers[1].env",
        [ref("secret", AGENT_NAME, "B")],
    ),
    "its variables refer to them": (
        agent(props=strings(A="1"), secrets=values(B="2")),
        D,
        f"{POD}.containers[1].env",
        [ref("configMap", AGENT_NAME, "A"), ref("secret", AGENT_NAME, "B")],
    ),
    "without paths it has no mounts": (
        agent(props=strings(A="1"), secrets=values(B="2")),
        D,
        f"{POD}.containers[1].volumeMounts",
        ABSENT,
    ),
    "nor are there volumes": (agent(props=strings(A="1"), secrets=values(B="2")), D, f"{POD}.volumes", ABSENT),
    "its mounts: volumes, props, secrets": (
        agent(
            volumes=(Attachment("data", "/in", True),),
            props=strings(A="1"),
            props_volume_path="/p",
            secrets=values(B="2"),
            secrets_volume_path="/s",
        )
        | {"volumes": VOLUME},
        S,
        f"{POD}.containers[1].volumeMounts",
        [
            {"name": "data", "mountPath": "/in", "readOnly": True},
            {"name": f"{AGENT_NAME}-configmap", "mountPath": "/p", "readOnly": True},
            {"name": f"{AGENT_NAME}-secret", "mountPath": "/s", "readOnly": True},
        ],
    ),
    "its volumes come after the service's": (
        agent(props=strings(A="1"), props_volume_path="/p") | {"props": strings(A="1"), "props_volume_path": "/p"},
        D,
        f"{POD}.volumes",
        [
            {"name": "shop-catalog-configmap", "configMap": {"name": "shop-catalog"}},
            {"name": f"{AGENT_NAME}-configmap", "configMap": {"name": AGENT_NAME}},
        ],
    ),
    "its ports": (
        agent(ports=(Port(24224),)),
        D,
        f"{POD}.containers[1].ports",
        [{"containerPort": 24224, "name": "24224-tcp", "protocol": "TCP"}],
    ),
    "are at the Service too": (
        agent(ports=(Port(24224),)) | {"ports": (Port(80),)},
        SVC,
        "spec.ports",
        [
            {"name": "80-tcp", "port": 80, "protocol": "TCP", "targetPort": 80},
            {"name": "24224-tcp", "port": 24224, "protocol": "TCP", "targetPort": 24224},
        ],
    ),
    "of which there is one for them alone": (agent(ports=(Port(24224),)), SVC, "spec.type", "ClusterIP"),
    "its health check": (
        agent(ports=(Port(2020, "http", True, "/up"),)),
        D,
        f"{POD}.containers[1].livenessProbe.httpGet",
        {"path": "/up", "port": 2020},
    ),
    # network_policy
    "no allowTraffic, no policy": ({}, NP, "", ABSENT),
    "an empty allowTraffic lets nobody in": (
        {"allow_traffic": ()},
        NP,
        "spec",
        {
            "podSelector": {"matchLabels": {"hyscale.io/app-name": "shop", "hyscale.io/service-name": "catalog"}},
            "policyTypes": ["Ingress"],
        },
    ),
    "a rule": (
        {"allow_traffic": (TrafficRule((Port(80), Port(53, "udp")), ("web", "job")),)},
        NP,
        "spec.ingress",
        [
            {
                "from": [
                    {"podSelector": {"matchLabels": {"hyscale.io/app-name": "shop", "hyscale.io/service-name": name}}}
                    for name in ("web", "job")
                ],
                "ports": [{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}],
            }
        ],
    ),
    "empty lists stay": ({"allow_traffic": (TrafficRule((), ()),)}, NP, "spec.ingress", [{"from": [], "ports": []}]),
    "a rule without from opens nothing": (
        {"allow_traffic": (TrafficRule((Port(80),), None),)},
        NP,
        "spec.ingress",
        ABSENT,
    ),
    "a policy is named like the workload": ({"allow_traffic": ()}, NP, "metadata.name", "shop-catalog"),
    # load_balancer: nginx and traefik
    "an Ingress": (
        balanced(),
        ING,
        "",
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "shop-dev-catalog-ingress",
                "labels": LABELS,
                "annotations": {"nginx.ingress.kubernetes.io/ssl-redirect": "false"},
            },
            "spec": {
                "ingressClassName": "nginx",
                "rules": [
                    {
                        "host": "shop.test",
                        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend(8080)}]},
                    }
                ],
            },
        },
    ),
    "a class of one's own": (balanced(class_name="inside"), ING, "spec.ingressClassName", "inside"),
    "the class of traefik": (balanced("traefik"), ING, "spec.ingressClassName", "traefik"),
    "a path for each context path": (
        balanced(mapping=(PortMapping(8080, ("/", "/a")), PortMapping(9000, ("/b",)))),
        ING,
        "spec.rules[0].http.paths",
        [
            {"path": "/", "pathType": "Prefix", "backend": backend(8080)},
            {"path": "/a", "pathType": "Prefix", "backend": backend(8080)},
            {"path": "/b", "pathType": "Prefix", "backend": backend(9000)},
        ],
    ),
    "nginx takes patterns": (
        balanced(mapping=(PortMapping(8080, ("/api/(.*)",)),)),
        ING,
        "spec.rules[0].http.paths[0].pathType",
        "ImplementationSpecific",
    ),
    "and has to be told": (
        balanced(mapping=(PortMapping(8080, ("/api/(.*)",)),)),
        ING,
        'metadata.annotations."nginx.ingress.kubernetes.io/use-regex"',
        "true",
    ),
    "labels of one's own": (balanced(labels={"a.b/c": "d"}), ING, "metadata.labels", LABELS | {"a.b/c": "d"}),
    "TLS": (balanced(tls_secret="cert"), ING, "spec.tls", [{"hosts": ["shop.test"], "secretName": "cert"}]),
    "no TLS": (balanced(), ING, "spec.tls", ABSENT),
    "nginx redirects to TLS": (
        balanced(tls_secret="cert"),
        ING,
        'metadata.annotations."nginx.ingress.kubernetes.io/ssl-redirect"',
        "true",
    ),
    "nginx is sticky by a cookie": (
        balanced(sticky=True),
        ING,
        'metadata.annotations."nginx.ingress.kubernetes.io/affinity"',
        "cookie",
    ),
    "nginx adds headers, quoted": (
        balanced(headers={"X-A": "1", "X-B": 'say "hi\\"; evil'}),
        ING,
        'metadata.annotations."nginx.ingress.kubernetes.io/configuration-snippet"',
        'proxy_set_header X-A "1";\nproxy_set_header X-B "say \\"hi\\\\\\"; evil";',
    ),
    "traefik listens without TLS": (
        balanced("traefik"),
        ING,
        "metadata.annotations",
        {"traefik.ingress.kubernetes.io/router.entrypoints": "web"},
    ),
    "traefik listens with TLS": (
        balanced("traefik", tls_secret="cert"),
        ING,
        "metadata.annotations",
        {
            "traefik.ingress.kubernetes.io/router.entrypoints": "websecure",
            "traefik.ingress.kubernetes.io/router.tls": "true",
        },
    ),
    "traefik is sticky at the Service": (
        balanced("traefik", sticky=True),
        SVC,
        "metadata.annotations",
        {"traefik.ingress.kubernetes.io/service.sticky.cookie": "true"},
    ),
    "traefik adds headers by a middleware": (
        balanced("traefik", headers={"X-A": "1"}),
        "Middleware",
        "spec",
        {"headers": {"customRequestHeaders": {"X-A": "1"}}},
    ),
    "which the Ingress names": (
        balanced("traefik", headers={"X-A": "1"}),
        ING,
        'metadata.annotations."traefik.ingress.kubernetes.io/router.middlewares"',
        "dev-shop-dev-catalog-headers@kubernetescrd",
    ),
    "no headers, no middleware": (balanced("traefik"), "Middleware", "", ABSENT),
    # load_balancer: istio
    "istio needs no Ingress": (balanced("istio"), ING, "", ABSENT),
    "a Gateway": (
        balanced("istio", labels={"istio": "ingressgateway"}),
        "Gateway",
        "spec",
        {
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["shop.test"]}],
        },
    ),
    "a Gateway with TLS": (
        balanced("istio", tls_secret="cert"),
        "Gateway",
        "spec.servers",
        [
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["shop.test"],
                "tls": {"mode": "SIMPLE", "credentialName": "cert"},
            }
        ],
    ),
    "a VirtualService: longest paths first": (
        balanced("istio", mapping=(PortMapping(8080, ("/",)), PortMapping(9000, ("/api",)))),
        "VirtualService",
        "spec",
        {
            "hosts": ["shop.test"],
            "gateways": ["shop-dev-catalog-istio-gateway"],
            "http": [
                {
                    "match": [{"uri": {"prefix": "/api"}}],
                    "route": [{"destination": {"host": "catalog", "port": {"number": 9000}}}],
                },
                {
                    "match": [{"uri": {"prefix": "/"}}],
                    "route": [{"destination": {"host": "catalog", "port": {"number": 8080}}}],
                },
            ],
        },
    ),
    "its headers": (
        balanced("istio", headers={"X-A": "1"}),
        "VirtualService",
        "spec.http[0].headers",
        {"request": {"set": {"X-A": "1"}}},
    ),
    "its name": (balanced("istio"), "VirtualService", "metadata.name", "shop-dev-catalog-istio-virtual-service"),
    "not sticky, no DestinationRule": (balanced("istio"), "DestinationRule", "", ABSENT),
    "sticky": (
        balanced("istio", sticky=True),
        "DestinationRule",
        "",
        {
            "apiVersion": "networking.istio.io/v1beta1",
            "kind": "DestinationRule",
            "metadata": {"name": "shop-dev-catalog-istio-destination-rule", "labels": LABELS},
            "spec": {
                "host": "catalog",
                "trafficPolicy": {
                    "loadBalancer": {"consistentHash": {"httpCookie": {"name": "DEFAULT_COOKIE", "ttl": "1800s"}}}
                },
            },
        },
    ),
}


def at(data, path):
    for step in parse(path) if path else []:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return data


@pytest.mark.parametrize(("fields", "key", "path", "expected"), RULES.values(), ids=RULES)
def test_rule(fields, key, path, expected):
    found = manifests(a_service(**fields), dataclasses.replace(CONTEXT, namespace="dev"))
    assert at(found.get((key, "") if isinstance(key, str) else key, ABSENT), path) == expected


def container(service, context=CONTEXT):
    found = manifests(service, context)
    return found.get((D, "")) or found[S, ""]


def test_a_pushed_image_is_named_by_its_digest():
    service = a_service(image=Image("a/b", "r.test", "2"))
    context = dataclasses.replace(CONTEXT, digest="sha256:" + "0" * 64)
    assert at(container(service, context), f"{C0}.image") == "r.test/a/b@sha256:" + "0" * 64


def test_files_stay_the_bytes_that_they_are(tmp_path):
    content = bytes(range(256))
    (tmp_path / "key.bin").write_bytes(content)
    props = {"key.bin": Prop("file", "key.bin", tmp_path / "key.bin"), **strings(A="1")}
    found = manifests(a_service(props=props, props_volume_path="/p"))
    config_map = found[CM, ""]
    assert base64.b64decode(config_map["binaryData"]["key.bin"]) == content
    assert config_map["data"] == {"A": "1", "config.props": "A=1\n"}
    assert [each["name"] for each in at(found[D, ""], f"{C0}.env")] == ["A"]


def test_files_alone_have_no_file_of_all_props(tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    service = a_service(props={"f": Prop("file", "f", tmp_path / "f")}, props_volume_path="/p")
    found = manifests(service)
    assert "data" not in found[CM, ""]
    assert at(found[D, ""], f"{C0}.volumeMounts[0].mountPath") == "/p"


def test_credentials_become_a_secret_that_the_services_of_an_app_share():
    context = Context("shop", "shop-dev", credentials=Credentials("registry.example.test", "u", "p:w"))
    found = manifests(a_service(), context)
    secret = found[SEC, "registry.example.test"]
    config = json.loads(base64.b64decode(secret.pop("data")[".dockerconfigjson"]))
    assert config == {"auths": {"registry.example.test": {"auth": b64("u:p:w")}}}
    assert secret == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "registry-example-test",
            "labels": {"hyscale.io/app-name": "shop", "hyscale.io/environment-name": "shop-dev"},
        },
        "type": "kubernetes.io/dockerconfigjson",
    }
    assert at(found[D, ""], f"{POD}.imagePullSecrets") == [{"name": "registry-example-test"}]


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        ("https://index.docker.io/v1/", "httpsindex-docker-iov1"),
        ("localhost:5000", "localhost5000"),
        ("R.example.test/team_a/x__y-/", "r-example-testteam-ax-y"),
        ("r.test/" + "a/" * 300, "r-test" + "a" * 247),
    ],
)
def test_the_secret_of_any_registry_has_a_name_that_kubernetes_takes(registry, name):
    found = manifests(a_service(), dataclasses.replace(CONTEXT, credentials=Credentials(registry, "alice", "x")))
    assert found["Secret", registry]["metadata"]["name"] == name


def test_without_credentials_no_secret_is_pulled_with():
    assert at(container(a_service()), f"{POD}.imagePullSecrets") == ABSENT


def test_names_of_volumes_are_short_enough_and_differ():
    long = "a" * 60
    found = [
        at(container(a_service(name=name, props=strings(A="1"), props_volume_path="/p")), f"{POD}.volumes[0]")
        for name in (long, long[1:])
    ]
    called = [volume["name"] for volume in found]
    assert all(len(name) <= 63 and name.endswith("-configmap") for name in called)
    assert len(set(called)) == 2
    assert found[0]["configMap"]["name"] == f"shop-{long}"


def test_headers_that_are_none_are_refused():
    for headers in ({"X A": "1"}, {"X;": "1"}, {"X": "1\nevil on;"}, {"": "1"}):
        service = a_service(**balanced(headers=headers))
        with pytest.raises(ManifestError, match="no HTTP header"):
            list(load_balancer.snippets(service, CONTEXT))


def test_without_a_namespace_traefik_looks_for_headers_in_the_default_one_and_this_is_warned_of():
    warnings: list[str] = []
    found = manifests(a_service(**balanced("traefik", headers={"X-A": "1"})), warn=warnings.append)
    annotation = 'metadata.annotations."traefik.ingress.kubernetes.io/router.middlewares"'
    assert at(found[ING, ""], annotation) == "default-shop-dev-catalog-headers@kubernetescrd"
    assert len(warnings) == 1
    assert "in `default` only" in warnings[0]


# the checksum at the pods


def checksum(service, context=CONTEXT):
    return at(container(service, context), 'spec.template.metadata.annotations."hyscale.io/checksum"')


def test_nothing_to_be_started_with_has_no_checksum():
    assert checksum(a_service(agents=(Agent("log", "fluent"),))) == ABSENT


def test_the_same_props_and_secrets_have_the_same_checksum():
    one = a_service(props=strings(A="1", B="2"), secrets=values(C="3", D="4"))
    other = a_service(props=strings(B="2", A="1"), secrets=values(D="4", C="3"), ports=(WEB,))
    assert checksum(one) == checksum(other)
    assert len(checksum(one)) == 64


CHANGES = {
    "a prop": {"props": strings(A="2")},
    "a prop more": {"props": strings(A="1", B="1")},
    "a prop that becomes a secret": {"props": {}, "secrets": values(A="1", S="1")},
    "a secret": {"secrets": values(S="2")},
    "names of secrets only": {"secrets": Secrets(("S",))},
    "a prop of an agent": {"agents": (Agent("log", "fluent", props=strings(A="2"), secrets=values(S="1")),)},
    "a secret of an agent": {"agents": (Agent("log", "fluent", props=strings(A="1"), secrets=values(S="2")),)},
}


@pytest.mark.parametrize("fields", CHANGES.values(), ids=CHANGES)
def test_a_change_changes_the_checksum(fields):
    before = {
        "props": strings(A="1"),
        "secrets": values(S="1"),
        "agents": (Agent("log", "fluent", props=strings(A="1"), secrets=values(S="1")),),
    }
    assert checksum(a_service(**before)) != checksum(a_service(**(before | fields)))


def test_a_change_in_a_file_changes_the_checksum(tmp_path):
    file = tmp_path / "f"
    service = a_service(props={"f": Prop("file", "f", file)})
    file.write_bytes(b"\xff\x00")
    before = checksum(service)
    file.write_bytes(b"\xff\x01")
    assert checksum(service) != before


def test_the_same_secret_of_another_service_has_another_checksum():
    """So that nobody can compute checksums of usual passwords once for all."""
    contexts = [CONTEXT, Context("other", "shop-dev"), Context("shop", "prod")]
    found = [checksum(a_service(secrets=values(S="1")), context) for context in contexts]
    found.append(checksum(a_service(name="other", secrets=values(S="1"))))
    assert len(set(found)) == 4


def test_secrets_are_nowhere_but_in_secrets():
    secret = "hunter2-and-more"
    service = a_service(
        secrets=values(S=secret),
        secrets_volume_path="/s",
        agents=(Agent("log", "fluent", secrets=values(T=secret), secrets_volume_path="/s"),),
        source={"name": "catalog", "secrets": {"S": secret}, "agents": [{"name": "log", "secrets": {"T": secret}}]},
    )
    others = [data for (kind, _), data in manifests(service).items() if kind != SEC]
    assert secret not in json.dumps(others)
    assert b64(secret) not in json.dumps(others)


# snippets of the user's


@pytest.fixture
def with_snippets(tmp_path):
    """The manifests of a service with these files of snippets."""

    def generated(*texts: str, warn=None, **fields):
        paths: list[Path] = []
        for number, text in enumerate(texts):
            paths.append(tmp_path / f"snippet{number}.yaml")
            paths[-1].write_text(text)
        service = a_service(**fields, snippets=tuple(paths))
        return manifests(service, warn=warn) if warn else manifests(service)

    return generated


def test_a_snippet_is_merged_into_the_manifest_of_its_kind(with_snippets):
    text = """
kind: Deployment
metadata: {annotations: {mine: "2026-01-01"}}
spec:
  minReadySeconds: 5
  template:
    spec:
      serviceAccountName: robot
      containers:
        - name: catalog
          imagePullPolicy: IfNotPresent
          env: [{name: A, value: "2"}, {name: NEW, value: "3"}]
          ports: [{name: 80-tcp, hostPort: 80}]
        - {name: extra, image: busybox}
      volumes: [{name: scratch, emptyDir: {}}]
      initContainers: [{name: first, image: busybox}]
"""
    found = with_snippets(text, props=strings(A="1"), ports=(Port(80),))
    deployment = found[D, ""]
    first, extra = at(deployment, f"{POD}.containers")
    assert deployment["apiVersion"] == "apps/v1"
    assert deployment["metadata"]["labels"] == LABELS
    assert deployment["metadata"]["annotations"]["mine"] == "2026-01-01"
    assert deployment["spec"]["minReadySeconds"] == 5
    assert first["image"] == "catalog"
    assert first["imagePullPolicy"] == "IfNotPresent"
    assert [each["name"] for each in first["env"]] == ["A", "NEW"]
    assert first["ports"] == [{"containerPort": 80, "name": "80-tcp", "protocol": "TCP", "hostPort": 80}]
    assert extra == {"name": "extra", "image": "busybox"}
    assert at(deployment, f"{POD}.volumes") == [{"name": "scratch", "emptyDir": {}}]
    assert at(deployment, f"{POD}.initContainers[0].name") == "first"


def test_several_files_of_several_documents(with_snippets):
    deployment = "kind: Deployment\nspec: {minReadySeconds: 5}\n"
    service = (
        "---\nkind: Service\nspec: {sessionAffinity: ClientIP}\n---\n\n---\nkind: Deployment\nspec: {paused: true}\n"
    )
    found = with_snippets(deployment, service, ports=(Port(80),))
    assert at(found[D, ""], "spec.minReadySeconds") == 5
    assert at(found[D, ""], "spec.paused") is True
    assert at(found[SVC, ""], "spec.sessionAffinity") == "ClientIP"


def test_what_is_in_a_list_is_taken_like_documents(with_snippets):
    text = "{kind: List, apiVersion: v1, items: [{kind: ConfigMap, metadata: {name: own}}, {kind: Deployment, spec: {paused: true}}]}"
    found = with_snippets(text)
    assert found[CM, "own"]["metadata"]["labels"] == LABELS
    assert at(found[D, ""], "spec.paused") is True


def test_null_in_a_snippet_changes_nothing(with_snippets):
    found = with_snippets("kind: Deployment\nspec: {replicas: null}\n", replicas=Replicas(2))
    assert at(found[D, ""], "spec.replicas") == 2


def test_a_snippet_does_not_change_the_version_of_ours(with_snippets):
    found = with_snippets("kind: Deployment\napiVersion: extensions/v1beta1\n")
    assert found[D, ""]["apiVersion"] == "apps/v1"


def test_a_kind_that_there_is_not_is_added_with_labels(with_snippets):
    text = "kind: PodDisruptionBudget\napiVersion: policy/v1\nmetadata: {labels: {a: b}}\nspec: {minAvailable: 1}\n"
    found = with_snippets(text)
    assert found["PodDisruptionBudget", ""] == {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "shop-catalog", "labels": {"a": "b"} | LABELS},
        "spec": {"minAvailable": 1},
    }


def test_what_has_a_name_of_its_own_is_an_object_of_its_own(with_snippets):
    text = "{kind: ConfigMap, metadata: {name: own}, data: {X: y}}\n---\n{kind: ConfigMap, metadata: {name: shop-catalog}, data: {B: '2'}}"
    found = with_snippets(text, props=strings(A="1"))
    assert found[CM, ""]["data"] == {"A": "1", "B": "2"}
    assert found[CM, "own"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "own", "labels": LABELS},
        "data": {"X": "y"},
    }


@pytest.mark.parametrize("data", ["{A: 1}", "[1]", "text", "5"])
@pytest.mark.parametrize("kind", [CM, SEC])
def test_what_only_the_cluster_can_judge_is_left_to_it(with_snippets, kind, data):
    found = with_snippets(f"{{kind: {kind}, metadata: {{name: own, labels: 5}}, data: {data}}}")
    assert found[kind, "own"]["metadata"]["labels"] == LABELS


def test_a_manifest_of_an_agent_is_met_by_its_name(with_snippets):
    text = f"{{kind: ConfigMap, metadata: {{name: {AGENT_NAME}}}, data: {{B: '2'}}}}"
    found = with_snippets(text, **agent(props=strings(A="1")))
    assert found[CM, AGENT_NAME]["data"] == {"A": "1", "B": "2"}


def test_applied_kinds_are_remembered_at_the_workload(with_snippets):
    texts = [
        "{kind: ServiceAccount, apiVersion: v1}",
        "{kind: PodDisruptionBudget, apiVersion: policy/v1}\n---\n{kind: Deployment}",
    ]
    annotation = at(with_snippets(*texts)[D, ""], 'metadata.annotations."hyscale.io/applied-kinds"')
    assert annotation == '["Deployment.v1.apps", "PodDisruptionBudget.v1.policy", "ServiceAccount"]'


def test_without_snippets_nothing_is_remembered():
    assert at(container(a_service()), 'metadata.annotations."hyscale.io/applied-kinds"') == ABSENT


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGED = "a: &a {x: 1}\n" + "".join(
    f"{name}: &{name} {{<<: [{', '.join(['*' + before] * 20)}]}}\n" for before, name in zip("abcd", "bcde", strict=True)
)
DEEP = "a: &a " + "[" * 40 + "]" * 40 + "\nb: " + "[" * 40 + "*a" + "]" * 40 + "\n"
BAD = {
    "kind: x\na: [": ":3: This is no valid YAML: while parsing a flow node, did not find expected node content.",
    "kind: x\na: 1\na: 2": ':3: The key "a" is there twice, first in line 2.',
    'kind: ConfigMap\ndata: {BELL: "\\a"}': ":2: There is an escaped control character in the text.",
    "kind: x\na: !!binary eA==": ":2: A tag is not supported here; a text that begins with ! needs quotes.",
    "- kind: Deployment": ": This snippet cannot be used: Each of its documents has to be a map with a kind.",
    "spec: {}": ": This snippet cannot be used: Each of its documents has to be a map with a kind.",
    "kind: 5": ": This snippet cannot be used: Each of its documents has to be a map with a kind.",
    "kind: PodDisruptionBudget": ": This snippet cannot be used: PodDisruptionBudget needs an apiVersion.",
    "kind: StatefulSet": ": This snippet cannot be used: It is about a StatefulSet; catalog has no volumes, so it is a "
    "Deployment.",
    f"kind: Deployment\n{BOMB}": ":6: There are more than 20,000 values, aliases written out.",
    f"kind: Deployment\n{MERGED}": ":5: There are more than 20,000 values, aliases written out.",
    "kind: Deployment\na: &a [*a]": ":2: An alias stands for nothing that ends before it; a text that begins with * "
    "needs quotes.",
    f"kind: Deployment\nx: {'[' * 100_000}": ":2: The values are nested deeper than 60 levels, aliases written out.",
    f"kind: Deployment\n{DEEP}": ":3: The values are nested deeper than 60 levels, aliases written out.",
    f"#{'x' * 2**20}": ": The file is larger than 1 MiB.",
    "kind: List\nitems: {}": ": This snippet cannot be used: A List in it holds other objects; each of them has to be a "
    "document of its own.",
    "{kind: List, items: [{kind: List, items: []}]}": ": This snippet cannot be used: A List in it holds other objects; "
    "each of them has to be a document of its own.",
    "{kind: ConfigMapList, items: []}": ": This snippet cannot be used: A ConfigMapList in it holds other objects; each "
    "of them has to be a document of its own.",
}


@pytest.mark.parametrize(("text", "said"), BAD.items())
def test_a_bad_snippet_is_an_error(with_snippets, tmp_path, text, said):
    with pytest.raises(ManifestError) as failure:
        with_snippets(text)
    assert str(failure.value) == f"{tmp_path}/snippet0.yaml{said}"


def test_all_bad_snippets_are_named(with_snippets, tmp_path):
    with pytest.raises(ManifestError) as failure:
        with_snippets("- 1", "kind: Deployment", "kind: StatefulSet")
    assert [problem.file for problem in failure.value.problems] == [
        str(tmp_path / "snippet0.yaml"),
        str(tmp_path / "snippet2.yaml"),
    ]


def test_lists_whose_elements_nothing_tells_apart_are_an_error(with_snippets):
    with pytest.raises(ManifestError, match=r"Deployment does not fit \(k8s_snippets\): .*containers"):
        with_snippets("kind: Deployment\nspec: {template: {spec: {containers: [{image: x}]}}}", replicas=Replicas(2))


KNATIVE = "{kind: Service, apiVersion: serving.knative.dev/v1, spec: {template: {}}}"


def test_a_kind_of_another_group_is_another_kind(with_snippets):
    found = with_snippets(KNATIVE, ports=(Port(80),))
    assert "template" not in found[SVC, ""]["spec"]
    assert found["Service.serving.knative.dev", ""] == {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "shop-catalog", "labels": LABELS},
        "spec": {"template": {}},
    }


def test_a_workload_of_another_group_is_none_of_ours(with_snippets):
    found = with_snippets("{kind: StatefulSet, apiVersion: apps.kruise.io/v1beta1, spec: {replicas: 5}}")
    assert found["StatefulSet.apps.kruise.io", ""]["spec"] == {"replicas": 5}


def test_two_unknown_kinds_of_one_name_are_not_mixed(with_snippets):
    texts = ["{kind: Certificate, apiVersion: cert-manager.io/v1}", "{kind: Certificate, apiVersion: other.dev/v1}"]
    with pytest.raises(ManifestError, match=r"other.dev/v1 has another Certificate than cert-manager.io/v1"):
        with_snippets(*texts)


LABELLED = {
    "a.b c": "a-b-c",
    "A_b-1": "A_b-1",
    "-a-": "a",
    "--": "",
    "a" * 61 + "-b": "a" * 61,
    "_" + "a" * 70: "a" * 61,
}


@pytest.mark.parametrize("name", LABELLED)
def test_the_value_of_a_label_is_one_that_kubernetes_takes(name):
    assert names.label_value(name) == LABELLED[name]
