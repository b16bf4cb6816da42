"""Kubernetes manifests of a service: plugins give snippets, the snippets are put together, the result is written.

    for path in write(generate(service, context, talk.warn), workspace.manifests): ...

A plugin is a module with one function, `snippets(service, context)`, that yields `Snippet`s. Those of `plugins/` run
in the order of `plugins.txt`; others are found by the entry point group `octopod.hspec.plugins`.
"""

from .engine import generate
from .files import dumped, write
from .model import Manifest, Snippet

__all__ = ["Manifest", "Snippet", "dumped", "generate", "write"]
