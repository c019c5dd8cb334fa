"""The command line: verbs, one line for every mistake, `--json` everywhere, logs on stderr.

Exit codes: 0 done · 1 a fault of ours · 2 bad input · 3 unreadable video · 4 damaged memory ·
5 missing package or model · 6 a method did not engage · 7 the disk refuses · 130 interrupted. Nothing heavy
is imported before a verb runs.
"""

from __future__ import annotations

import os
import sys
from typing import Any, cast

import typer

from watchonce.cli.output import fail
from watchonce.types import WatchonceError

# typer shows its usage errors only through this one; older releases take them from click, newer ones bring
# their own copy; BadParameter <- UsageError <- ClickException holds in both.
ClickError = cast(type[Exception], typer.BadParameter.__mro__[2])


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `watchonce` command; always ends in `SystemExit`."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    # Several threads on a busy machine cost more than they bring; OMP_NUM_THREADS overrides.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    from watchonce.cli import asking, keeping  # noqa: F401 -- their verbs enter the app
    from watchonce.cli.making import app

    if arguments is None and given[:1] in (["ask"], ["find"], ["watch"]):
        # transformers imports torchvision wherever it finds it, which costs a question several seconds;
        # our adapters prepare pictures themselves. None is the import system's own word for "not here".
        sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]

    try:
        # standalone_mode off: typer would print its own several lines and exit with its own codes
        app(args=given, prog_name="watchonce", standalone_mode=False)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except typer.Abort:
        sys.exit(fail("interrupted; the same command goes on where it stopped", "Interrupted", 130, as_json))
    except ClickError as error:
        usage: Any = error
        place = usage.ctx.command_path if getattr(usage, "ctx", None) is not None else "watchonce"
        message = f"{usage.format_message().rstrip('.')}; see `{place} --help`"
        sys.exit(fail(message, "BadInput", 2, as_json))
    except WatchonceError as error:
        sys.exit(fail(str(error), type(error).__name__, error.exit_code, as_json))
    except KeyboardInterrupt:
        sys.exit(fail("interrupted; the same command goes on where it stopped", "Interrupted", 130, as_json))
    except BrokenPipeError:
        # The reader went away (`| head`); keep Python from complaining about the unflushed rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        sys.exit(fail(f"{error.filename or 'system'}: {error.strerror or error}", "OSError", 1, as_json))
    sys.exit(0)
