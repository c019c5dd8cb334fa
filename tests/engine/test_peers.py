"""Two real processes over gloo: gradients are averaged, and only the first one writes."""

import multiprocessing
import os
import socket
from typing import Any

import pytest
import torch
from torch import nn

from watchonce.engine.fit import Plan, fit
from watchonce.engine.peers import Peers, peers_of_environment


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def environment(rank: int, count: int, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        RANK=str(rank),
        WORLD_SIZE=str(count),
        LOCAL_RANK=str(rank),
    )


def network() -> Any:
    torch.manual_seed(0)
    return nn.ModuleDict({"used": nn.Linear(3, 1), "sometimes": nn.Linear(3, 1), "never": nn.Linear(3, 1)})


def losses(model, rank, count):
    def of(step, rng):
        x = torch.arange(12.0).view(4, 3).div(6) - 1
        mine = x.chunk(count)[rank]
        loss = (model["used"](mine) ** 2).mean()
        if rank == 0:  # the other has no gradient for this part
            loss = loss + (model["sometimes"](x) ** 2).mean() * count
        return {"loss": loss}

    return of


def work(rank, count, port, folder):
    environment(rank, count, port)
    with peers_of_environment() as peers:
        model = network()
        fit(
            model,
            losses(model, rank, count),
            Plan(12, 0.05),
            checkpoint=folder / f"{rank}.safetensors",
            peers=peers,
        )
        torch.distributed.barrier()
        flat = torch.cat([p.detach().flatten() for p in model.parameters()])
        (folder / f"{rank}.txt").write_text(" ".join(f"{value:.9g}" for value in flat.tolist()))


def test_two_processes_take_the_steps_of_one(tmp_path):
    port, context = free_port(), multiprocessing.get_context("spawn")
    started = [context.Process(target=work, args=(rank, 2, port, tmp_path)) for rank in range(2)]
    for process in started:
        process.start()
    alone = network()
    before = alone["never"].weight.detach().clone()
    fit(alone, losses(alone, 0, 1), Plan(12, 0.05))
    for process in started:
        process.join(120)
        assert process.exitcode == 0
    expected = torch.cat([p.detach().flatten() for p in alone.parameters()])
    for rank in range(2):
        found = torch.tensor([float(v) for v in (tmp_path / f"{rank}.txt").read_text().split()])
        assert torch.allclose(found, expected, atol=1e-5)
    assert torch.equal(alone["never"].weight, before)
    assert (tmp_path / "0.safetensors").exists()
    assert not (tmp_path / "1.safetensors").exists()


def test_alone_nothing_happens(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with peers_of_environment() as peers:
        assert peers == Peers()
        assert peers.first
        model = network()
        model["used"](torch.ones(1, 3)).sum().backward()
        before = model["used"].weight.grad.clone()
        peers.average(list(model.parameters()))
        peers.wait()
        assert torch.equal(model["used"].weight.grad, before)


@pytest.mark.parametrize("rank", [0, 3])
def test_the_first_writes(rank):
    assert Peers(rank, 4).first == (rank == 0)
