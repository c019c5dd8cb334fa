"""The verbs that look after memories: verify one, delete what was made of a video, sweep up leftovers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from watchonce.cli.app import Json, Where, app
from watchonce.cli.output import show, write

if TYPE_CHECKING:
    from watchonce.removal import Kept

Yes = Annotated[bool, typer.Option("--yes", help="Remove it; without, only say what would go.")]


@app.command()
def verify(memory: Where, as_json: Json = False) -> None:
    """Check every file of a memory; name the damaged ones and exit with 4."""
    from watchonce import library
    from watchonce.types import DamagedMemory

    path = library.Catalogue().resolve(memory)
    faults = library.verify(path)
    if not faults:
        library.load(path)  # the schema and the tensors, too
    if as_json:
        show({"memory": path.name, "ok": not faults, "faults": [{"file": f, "fault": w} for f, w in faults]})
        raise typer.Exit(DamagedMemory.exit_code if faults else 0)
    if faults:
        listed = "; ".join(f"{file}: {what}" for file, what in faults)
        raise DamagedMemory(f"{path.name} is not whole: {listed}; restore it, or watch the video again")
    write(f"{path.name}: every file is as it was written")
    return


@app.command()
def delete(
    video: Annotated[str, typer.Argument(help="A video file, a memory or its name, or a fingerprint.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Remove all that was made of VIDEO, and prove that nothing is left; the video itself stays."""
    from watchonce import removal
    from watchonce.library import Catalogue
    from watchonce.types import BadInput, CannotWrite

    catalogue = Catalogue()
    fingerprint = removal.fingerprint_of(video, catalogue)
    kept = removal.kept_of(fingerprint, catalogue, video)
    if not (yes or kept):
        raise BadInput(f"of {video} nothing is known in {catalogue.folder}; is WATCHONCE_HOME the right one?")
    if not yes:
        raise BadInput(
            f"of {video} there is: {'; '.join(_lines(kept))}; to remove it, say it again with --yes"
        )
    removal.delete(kept, catalogue)
    left, looked = removal.traces(catalogue.folder, [fingerprint.encode()])
    if left:
        raise CannotWrite(f"{left[0]} still names the video ({len(left)} files in all); remove it by hand")
    facts = {"video": video, "fingerprint": fingerprint, "removed": len(kept), "bytes_searched": looked}
    if as_json:
        return show({**facts, "left": 0})
    for line in _lines(kept):
        write(f"removed {line}")
    write(f"{looked} bytes of {catalogue.folder} searched for {fingerprint[:16]}…: nothing of it is left")
    return None


@app.command()
def gc(
    yes: Yes = False,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Watches that were begun and not ended, too.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Sweep up: entries without a folder, parts of killed writers, measures of videos with no memory."""
    from watchonce import removal
    from watchonce.library import Catalogue

    catalogue = Catalogue()
    kept = removal.leftovers(catalogue, unfinished=unfinished)
    if yes:
        removal.delete(kept, catalogue)
    if as_json:
        return show({"removed": yes, "found": _lines(kept)})
    for line in _lines(kept):
        write(f"{'removed' if yes else 'would go:'} {line}")
    write(f"{len(kept)} leftovers{'' if yes or not len(kept) else '; --yes removes them'}")
    return None


def _lines(kept: Kept) -> list[str]:
    kinds = {
        "memory": kept.memories,
        "unfinished watch": kept.unfinished,
        "measure": kept.measures,
        "entry of the list": kept.rows,
        "part": kept.parts,
    }
    return [f"{kind} {path}" for kind, paths in kinds.items() for path in paths]
