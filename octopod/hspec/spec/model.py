"""All fields of a service spec and of a profile: the one table that checking, schemas and the reference are made from."""

from dataclasses import replace

from . import patterns
from .kinds import Boolean, Either, Field, Group, ListOf, MapOf, Text, Whole

VERSIONS = ("0.5", "0.6", "0.6.1", "0.6.1.1", "0.6.2", "0.6.2.1", "0.6.3", "0.6.4", "0.6.5")
MOST = 2**31 - 1  # of what Kubernetes keeps in 32 bits

PROPS = MapOf(patterns.DATA_KEY, patterns.ANY, "a mapping of keys to values")
SECRETS = Either(
    "a list of keys, or a mapping of keys to values",
    list=ListOf(replace(patterns.DATA_KEY, is_secret=True), is_set=True),
    mapping=MapOf(patterns.DATA_KEY, replace(patterns.ANY, is_secret=True)),
    is_secret=True,
)
PROPS_HELP = (
    "Configuration: environment variables, and files below propsVolumePath. A value is a text, `string(<text>)`, "
    "`endpoint(<service>)`, or `file(<path>)`, which becomes a file only."
)
SECRETS_HELP = (
    "Like props, but kept in a Secret. A mapping has the values in it; a list only names keys, of a Secret "
    "`<app>-<service>` that exists already."
)
HEALTH_CHECK = Group(
    (
        Field("httpPath", patterns.HTTP_PATH,
              "Path that is asked for with HTTP. Without it, that the port can be connected to is enough.",
              example="/healthz"),
    )
)  # fmt: skip
PORTS = ListOf(
    Group(
        (
            Field("port", patterns.PORT, "Number of the port, and its protocol if that is not TCP.", True,
                  default="protocol tcp", example="8080/http"),
            Field("healthCheck", HEALTH_CHECK,
                  "Whether the container is well is asked at this port; `{}` connects to it. One port is asked.",
                  default="no health check", example={"httpPath": "/healthz"}),
        )
    ),
    key="port",
)  # fmt: skip

DOCKERFILE = Group(
    (
        Field("path", patterns.DIRECTORY, "Directory that is the build context.", default="./", example="./web"),
        Field("dockerfilePath", patterns.PATH,
              "The Dockerfile, or the directory it is in, seen from `path`.", default="Dockerfile",
              example="docker/Dockerfile"),
        Field("args", Either("a mapping, or a list of `key=value`",
                             list=ListOf(Text("key=value, the key of letters, digits and `_`",
                                              r"[a-zA-Z_][a-zA-Z0-9_]*=[^\u0000]*")),
                             mapping=MapOf(Text("letters, digits and `_`, not beginning with a digit",
                                                "[a-zA-Z_][a-zA-Z0-9_]*"), patterns.ANY)),
              "Arguments of the build.", default="none", example={"VERSION": "1.4"}),
        Field("target", patterns.FILE_NAME, "The stage at which the build ends.", default="the last stage",
              since="0.6.2.1", example="runtime"),
    )
)  # fmt: skip
ARTIFACTS = ListOf(
    Group(
        (
            Field("name", patterns.FILE_NAME, "A name for it.", True, example="app-jar"),
            Field("source", patterns.FILE, "A regular file.", True, example="target/web.jar"),
            Field("destination", patterns.PATH, "Path in the image.", True, example="/srv/web.jar"),
        )
    ),
    key="name",
)  # fmt: skip
BUILD_SPEC = Group(
    (
        Field("stackImage", patterns.IMAGE, "What the image is built on.", True, example="eclipse-temurin:17-jre"),
        Field("artifacts", ARTIFACTS, "Files that are copied into the image.", default="none"),
        Field("configCommands", Text("commands of a shell"),
              "Commands that are run while the image is built, as root, when the artifacts are in place.",
              default="none", example="mkdir -p /srv/data"),
        Field("configCommandsScript", patterns.FILE, "The same as a script; configCommands win.", default="none",
              example="scripts/configure.sh"),
        Field("runCommands", Text("commands of a shell"),
              "Commands that the container runs, in place of the entry point of the stack image.",
              default="those of the stack image", example="exec java -jar /srv/web.jar"),
        Field("runCommandsScript", patterns.FILE, "The same as a script; runCommands win.", default="none",
              example="scripts/run.sh"),
    )
)  # fmt: skip
IMAGE = Group(
    (
        Field("name", patterns.IMAGE_NAME, "Repository within the registry.", True, example="team-a/web"),
        Field("registry", patterns.REGISTRY, "Where it is pushed to and pulled from. Without it, it is never pushed.",
              default="none: the image is `name[:tag]`", example="registry.example.com"),
        Field("tag", patterns.IMAGE_TAG, "Tag of the image, as it is written: `1.10` stays 1.10.",
              default="none", example="2.4"),
        Field("dockerfile", DOCKERFILE, "Build with a Dockerfile of one's own; `{}` for ./Dockerfile. "
              "Not together with buildSpec.", default="none", example={"path": "./web"}),
        Field("buildSpec", BUILD_SPEC, "Build with a Dockerfile that is generated. Not together with dockerfile.",
              default="none"),
    )
)  # fmt: skip

