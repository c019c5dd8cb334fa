"""Names of memories and models on this machine: one SQLite file with a rollback journal.

What is deleted from it is overwritten (`secure_delete`). It knows paths and facts, no memory's content.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from watchonce import disk
from watchonce.library.form import MANIFEST, SUMS
from watchonce.types import BadInput, CannotWrite, DamagedMemory

FILE = "catalogue.sqlite"
ROW = ("path", "name", "fingerprint", "duration", "recipe", "watched")


def home() -> Path:
    """Where this machine keeps its catalogue and unnamed memories; `WATCHONCE_HOME` moves it."""
    given = os.environ.get("WATCHONCE_HOME")
    data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(given) if given else Path(data) / "watchonce"


def memory_name(path: Path) -> str:
    """`talk` for `.../talk.memory`."""
    return path.name.removesuffix(".memory")


class Catalogue:
    """Names of memories and models on this machine. Losing it loses no memory: `add` makes it anew.

    Raises CannotWrite where its folder or file may not be written, DamagedMemory where the file is none.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or home()
        with disk.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, path: Path, manifest: Mapping[str, Any]) -> None:
        """Enters a memory under its folder name without `.memory`; the newest of a name wins."""
        source = manifest["source"]
        row = (
            _text(path),
            memory_name(path),
            source["fingerprint"],
            source["duration"],
            manifest["recipe"]["name"],
            time.time(),
        )
        with self._db() as db:
            db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?, ?, ?, ?)", row)
            db.execute("DELETE FROM unfinished WHERE path = ?", row[:1])

    def begin(self, path: Path, fingerprint: str) -> None:
        """Remembers that a watch of a video into `path` was begun, so that `delete` finds its leftovers."""
        with self._db() as db:
            db.execute("INSERT OR REPLACE INTO unfinished VALUES (?, ?)", (_text(path), fingerprint))

    def unfinished(self) -> list[tuple[Path, str]]:
        """`(path, fingerprint)` of every watch that was begun and did not end."""
        with self._db() as db:
            rows = db.execute("SELECT path, fingerprint FROM unfinished ORDER BY path").fetchall()
        return [(Path(path), fingerprint) for path, fingerprint in rows]

    def rows(self) -> list[dict[str, Any]]:
        """All memories, newest first; `present` tells whether the folder is still there."""
        with self._db() as db:
            rows = db.execute(f"SELECT {', '.join(ROW)} FROM memory ORDER BY watched DESC, path").fetchall()
        return [
            {**dict(zip(ROW, r, strict=True)), "present": (Path(r[0]) / MANIFEST).is_file()} for r in rows
        ]

    def resolve(self, where: str) -> Path:
        """A memory's folder by path, or by name."""
        path = Path(where)
        if any((path / name).is_file() for name in (MANIFEST, SUMS)):
            return path
        for row in self.rows():
            if where in (row["name"], row["path"]) and row["present"]:
                return Path(row["path"])
        if path.exists():
            return path  # no memory; loading it says what it is
        raise BadInput(f"no memory is called {where!r} and no folder is there; see `watchonce list`")

    def forget(self, *paths: Path) -> None:
        """Takes memories and unfinished watches out of the catalogue; folders stay.

        Nothing of the rows is left in the file: they are overwritten, and the file is written anew.
        """
        rows = [(_text(path),) for path in paths]
        with self._db() as db:
            db.executemany("DELETE FROM memory WHERE path = ?", rows)
            db.executemany("DELETE FROM unfinished WHERE path = ?", rows)
            db.commit()
            db.execute("VACUUM")

    def remember_model(self, revision: str, where: str) -> None:
        """Where the weights of a revision were found."""
        with self._db() as db:
            db.execute("INSERT OR REPLACE INTO model VALUES (?, ?)", (revision, where))

    def model(self, revision: str) -> str | None:
        """Where the weights of a revision were last found."""
        with self._db() as db:
            row = db.execute('SELECT "where" FROM model WHERE revision = ?', (revision,)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        file = self.folder / FILE
        try:
            with closing(self._open(file)) as db, db:
                yield db
        except sqlite3.OperationalError as error:
            raise CannotWrite(
                f"{file} cannot be used ({error}); make its folder writable, or move it by WATCHONCE_HOME"
            ) from error
        except sqlite3.DatabaseError as error:
            raise DamagedMemory(
                f"{file} is no catalogue ({error}); remove it: no memory is lost, paths go on working"
            ) from error

    @staticmethod
    def _open(file: Path) -> sqlite3.Connection:
        db = sqlite3.connect(file, timeout=10)
        # Rollback journal, not WAL: SQLite before 3.51.3 can corrupt a WAL database when it is reset.
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA secure_delete = ON")
        db.execute(
            "CREATE TABLE IF NOT EXISTS memory (path TEXT PRIMARY KEY, name TEXT, fingerprint TEXT,"
            " duration REAL, recipe TEXT, watched REAL)"
        )
        db.execute("CREATE TABLE IF NOT EXISTS unfinished (path TEXT PRIMARY KEY, fingerprint TEXT)")
        db.execute('CREATE TABLE IF NOT EXISTS model (revision TEXT PRIMARY KEY, "where" TEXT)')
        return db


def _text(path: Path) -> str:
    """A path as the catalogue writes it; BadInput for bytes that are no UTF-8, which SQLite cannot keep."""
    text = str(path.resolve())
    if not text.isascii() and text.encode("utf-8", "replace").decode() != text:
        raise BadInput(f"the name {text!r} is not UTF-8; choose another -o")
    return text
