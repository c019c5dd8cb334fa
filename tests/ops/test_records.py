"""Records keep time and place together; questions say what they were not given."""

from __future__ import annotations

import pytest
import torch

from tests.parts import tokens_for
from watchonce.ops.position import cell_centres, place_code, time_code
from watchonce.ops.records import Outputs, Questions, Records, Targets, spread
from watchonce.types import BadInput


def test_records_of_tokens_know_their_cells_and_pad_with_what_is_not_there() -> None:
    long, short = tokens_for([1.5, 2.0], 4), tokens_for([7.25], 4)
    records = Records.of([long, short], (2, 2))
    assert records.valid.sum(1).tolist() == [8, 4]
    assert records.time[0].tolist() == [1.5] * 4 + [2.0] * 4
    assert records.patch[1, :4].tolist() == [0, 0, 3, 3]  # centres .1 .37 .63 .9 on the diagonal
    assert torch.equal(records.feat[0], long.data)
    assert not records.feat[1, 4:].any()


def test_taking_and_joining_keep_every_column_in_step() -> None:
    records = Records.of([tokens_for([0.0, 1.0], 4), tokens_for([5.0, 6.0], 4)], (2, 2))
    index = torch.tensor([[7, 0], [2, 3]])
    taken = records.take(index)
    assert taken.time.tolist() == [[1.0, 0.0], [5.0, 5.0]]
    assert torch.equal(taken.feat[0, 0], records.feat[0, 7])
    joined = Records.cat([taken, records])
    assert joined.room == 10
    assert torch.equal(joined.rows([1]).patch[0, :2], taken.patch[1])
    with pytest.raises(BadInput, match=r"\[B, L, D\]"):
        Records(records.feat, records.time[:, :3], records.patch, records.valid)


def test_a_place_and_moment_is_valid_once_and_the_last_wins() -> None:
    time = torch.tensor([[1.0, 2.0, 1.0, 1.0, 2.0, 9.0]])
    patch = torch.tensor([[0, 0, 1, 0, 0, 0]])
    valid = torch.tensor([[True, True, True, True, False, False]])
    once = Records(torch.zeros(1, 6, 2), time, patch, valid).once()
    assert once.valid.tolist() == [[False, True, True, True, False, False]]


def test_a_question_is_given_exactly_what_its_kind_needs() -> None:
    window, times = torch.tensor([[0.0, 4.0]]), torch.zeros(1, 3)
    there, crop, deed = torch.ones(1, 3).bool(), torch.zeros(1, 4, 8), torch.tensor([2])
    for kind, given in (("activity", (crop, None)), ("object", (None, deed)), ("time", (crop, deed))):
        asked = Questions(kind, *given, times, there, window)
        assert len(asked.rows([0, 0])) == 2
        for wrong in ((crop, None), (None, deed), (crop, deed), (None, None)):
            if [v is None for v in wrong] != [v is None for v in given]:
                with pytest.raises(BadInput, match="is given"):
                    Questions(kind, *wrong, times, there, window)
    with pytest.raises(BadInput, match="'who'"):
        Questions("who", crop, None, times, there, window)


def test_looks_are_spread_evenly_half_a_step_from_the_ends() -> None:
    assert spread(torch.tensor([[10.0, 18.0]]), 4).tolist() == [[11.0, 13.0, 15.0, 17.0]]


def test_rows_of_outputs_and_targets_follow_every_layer() -> None:
    logits = torch.arange(6.0).view(3, 2)
    outputs = Outputs(activity=logits, aux=(Outputs(activity=-logits),)).rows([2, 0])
    assert outputs.activity is not None
    assert outputs.activity.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert outputs.aux[0].activity is not None
    assert outputs.aux[0].activity.tolist() == [[-4.0, -5.0], [0.0, -1.0]]
    assert outputs.boxes is None
    labels = Targets(labels=logits).rows(slice(1, 2)).labels
    assert labels is not None
    assert labels.tolist() == [[2.0, 3.0]]


# -- codes of position


def test_a_time_code_tells_times_apart_and_depends_on_their_distance() -> None:
    codes = time_code(torch.tensor([3.0, 4.0, 50_003.0, 50_004.0]), 16, 100.0)
    near, far = (codes[0] * codes[1]).sum(), (codes[2] * codes[3]).sum()
    assert float(near) == pytest.approx(float(far), abs=1e-4)
    assert float((codes[0] - codes[1]).norm()) > 0.5
    with pytest.raises(BadInput, match="even width"):
        time_code(torch.zeros(1), 3)


def test_place_codes_and_centres_go_row_by_row() -> None:
    codes = place_code((2, 3), 8)
    assert codes.shape == (6, 8)
    assert torch.equal(codes[0, :4], codes[2, :4])  # same row, same y
    assert torch.equal(codes[1, 4:], codes[4, 4:])  # same column, same x
    assert len({tuple(c.tolist()) for c in codes}) == 6
    assert cell_centres((2, 2)).tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
