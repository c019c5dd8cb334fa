"""Race-free batches: no film twice, nothing lost, the same for all ranks and after a restart."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watchonce.train.relational.batching import Pick, RaceFree, pasts, share
from watchonce.types import BadInput


@st.composite
def samplers(draw):
    size = draw(st.integers(1, 6))
    counts = draw(st.lists(st.integers(0, 9), min_size=size, max_size=10))
    return RaceFree(tuple(counts), size, draw(st.integers(0, 3)))


@settings(max_examples=80, deadline=None)
@given(samplers(), st.integers(0, 3))
def test_every_query_once_and_no_film_twice_in_a_batch(sampler, epoch):
    batches = sampler.epoch(epoch)
    for batch in batches:
        assert len(batch) == sampler.size
        films = [pick.film for pick in batch if pick is not None]
        assert films
        assert len(set(films)) == len(films)
    dealt = Counter(pick for batch in batches for pick in batch if pick is not None)
    wanted = {Pick(film, query) for film, count in enumerate(sampler.queries) for query in range(count)}
    assert set(dealt) == wanted
    assert set(dealt.values()) <= {1}


@settings(max_examples=80, deadline=None)
@given(samplers())
def test_all_batches_are_full_exactly_when_no_film_has_more_than_its_share(sampler):
    total = sum(sampler.queries)
    fits = total % sampler.size == 0 and max(sampler.queries) <= total / sampler.size
    assert (sampler.short(0) == 0) == fits


def test_the_order_is_of_seed_and_epoch_alone():
    one, same, other = RaceFree((5,) * 6, 3, 1), RaceFree((5,) * 6, 3, 1), RaceFree((5,) * 6, 3, 2)
    assert one.epoch(2) == same.epoch(2)
    assert one.epoch(2) != one.epoch(3)
    assert one.epoch(2) != other.epoch(2)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_ranks_together_are_the_batch(ranks):
    batch = RaceFree((3, 1, 2, 2, 1), 4).epoch(0)[-1]
    assert sum((share(batch, rank, ranks) for rank in range(ranks)), ()) == batch


def test_pasts_are_the_last_dealt_of_that_film():
    sampler = RaceFree((4, 4, 4), 2, 7)
    batches = sampler.epoch(0)
    seen: list[int] = []
    for number, batch in enumerate(batches):
        assert pasts(batches, number, 1, 2) == tuple(seen[-2:])
        seen += [pick.query for pick in batch if pick is not None and pick.film == 1]
    assert pasts(batches, len(batches), 1, 0) == ()


@pytest.mark.parametrize(("queries", "size"), [((3, 3), 3), ((3, 3), 0), ((3, -1), 1)])
def test_impossible_batches_are_refused(queries, size):
    with pytest.raises(BadInput):
        RaceFree(queries, size)


def test_an_uneven_share_is_refused():
    with pytest.raises(BadInput, match="3 processes"):
        share(RaceFree((2,) * 4, 4).epoch(0)[0], 0, 3)
