"""An adapter folded into copies of the matrices: it says what PEFT says, and the model is not touched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer

from watchonce.models import adapter
from watchonce.models.folded import ROOM, fold
from watchonce.models.vlm import load_vlm

from .builders import save_smolvlm
from .test_adapter import save_adapter

PROMPTS = ("What happens?", "red", "where is the cup", "who was in the kitchen")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_smolvlm(tmp_path_factory.mktemp("base") / "tiny-smolvlm")


@pytest.fixture
def vlm(base: Path) -> Any:
    return load_vlm(base, device="cpu")


@pytest.fixture(scope="module")
def folders(base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    out = tmp_path_factory.mktemp("adapters")
    return [save_adapter(out / str(seed), base, seed) for seed in range(3)]


def said(vlm: Any) -> torch.Tensor:
    """What follows each prompt, all in one padded batch: `[prompts, V]`."""
    with torch.no_grad():
        return vlm.language.read([vlm.prompt(text) for text in PROMPTS]).logits[:, -1]


def beside(vlm: Any, folder: Path) -> torch.Tensor:
    """The same with PEFT's layers."""
    with vlm.rack.wear(vlm.rack.hold(folder)):
        return said(vlm)


def is_folded(vlm: Any) -> bool:
    return not any(isinstance(module, LoraLayer) for module in vlm.model.modules())


def edited(folder: Path, out: Path, **changes: Any) -> Path:
    """A copy of an adapter with other words in its config."""
    out.mkdir()
    (out / adapter.WEIGHTS).write_bytes((folder / adapter.WEIGHTS).read_bytes())
    config = json.loads((folder / adapter.CONFIG).read_text())
    (out / adapter.CONFIG).write_text(json.dumps({**config, **changes}))
    return out


def test_it_says_what_peft_says_and_the_models_own_matrices_never_change(
    vlm: Any, folders: list[Path]
) -> None:
    own = {name: (p, p.data_ptr(), p.clone()) for name, p in vlm.model.named_parameters()}
    bare = said(vlm)
    for folder in folders:
        with vlm.mount(folder):
            assert is_folded(vlm)
            mounted = said(vlm)
            assert any(p is not own[name][0] for name, p in vlm.model.named_parameters())
        assert float((mounted - bare).abs().max()) > 1e-2
        torch.testing.assert_close(mounted, beside(vlm, folder), atol=1e-4, rtol=1e-4)
        assert torch.equal(said(vlm), bare)
    for name, parameter in vlm.model.named_parameters():
        held, where, value = own[name]
        assert parameter is held
        assert parameter.data_ptr() == where
        assert torch.equal(parameter, value)


def test_generated_under_inference_mode_it_is_still_of_use_elsewhere(vlm: Any, folders: list[Path]) -> None:
    prompt = vlm.prompt(PROMPTS[0])
    told = vlm.generate([prompt], 6, adapters=[folders[0]])[0]
    with vlm.mount(folders[0]):
        assert vlm.generate([prompt], 6)[0] == told
        embeds = vlm.language.embed(prompt.ids[None]).detach().requires_grad_()
        vlm.language.text(inputs_embeds=embeds).last_hidden_state.sum().backward()  # no inference tensors
        assert embeds.grad is not None


def test_mounts_within_mounts_and_within_lessons(vlm: Any, folders: list[Path]) -> None:
    from watchonce.contracts import Lora

    one, two = (beside(vlm, folder) for folder in folders[:2])
    vlm.rack.drop(vlm.rack._held.popitem()[1])  # its layers have to be made anew, within a mount
    bare = said(vlm)
    with vlm.mount(folders[0]):
        with vlm.mount(folders[1]):
            torch.testing.assert_close(said(vlm), two, atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(beside(vlm, folders[1]), two)
        torch.testing.assert_close(said(vlm), one, atol=1e-4, rtol=1e-4)
        with vlm.learn(Lora(2, 4)) as student:
            before = {key: value.clone() for key, value in student.module.state_dict().items()}
            torch.testing.assert_close(said(vlm), bare, atol=1e-5, rtol=1e-5)  # a fresh adapter, alone
            with vlm.mount(folders[1]):
                torch.testing.assert_close(said(vlm), two, atol=1e-4, rtol=1e-4)
            with student.off():
                assert torch.equal(said(vlm), bare)
            assert all(torch.equal(student.module.state_dict()[key], value) for key, value in before.items())
        torch.testing.assert_close(said(vlm), one, atol=1e-4, rtol=1e-4)
    assert torch.equal(said(vlm), bare)
    assert is_folded(vlm)


@pytest.mark.parametrize(
    "changes",
    [{"use_rslora": True}, {"alpha_pattern": {"q_proj": 32}}, {"target_modules": ["q_proj", "down_proj"]}],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_not_a_plain_adapter_runs_beside_as_peft_reads_it(
    vlm: Any, folders: list[Path], tmp_path: Path, changes: dict[str, Any]
) -> None:
    """The third aims at fewer modules than its file has matrices of: PEFT passes over the rest."""
    odd = edited(folders[0], tmp_path / "odd", **changes)
    with vlm.mount(odd):
        assert not is_folded(vlm)
        told = said(vlm)
    assert torch.equal(told, beside(vlm, odd))
    assert not torch.allclose(told, beside(vlm, folders[0]), atol=1e-3)
    assert is_folded(vlm)


def test_half_precision_and_copies_too_large_run_beside(
    base: Path, vlm: Any, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    half = load_vlm(base, device="cpu", dtype="bfloat16")
    with half.mount(folders[0]):
        assert not is_folded(half)
    monkeypatch.setattr("watchonce.models.folded.ROOM", 1000)
    with vlm.mount(folders[0]):
        assert not is_folded(vlm)
        assert torch.equal(said(vlm), beside(vlm, folders[0]))


def test_the_oldest_copies_make_room(vlm: Any, folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with vlm.mount(folders[0]):
        first = said(vlm)
    (kept,) = vlm.rack._folded.values()
    assert kept.size == sum(place.own.weight.nbytes for place in kept.places) < ROOM
    monkeypatch.setattr(adapter, "ROOM", 2 * kept.size)
    for folder in (folders[1], folders[0], folders[2]):
        with vlm.mount(folder):
            pass
    held = [key[0] for key in vlm.rack._folded]
    assert held == [folders[0].resolve(), folders[2].resolve()]
    with vlm.mount(folders[1]), vlm.mount(folders[0]), vlm.mount(folders[2]), vlm.mount(folders[0]):
        assert torch.equal(said(vlm), first)
    assert len(vlm.rack._folded) == 2


def test_a_folder_that_was_written_anew_is_read_anew(vlm: Any, folders: list[Path], tmp_path: Path) -> None:
    folder = edited(folders[0], tmp_path / "changing")
    with vlm.mount(folder):
        one = said(vlm)
    (folder / adapter.WEIGHTS).unlink()
    (folder / adapter.WEIGHTS).write_bytes((folders[1] / adapter.WEIGHTS).read_bytes())
    with vlm.mount(folder):
        two = said(vlm)
    torch.testing.assert_close(two, beside(vlm, folders[1]), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(one, two, atol=1e-3)


def test_matrices_without_their_other_half_are_not_folded(vlm: Any, folders: list[Path]) -> None:
    from safetensors.torch import load_file

    config = json.loads((folders[0] / adapter.CONFIG).read_text())
    matrices = load_file(folders[0] / adapter.WEIGHTS)
    assert fold(vlm.model, matrices, config) is not None
    one = next(key for key in matrices if "lora_B" in key)
    assert fold(vlm.model, {k: v for k, v in matrices.items() if k != one}, config) is None
