"""Running plugins: which, in what order, what comes of those that fail; and writing what they made."""

import sys

import pytest
import yaml
from hspec_services import CONTEXT, LABELS, a_service, manifests, strings, values
from hypothesis import given
from hypothesis import strategies as st

from octopod.hspec.errors import ManifestError
from octopod.hspec.manifests import Manifest, generate, write
from octopod.hspec.manifests.discovery import HERE
from octopod.hspec.manifests.files import dumped
from octopod.hspec.service import (
    Agent,
    Credentials,
    LoadBalancer,
    Port,
    PortMapping,
    Prop,
    Replicas,
    TrafficRule,
)

OURS = (HERE / "plugins.txt").read_text()


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Has these plugins listed instead of ours."""

    def write_list(text: str) -> None:
        (tmp_path / "plugins.txt").write_text(text)
        monkeypatch.setenv("HSPEC_PLUGINS", str(tmp_path / "plugins.txt"))

    return write_list


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package with plugins as pip would: modules, and what the package says of itself."""

    def install_package(package: str, **plugins: str) -> None:
        site = tmp_path / f"site-{package}"
        about = site / f"{package}-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        entries = [f"{name} = {package}_{name}:snippets\n" for name in plugins]
        (about / "entry_points.txt").write_text("[octopod.hspec.plugins]\n" + "".join(entries))
        for name, body in plugins.items():
            source = f"from octopod.hspec.manifests import Snippet\n\ndef snippets(service, context):\n    {body}\n"
            (site / f"{package}_{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(site))

    yield install_package
    for name in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[name]


def annotations(service, warnings):
    (workload,) = [each for each in generate(service, CONTEXT, warnings.append) if each.kind == "Deployment"]
    return workload.data["metadata"]["annotations"]


def test_our_list_names_all_plugins_once():
    names = [line.partition("#")[0].strip() for line in OURS.splitlines()]
    names = [name for name in names if name]
    assert sorted(names) == sorted(path.stem for path in (HERE / "plugins").glob("[!_]*.py"))


def test_manifests_come_in_the_order_in_which_they_are_needed(tmp_path):
    snippet = tmp_path / "more.yaml"
    snippet.write_text(
        "{kind: PodDisruptionBudget, apiVersion: policy/v1}\n---\n{kind: ServiceAccount, apiVersion: v1}\n---\n{kind: ConfigMap, metadata: {name: own}}\n"
    )
    service = a_service(
        props=strings(A="b"), secrets=values(S="x"), ports=(Port(80),), replicas=Replicas(1, 2, 50),
        agents=(Agent("log", "fluent", props=strings(A="b"), secrets=values(S="x")),),
        allow_traffic=(), snippets=(snippet,),
        load_balancer=LoadBalancer("nginx", "example.test", (PortMapping(80, ("/",)),)),
    )  # fmt: skip
    context = CONTEXT.__class__("shop", "dev", credentials=Credentials("registry.test", "u", "p"))
    assert list(manifests(service, context)) == [
        ("Secret", "registry.test"),
        ("Secret", ""),
        ("Secret", "service-catalog-agent-log"),
        ("ConfigMap", ""),
        ("ConfigMap", "service-catalog-agent-log"),
        ("ConfigMap", "own"),
        ("ServiceAccount", ""),
        ("NetworkPolicy", ""),
        ("Service", ""),
        ("Deployment", ""),
        ("HorizontalPodAutoscaler", ""),
        ("Ingress", ""),
        ("PodDisruptionBudget", ""),
    ]


def test_a_list_of_plugins_of_ones_own_says_which_run(listed):
    listed("metadata # the beginning\n\n# image\nreplicas\n")
    (deployment,) = manifests(a_service(replicas=Replicas(3))).values()
    assert deployment == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "shop-catalog", "labels": LABELS},
        "spec": {"replicas": 3},
    }


def test_a_list_that_cannot_be_read_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("HSPEC_PLUGINS", str(tmp_path / "missing"))
    with pytest.raises(ManifestError, match="missing, cannot be read"):
        manifests(a_service())


def test_a_listed_plugin_that_there_is_not_is_warned_of(listed):
    listed(OURS + "acme_nothing\n")
    warnings: list[str] = []
    assert manifests(a_service(), warn=warnings.append)
    assert warnings == ["The plugin acme_nothing is listed, but neither one of ours nor installed."]


