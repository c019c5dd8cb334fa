"""Where models come from: names that cannot be used say why in one line, pickles stay closed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from watchonce.models import source
from watchonce.models.vlm import FAMILIES, load_vlm
from watchonce.types import BadInput, MissingPackage

from .builders import noise


def refused(where: Any, says: str, error: type[Exception] = BadInput, **more: Any) -> None:
    with pytest.raises(error, match=says) as caught:
        load_vlm(where, **more)
    assert "\n" not in str(caught.value)


def test_names_that_can_be_no_model(tmp_path: Path) -> None:
    refused("tinny", "no model 'tinny': give tiny, a folder, a hub id")
    refused("./nowhere/at/all", "no model './nowhere/at/all'")
    refused(tmp_path, "holds no config.json")
    refused("a b/c d", "neither a folder nor a hub id")


def test_a_hub_model_without_the_hub_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    refused("org/not-in-the-cache", "not in the local cache .* give a local folder", MissingPackage)


def test_a_cached_snapshot_is_used_offline_and_pinned_to_its_commit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family_folder: Any
) -> None:
    from huggingface_hub import constants

    commit = "3a" * 20
    repository = tmp_path / "models--org--some-vlm"
    shutil.copytree(family_folder("smolvlm"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    found = source.find("org/some-vlm")
    assert (found.name, found.revision) == ("org/some-vlm", commit)
    assert load_vlm("org/some-vlm", device="cpu").revision == commit


def test_pickled_weights_are_refused_unopened(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(family_folder("smolvlm"), folder)
    (folder / "model.safetensors").unlink()
    refused(folder, r"holds no \*\.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    refused(folder, r"pytorch_model.bin, a pickle that could run code: convert it to safetensors")


def test_an_unknown_family_names_the_known_ones(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "alien"
    shutil.copytree(family_folder("smolvlm"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "alien_vl"}))
    refused(folder, f"family 'alien_vl': known are {', '.join(sorted(FAMILIES))}")


def test_damaged_folders_are_one_line(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(family_folder("smolvlm"), folder)
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:5000])
    refused(folder, r"model.safetensors: no safetensors file \(.*header", device="cpu")
    weights.write_bytes(whole)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()
    refused(folder, "damaged does not load", device="cpu")
    (folder / "config.json").write_text("{")
    refused(folder, "config.json is not JSON")


def test_a_quantised_model_names_the_package_it_needs(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "quantised"
    shutil.copytree(family_folder("smolvlm"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "hqq", "quant_config": {}}
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, "quantised needs a package: .*hqq", MissingPackage, device="cpu")


def test_a_tokenizer_file_that_cuts_texts_cuts_no_prompt(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "cutting"
    shutil.copytree(family_folder("smolvlm"), folder)
    words = json.loads((folder / "tokenizer.json").read_text())
    words["truncation"] = {"direction": "Right", "max_length": 12, "strategy": "LongestFirst", "stride": 0}
    words["padding"] = None
    (folder / "tokenizer.json").write_text(json.dumps(words))
    vlm = load_vlm(folder, device="cpu")
    assert len(vlm.prompt("What happens in the kitchen?")) > 30


def test_a_model_without_chat_template_is_refused(tmp_path: Path, family_folder: Any) -> None:
    folder = tmp_path / "mute"
    shutil.copytree(family_folder("smolvlm"), folder)
    (folder / "chat_template.jinja").unlink()
    refused(folder, "no chat template: add chat_template.jinja", device="cpu")


def test_the_revision_of_a_folder_follows_its_weights(tmp_path: Path, family_folder: Any) -> None:
    first = family_folder("smolvlm")
    same = tmp_path / "same"
    shutil.copytree(first, same)
    assert source.weights_hash(first) == source.weights_hash(same)
    weights = bytearray((same / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (same / "model.safetensors").write_bytes(bytes(weights))
    assert source.weights_hash(first) != source.weights_hash(same)


def test_large_weights_are_sampled_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "WHOLE", 1000)
    (tmp_path / "config.json").write_text("{}")
    data = np.random.default_rng(0).bytes(80 * 2**20)
    (tmp_path / "m.safetensors").write_bytes(data)
    whole = source.weights_hash(tmp_path)
    for place in (0, len(data) - 1):
        changed = bytearray(data)
        changed[place] ^= 1
        (tmp_path / "m.safetensors").write_bytes(changed)
        assert source.weights_hash(tmp_path) != whole


def test_devices_and_dtypes(family_folder: Any) -> None:
    device, reason = source.pick_device("auto")
    assert device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert reason.startswith("auto: ")
    assert source.pick_dtype("auto", "cpu") is torch.float32
    refused(family_folder("smolvlm"), "no device 'gpu7': give auto", device="gpu7")
    refused(family_folder("smolvlm"), "no dtype 'int3': give auto, float32", dtype="int3", device="cpu")
    refused(family_folder("smolvlm"), "does not see the device 'cuda:99'", device="cuda:99")


def test_half_precision_on_request_stays_close(family_folder: Any, family_vlm: Any) -> None:
    half, full = load_vlm(family_folder("smolvlm"), device="cpu", dtype="bfloat16"), family_vlm("smolvlm")
    film = noise(4, (64, 64))
    one, other = half.encode(film), full.encode(film)
    assert one.data.dtype is torch.bfloat16
    assert torch.nn.functional.cosine_similarity(one.data.float(), other.data, dim=1).min() > 0.98
    assert half.generate([half.prompt("Which?", one)], 3)[0].tokens <= 3


def test_a_qwen_size_must_be_whole_cells(family_folder: Any) -> None:
    refused(family_folder("qwen3_vl"), "cells of 32 px: no size 60x96", size=(60, 96), device="cpu")
