"""A frozen model learns an adapter: on the language model alone, exactly undone, saved as PEFT saves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from watchonce.contracts import Lora
from watchonce.models.adapter import weight_shapes
from watchonce.models.quick import multiplies_bfloat16
from watchonce.models.student import PROJECTIONS
from watchonce.models.vlm import load_vlm
from watchonce.types import BadInput

from .builders import BUILDERS, noise

FAMILIES = [*sorted(BUILDERS), "tiny"]
LORA = Lora(rank=4, alpha=8, seed=3)


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_vlm("tiny", device="cpu")


@pytest.fixture(params=FAMILIES)
def vlm(request: pytest.FixtureRequest, family_vlm: Any, tiny: Any) -> Any:
    return tiny if request.param == "tiny" else family_vlm(request.param)


def questions(vlm: Any) -> list[Any]:
    """Prompts of different lengths: bare, and with frames of which some tokens were dropped."""
    tokens = vlm.encode(noise(4, vlm.size, seed=5))
    return [
        vlm.prompt("where is the red cup"),
        vlm.prompt("what", tokens[torch.arange(len(tokens)) % 3 != 1]),
        vlm.prompt("what happens in the kitchen after the cup is washed"),
    ]


def teach(vlm: Any, student: Any, steps: int, answers: list[str]) -> float:
    """Cross-entropy on three answers; the last loss."""
    prompts, targets = questions(vlm), [student.ids(answer) for answer in answers]
    optimizer = torch.optim.Adam(student.module.parameters(), 0.01)
    loss = torch.zeros(())
    for _ in range(steps):
        said = torch.cat(student.logits(prompts, targets))
        loss = torch.nn.functional.cross_entropy(said, torch.tensor([i for t in targets for i in t]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss.detach())


def test_what_it_expects_is_what_the_cached_model_expects(vlm: Any) -> None:
    """Uncached, padded on the right, in a batch: the numbers of one prompt read and continued alone."""
    prompts = questions(vlm)
    with vlm.learn(LORA) as student:
        targets = [student.ids(answer) for answer in ("red", "the kitchen table", "a cup")]
        assert all(logits.requires_grad for logits in student.logits(prompts, targets))
        with torch.no_grad():
            said = student.logits(prompts, targets)
        for prompt, target, logits in zip(prompts, targets, said, strict=True):
            assert logits.shape[0] == len(target)
            with torch.no_grad():
                state = vlm.language.read([prompt])
                expected = [state.logits[0, -1]]
                for step, token in enumerate(target[:-1]):
                    place = vlm.language._positions(
                        (state.next + step)[:, None], max(1, prompt.positions.ndim * 2 - 1)
                    )
                    hidden = vlm.language._forward(
                        vlm.language.embed(torch.tensor([[token]])), place, None, state.cache
                    )
                    expected.append(vlm.language.head(hidden[0, -1]).float())
            torch.testing.assert_close(logits, torch.stack(expected), atol=3e-4, rtol=3e-4)


def test_only_the_adapter_learns_and_the_model_is_restored_bit_for_bit(vlm: Any) -> None:
    before = {name: value.clone() for name, value in vlm.model.state_dict().items()}
    modules = {name: id(module) for name, module in vlm.model.named_modules()}
    options = [["red", "the kitchen table", "a cup"]] * 3
    bare = vlm.score(questions(vlm), options)
    with vlm.learn(LORA) as student:
        grown = [p for p in vlm.model.parameters() if p.requires_grad]
        mine = list(student.module.parameters())
        assert {id(p) for p in grown} == {id(p) for p in mine}
        assert all(p.dtype == torch.float32 for p in mine)
        fresh = vlm.score(questions(vlm), options)  # B is zero: nothing has changed yet
        for one, two in zip(bare, fresh, strict=True):
            assert one == pytest.approx(two, abs=1e-5)
        first = teach(vlm, student, 1, ["red", "the kitchen table", "a cup"])
        assert teach(vlm, student, 25, ["red", "the kitchen table", "a cup"]) < 0.8 * first
        learnt = vlm.score(questions(vlm), options)
        assert max(abs(a - b).max() for a, b in zip(bare, learnt, strict=True)) > 0.1
        with student.off():
            assert all((a == b).all() for a, b in zip(bare, vlm.score(questions(vlm), options), strict=True))
        again = vlm.score(questions(vlm), options)
        assert all((a == b).all() for a, b in zip(learnt, again, strict=True))
    after = vlm.model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name: id(module) for name, module in vlm.model.named_modules()} == modules
    assert not any(p.requires_grad for p in vlm.model.parameters())
    assert all((a == b).all() for a, b in zip(bare, vlm.score(questions(vlm), options), strict=True))


def test_saved_mounted_and_loaded_by_peft_it_says_the_same(vlm: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    folder, prompt = tmp_path / "adapter", questions(vlm)[0]
    kinds = {type(module) for module in vlm.model.modules()}
    with vlm.learn(LORA) as student:
        teach(vlm, student, 10, ["red", "the kitchen table", "a cup"])
        student.save(folder)
        target = student.ids("red cup")
        with torch.no_grad():
            learnt = student.logits([prompt], [target])[0]
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 8, "LORA")
    assert (config["base_model_name_or_path"], config["revision"]) == (vlm.name, vlm.revision)
    assert not any(config[key] for key in ("rank_pattern", "alpha_pattern", "modules_to_save", "use_dora"))
    assert config["bias"] == "none"
    within = "text_model" if vlm.name == "tiny" or "smolvlm" in vlm.stock.lower() else "language_model"
    served = rf"base_model\.model\.model\.{within}\.layers\.\d+\.{PROJECTIONS}\.lora_[AB]\.weight"
    assert all(re.fullmatch(served, name) for name in weight_shapes(folder))  # as vLLM maps them
    with vlm.mount(folder), torch.no_grad():
        mounted = vlm.language.expect([prompt], [target])[0]
        assert {type(module) for module in vlm.model.modules()} == kinds, "it was not folded"
    torch.testing.assert_close(mounted, learnt, atol=2e-2, rtol=2e-2)  # float16 on disk
    with vlm.rack.wear(vlm.rack.hold(folder)), torch.no_grad():
        beside = vlm.language.expect([prompt], [target])[0]
        assert {type(module) for module in vlm.model.modules()} > kinds
    stock = PeftModel.from_pretrained(vlm.model, str(folder), autocast_adapter_dtype=True)
    try:
        with torch.no_grad():
            theirs = vlm.language.expect([prompt], [target])[0]
    finally:
        stock.unload()
        vars(vlm.model).pop("peft_config", None)
        vlm.model.requires_grad_(False)
    assert torch.equal(theirs, beside)
    torch.testing.assert_close(mounted, theirs, atol=1e-4, rtol=1e-4)
    assert torch.equal(mounted.argmax(-1), theirs.argmax(-1))
    with torch.no_grad():
        assert not torch.equal(vlm.language.expect([prompt], [target])[0], mounted)


def test_the_seed_decides_and_a_folder_is_gone_on_with(tmp_path: Path, tiny: Any) -> None:
    made = []
    for seed in (1, 1, 2):
        with tiny.learn(Lora(4, 8, seed)) as student:
            made.append({k: v.clone() for k, v in student.module.state_dict().items()})
            teach(tiny, student, 3, ["red", "the kitchen table", "a cup"])
            student.save(tmp_path / f"{len(made)}")
    one, two = ((tmp_path / n / "adapter_model.safetensors").read_bytes() for n in ("1", "2"))
    assert one == two
    assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])
    assert any(not torch.equal(made[0][key], made[2][key]) for key in made[0])
    with tiny.learn(Lora(4, 8, 9, start=tmp_path / "1")) as student:
        student.save(tmp_path / "on")
    assert (tmp_path / "on" / "adapter_model.safetensors").read_bytes() == one
    with (
        pytest.raises(BadInput, match="has rank 4 and alpha 8, not 8 and 16"),
        tiny.learn(Lora(8, 16, start=tmp_path / "1")),
    ):
        pass
    with pytest.raises(BadInput, match="a rank and an alpha of 1 or more"):
        Lora(0, 8)


def test_rows_of_one_batch_wear_different_adapters(vlm: Any, tmp_path: Path) -> None:
    """Two adapters and the bare model together say what each says alone, also when rows stop early."""
    folders: list[Path | None] = []
    for number, answers in enumerate(
        (["red", "red cup red cup red", "the"], ["kitchen kitchen", "a", "table"])
    ):
        with vlm.learn(Lora(4, 8, number)) as student:
            teach(vlm, student, 30, answers)
            student.save(tmp_path / str(number))
        folders.append(tmp_path / str(number))
    folders.append(None)
    prompts = [prompt for prompt in questions(vlm) for _ in folders]
    wanted = folders * 3
    together = vlm.generate(prompts, 9, adapters=wanted)
    for prompt, folder, reply in zip(prompts, wanted, together, strict=True):
        if folder is None:
            alone = vlm.generate([prompt], 9)[0]
        else:
            with vlm.mount(folder):
                alone = vlm.generate([prompt], 9)[0]
        assert reply.text == alone.text
        assert reply.logprob == pytest.approx(alone.logprob, abs=1e-3)
    assert len({reply.tokens for reply in together}) > 1, "no row stopped before another: nothing was tried"
    texts = [reply.text for reply in together]
    assert len(set(texts[:3])) == 3, "two adapters and none say three things"
    assert vlm.generate([prompts[0]], 9)[0].text == texts[2]
    with vlm.learn(Lora(4, 8, 5)) as student:  # also after adapters were read while answering
        assert teach(vlm, student, 3, ["red", "a", "cup"]) > 0
    with pytest.raises(BadInput, match="9 prompts need 9 adapters"):
        vlm.generate(prompts, 4, adapters=[None])


@pytest.mark.skipif(not multiplies_bfloat16(torch.device("cpu")), reason="this processor has no bfloat16")
def test_the_quick_layer_computes_what_peft_computes(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = questions(tiny)
    with tiny.learn(LORA) as student:
        targets = [student.ids(answer) for answer in ("red", "the kitchen table", "a cup")]
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for matrix in student.module.parameters():
                matrix.add_(torch.randn(matrix.shape, generator=generator) * 0.03)
        modules = [id(module) for module in tiny.model.modules()]
        said, slopes = [], []
        for quick in (False, True):
            monkeypatch.setattr(
                "watchonce.models.student.multiplies_bfloat16", lambda device, quick=quick: quick
            )
            logits = torch.cat(student.logits(prompts, targets))
            said.append(logits.detach())
            student.module.zero_grad()
            (logits.log_softmax(-1)[:, 7]).sum().backward()
            slopes.append(
                [m.grad.flatten().clone() for m in student.module.parameters() if m.grad is not None]
            )
        assert [id(module) for module in tiny.model.modules()] == modules
    assert len(slopes[0]) == len(slopes[1]) == 70
    assert float((said[0] - said[1]).abs().mean()) < 0.05 * float(said[0].std())
    alike = [float(torch.cosine_similarity(a, b, 0)) for a, b in zip(*slopes, strict=True)]
    assert min(alike) > 0.9
    assert sum(alike) / len(alike) > 0.99