def test_plugins_of_installed_packages_run_after_ours_in_the_order_of_their_names(install):
    body = """yield Snippet("Deployment", 'metadata.annotations."acme"', "{}")"""
    install("acme", zebra=body.format("zebra"), ant=body.format("ant"))
    warnings: list[str] = []
    assert annotations(a_service(), warnings)["acme"] == "zebra"
    assert warnings == []


def test_a_list_may_give_them_a_place(install, listed):
    body = """yield Snippet("Deployment", 'metadata.annotations."acme"', "{}")"""
    install("acme", zebra=body.format("zebra"), ant=body.format("ant"))
    listed("zebra\n" + OURS)
    assert annotations(a_service(), [])["acme"] == "ant"


def test_a_plugin_sees_service_and_context(install):
    install("acme", look="""yield Snippet("Deployment", "metadata.annotations.acme", context.app + service.name)""")
    assert annotations(a_service(), [])["acme"] == "shopcatalog"


def test_a_plugin_that_returns_plain_tuples_or_nothing_is_fine(install):
    install(
        "acme", tuples="""return [("Deployment", "metadata.annotations.acme", "yes")]""", nothing="return None"
    )  # fmt: skip
    warnings: list[str] = []
    assert annotations(a_service(), warnings)["acme"] == "yes"
    assert warnings == []


@pytest.mark.parametrize("content", ["None", "''", "[]", "{}", "()"])
def test_empty_contents_are_ignored(install, content):
    install("acme", empty=f"""yield Snippet("Deployment", "metadata", {content})""")
    assert "hyscale.io/service-spec" in annotations(a_service(source={"name": "catalog"}), [])


@pytest.mark.parametrize("content", ["0", "False"])
def test_zero_and_false_are_contents(install, content):
    install("acme", zero=f"""yield Snippet("Deployment", "spec.acme", {content})""")
    ((_, deployment),) = manifests(a_service()).items()
    assert deployment["spec"]["acme"] == eval(content)  # noqa: S307


FAILING = {
    "raise KeyError('lost')": "KeyError: 'lost'",
    "yield Snippet('Deployment', 'spec.acme', 1); 1 / 0": "ZeroDivisionError: division by zero",
    "return 5": "TypeError: 'int' object is not iterable",
    "return [5]": "TypeError: ",
    "return [('Deployment',)]": "TypeError: ",
    "return [(None, 'spec', 1)]": "A snippet needs a kind",
    "return [('Deployment', 7, 1)]": "A snippet needs a kind",
}


@pytest.mark.parametrize(("body", "said"), FAILING.items())
def test_a_failing_plugin_is_warned_of_by_name_and_the_others_run(install, body, said):
    good = """yield Snippet("Deployment", "metadata.annotations.good", "yes")"""
    install("acme", bad=body, good=good)
    warnings: list[str] = []
    found = manifests(a_service(replicas=Replicas(2)), warn=warnings.append)
    deployment = found["Deployment", ""]
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["annotations"]["good"] == "yes"
    assert "acme" not in deployment["spec"]
    (warning,) = warnings
    assert warning.startswith("The plugin bad failed, and what it would give is missing: ")
    assert said in warning


def test_a_plugin_that_cannot_be_loaded_is_warned_of(install, tmp_path):
    install("acme", broken="pass")
    (tmp_path / "site-acme/acme_broken.py").write_text("import a_module_that_is_not_there\n")
    warnings: list[str] = []
    assert manifests(a_service(), warn=warnings.append)
    assert warnings[0].startswith("The plugin broken cannot be loaded: ModuleNotFoundError: ")


def test_a_plugin_cannot_take_the_name_of_ours(install):
    install("acme", image="""yield Snippet("Deployment", "spec.template.spec.containers[0].image", "evil")""")
    warnings: list[str] = []
    found = manifests(a_service(), warn=warnings.append)
    assert found["Deployment", ""]["spec"]["template"]["spec"]["containers"][0]["image"] == "catalog"
    assert warnings == ["The plugin image of acme is left out: one of ours has this name."]


BAD_SNIPPETS = {
    """("Deployment", "spec.replicas.x", 1)""": 'there is a value where "x" would need a map.',
    """("Deployment", "spec[0]", 1)""": "there is a map where [0] would need a list.",
    """("Deployment", "spec..x", 1)""": '"spec..x" is no path',
    """("Deployment", "spec.x", {1, 2})""": "A set is no plain data",
    """("Deployment", "", [1])""": "Only a map can be merged into a whole manifest.",
}