REPLICAS = Either(
    "a whole number, or a mapping with min, max and cpuThreshold",
    scalar=Whole(0, MOST),
    mapping=Group(
        (
            Field("min", Whole(0, MOST), "Never fewer than this; at least 1 when max is given.", default="1",
                  is_overridable=True, example=2),
            Field("max", Whole(1, MOST), "Never more than this; needs cpuThreshold.", default="not scaled by itself",
                  is_overridable=True, example=5),
            Field("cpuThreshold", Text("a whole percentage such as 60%, 1% or more", "[1-9][0-9]{0,4}%"),
                  "Replicas are added above this use of the requested cpu; needs max.", is_overridable=True,
                  default="not scaled by itself", example="60%"),
        )
    ),
)  # fmt: skip
VOLUMES = ListOf(
    Group(
        (
            Field("name", patterns.NAME, "A name for it.", True, is_overridable=True, example="data"),
            Field("path", patterns.MOUNT, "Where it is in the container.", True, example="/srv/data"),
            Field("size", patterns.SIZE, "How large it is. Kubernetes does not let it change later.", default="1Gi",
                  is_overridable=True, example="5Gi"),
            Field("storageClass", patterns.DOMAIN, "Its class of storage.", default="the cluster's default",
                  is_overridable=True, example="fast"),
            Field("readOnly", Boolean(), "Whether the container may only read it.", default="false"),
        )
    ),
    key="name",
)  # fmt: skip
ATTACHMENTS = ListOf(
    Group(
        (
            Field("attach", patterns.NAME, "Name of a volume of the service.", True, since="0.6", example="data"),
            Field("mountPath", patterns.MOUNT, "Where it is in the agent.", True, since="0.6", example="/var/in"),
            Field("readOnly", Boolean(), "Whether the agent may only read it.", default="false", since="0.6"),
        )
    )
)  # fmt: skip
AGENTS = ListOf(
    Group(
        (
            Field("name", patterns.NAME, "A name for it.", True, since="0.6", is_overridable=True, example="shipper"),
            Field("image", patterns.IMAGE, "Its image.", True, since="0.6", example="fluent/fluent-bit:1.9"),
            Field("ports", PORTS, "Its ports, like those of the service.", default="none", since="0.6.4"),
            Field("volumes", ATTACHMENTS, "Volumes of the service that it sees.", default="none", since="0.6"),
            Field("props", PROPS, "Like those of the service.", default="none", since="0.6", is_overridable=True,
                  example={"OUT_HOST": "endpoint(log-store)"}),
            Field("propsVolumePath", patterns.MOUNT, "Like that of the service.", default="no files", since="0.6",
                  example="/shipper/props"),
            Field("secrets", SECRETS, "Like those of the service; the Secret that a list speaks of is "
                  "`service-<service>-agent-<agent>`.", default="none", since="0.6", is_overridable=True,
                  example=["OUT_TOKEN"]),
            Field("secretsVolumePath", patterns.MOUNT, "Like that of the service.", default="no files", since="0.6",
                  example="/shipper/secrets"),
        )
    ),
    key="name",
)  # fmt: skip

