"""Search: which deployments' texts hold all the words of a query, exactly or nearly so, and where. Pure functions.

What counts as similar was chosen by trying it on realistic data, see `docs/design.md`; `tests/test_search.py` has tables.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from rapidfuzz import fuzz

# A word is similar to whole parts of a text (`orng` to orange) from this score on, of 100.
WHOLE = 80
# No text scores less that has such parts, wherever it is cut: 1.4 - 0.6 * 1.5, for they are at most half as long again.
HINT = 50
# A long word is also similar to any piece of a text, be it the middle of a part, from this score on.
ANYWHERE = 85
LONG = 7
# Both have to have something like each part of the word, or else `feature-x` would be similar to every feature.
EACH = 75
# A shorter word is similar to too much, and longer ones nobody types.
SHORTEST, LONGEST = 4, 64
# In characters: similar parts are looked for in the beginning of a text only; a value may be a file of 128 KiB.
WITHIN = 500

# Letters or digits, taken apart at the humps of camelCase.
PART = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+|\d+")
NUMBER = re.compile(r"\d+")

Piece = tuple[str, bool]


class Place(NamedTuple):
    start: int
    end: int

    def overlaps(self, other: "Place") -> bool:
        return self.start < other.end and other.start < self.end


def parse_words(q: str) -> list[str]:
    """The words of a query, each once, as the other functions take them."""
    return list(dict.fromkeys(q.casefold().split()))


def find(documents: Mapping[int, list[str]], words: list[str], similar: bool | None = None) -> tuple[list[int], bool]:
    """The keys of the documents that have every word in at least one of their texts, and whether they are only similar.

    Similar ones are looked for when none has all the words exactly; with `similar` the one or the other is asked for.
    """
    if not similar:
        exact = _find_exact(documents, words)
        if exact or similar is False:
            return exact, False
    found = _find_similar(documents, words)
    return found, bool(found)


def _find_exact(documents: Mapping[int, list[str]], words: list[str]) -> list[int]:
    folded = ((key, "\n".join(texts).casefold()) for key, texts in documents.items())  # no word has a line feed in it
    return [key for key, text in folded if all(word in text for word in words)]


def _find_similar(documents: Mapping[int, list[str]], words: list[str]) -> list[int]:
    left = dict(documents)
    for word in words:
        distinct = {text for texts in left.values() for text in texts}  # the same keys and values are everywhere
        hits = {text for text in distinct if word in text.casefold() or any(_similar(word, text))}
        left = {key: texts for key, texts in left.items() if not hits.isdisjoint(texts)}
    return list(left)


def highlights(text: str, words: list[str], similar: bool) -> list[Piece]:
    """The text cut into pieces, each with whether it is a hit; joined they are the text, and no two hits are neighbours.

    With `similar`, a word that the text does not have marks what is similar to it.
    """
    pieces, last = [], 0
    for start, end in _merged(place for word in words for place in _places(word, text, similar)):
        pieces += [(text[last:start], False), (text[start:end], True)]
        last = end
    pieces.append((text[last:], False))
    return [piece for piece in pieces if piece[0]]


def _merged(places: Iterable[Place]) -> list[Place]:
    merged: list[Place] = []
    for place in sorted(places):
        if merged and place.start <= merged[-1].end:
            before = merged.pop()
            place = Place(before.start, max(before.end, place.end))
        merged.append(place)
    return merged


def _places(word: str, text: str, similar: bool) -> list[Place]:
    exact = _exact(word, text)
    return exact or (_best(_similar(word, text)) if similar else [])


def _best(scored: Iterable[tuple[float, Place]]) -> list[Place]:
    """Of places that overlap, the one with the highest score, and of equal ones the last: whole parts look better."""
    best: list[Place] = []
    ranked = sorted(scored, key=lambda pair: pair[0])
    for _, place in reversed(ranked):
        if not any(place.overlaps(better) for better in best):
            best.append(place)
    return best


def _exact(word: str, text: str) -> list[Place]:
    folded = text.casefold()
    starts = [at.start() for at in re.finditer(f"(?={re.escape(word)})", folded)]  # overlapping ones too
    return _unfolded(text, [(start, start + len(word)) for start in starts]) if starts else []


def _unfolded(text: str, spans: Iterable[tuple[int, int]]) -> list[Place]:
    """The places in a text that spans of its folded form come from: ß is folded to two letters."""
    origins = [index for index, letter in enumerate(text) for _ in letter.casefold()]
    return [Place(origins[start], origins[end - 1] + 1) for start, end in spans]


def _similar(word: str, text: str) -> Iterator[tuple[float, Place]]:
    """The places in a text that are similar to a word, with their scores; they may overlap.

    Numbers are never similar to others: who asks for v1.2.3 does not mean v1.2.4.
    """
    text = text[:WITHIN]
    if not SHORTEST <= len(word) <= LONGEST or not fuzz.partial_ratio(word, text.casefold(), score_cutoff=HINT):
        return
    parts, numbers = PART.findall(word), NUMBER.findall(word)
    for score, place in chain(_anywhere(word, text), _whole(word, text)):
        piece = text[place.start : place.end].casefold()
        if numbers == NUMBER.findall(piece) and all(fuzz.partial_ratio(part, piece) >= EACH for part in parts):
            yield score, place


def _anywhere(word: str, text: str) -> Iterator[tuple[float, Place]]:
    """The most similar place of all, for a long word."""
    folded = text.casefold()
    if not LONG <= len(word) <= len(folded):  # a text shorter than the word would be looked for in the word
        return
    if found := fuzz.partial_ratio_alignment(word, folded, score_cutoff=ANYWHERE):
        score, span = max(_around(word, folded, found.dest_start, found.dest_end))
        [place] = _unfolded(text, [span])
        yield score, place


def _around(word: str, folded: str, start: int, end: int) -> Iterator[tuple[float, tuple[int, int]]]:
    """A place as long as the word, and wider ones: it may have letters that were left out of the word."""
    for first in range(max(0, start - 2), start + 1):
        for last in range(end, min(end + 2, len(folded)) + 1):
            yield fuzz.ratio(word, folded[first:last]), (first, last)


def _whole(word: str, text: str) -> Iterator[tuple[float, Place]]:
    """Similar places that begin and end where parts of the text do."""
    parts = [Place(*part.span()) for part in PART.finditer(text)]
    for index, first in enumerate(parts):
        for last in parts[index:]:
            place = Place(first.start, last.end)
            if place.end - place.start > 1.5 * len(word):  # nothing as long as that has the score
                break
            if score := fuzz.ratio(word, text[place.start : place.end].casefold(), score_cutoff=WHOLE):
                yield score, place
