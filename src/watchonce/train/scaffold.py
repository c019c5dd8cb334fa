"""Small heads that show the language model where to look, taken down after training.

Left to the answers alone, some skills came late or never: knowing which line of the notes a word belongs to,
finding a question's words again in the notes or the clip, and telling lift from lower and push from pull,
whose single frames are alike. They are asked of the states inside the network, at every word and every
frame. This file does not know how the answers are learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from watchonce.models.tiny import TOKENS, WIDTH
from watchonce.train.pages import LINES, Sheet, id_of, lines_of
from watchonce.video.drawn.phrases import FORMS
from watchonce.video.drawn.world import ACTIVITIES, CATEGORIES, COLOURS, ROOMS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from watchonce.train.lessons import Clip

LINE_LAYERS = (1, 2)
ACT_LAYERS = (2, 3)
MATCH_LAYERS = (3, 4)
SEEN = 4  # of a question's word: it is on view, it acts; so is its object as a whole


class Scaffold(nn.Module):
    """Line numbers after the first layers, activities that go on after the middle ones."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.lines = nn.Linear(width, LINES + 1)
        self.acts = nn.Linear(width, len(ACTIVITIES))
        self.matches = nn.Linear(width, LINES)
        self.seen = nn.Linear(width, SEEN)

    def line_loss(self, states: Sequence[Tensor], sheet: Sheet, tokenizer: Tokenizer) -> Tensor:
        """Cross-entropy of the line every word of the notes stands in."""
        lines = lines_of(sheet, tokenizer)
        there = lines > 0
        losses = [cross_entropy(self.lines(states[n][there]).float(), lines[there]) for n in LINE_LAYERS]
        return torch.stack(losses).mean()

    def act_loss(self, states: Sequence[Tensor], sheet: Sheet, clips: Sequence[Clip], image: int) -> Tensor:
        """Binary cross-entropy of the activities going on, at the last token of every frame."""
        last = (sheet.ids == image).nonzero()[TOKENS - 1 :: TOKENS]  # [F, 2], row and place
        wanted = torch.from_numpy(going_on(clips))
        losses = [
            binary_cross_entropy_with_logits(
                self.acts(states[n][last[:, 0], last[:, 1]]).float(), wanted, reduction="none"
            )
            for n in ACT_LAYERS
        ]
        return torch.stack(losses).sum(-1).mean()

    def match_loss(self, states: Sequence[Tensor], sheet: Sheet, tokenizer: Tokenizer) -> Tensor:
        """Binary cross-entropy of the lines in which each telling word of a question stands, in any form."""
        bases, lines = bases_of(sheet, tokenizer), lines_of(sheet, tokenizer)
        there = torch.zeros(len(bases), int(bases.max()) + 1, LINES + 1)
        rows = torch.arange(len(bases))[:, None].expand_as(bases)
        there[rows, bases * (lines > 0), lines] = 1.0
        asked = (bases > 0) & (sheet.block > 0)
        wanted = there[rows, bases][asked][:, 1:]
        return self._binary(self.matches, MATCH_LAYERS, states, asked, wanted)

    def seen_loss(
        self, states: Sequence[Tensor], sheet: Sheet, clips: Sequence[Clip], tokenizer: Tokenizer
    ) -> Tensor:
        """Binary cross-entropy of whether each telling word of a question is on view, and acts."""
        bases = bases_of(sheet, tokenizer)
        asked = (bases > 0) & (sheet.block > 0)
        names = [tokenizer.id_to_token(n) for n in range(tokenizer.get_vocab_size())]
        rows = []
        for row, clip in enumerate(clips):
            shown, acting = _shown(clip)
            places = asked[row].nonzero()[:, 0].tolist()
            words = {place: names[int(bases[row, place])] for place in places}
            for place in places:
                before = words.get(place - 1, "")
                name = f"{before} {words[place]}"
                told = (words[place] in shown, words[place] in acting, name in shown, name in acting)
                rows.append([float(fact) for fact in told])
        wanted = torch.tensor(rows).reshape(-1, SEEN)
        return self._binary(self.seen, MATCH_LAYERS, states, asked, wanted)

    def _binary(
        self, head: nn.Linear, layers: Sequence[int], states: Sequence[Tensor], where: Tensor, wanted: Tensor
    ) -> Tensor:
        if not len(wanted):
            return torch.zeros(())
        losses = [binary_cross_entropy_with_logits(head(states[n][where]).float(), wanted) for n in layers]
        return torch.stack(losses).mean() * wanted.shape[1]


def bases_of(sheet: Sheet, tokenizer: Tokenizer) -> Tensor:
    """`[B, L]`: the id of a telling word's base (colour, category, room, or verb in whatever form), or 0."""
    table = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.int64)
    for word in (*COLOURS, *CATEGORIES, *ROOMS):
        table[id_of(tokenizer, word)] = id_of(tokenizer, word)
    for activity, forms in FORMS.items():
        for word in (activity, *forms):
            table[id_of(tokenizer, word)] = id_of(tokenizer, activity)
    return table[sheet.ids]


def _shown(clip: Clip) -> tuple[set[str], set[str]]:
    """Words and names on view at any frame of the clip, and those of what is done: verbs, things, rooms."""
    shown: set[str] = set()
    acting: set[str] = set()
    for time in clip.times.tolist():
        visit = clip.world.visit_at(time)
        shown.add(clip.world.visits[visit].room)
        for spot in clip.world.placements[visit]:
            name = clip.world.instances[spot.instance].name
            shown.update((name, *name.split(" ")))
        for event in clip.world.events_at(time):
            name = clip.world.instances[event.instance].name
            acting.update((event.activity, event.room, name, *name.split(" ")))
    return shown | acting, acting


def going_on(clips: Sequence[Clip]) -> np.ndarray:
    """float32 `[F, 12]`: 1 where the activity goes on at the frame's time, frames of all clips in order."""
    rows = []
    for clip in clips:
        for time in clip.times.tolist():
            acts = {event.activity for event in clip.world.events_at(time)}
            rows.append([float(activity in acts) for activity in ACTIVITIES])
    return np.asarray(rows, np.float32)