@pytest.mark.parametrize(("snippet", "said"), BAD_SNIPPETS.items())
def test_a_snippet_that_does_not_fit_is_warned_of_and_the_others_are_put(install, snippet, said):
    install("acme", bad=f"""return [{snippet}, ("Deployment", "metadata.annotations.good", "yes")]""")
    warnings: list[str] = []
    service = a_service(replicas=Replicas(2))
    assert annotations(service, warnings)["good"] == "yes"
    (warning,) = warnings
    assert warning.startswith("The plugin bad gives what does not fit into Deployment: ")
    assert said in warning


def test_a_failing_plugin_of_ours_is_warned_of_as_well():
    """This one cannot keep a spec of that size; nothing else depends on it."""
    warnings: list[str] = []
    found = manifests(a_service(source={"name": "x" * 100_000}, replicas=Replicas(2)), warn=warnings.append)
    assert found["Deployment", ""]["spec"]["replicas"] == 2
    assert "annotations" not in found["Deployment", ""]["metadata"]
    (warning,) = warnings
    assert warning.startswith(
        "The plugin service_spec_annotation failed, and what it would give is missing: The spec is"
    )


def test_snippets_for_a_manifest_that_nobody_began_are_warned_of(install):
    install("acme", lost="""yield Snippet("Role", "rules", [1])""")
    warnings: list[str] = []
    assert list(manifests(a_service(), warn=warnings.append)) == [("Deployment", "")]
    assert warnings == ["There are snippets for Role, but no plugin gives its kind and apiVersion: it is left out."]


def test_manifests_of_other_plugins_get_name_and_labels(install):
    role = """{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"labels": {"a": "b"}}}"""
    install("acme", role=f"""return [Snippet("Role", "", {role}), Snippet("Role", "", {role}, "extra")]""")
    found = manifests(a_service())
    assert found["Role", ""]["metadata"] == {"name": "shop-catalog", "labels": {"a": "b"} | LABELS}
    assert found["Role", "extra"]["metadata"]["name"] == "extra"


def test_nothing_is_shared_between_manifests():
    found = manifests(a_service(ports=(Port(80),)))
    found["Service", ""]["spec"]["selector"].clear()
    assert found["Deployment", ""]["spec"]["selector"] == {"matchLabels": LABELS}


def test_generating_twice_gives_the_same():
    service = a_service(
        props=strings(A="b"), secrets=values(S="x"), ports=(Port(80),), allow_traffic=(TrafficRule((), ()),)
    )
    assert generate(service, CONTEXT, print) == generate(service, CONTEXT, print)


LARGEST = 1024 * 1024
TOO_LARGE = "has more than the 1,048,576 bytes that Kubernetes takes. Put large files into the image or a volume."


@pytest.mark.parametrize(("size", "fits"), [(LARGEST - 2, True), (LARGEST - 1, False)])
@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_what_is_too_large_for_the_cluster_is_an_error(tmp_path, kind, size, fits):
    """Besides what is large there are two bytes more."""
    (tmp_path / "large").write_bytes(b"\xff" * size)
    props = {"large": Prop("file", "large", tmp_path / "large"), **strings(A="ü")}
    service = a_service(props=props) if kind == "ConfigMap" else a_service(secrets=values(S="x" * size, A="ü"))
    if fits:
        assert (kind, "") in manifests(service)
        return
    with pytest.raises(ManifestError) as failure:
        manifests(service)
    assert str(failure.value) == f"The {kind} shop-catalog {TOO_LARGE}"


def test_a_file_that_is_too_large_by_itself_is_named(tmp_path):
    (tmp_path / "large").write_bytes(b"x" * (LARGEST + 1))
    with pytest.raises(ManifestError) as failure:
        manifests(a_service(props={"large": Prop("file", "large", tmp_path / "large")}))
    assert str(failure.value) == f"The file of prop large, {tmp_path}/large, {TOO_LARGE}"


