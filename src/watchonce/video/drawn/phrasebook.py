"""The drawn world's language as a phrasebook: how to speak with a model that knows these words alone.

The text of a TOML file that goes into the model's folder; `study/phrasebook.py` reads it. The last phrasing
of every question about a film stays out of it: it is kept for measuring (`bench/drawn.py`, "rephrased").
This file does not know events, nor which answer is right.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from watchonce.video.drawn.phrases import CLIP, FILM, FORMS, MORE_NUMBERS, NOT_FOUND, NOTHING, idle, sentence
from watchonce.video.drawn.world import CATEGORIES, COLOURS, ROOMS

# What may be asked of a film beyond FILM, or in other words. Never a phrasing of FILM.
BEYOND: dict[str, tuple[str, ...]] = {
    "when": ("When did anyone {verb} the {name}?",),
    "first": ("When did anyone first {verb} the {name}?", "At what time was the {name} first {past}?"),
    "last": ("When did anyone last {verb} the {name}?", "At what time was the {name} last {past}?"),
    "what": ("What did anyone do with the {name}?",),
    "what_room": ("What did anyone do with the {name} in the {room}?",),
    "where": ("In which room did someone {verb} the {name}?",),
    "object": ("Which object did someone {verb} in the {room}?",),
    "at": ("What is done at {time}?", "What is going on at {time}?"),
    "before": ("What did someone do just before {ing} the {name}?",),
    "after": ("What did someone do just after {ing} the {name}?",),
    "count": ("How many times did anyone {verb} the {name}?",),
    "ever": ("Did anyone {verb} the {name}?",),
    "span": (
        "What happened from {time} to {until}?",
        "What was done from {time} to {until}?",
        "What did someone do between {time} and {until}?",
    ),
    "room_at": (
        "Which room was on view at {time}?",
        "In which room were we at {time}?",
        "Where were we at {time}?",
    ),
    "minute": ("What happened in minute {minute}?", "What was done in minute {minute}?"),
    "minute_room": ("Which room was on view in minute {minute}?", "Where were we in minute {minute}?"),
    "duration": (
        "How long was the {name} {past}?",
        "How long did someone {verb} the {name}?",
        "For how long was the {name} {past}?",
    ),
    "order": (
        "What happened first, someone {ing} the {name} or someone {ing2} the {name2}?",
        "Which was first, {ing} the {name} or {ing2} the {name2}?",
    ),
    "objects": ("Which objects were {past}?", "What things were {past}?"),
    "rooms": ("Which rooms was the {name} used in?", "In which rooms was the {name} used?"),
    "used_first": ("When was the {name} first used?", "When was the {name} used for the first time?"),
    "used_last": ("When was the {name} last used?", "When was the {name} used for the last time?"),
    "uses": ("How many times was the {name} used?", "How often was the {name} used?"),
    "deeds": ("How many times was something {past}?", "How often was something {past}?"),
    "busy": ("How many things were done in the {room}?", "How many times was something done in the {room}?"),
    "most_object": ("Which object was used most?", "What was used most often?"),
    "most_room": ("Which room was used most?", "In which room were most things done?"),
    "most_deed": ("What was done most often?", "What was done most?"),
    "opening": ("What happened first?", "What was the first thing done in the video?"),
    "closing": ("What happened last?", "What was the last thing done in the video?"),
    "used": ("Was the {name} used?", "Did someone use the {name}?"),
    # compositions; what `novel.py` asks is near them and never among them
    "room_first": ("In which room was the {name} first used?", "Where was the {name} used first?"),
    "deeds_of": ("How many different things were done with the {name}?",),
    "used_more": (
        "Was the {name} used more often than the {name2}?",
        "Was the {name} used more than the {name2}?",
    ),
    "deed_room": ("Was the {name} {past} in the {room}?", "Did someone {verb} the {name} in the {room}?"),
    "earlier": (
        "What was done with the {name} before it was {past}?",
        "What was done to the {name} just before it was {past}?",
    ),
    "room_before": ("In which room was the last thing done before the {name} was {past}?",),
    "deeds_room": ("How many different things were done in the {room}?",),
    "most_there": ("What was done most in the {room}?", "What was done most often in the {room}?"),
    "colour_room": (
        "What colour was the {category} that was used in the {room}?",
        "Which colour has the {category} used in the {room}?",
    ),
}

# One phrasing a kind for the agent's own examination: in no list above, and none of FILM.
PROBE: dict[str, str] = {
    "when": "At what time did someone {verb} the {name}?",
    "first": "When was someone first {ing} the {name}?",
    "last": "When was someone last {ing} the {name}?",
    "what": "What did someone do to the {name}?",
    "what_room": "What did someone do to the {name} in the {room}?",
    "where": "Where was someone {ing} the {name}?",
    "object": "Which object was someone {ing} in the {room}?",
    "at": "What was done at {time}?",
    "before": "What did someone do right before {ing} the {name}?",
    "after": "What did someone do right after {ing} the {name}?",
    "count": "How often was someone {ing} the {name}?",
    "ever": "Was someone ever {ing} the {name}?",
    "span": "What was going on from {time} to {until}?",
    "room_at": "Which room was it at {time}?",
    "minute": "What did someone do in minute {minute}?",
    "minute_room": "In which room were we in minute {minute}?",
    "duration": "For how long did someone {verb} the {name}?",
    "order": "What was done first, {ing} the {name} or {ing2} the {name2}?",
    "objects": "Which things did someone {verb}?",
    "rooms": "In what rooms did someone use the {name}?",
    "used_first": "When did someone first use the {name}?",
    "used_last": "When did someone last use the {name}?",
    "uses": "How often did someone use the {name}?",
    "deeds": "How often did someone {verb} something?",
    "busy": "How many things did someone do in the {room}?",
    "most_object": "Which object did someone use most?",
    "most_room": "Which room did we see most?",
    "most_deed": "What did someone do most often?",
    "opening": "What did someone do first?",
    "closing": "What did someone do last?",
    "used": "Has the {name} been used?",
    "room_first": "Where did someone first use the {name}?",
    "deeds_of": "How many different things did someone do with the {name}?",
    "used_more": "Did someone use the {name} more often than the {name2}?",
    "deed_room": "Was someone {ing} the {name} in the {room}?",
    "earlier": "What did someone do with the {name} before it was {past}?",
    "room_before": "Where was the last thing done before the {name} was {past}?",
    "deeds_room": "How many different things did someone do in the {room}?",
    "most_there": "What did someone do most in the {room}?",
    "colour_room": "What was the colour of the {category} used in the {room}?",
}

# kind of film question -> kind of question by which a clip of the evidence shows the same answer
VIEWS = {
    "what": "act",
    "what_room": "act",
    "where": "where",
    "object": "object",
    "ever": "yesno",
    "at": "describe",
    "span": "describe",
    "room_at": "room",
}


def asked_phrasings() -> dict[str, tuple[str, ...]]:
    """Per kind, the phrasings an agent may ask in: FILM without the last of each list, then BEYOND."""
    kinds = [*FILM, *(kind for kind in BEYOND if kind not in FILM)]
    return {kind: (*FILM.get(kind, ())[:-1], *BEYOND[kind]) for kind in kinds}


def clip_phrasings() -> dict[str, tuple[str, ...]]:
    """Per kind, the phrasings for a clip; what is held out for films is not among them either."""
    held = {phrasings[-1] for phrasings in FILM.values()}
    return {kind: tuple(p for p in phrasings if p not in held) for kind, phrasings in CLIP.items()}


def phrasebook() -> str:
    """The phrasebook as TOML."""
    lines = [
        "# How to speak with this model, which knows few words: its captions, its word forms, and what may",
        "# be asked of a film and of a clip of it. Slots: {name} is {colour} {category}; {verb}, {third},",
        '# {past} and {ing} are forms of an activity; {time} and {until} are clock times such as "12:40".',
        "",
        f"describe = {_text(CLIP['describe'][0])}",
        f"event = {_text(_pattern(sentence('wash', '{name}', '{room}')))}",
        f"idle = {_text(idle('{room}'))}",
        'name = "{colour} {category}"',
        f"not_found = {_text(NOT_FOUND)}",
        f"nothing = {_text(NOTHING)}",
        'join = " and "',
        f"numbers = {_list(MORE_NUMBERS)}",
        "",
        *_table("words", {"colour": COLOURS, "category": CATEGORIES, "room": ROOMS}),
        "# activity: {third}, {past}, {ing}",
        *_table("activities", FORMS),
        *_table("film", asked_phrasings()),
        *_table("probe", {kind: (text,) for kind, text in PROBE.items()}),
        *_table("clip", clip_phrasings()),
        "# question of a film: the question of a clip that has the same answer",
        *_table("views", VIEWS),
    ]
    return "\n".join(lines).rstrip("\n") + "\n"


def _pattern(caption: str) -> str:
    return caption.replace(FORMS["wash"][0], "{third}", 1)


def _text(value: str) -> str:
    return json.dumps(value)


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(map(_text, values))}]"


def _table(name: str, rows: Mapping[str, Sequence[str] | str]) -> list[str]:
    """A TOML table, long lists one entry a line."""
    lines = [f"[{name}]"]
    for key, value in rows.items():
        one = f"{key} = {_text(value) if isinstance(value, str) else _list(value)}"
        if len(one) > 100 and not isinstance(value, str):
            one = "\n".join([f"{key} = [", *(f"  {_text(entry)}," for entry in value), "]"])
        lines.append(one)
    return [*lines, ""]
