"""The verbs that question memories: ask one, find in one or in all."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watchonce.cli.app import Json, Model, Where, app
from watchonce.cli.output import say, show, time_range, write
from watchonce.clock import clock, parse_clock, parse_span
from watchonce.types import Answer, BadInput, Query, Span

if TYPE_CHECKING:
    from watchonce.memory import Hit

ALL = "all"
QUESTIONS = 2**24  # characters of a file of questions
Activity = Annotated[str | None, typer.Option(help="A thing that is done: lift, cut, wash.")]
Thing = Annotated[Path | None, typer.Option("--object", help="A picture of one object, cut out closely.")]
Box = Annotated[str | None, typer.Option(help="Where in that picture the object is: X1,Y1,X2,Y2 in 0..1.")]
Within = Annotated[str | None, typer.Option(help="Only this stretch: START-END.")]
Before = Annotated[str | None, typer.Option(help="Use nothing later than this time.")]


@app.command()
def ask(
    memory: Where,
    question: Annotated[list[str] | None, typer.Argument(help="One question, or several.")] = None,
    questions: Annotated[
        str | None, typer.Option(help="A file with a question a line; - reads stdin.")
    ] = None,
    choice: Annotated[list[str] | None, typer.Option(help="An option to choose from; repeat it.")] = None,
    activity: Activity = None,
    thing: Thing = None,
    box: Box = None,
    span: Within = None,
    before: Before = None,
    model: Model = None,
    picture: Annotated[Path | None, typer.Option(help="Draw timeline and evidence into this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Ask a memory; the video is not needed any more.

    In words: watchonce ask home.memory "When was the red cup washed?"

    Or, of a memory made with --recipe long_vmnet, give two of --activity, --object and --span, and the third
    is answered: watchonce ask home.memory --activity lift --object cup.png
    """
    queries = _queries(list(question or []) + _lines(questions), choice, activity, thing, box, span, before)
    if picture is not None:
        if len(queries) > 1:
            raise BadInput(f"--picture draws one question, {len(queries)} were given; ask them one at a time")
        from watchonce.picture import check_path

        check_path(picture)  # before a model is loaded for nothing
    began = time.perf_counter()
    from watchonce.memory import Memory

    opened = Memory.open(memory, model=model)
    load = time.perf_counter() - began
    _warn(queries[0].span, opened.duration)
    for query in queries:
        answer = opened.ask(query)
        if picture is not None:
            from watchonce.picture import draw_answer

            draw_answer(opened, query, answer, picture)
        if as_json:
            asked = {"question": query.text, **_given(query, thing)}
            show({**asked, **_answer(answer), "timing": _timing(load, answer), **_source(opened)})
        else:
            _print_answer(query, answer, alone=len(queries) == 1)


@app.command()
def find(
    memory: Annotated[str, typer.Argument(help="A memory folder, a name from `list`, or all.")],
    words: Annotated[list[str] | None, typer.Argument(help="Words to look for in the notes.")] = None,
    activity: Activity = None,
    thing: Thing = None,
    box: Box = None,
    span: Within = None,
    before: Before = None,
    most: Annotated[int, typer.Option(help="Print at most so many lines; --json has all.")] = 10,
    model: Model = None,
    as_json: Json = False,
) -> None:
    """Find where MEMORY, or all of them, holds something; a line a hit, best first.

    Words are looked for in notes: watchonce find all red cup

    Of two of --activity, --object and --span the third is found. When was this lifted:
    watchonce find home.memory --activity lift --object cup.png. What was done to it:
    --object cup.png --span 5:00-9:00. Where is what was lifted: --activity lift --span 5:00-5:20.
    """
    if most < 1:
        raise BadInput(f"--most must be 1 or more, got {most}")
    text = [" ".join(words)] if words else []
    query = _queries(text, None, activity, thing, box, span, before)[0]
    from watchonce import memory as room

    if memory == ALL:
        if model is not None:
            raise BadInput("--model is for one memory; each of all is searched with its own")
        hits = room.find(query, tell=lambda line: say(f"watchonce: {line}"))
    else:
        opened = room.Memory.open(memory, model=model)
        if query.asks == "words" and not opened.notes:
            raise BadInput(
                f"{opened.path.name} has no notes to look for words in; ask it, or give --activity"
            )
        _warn(query.span, opened.duration)
        hits = opened.find(query)
    if as_json:
        asked = {"words": query.text} if query.asks == "words" else _given(query, thing)
        return show({**asked, "hits": [_hit(h) for h in hits]})
    _print_hits(query.asks, hits, most, many=memory == ALL)
    return None


