"""The network that hears a question: what reaches a score and what does not, and the sketch's arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from watchonce.ops.focus import Focus, Shape

WORDS = ("after", "cup", "red", "the", "washed")
AT = np.arange(24) + 0.5


def network(seed: int = 0) -> Focus:
    torch.manual_seed(seed)
    return Focus(Shape(WORDS, features=12, width=16, inner=8, own=(1,), joint=(1, 3)))


def frames(count: int = 24, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 4, 12, generator=torch.Generator().manual_seed(seed))


def test_a_question_is_its_known_words_and_the_time_it_names() -> None:
    heard = network().hear(["Was the RED cup washed?", "What happened at 0:10?", "?!"], AT)
    assert heard.words.tolist()[0] == [0, 4, 3, 2, 5]
    assert heard.words[2].eq(0).all()
    assert heard.near[0].eq(0).all()
    assert heard.near[1, :, 0].eq(1).all()
    # the middle half a second from 0:10 is nearest, on either side
    assert heard.near[1, :, 1].topk(2).indices.sort().values.tolist() == [9, 10]
    assert torch.isclose(heard.near[1, 9, 1], torch.exp(torch.tensor(-0.25)))


def test_a_stretch_that_is_named_is_near_in_all_of_it() -> None:
    near = network().hear(["What happened between 0:05 and 0:09?"], AT).near[0, :, 3]
    assert near[5:9].eq(1).all()
    assert float(near[4]) < 1
    assert float(near[9]) < 1
    assert float(near[0]) < float(near[4])


def test_scores_are_by_question_and_do_not_depend_on_what_else_is_asked() -> None:
    net, data = network(), frames()
    asked = ["Was the red cup washed?", "What happened after the cup was washed?", "the"]
    together = net(data, net.hear(asked, AT))
    assert together.shape == (3, 24)
    for row, text in zip(together, asked, strict=True):
        assert torch.allclose(net(data, net.hear([text], AT))[0], row, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=1e-3)


def test_a_frame_reaches_as_far_as_the_layers_do_and_no_farther() -> None:
    """Own layer 2 frames a side, joint layers 2 and 6: ten in all."""
    net = network()
    heard = net.hear(["the red cup"], np.arange(60) + 0.5)
    data = frames(60)
    moved = data.clone()
    moved[30] = -moved[30]
    with torch.no_grad():
        change = (net(data, heard) - net(moved, heard)).abs()[0]
    assert change[:20].max() < 1e-6
    assert change[41:].max() < 1e-6
    assert float(change[20]) > 0
    assert float(change[40]) > 0


def test_it_learns_to_find_what_the_question_names() -> None:
    """Two looks, two words: after 60 steps the frames of the word asked for score above all others."""
    net = network()
    looks = torch.randn(3, 4, 12, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    draw = np.random.default_rng(0)

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        what = torch.from_numpy(draw.permutation(np.repeat([0, 1, 2], 8)))
        noise = torch.from_numpy(draw.standard_normal((24, 4, 12), np.float32))
        return looks[what] + 0.2 * noise, torch.stack([what == 0, what == 1]).float()

    heard = net.hear(["the red cup", "the cup washed"], AT)
    for _ in range(60):
        data, target = batch()
        loss = functional.binary_cross_entropy_with_logits(net(data, heard), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    data, target = batch()
    best = net(data, heard).topk(8).indices
    assert target.gather(1, best).mean() > 0.95


def test_a_rod_begins_as_the_mean_of_its_tokens_and_learns_from_the_answer() -> None:
    net = network()
    data = torch.randn(10, 12, generator=torch.Generator().manual_seed(2))
    group = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    words = net.hear(["the red cup"], AT).words[0]
    rods = net.sketch(data, group, 3, words)
    means = torch.stack([data[group == g].mean(0) for g in range(3)])
    assert torch.allclose(rods, means, atol=1e-6)
    rods.square().sum().backward()
    assert net.rod.weight.grad is not None
    assert float(net.rod.weight.grad.abs().max()) > 0


def test_what_a_rod_takes_from_its_tokens_is_weighted_by_the_question() -> None:
    net = network()
    with torch.no_grad():
        net.rod.weight[:, 12:] = torch.eye(12)  # the second half of what it reads: the context
        net.look.weight.zero_()
        net.look.bias.copy_(100.0 * functional.one_hot(torch.tensor(3), 12))
    data = torch.zeros(4, 12)
    data[2, 3] = 5.0
    rods = net.sketch(data, torch.tensor([0, 0, 0, 0]), 1, torch.tensor([1]))
    assert torch.allclose(rods[0], data.mean(0) + data[2], atol=1e-4)
