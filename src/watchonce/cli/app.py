"""The verbs. Each reads its arguments, calls one function of a lower floor, and prints what came back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from watchonce import __version__
from watchonce.cli.output import progress_bar, say, show, time_range, write
from watchonce.clock import clock

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Watch a long video once, into a small memory; ask it any number of questions, each answered with"
    " the times that prove it. Times are read as 90, 1:30 or 00:01:30.5 and printed as HH:MM:SS.mmm.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a recipe value: table.key=value.")]
Where = Annotated[str, typer.Argument(help="A memory folder, or a name from `list`.")]
Model = Annotated[
    str | None,
    typer.Option(help="Hub id, local folder, tiny, none, or http://host/v1#model. Default: the recipe's."),
]


def _version(wanted: bool) -> None:
    if wanted:
        write(f"watchonce {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    del version


@app.command()
def watch(
    video: Annotated[Path, typer.Argument(help="The video file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Memory folder to write.")] = None,
    recipe: Annotated[str, typer.Option(help="Recipe name, memory name, or a .toml file.")] = "diary",
    model: Model = None,
    overrides: Set = None,
    limit: Annotated[
        list[str] | None, typer.Option(help="What the file may take: stall=600 or another of name=number.")
    ] = None,
    force: Annotated[bool, typer.Option(help="Replace what is at --out.")] = False,
    as_json: Json = False,
) -> None:
    """Watch VIDEO once into a memory; run again after an interruption and it goes on."""
    from watchonce.video import Limits, prepare

    prepare()  # FFmpeg is loaded beside what is loaded here
    limits = Limits.parse(limit or ())
    from watchonce import memory as room

    began = time.monotonic()
    with progress_bar(video.name) as bar:
        made = room.watch(
            video,
            out,
            recipe=recipe,
            model=model,
            overrides=overrides or (),
            force=force,
            limits=limits,
            report=lambda p: bar(p.stage, p.done, p.total, p.speed),
            tell=lambda line: say(f"watchonce: {line}"),
        )
    seconds = time.monotonic() - began
    for warning in made.manifest["coverage"]["warnings"]:
        say(f"watchonce: warning: {warning}")
    info_ = _info(made)
    if as_json:
        return show({**info_, "timing": {"seconds": seconds, "real_time": made.duration / seconds}})
    write(
        f"{made.path}: {clock(made.duration)} of video in {seconds:.1f} s"
        f" ({made.duration / seconds:.1f} x real time), {info_['bytes'] / 1e6:.2f} MB, {info_['items']}"
    )
    return None


def _info(opened: Any) -> dict[str, Any]:
    manifest = opened.manifest
    items = ", ".join(f"{count} {kind} notes" for kind, count in sorted(manifest["notes"].items()))
    tokens = sum(shape[0] for name, shape in manifest["tensors"].items() if name.endswith(".data"))
    return {
        "memory": opened.path.name,
        "path": str(opened.path),
        "bytes": opened.stored.size,
        "items": items or (f"{tokens} tokens" if tokens else "nothing"),
        **{k: manifest[k] for k in ("source", "models", "coverage", "notes", "recipe", "version", "schema")},
    }


@app.command()
def info(memory: Where, as_json: Json = False) -> None:
    """Show what a memory was made from, with what, and what it covers."""
    from watchonce import library

    stored = library.load(library.Catalogue().resolve(memory))
    opened = _Closed(stored.path, stored.manifest, stored)
    found = _info(opened)
    if as_json:
        return show(found)
    source, coverage, models = found["source"], found["coverage"], found["models"]
    write(f"memory    {found['memory']}  {found['bytes'] / 1e6:.2f} MB, {found['items']}")
    write(f"source    {source['name']}  {clock(source['duration'])}  {source['width']}x{source['height']}")
    write(f"content   {source['fingerprint']}")
    seer = models["vlm"] or models.get("vision")
    write(f"model     {seer['name'] + ' ' + seer['revision'][:12] if seer else 'none'}")
    write(f"recipe    {found['recipe']['name']}  (watchonce {found['version']})")
    write(
        f"coverage  watched {clock(coverage['watched'])} of {clock(coverage['declared'])}, kept"
        f" {coverage['kept']} frames" + (f" at {coverage['fps']:g} a second" if coverage["fps"] else "")
    )
    for gap in coverage["gaps"]:
        write(f"  gap     {time_range(gap['start'], gap['end'])}  {gap['reason']}")
    for warning in coverage["warnings"]:
        write(f"  warning {warning}")
    return None


class _Closed:
    """A memory read for its facts alone: no model is loaded."""

    def __init__(self, path: Path, manifest: Any, stored: Any) -> None:
        self.path, self.manifest, self.stored = path, manifest, stored


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the memories this machine knows, newest first."""
    from watchonce.library import Catalogue

    rows = Catalogue().rows()
    if as_json:
        return show({"memories": rows})
    if not rows:
        write("no memories yet; make one with: watchonce watch VIDEO")
    for row in rows:
        gone = "" if row["present"] else "  (folder gone)"
        write(f"{row['name']:24} {clock(row['duration'])}  {row['recipe']:12} {row['path']}{gone}")
    return None
