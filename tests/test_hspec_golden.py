"""Whole specs, and the manifests that they become: as expected, and such that Kubernetes takes them."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from hspec_server_rules import refusals
from hspec_services import refuse
from hspec_specs import loaded, specs
from hypothesis import given, settings
from hypothesis import strategies as st

from octopod.hspec.commands.table import APP
from octopod.hspec.manifests import generate, write
from octopod.hspec.service import Context, Credentials
from octopod.hspec.spec import load
from octopod.hspec.spec.patterns import REGISTRY

CASES = sorted(path for path in (Path(__file__).parent / "hspec/manifests").iterdir() if path.is_dir())
FOREIGN = ("networking.istio.io/", "traefik.io/")  # not Kubernetes' own, so it has no schema of them
VERSIONS = ("1.27", kubernetes_validate.latest_version())


def written(case: Path, directory: Path) -> dict[str, dict]:
    """The manifests of a case, as they are in their files. Nothing is to be warned of."""
    about = case / "context.yaml"
    fields = yaml.safe_load(about.read_text()) if about.exists() else {}
    profile = fields.pop("profile", None)
    if "credentials" in fields:
        fields["credentials"] = Credentials(**fields["credentials"])
    (spec,) = case.glob("*.hspec")
    service = load(spec, profile=case / profile if profile else None)
    context = Context("shop", service.environment or "shop-dev", **fields)
    return read(write(generate(service, context, refuse), directory))


def read(paths) -> dict[str, dict]:
    return {path.name: yaml.safe_load(path.read_text()) for path in paths}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_manifests_are_as_expected(case, tmp_path):
    assert written(case, tmp_path) == read((case / "expected").iterdir())


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_those_of_kubernetes_have_its_schemas(case, version):
    for manifest in read((case / "expected").iterdir()).values():
        if not manifest["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_server_refuses_none_of_them(case):
    for manifest in read((case / "expected").iterdir()).values():
        assert refusals(manifest) == []


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("specs")


APPS = st.from_regex(APP, fullmatch=True)
LOGINS = st.none() | st.builds(Credentials, st.from_regex(REGISTRY.regex, fullmatch=True), st.just("a"), st.just("b"))


@settings(max_examples=40)
@given(spec=specs(), app=APPS, login=LOGINS)
def test_a_server_refuses_nothing_that_becomes_of_any_valid_spec(place, spec, app, login):
    service = loaded(place, spec)
    context = Context(app, f"{app}-dev", "dev", login)
    for manifest in generate(service, context, refuse):
        assert refusals(manifest.data) == []


REFUSED = {
    "a label ends with -": ("minimal/deployment", "spec.template.metadata.labels.x", "a-"),
    "a label is too long": ("minimal/deployment", "metadata.labels.x", "a" * 64),
    "a key of an annotation has no name": ("minimal/deployment", "metadata.annotations.a/", "x"),
    "annotations are too large": ("minimal/deployment", "metadata.annotations.a", "x" * 2**18),
    "a name has capitals": ("minimal/deployment", "metadata.name", "Web"),
    "a Service begins with a digit": ("external/service", "metadata.name", "1web"),
    "no port has the number 0": ("external/service", "spec.ports", [{"name": "a", "port": 0}]),
    "two ports have one name": ("external/service", "spec.ports", [{"name": "a", "port": port} for port in (1, 2)]),
    "the pods are others": ("minimal/deployment", "spec.selector.matchLabels.x", "y"),
    "a StatefulSet has too long a name": ("stateful/statefulset", "metadata.name", "a" * 53),
    "a key has a blank": ("file_props/configmap", "data.a b", "x"),
    "a path has a double slash": ("nginx/ingress", "spec.rules", [{"http": {"paths": [{"path": "//", "pathType": "Prefix"}]}}]),
    "a host is any": ("nginx/ingress", "spec.rules", [{"host": "*"}]),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_the_rules_of_a_server_can_be_broken(case):
    file, path, value = REFUSED[case]
    name, kind = file.split("/")
    (manifest,) = read([CASES[0].parent / name / f"expected/{kind}.yaml"]).values()
    *around, last = path.split(".")
    holder = manifest
    for step in around:
        holder = holder.setdefault(step, {})
    holder[last] = value
    assert len(refusals(manifest)) == 1


def test_what_is_foreign_is_only_what_load_balancers_need():
    kinds = {
        each["kind"]
        for case in CASES
        for each in read((case / "expected").iterdir()).values()
        if each["apiVersion"].startswith(FOREIGN)
    }
    assert kinds == {"Gateway", "VirtualService", "DestinationRule", "Middleware"}
