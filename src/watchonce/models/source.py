"""Where a model comes from: the shipped folder, a local folder or a hub id, pinned to a revision.

Only safetensors weights are ever opened, checked first; pickles are refused by name. Knows files, the
hub client and devices, but no model class.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from watchonce.tensorfile import PICKLES, read_header
from watchonce.types import BadInput, MissingPackage

TINY = Path(__file__).parent / "weights" / "tiny"
INDEX = "*.safetensors.index.json"  # which file holds which tensor, of weights in several files
# A snapshot is asked for by pattern, so that pickles and code of a hub model are never downloaded.
WANTED = ["*.json", "*.jinja", "*.safetensors", "*.txt", "*.model", "phrasebook.toml"]
WHOLE = 512 * 2**20  # bytes of weights hashed in full; of larger files a header and samples are


@dataclass(frozen=True, slots=True)
class Source:
    """A model on disk: its folder, the name it is known by, and what pins its weights."""

    folder: Path
    name: str
    revision: str

    def table(self, *names: str) -> dict[str, Any]:
        """The first of the JSON files `names` that the folder holds, as a dict; empty if none does."""
        for name in names:
            path = self.folder / name
            if path.is_file():
                try:
                    return json.loads(path.read_text(encoding="utf-8"))
                except (ValueError, RecursionError) as error:
                    raise BadInput(f"{path} is not JSON ({error}): fetch the model again") from error
        return {}

    def text(self, name: str) -> str | None:
        """The contents of a text file of the folder, None if it is not there."""
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else None


def find(where: str | Path, revision: str | None = None) -> Source:
    """The model `where` names: "tiny", a local folder, or a hub id such as org/name.

    Raises BadInput for a name that can be none of these, a folder without config.json or without
    safetensors; MissingPackage when the hub must be asked and cannot.
    """
    if str(where) == "tiny":
        if not (TINY / "config.json").is_file():
            raise MissingPackage("the tiny model is not in this installation: run `watchonce train tiny`")
        folder, name, pin = TINY, "tiny", None
    elif Path(where).expanduser().is_dir():
        folder = Path(where).expanduser().resolve()
        name, pin = folder.name, None
    elif Path(where).suffix.lower() in PICKLES:
        raise BadInput(f"{where} may run code when opened and never is: give a folder with safetensors")
    else:
        folder, pin = _fetch(str(where), revision)
        name = str(where)
    _check_files(folder, name)
    return Source(folder, name, pin or weights_hash(folder))


def _check_files(folder: Path, name: str) -> None:
    """BadInput for a folder without weights that may be opened, or whose weights claim what cannot be."""
    if not (folder / "config.json").is_file():
        raise BadInput(f"{folder} holds no config.json: give a folder written by save_pretrained")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        found = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in PICKLES)
        if found:
            raise BadInput(
                f"{name} has only {found[0]}, a pickle that could run code: convert it to safetensors"
            )
        raise BadInput(f"{folder} holds no *.safetensors weights: give a folder written by save_pretrained")
    for file in files:
        read_header(file, cure="fetch the model again")
    for index in sorted(folder.glob(INDEX)):
        # the loader opens whatever an index names, by its ending, and a pickle's ending opens a pickle
        for file in _named_files(index):
            if file not in {path.name for path in files}:
                raise BadInput(
                    f"{index} names {file[:80]!r}, no safetensors file beside it: fetch the model again"
                )


def _named_files(index: Path) -> set[str]:
    try:
        found = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return {str(file) for file in found.values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"{index} is no index of weights ({error}): fetch the model again") from error


def weights_hash(folder: Path) -> str:
    """16 hex digits over config.json and the weights, file by file; a change of either changes it.

    Files beyond 512 MiB count by size, first and last MiB and 64 blocks between: it tells models
    apart, it does not prove them whole.
    """
    digest = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            if size <= WHOLE:
                while block := file.read(2**22):
                    digest.update(block)
                continue
            for block in range(66):
                file.seek((size - 2**20) * block // 65)
                digest.update(file.read(2**20))
    return digest.hexdigest()[:16]


def _fetch(name: str, revision: str | None) -> tuple[Path, str]:
    """Snapshot folder and commit of a hub model; from the cache alone when HF_HUB_OFFLINE is set."""
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise BadInput(f"no model {name!r}: give tiny, a folder, a hub id (org/name) or http://host/v1#model")
    import httpx
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=WANTED))
    except errors.GatedRepoError as error:
        raise BadInput(f"{name} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(f"{name} has no revision {revision!r}: give a branch, tag or commit") from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(
            f"the hub has no model {name!r} that you may read: check it, or set HF_TOKEN"
        ) from error
    except errors.HFValidationError as error:
        raise BadInput(f"{name!r} is neither a folder nor a hub id of the form org/name") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        raise MissingPackage(
            f"{name} is not in the local cache and the hub was not reached: go online, "
            "unset HF_HUB_OFFLINE, or give a local folder"
        ) from error
    except (errors.HfHubHTTPError, httpx.HTTPError) as error:
        why = str(error).split("\n")[0][:120]
        raise MissingPackage(
            f"the hub did not give {name} ({why}): try again or give a local folder"
        ) from error
    return folder, folder.name


def pick_device(wanted: str) -> tuple[str, str]:
    """A torch device string and the reason for it. `wanted`: auto, cpu, cuda, cuda:1, mps."""
    import torch

    if wanted == "auto":
        if torch.cuda.is_available():
            return "cuda", f"auto: {torch.cuda.get_device_name()} found"
        return "cpu", "auto: torch sees no CUDA device"
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise BadInput(f"no device {wanted!r}: give auto, cpu, cuda, cuda:0 or mps") from error
    absent = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise BadInput(f"torch does not see the device {wanted!r} here: use --device auto or cpu")
    return wanted, "asked for"


def pick_dtype(wanted: str, device: str) -> Any:
    """The torch dtype: float32 on CPU, bfloat16 where the GPU has it, float16 elsewhere, unless named."""
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if wanted == "auto":
        if device == "cpu":
            return torch.float32
        half = (
            torch.bfloat16 if device.startswith("cuda") and torch.cuda.is_bf16_supported() else torch.float16
        )
        return half
    if wanted not in known:
        raise BadInput(f"no dtype {wanted!r}: give auto, {', '.join(known)}")
    return known[wanted]


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps the progress bars of transformers off stderr while weights load."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