@pytest.mark.parametrize("whose", ["service", "agent"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path, whose):
    props = {"conf": Prop("file", "gone", tmp_path / "gone")}
    service = a_service(props=props) if whose == "service" else a_service(agents=(Agent("a", "i", props=props),))
    with pytest.raises(ManifestError, match=r"The file of prop conf, .*gone, cannot be read: No such file"):
        manifests(service)


FILENAMES = [
    ("Deployment", "", "deployment.yaml"),
    ("StatefulSet", "", "statefulset.yaml"),
    ("HorizontalPodAutoscaler", "", "horizontalpodautoscaler.yaml"),
    ("Secret", "registry.example.test", "registry-example-test-secret.yaml"),
    ("Secret", "https://index.docker.io/v1/", "httpsindex-docker-iov1-secret.yaml"),
    ("ConfigMap", "service-catalog-agent-shipper", "service-catalog-agent-shipper-configmap.yaml"),
    ("Role", "../../up", "--up-role.yaml"),
]


@pytest.mark.parametrize(("kind", "identifier", "filename"), FILENAMES)
def test_a_manifest_has_a_file_name_of_its_own(kind, identifier, filename):
    assert Manifest(kind, identifier, {}).filename == filename


def test_each_manifest_becomes_a_file_that_others_cannot_read(tmp_path):
    found = generate(a_service(props=strings(A="b"), ports=(Port(80),)), CONTEXT, print)
    paths = write(found, tmp_path / "generated-files/manifests")
    assert [path.name for path in paths] == ["configmap.yaml", "service.yaml", "deployment.yaml"]
    assert {path.stat().st_mode & 0o777 for path in paths} == {0o600}
    assert all(path.read_text().startswith("---\n") for path in paths)
    assert [yaml.safe_load(path.read_text()) for path in paths] == [each.data for each in found]


def test_what_was_in_the_directory_before_is_gone(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("stays")
    directory = tmp_path / "manifests"
    (directory / "old").mkdir(parents=True)
    (directory / "secret.yaml").write_text("old")
    (directory / "link").symlink_to(outside)
    write([Manifest("Deployment", "", {"metadata": {"name": "x"}})], directory)
    assert [path.name for path in directory.iterdir()] == ["deployment.yaml"]
    assert outside.read_text() == "stays"


def test_a_directory_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ManifestError, match="cannot be written to"):
        write([], tmp_path / "file")


def test_two_manifests_of_one_file_name_are_an_error_and_the_old_files_stay(tmp_path):
    (tmp_path / "old.yaml").write_text("")
    twice = [Manifest("Role", identifier, {"metadata": {"name": identifier}}) for identifier in ("a.b", "a-b")]
    with pytest.raises(ManifestError, match=r"a-b-role\.yaml: a\.b and a-b"):
        write(twice, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.yaml"]


MISREAD = [
    "on", "off", "yes", "no", "y", "n", "Y", "N", "true", "null", "~", "1", "1.10", "1e3", "0x1F", "0o17", "017", "0b1",
    "1_000", "1:30", ".5", ".inf", "+.inf", ".nan", "2026-01-01", "2026-01-01T00:00:00Z", "<<", "=", "-", "", "#", "@x",
]  # fmt: skip
MISREAD_BY_OTHERS = [
    "1e+3",
    "+1",
    "1.",
    "0o7",
    "0X1f",
    "1e-3",
    "12e03",
    "-.5",
    "١",
    "a: b",
    "a #b",
    "? a",
    "%x",
    "`",
    "\ttab",
    "end ",
    "two\n lines",
    "\n",
    " \n x",
    "a\n\n",
    "nul\u0000",
    "\u2028",
    "\ufeffx",
]


@pytest.mark.parametrize("text", MISREAD)
def test_texts_that_look_like_something_else_are_quoted(text):
    assert dumped({"a": text}).split("a: ")[1][0] in "'\""
    assert yaml.safe_load(dumped({text: [text]})) == {text: [text]}


def test_kubectl_reads_them_as_texts_too(kubectl, cluster, tmp_path):
    """Its YAML is not quite Python's."""
    texts = {f"key.{number}": text for number, text in enumerate([*MISREAD, *MISREAD_BY_OTHERS])}
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "1e3"}, "data": texts}
    (path,) = write([Manifest("ConfigMap", "", data)], tmp_path)
    done = cluster.run(kubectl, "create", "-f", str(path))
    assert done.returncode == 0, done
    assert cluster.get("configmaps", "1e3")["data"] == texts


def test_texts_of_several_lines_can_be_read():
    assert dumped({"config.props": "A=1\nB=two words\n"}) == "---\nconfig.props: |\n  A=1\n  B=two words\n"


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.text(
    st.sampled_from("ab \n\t:#-'\"\\%\r\x85\u2028"), max_size=12
)
TREES = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXTS, below, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(TEXTS, TREES, max_size=4))
def test_what_is_written_is_read_as_it_was(data):
    assert yaml.safe_load(dumped(data)) == data
