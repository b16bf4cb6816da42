"""Whole specs, and the manifests that they become; those of Kubernetes itself are checked against its schemas."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from hspec_services import refuse

from octopod.hspec.manifests import generate, write
from octopod.hspec.service import Context, Credentials
from octopod.hspec.spec import load

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
def test_kubernetes_would_take_them(case, version):
    for manifest in read((case / "expected").iterdir()).values():
        if not manifest["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_what_is_foreign_is_only_what_load_balancers_need():
    kinds = {
        each["kind"]
        for case in CASES
        for each in read((case / "expected").iterdir()).values()
        if each["apiVersion"].startswith(FOREIGN)
    }
    assert kinds == {"Gateway", "VirtualService", "DestinationRule", "Middleware"}
