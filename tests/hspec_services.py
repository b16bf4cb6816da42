"""Services for the tests of their manifests, without a spec to be read."""

from pathlib import Path

from octopod.hspec.manifests import Manifest, generate
from octopod.hspec.service import Context, Image, Prop, Secrets, Service

CONTEXT = Context("shop", "shop-dev")
LABELS = {
    "hyscale.io/app-name": "shop",
    "hyscale.io/environment-name": "shop-dev",
    "hyscale.io/service-name": "catalog",
}


def a_service(**fields) -> Service:
    return Service(**{"name": "catalog", "image": Image("catalog"), "file": Path("/specs/catalog.hspec")} | fields)


def strings(**props: str) -> dict[str, Prop]:
    return {key: Prop("string", text) for key, text in props.items()}


def values(**secrets: str) -> Secrets:
    return Secrets(tuple(secrets), secrets)


def refuse(warning: str) -> None:
    """For those who expect no warnings."""
    raise AssertionError(warning)


def manifests(service: Service, context: Context = CONTEXT, warn=refuse) -> dict[tuple[str, str], dict]:
    """The data of all, by kind and identifier."""
    return {(each.kind, each.identifier): each.data for each in generate(service, context, warn)}


def only(kind: str, found: list[Manifest]) -> dict:
    (manifest,) = [each for each in found if each.kind == kind]
    return manifest.data
