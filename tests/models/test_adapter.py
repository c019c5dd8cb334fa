"""Mounting a real PEFT adapter: it changes the answers, and nothing of it stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from watchonce.models.vlm import load_vlm
from watchonce.types import BadInput

from .builders import save_smolvlm


def save_adapter(folder: Path, base: Path, seed: int = 1, **noted: Any) -> Path:
    """A LoRA on the text layers of a copy of `base`, with random (not zero) B matrices."""
    from peft import LoraConfig, get_peft_model
    from transformers import SmolVLMForConditionalGeneration

    model = SmolVLMForConditionalGeneration.from_pretrained(base)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=r".*text_model.*\.(q|v|down)_proj")
    lora = get_peft_model(model, config)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in lora.named_parameters():
            if "lora_B" in name:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.3)
    lora.save_pretrained(str(folder))
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **noted}))
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_smolvlm(tmp_path / "tiny-smolvlm")


@pytest.fixture
def vlm(base: Path) -> Any:
    return load_vlm(base, device="cpu")


def state(vlm: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in vlm.model.state_dict().items()}


def test_mounted_it_speaks_otherwise_and_unmounted_it_is_the_same_bit_for_bit(
    tmp_path: Path, base: Path, vlm: Any
) -> None:
    first, second = save_adapter(tmp_path / "a", base), save_adapter(tmp_path / "b", base, seed=2)
    prompt = vlm.prompt("What happens?")
    options = [["yes", "no", "red cup"]]
    before, modules = vlm.score([prompt], options)[0], dict(vlm.model.named_modules())
    weights = state(vlm)
    seen = []
    for folder in (first, second, first):
        with vlm.mount(folder):
            seen.append(vlm.score([prompt], options)[0])
        assert (vlm.score([prompt], options)[0] == before).all()
    assert (seen[0] == seen[2]).all()
    assert abs(seen[0] - before).max() > 1e-3
    assert abs(seen[0] - seen[1]).max() > 1e-3
    after = state(vlm)
    assert list(after) == list(weights)
    assert all(torch.equal(after[name], weights[name]) for name in weights)
    assert {n: id(m) for n, m in vlm.model.named_modules()} == {n: id(m) for n, m in modules.items()}
    assert not hasattr(vlm.model, "peft_config")
    assert not any(p.requires_grad for p in vlm.model.parameters())


def test_it_equals_the_stock_peft_model(tmp_path: Path, base: Path, vlm: Any) -> None:
    from peft import PeftModel
    from transformers import SmolVLMForConditionalGeneration

    folder = save_adapter(tmp_path / "a", base)
    prompt = vlm.prompt("What happens?")
    stock = PeftModel.from_pretrained(
        SmolVLMForConditionalGeneration.from_pretrained(base), str(folder)
    ).eval()
    with torch.no_grad():
        expected = stock(input_ids=prompt.ids[None]).logits[0, -1]
        with vlm.mount(folder):
            got = vlm.language.read([prompt]).logits[0, -1]
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=2e-5)


def test_an_error_inside_still_unmounts(tmp_path: Path, base: Path, vlm: Any) -> None:
    folder = save_adapter(tmp_path / "a", base)
    prompt = vlm.prompt("What happens?")
    before = vlm.score([prompt], [["yes", "no"]])[0]
    with pytest.raises(KeyError), vlm.mount(folder):
        raise KeyError("in the middle")
    assert (vlm.score([prompt], [["yes", "no"]])[0] == before).all()


def test_adapters_of_another_base_are_refused(tmp_path: Path, base: Path, vlm: Any) -> None:
    named = save_adapter(tmp_path / "named", base, base_model_name_or_path="org/other-vlm")
    pinned = save_adapter(tmp_path / "pinned", base, revision="0" * 16)
    right = save_adapter(tmp_path / "right", base, revision=vlm.revision)
    for folder, says in ((named, "made for org/other-vlm, not for tiny-smolvlm"), (pinned, "at 0000")):
        with pytest.raises(BadInput, match=says) as caught, vlm.mount(folder):
            pass
        assert "\n" not in str(caught.value)
    with vlm.mount(right):
        pass


def test_an_adapter_whose_matrices_fit_nothing_is_refused(tmp_path: Path, base: Path, vlm: Any) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_adapter(tmp_path / "a", base)
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    key = next(k for k in tensors if "lora_A" in k)
    save_file({**tensors, key: torch.zeros(4, 999)}, path)
    with pytest.raises(BadInput, match="does not fit tiny-smolvlm"), vlm.mount(folder):
        pass
    save_file({k.replace("layers.0", "layers.77"): v for k, v in tensors.items()}, path)
    with pytest.raises(BadInput, match="absent here"), vlm.mount(folder):
        pass
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match="no safetensors file"), vlm.mount(folder):
        pass


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"r": 0}, "rank 0, alpha 8"),
        ({"r": "4"}, "rank 4, alpha 8"),
        ({"r": True}, "rank True"),
        ({"lora_alpha": float("inf")}, "alpha inf"),
        ({"lora_alpha": None}, "alpha None"),
        ({"r": 2}, "says rank 2, but .* has 4"),
        ({"target_modules": "(.+)+x"}, "may take years"),
        ({"target_modules": ".*.*.*.*.*x"}, "may take years"),
        ({"peft_type": ["LORA"]}, "only LORA"),
    ],
)
def test_configs_that_cannot_be_are_refused(
    tmp_path: Path, base: Path, vlm: Any, changes: dict[str, Any], says: str
) -> None:
    folder = save_adapter(tmp_path / "a", base, **changes)
    with pytest.raises(BadInput, match=says) as caught, vlm.mount(folder):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'"LORA"'])
def test_configs_that_are_no_config_are_refused(tmp_path: Path, base: Path, vlm: Any, text: bytes) -> None:
    folder = save_adapter(tmp_path / "a", base)
    (folder / "adapter_config.json").write_bytes(text)
    with pytest.raises(BadInput, match=r"cannot be read|only LORA") as caught, vlm.mount(folder):
        pass
    assert "\n" not in str(caught.value)


def test_numbers_that_are_none_are_refused(tmp_path: Path, base: Path, vlm: Any) -> None:
    from safetensors.torch import load_file, save_file

    folder = save_adapter(tmp_path / "a", base)
    tensors = load_file(folder / "adapter_model.safetensors")
    key = next(k for k in tensors if "lora_B" in k)
    tensors[key][0, 0] = torch.nan
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(BadInput, match="holds NaN or infinity"), vlm.mount(folder):
        pass


def test_folders_that_are_no_adapter_are_refused(tmp_path: Path, base: Path, vlm: Any) -> None:
    with pytest.raises(BadInput, match="no adapter_config"), vlm.mount(tmp_path):
        pass
    folder = save_adapter(tmp_path / "a", base)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    with pytest.raises(BadInput, match="pickles are never opened"), vlm.mount(folder):
        pass
    other = save_adapter(tmp_path / "b", base, peft_type="IA3")
    with pytest.raises(BadInput, match="IA3 adapter"), vlm.mount(other):
        pass
