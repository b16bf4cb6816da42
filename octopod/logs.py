"""What the scripts of actions have written: all of it, or as it is written."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from octopod import events, runs
from octopod.models import Action
from octopod.queries import get_action

MOST_SHOWN = 64 * 1024  # characters of a stream that a page begins with
FOLLOW_POLL = 0.5  # seconds between two looks at a growing log


def text_of(action: Action, stream: str) -> str:
    """What is kept of a stream: in the database once the action is finished, before in the directory of its run."""
    if action.is_finished or not action.run_directory:
        return getattr(action, stream)
    return runs.read_output(Path(action.run_directory), stream)


def tail(text: str) -> str:
    """The end of a text, from the beginning of a line on."""
    if len(text) <= MOST_SHOWN:
        return text
    end = text[-MOST_SHOWN:]
    return end[end.find("\n") + 1 :]


def follow(action: Action, streams: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Each stream with what is new in it, nothing too, again and again until the action is finished."""
    positions = dict.fromkeys(streams, 0)
    decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in streams}
    with events.listening(action.topic) as changed:
        while True:
            action = get_action(action.id, output=True)
            for stream in streams:
                yield stream, _news(action, stream, positions, decoders[stream])
            if action.is_finished:
                return
            changed.wait(FOLLOW_POLL)
            changed.clear()


def _news(action: Action, stream: str, positions: dict[str, int], decoder: codecs.IncrementalDecoder) -> str:
    if not action.run_directory:
        return ""
    data, positions[stream] = runs.read_since(Path(action.run_directory), stream, positions[stream])
    return decoder.decode(data).replace("\0", "\N{REPLACEMENT CHARACTER}")