ALLOW_TRAFFIC = ListOf(
    Group(
        (
            Field("ports", ListOf(patterns.PORT, is_set=True), "Ports this rule is about; the service or an agent "
                  "exposes them.", True, since="0.6.4", is_overridable=True, example=["8080/tcp"]),
            Field("from", ListOf(patterns.SERVICE, is_set=True), "Services that may come in. An empty list lets "
                  "everybody in; without the field, nobody comes in.", since="0.6.4",
                  default="the rule opens nothing", is_overridable=True, example=["web"]),
        )
    ),
    is_replaced=True,
)  # fmt: skip
LOAD_BALANCER = Group(
    (
        Field("provider", Text("nginx, traefik or istio", "nginx|traefik|istio"), "What balances.", True,
              since="0.6.5", is_overridable=True, example="nginx"),
        Field("host", patterns.HOST_NAME, "Name under which the service is reached.", True, since="0.6.5",
              is_overridable=True, example="shop.example.com"),
        Field("mapping", ListOf(
                  Group((
                      Field("port", patterns.PORT, "One of the ports that are exposed.", True, since="0.6.5",
                            is_overridable=True, example="8080/tcp"),
                      Field("contextPaths", ListOf(patterns.CONTEXT_PATH, least=1, is_set=True),
                            "Paths that lead to it.", True, since="0.6.5", is_overridable=True, example=["/"]),
                  )), key="port", least=1),
              "Which path leads to which port.", True, since="0.6.5", is_overridable=True),
        Field("className", patterns.DOMAIN, "Class of the ingress.", default="the provider's name", since="0.6.5",
              is_overridable=True, example="nginx"),
        Field("sticky", Boolean(), "Whether a visitor keeps coming to the same replica.", default="false",
              since="0.6.5", is_overridable=True),
        Field("tlsSecret", patterns.DOMAIN, "Secret with the certificate.", default="no TLS", since="0.6.5",
              is_overridable=True, example="shop-tls"),
        Field("headers", MapOf(Text("the name of a header", "[-!#$%&'*+.^_`|~0-9a-zA-Z]+", 128), patterns.LINE),
              "Headers that are added to requests. ingress-nginx takes them only where allow-snippet-annotations is "
              "set, which has been off since its version 1.9.", default="none", since="0.6.5", is_overridable=True,
              example={"X-Shop": "one"}),
        Field("labels", MapOf(
                  Text("the name of a label", rf"({patterns.DNS_NAME}/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]{{0,61}}[a-zA-Z0-9])?",
                       317),
                  Text("the value of a label: at most 63 letters, digits, `-`, `_` and `.`",
                       "([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?", may_be_blank=True)),
              "Labels of the gateway's pods; required with istio.", default="none", since="0.6.5",
              is_overridable=True, example={"istio": "ingressgateway"}),
    )
)  # fmt: skip

SPEC = Group(
    (
        Field("hspecVersion", Text(f"one of {', '.join(VERSIONS)}"), "Version of the format. Nothing depends on it.",
              default="none", example="0.6.5"),
        Field("name", patterns.SERVICE, "Name of the service; the file is called `<name>.hspec`.", True,
              example="web"),
        Field("image", IMAGE, "The image, and how it is built.", True),
        Field("startCommand", Text("a command and its arguments, separated by commas", r"\s*[^\s,][\s\S]*"),
              "Command and arguments, separated by commas, in place of the image's.",
              default="the image's", example="/bin/sh, -c, /srv/start.sh"),
        Field("replicas", REPLICAS, "How many run: a number, or a range that follows the use of cpu.",
              default="1 at first, then as many as there are",
              is_overridable=True, example=2),
        Field("memory", patterns.MEMORY, "Memory: what is asked for and the limit, `<min>-<max>`, or the limit only.",
              default="no limit", is_overridable=True, example="256Mi-1Gi"),
        Field("cpu", patterns.CPU, "Cpu, in the same way.", default="no limit", is_overridable=True,
              example="100m-1"),
        Field("external", Boolean(), "Whether the service is reached from outside the cluster.", default="false",
              example=True),
        Field("ports", PORTS, "Ports the service listens at.", default="none: no Service is made"),
        Field("volumes", VOLUMES, "What is kept when the container ends. Makes the service a StatefulSet.",
              default="none", is_overridable=True),
        Field("props", PROPS, PROPS_HELP, default="none", is_overridable=True,
              example={"LOG_LEVEL": "info", "DB_HOST": "endpoint(db)", "app.conf": "file(conf/app.conf)"}),
        Field("propsVolumePath", patterns.MOUNT, "Directory in the container with a file for each prop, and "
              "config.props with all that are texts.", default="no files", example="/etc/web/props"),
        Field("secrets", SECRETS, SECRETS_HELP, default="none", is_overridable=True, example=["DB_PASSWORD"]),
        Field("secretsVolumePath", patterns.MOUNT, "Directory in the container with a file for each secret, and "
              "secret.props with all whose values are in the spec.", default="no files",
              example="/etc/web/secrets"),
        Field("agents", AGENTS, "Containers beside the service's own.", default="none", since="0.6",
              is_overridable=True),
        Field("k8sSnippets", ListOf(patterns.FILE), "YAML files, each merged into the manifest of its kind.",
              default="none", since="0.6.3", is_overridable=True, example=["k8s/affinity.yaml"]),
        Field("allowTraffic", ALLOW_TRAFFIC, "Who may come in; an empty list lets nobody in. Not with external.",
              default="everybody", since="0.6.4", is_overridable=True),
        Field("loadBalancer", LOAD_BALANCER, "How requests from outside come in. Needs external.",
              default="a load balancer of the cloud", since="0.6.5", is_overridable=True),
    )
)  # fmt: skip

PROFILE_KEYS = (
    Field("environment", patterns.ENVIRONMENT, "Name of the environment, a label of all that is deployed.", True,
          since="0.6.1", example="stage"),
    Field("overrides", patterns.SERVICE, "Name of the service this is a profile of.", True, since="0.6.1",
          example="web"),
)  # fmt: skip
