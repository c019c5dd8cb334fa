"""Pages: what the language model reads in one go. A shared beginning (frames or notes), several questions.

Every question attends to the beginning and to itself alone, at the positions it would have if it stood
there by itself, so a page trains exactly the prompts that are asked later. This file knows tokens, not
how frames become vectors nor which answers are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from watchonce.models.tiny import ANSWER, END, IMAGE, PAD, START, TOKENS, UNK

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import SmolVLMForConditionalGeneration


LINES = 16  # notes a list may have


@dataclass(frozen=True)
class Page:
    """`frames` frames, then `notes`, then each question by itself: (kind, question, answer) triples."""

    frames: int
    notes: str
    asked: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A batch of pages as tensors.

    ids `[B, L]`, positions `[B, L]`, mask bool `[B, 1, L, L]` (True: attends), targets `[B, L]`: the token
    that must follow, -100 where none is asked; block `[B, L]`: 0 the shared beginning, then the number of
    the question, -1 padding.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    targets: Tensor
    block: Tensor


Row = tuple[list[int], list[int], list[int], list[int]]  # ids, positions, targets, block


def id_of(tokenizer: Tokenizer, word: str) -> int:
    """The id of a word of the vocabulary; raises KeyError for any other."""
    number = tokenizer.token_to_id(word)
    if number is None:
        raise KeyError(word)
    return number


class Speller:
    """Text to the tokens of a page, with now and then an unknown word thrown in between."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        ids = {token: id_of(tokenizer, token) for token in (PAD, UNK, START, END, ANSWER, IMAGE)}
        self.pad, self.unknown, self.start = ids[PAD], ids[UNK], ids[START]
        self.end, self.answer, self.image = ids[END], ids[ANSWER], ids[IMAGE]

    def spell(self, text: str) -> list[int]:
        """Token ids of `text` without specials."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def question(self, text: str, rng: np.random.Generator | None) -> list[int]:
        """Token ids of a question; with `rng`, one in eight gets one or two unknown words."""
        ids = self.spell(text)
        if rng is not None and rng.random() < 0.12:
            for _ in range(int(rng.integers(1, 3))):
                ids.insert(int(rng.integers(len(ids) + 1)), self.unknown)
        return ids

    def sheets(self, pages: Sequence[Page], rng: np.random.Generator | None, groups: int) -> list[Sheet]:
        """Pages of like length together, in `groups` sheets, so that little is padding."""
        rows = sorted((self._row(page, rng) for page in pages), key=lambda row: len(row[0]))
        size = -(-len(rows) // groups)
        return [self._lay(rows[n : n + size]) for n in range(0, len(rows), size)]

    def sheet(self, pages: Sequence[Page], rng: np.random.Generator | None = None) -> Sheet:
        """Lays pages out side by side, padded to the longest."""
        return self._lay([self._row(page, rng) for page in pages])

    def _lay(self, rows: list[Row]) -> Sheet:
        length = max(len(row[0]) for row in rows)
        shape = (len(rows), length)
        ids, targets = np.full(shape, self.pad), np.full(shape, -100)
        positions, block = np.zeros(shape, np.int64), np.full(shape, -1)
        for number, (i, p, t, b) in enumerate(rows):
            ids[number, : len(i)], positions[number, : len(i)] = i, p
            targets[number, : len(i)], block[number, : len(i)] = t, b
        same = (block[:, :, None] == block[:, None, :]) | (block[:, None, :] == 0)
        mask = same & np.tril(np.ones((length, length), bool)) & (block[:, None, :] >= 0)
        mask |= np.eye(length, dtype=bool)  # padding attends to itself, so that no row is empty
        tensors = (torch.from_numpy(value) for value in (ids, positions, mask[:, None], targets, block))
        return Sheet(*tensors)

    def _row(self, page: Page, rng: np.random.Generator | None) -> Row:
        ids = [self.start, *[self.image] * (TOKENS * page.frames), *self.spell(page.notes)]
        positions, targets, block = list(range(len(ids))), [-100] * len(ids), [0] * len(ids)
        begin = len(ids)
        for number, (_, question, answer) in enumerate(page.asked, start=1):
            head, tail = [*self.question(question, rng), self.answer], [*self.spell(answer), self.end]
            piece = [*head, *tail[:-1]]
            ids += piece
            positions += range(begin, begin + len(piece))
            targets += [-100] * (len(head) - 1) + tail
            block += [number] * len(piece)
        return ids, positions, targets, block


def states_of(
    model: SmolVLMForConditionalGeneration, sheet: Sheet, visual: Tensor | None
) -> tuple[Tensor, ...]:
    """The language model's states `[B, L, W]`: as words and frames enter, after each layer, the last normed.

    visual: `[F, D]`, the vectors of all image tokens in page order, or None where no page has frames.
    """
    embedded = model.model.text_model.get_input_embeddings()(sheet.ids)
    if visual is not None:
        image = (sheet.ids == model.config.image_token_id).unsqueeze(-1)
        embedded = embedded.masked_scatter(image, visual.to(embedded.dtype))
    return model.model.text_model(
        inputs_embeds=embedded,
        attention_mask=sheet.mask,
        position_ids=sheet.positions,
        use_cache=False,
        output_hidden_states=True,
    ).hidden_states


def logits_of(
    model: SmolVLMForConditionalGeneration, sheet: Sheet, visual: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Logits `[A, V]` and targets `[A]` at every place where an answer's token is due."""
    due = sheet.targets >= 0
    return model.lm_head(states_of(model, sheet, visual)[-1][due]), sheet.targets[due]


def lines_of(sheet: Sheet, tokenizer: Tokenizer) -> Tensor:
    """Which line of the notes every token belongs to: `[B, L]`, 1 for "[1]" and what follows, 0 elsewhere."""
    marks = torch.zeros(tokenizer.get_vocab_size(), dtype=torch.int64)
    for n in range(1, LINES + 1):
        marks[id_of(tokenizer, f"[{n}]")] = n
    shared = sheet.block == 0
    return (marks[sheet.ids] * shared).cummax(1).values * shared


def answer_loss(model: SmolVLMForConditionalGeneration, sheet: Sheet, last: Tensor) -> Tensor:
    """Cross-entropy of the answers from the last states `[B, L, W]`, every answer's token alike."""
    due = sheet.targets >= 0
    return cross_entropy(model.lm_head(last[due]).float(), sheet.targets[due])


@torch.inference_mode()
def right_answers(
    model: SmolVLMForConditionalGeneration, sheet: Sheet, visual: Tensor | None
) -> list[list[bool]]:
    """Per page, per question: is every token of the answer the model's first choice?

    Given the right beginning, this equals greedy decoding being right to the last token.
    """
    logits, targets = logits_of(model, sheet, visual)
    wrong = torch.zeros_like(sheet.targets, dtype=torch.bool)
    wrong[sheet.targets >= 0] = logits.argmax(-1) != targets
    found = []
    for row, block in zip(wrong, sheet.block, strict=True):
        count = int(block.max())
        found.append([not bool(row[block == number].any()) for number in range(1, count + 1)])
    return found