@app.command("show")
def show_(
    memory: Where,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The PNG to write; NAME.png.")] = None,
    as_json: Json = False,
) -> None:
    """Draw which tokens a memory kept: from when, from where in the frame, on which frames."""
    from watchonce.library import memory_name
    from watchonce.memory import Memory
    from watchonce.picture import check_path, draw_kept

    if out is not None:
        check_path(out)
    opened = Memory.open(memory)
    out = draw_kept(opened, out or Path(f"{memory_name(opened.path)}.png"))
    if as_json:
        return show({"memory": opened.path.name, "picture": str(out), "table": str(out.with_suffix(".csv"))})
    write(f"{out}: what {opened.path.name} kept; the tokens are listed in {out.with_suffix('.csv')}")
    return None


def _queries(
    texts: list[str],
    choice: list[str] | None,
    activity: str | None,
    thing: Path | None,
    box: str | None,
    span: str | None,
    before: str | None,
) -> list[Query]:
    """The queries a command line means: one of each text, or one relational query."""
    stretch = parse_span(span) if span is not None else None
    limit = parse_clock(before) if before is not None else None
    if box is not None and thing is None:
        raise BadInput("--box says where in the picture of --object the object is; give that picture, too")
    if activity is None and thing is None:
        if not texts:
            raise BadInput(
                'no question was given; write watchonce ask MEMORY "what happened at 1:30?", or give two of'
                " --activity, --object and --span"
            )
        return [Query(text, tuple(choice or ()), stretch, before=limit) for text in texts]
    if texts or choice:
        extra = f"the words {texts[0]!r}" if texts else f"--choice {choice[0]}" if choice else ""
        raise BadInput(f"--activity and --object ask without words; leave {extra} out, or ask in words alone")
    image = None if thing is None else _object(thing, box)
    query = Query("", (), stretch, image, activity, limit)
    return [Query(_sentence(query), (), stretch, image, activity, limit)]


def _warn(span: Span | None, duration: float) -> None:
    """A line on stderr for a span in which nothing can be."""
    if span is not None and span.start >= duration:
        say(f"watchonce: warning: --span begins after the end of the video ({clock(duration)})")
    elif span is not None and span.length <= 0:
        say("watchonce: warning: --span is empty; it ends where it begins")


def _object(path: Path, box: str | None) -> Any:
    """The pixels of --object, cut out where --box says."""
    corners = None if box is None else _corners(box)
    from watchonce.ops.crops import crop
    from watchonce.video.stills import read_still

    still = read_still(path)
    return still if corners is None else crop(still, corners)


