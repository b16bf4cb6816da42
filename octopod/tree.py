"""Dotted keys as a tree, to be folded and unfolded."""

from itertools import groupby
from typing import NamedTuple

from octopod.overrides import Item


class Leaf(NamedTuple):
    """A key; `name` is what of it the branches above do not say."""

    name: str
    item: Item


class Branch(NamedTuple):
    """Keys that begin alike. `changed`: how many of them are not as their defaults say."""

    name: str
    leaves: list[Leaf]
    branches: list["Branch"]
    changed: int
    size: int


def as_tree(items: list[Item]) -> Branch:
    """Items as the branches that their keys form; a branch that would have one twig only is none."""
    return _branch("", [(item.key.split("."), item) for item in items])


def _branch(name: str, items: list[tuple[list[str], Item]]) -> Branch:
    leaves, branches = [], []
    ordered = sorted(items, key=lambda pair: pair[0][0])  # stable: within a branch the order stays
    for first, group in groupby(ordered, key=lambda pair: pair[0][0]):
        members = list(group)
        deeper = [(path[1:], item) for path, item in members if len(path) > 1]
        leaves += [Leaf(first, item) for path, item in members if len(path) == 1]
        if len(deeper) == 1:
            leaves.append(Leaf(".".join([first, *deeper[0][0]]), deeper[0][1]))
        elif deeper:
            branches.append(_branch(first, deeper))
    changed = sum(item.origin != "default" for _, item in items)
    return Branch(name, leaves, branches, changed, len(items))