def _corners(text: str) -> tuple[float, float, float, float]:
    try:
        x1, y1, x2, y2 = (float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(f"--box {text!r} is not X1,Y1,X2,Y2, for example 0.2,0.4,0.5,0.8") from None
    if not (0 <= x1 < x2 <= 1 and 0 <= y1 < y2 <= 1):
        raise BadInput(f"--box {text!r} must run from upper left to lower right within 0..1")
    return x1, y1, x2, y2


def _sentence(query: Query) -> str:
    """A relational query for those who read; BadInput for half a query."""
    stretch = "" if query.span is None else f" from {clock(query.span.start)} to {clock(query.span.end)}"
    if query.asks == "activity":
        return f"What is done to this object{stretch}?"
    if query.asks == "object":
        return f"Where is what they {query.activity}{stretch}?"
    return f"When do they {query.activity} this object{stretch and ',' + stretch}?"


def _lines(source: str | None) -> list[str]:
    if source is None:
        return []
    try:
        if source == "-":
            text = sys.stdin.read(QUESTIONS + 1)
        elif not Path(source).is_file():  # a pipe or a device would be waited for
            raise BadInput(f"--questions {source}: no file is there; give a UTF-8 text file, or -")
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(QUESTIONS + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--questions {source}: {error}; give a UTF-8 text file, or -") from error
    if len(text) > QUESTIONS:
        raise BadInput(
            f"--questions {source} has more characters than at most {QUESTIONS}; ask in several goes"
        )
    return [line.strip() for line in text.splitlines() if line.strip()]


# -- what is printed


def _given(query: Query, thing: Path | None) -> dict[str, Any]:
    if query.asks == "words":
        return {}
    span = None if query.span is None else [query.span.start, query.span.end]
    return {
        "asks": query.asks,
        "activity": query.activity,
        "object": None if thing is None else str(thing),
        "span": span,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    evidence = [
        {"start": s.start, "end": s.end, "score": s.score, "text": time_range(s.start, s.end)}
        for s in answer.evidence
    ]
    return {
        "answer": answer.text,
        "choice": answer.choice,
        "scores": list(answer.scores),
        "activities": [{"activity": name, "score": score} for name, score in answer.activities],
        "boxes": [{"time": time_, "box": box} for time_, *box in answer.boxes],
        "evidence": evidence,
        "not_found": answer.not_found,
    }


def _timing(load: float, answer: Answer) -> dict[str, float]:
    cost = answer.cost
    return {
        "load": round(load, 6),
        "recall": round(cost.recall, 6),
        "answer": round(cost.seconds - cost.recall, 6),
        "total": round(cost.seconds, 6),
    }


def _source(opened: Any) -> dict[str, Any]:
    return {"memory": opened.path.name, "model": opened.model}


def _print_answer(query: Query, answer: Answer, alone: bool) -> None:
    if not alone:
        write(f"\n{query.text}")
    if query.asks != "time" or not answer.evidence:  # there the evidence is the answer
        write(answer.text)
    if query.asks == "activity":
        for name, score in answer.activities[1:5]:
            write(f"  {score:.2f}  {name}")
    if query.asks == "object":
        _print_rows([_box_line(time_, box) for time_, *box in answer.boxes], 10)
    for span in answer.evidence:
        write(f"  {time_range(span.start, span.end)}" + (f"  {span.score:.2f}" if span.score else ""))


def _hit(hit: Hit) -> dict[str, Any]:
    where = {"memory": hit.memory, "start": hit.start, "end": hit.end, "score": hit.score, "text": hit.text}
    return where if hit.box is None else {**where, "box": list(hit.box)}


def _print_hits(kind: str, hits: list[Hit], most: int, many: bool) -> None:
    if not hits:
        write("not found")
    rows = []
    for hit in hits:
        score = "    " if hit.score is None else f"{hit.score:.2f}"
        if kind == "object":
            row = _box_line(hit.start, list(hit.box or ()))
        elif kind == "activity":
            row = f"{score}  {hit.text}"
        else:
            row = f"{time_range(hit.start, hit.end)}  {score}" + (f"  {hit.text}" if kind == "words" else "")
        rows.append(f"{hit.memory:16} {row}" if many else row)
    if kind == "object":
        return _print_rows(rows, most, "")
    for row in rows[:most]:
        write(row)
    if len(rows) > most:
        write(f"({len(rows) - most} more; --most {len(rows)} prints them)")
    return None


def _box_line(moment: float, box: list[float]) -> str:
    return f"{clock(moment)}  " + " ".join(f"{side:.3f}" for side in box)


def _print_rows(rows: list[str], most: int, indent: str = "  ") -> None:
    """At most so many rows, evenly spread, as a path of boxes is read."""
    count = min(most, len(rows))
    for number in range(count):
        write(indent + rows[(2 * number + 1) * len(rows) // (2 * count)])
    if len(rows) > count:
        write(f"{indent}({count} of {len(rows)} boxes; --json has all)")
