"""SmolVLM and SmolVLM2 (Idefics3 architecture): every frame a square image, a fixed number of tokens each.

Frames are told to the model as its processor tells a video: their number, the duration, and a
`Frame from MM:SS` before each. A model whose config.json says `"watchonce": {"frames": "image"}`
(the shipped one) reads bare images instead.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from watchonce.models.body import LocalVLM, Parts
from watchonce.models.layout import Shown
from watchonce.models.pixels import PixelRule
from watchonce.types import BadInput

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def number_words(number: int) -> str:
    """English words of 0 <= number < 1,000,000, as the stock prompt spells the count of frames."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f"-{ONES[number % 10]}" if number % 10 else "")
    for size, word, joint in ((1000, "thousand", ", "), (100, "hundred", " and ")):
        if number >= size:
            head, rest = divmod(number, size)
            between = " and " if rest < 100 else joint
            return f"{number_words(head)} {word}" + (f"{between}{number_words(rest)}" if rest else "")
    raise AssertionError(number)


class SmolVLM(LocalVLM):
    """SmolVLMForConditionalGeneration behind the VLM contract."""

    stock = "SmolVLMForConditionalGeneration"
    lead = " "

    def __init__(self, parts: Parts) -> None:
        vision = parts.model.config.vision_config
        self.as_images = parts.config.get("watchonce", {}).get("frames") == "image"
        table = parts.image if self.as_images else {**parts.image, **parts.video}
        side = int(table.get("max_image_size", {}).get("longest_edge", vision.image_size))
        longest = table.get("video_sampling", {}).get("video_size") or table.get("size", {})
        rule = PixelRule.read(table, (side, side), longest.get("longest_edge"))
        cells = side // vision.patch_size // parts.model.config.scale_factor
        if cells < 1:
            raise BadInput(f"{parts.name}: {side} px frames give no token; check max_image_size")
        self._wrap = self._frame_words(parts.tokenizer)
        mark = parts.model.config.image_token_id
        self._image = parts.tokenizer.convert_ids_to_tokens(mark)
        frames = int(table.get("video_sampling", {}).get("max_frames", 16))
        super().__init__(parts, rule, (cells, cells), mark, min(frames, 16))

    @property
    def text_model(self) -> nn.Module:
        return self.model.model.text_model

    def see(self, pixels: Tensor) -> Tensor:
        # Not get_image_features: it drops frames whose normalised pixels are all zero, as padding.
        inner = self.model.model
        return inner.connector(inner.vision_model(pixel_values=pixels).last_hidden_state)

    def content(self, shown: Shown) -> list[dict[str, str]]:
        return [{"type": "image"}] * len(shown) if self.as_images else [{"type": "video"}]

    def chat(self, shown: Shown | None) -> str | None:
        # Hub templates know images alone; the stock processor then takes this one for a video.
        if shown is None or self.as_images or "video" in self.template.template:
            return None
        from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

        return DEFAULT_CHAT_TEMPLATE

    def spell(self, rendered: str, shown: Shown) -> tuple[str, list[int]]:
        before, after = self._wrap
        frame = f"{before}{self._image}{after}"
        runs = [shown.per] * len(shown)
        if self.as_images:
            return rendered.replace(self._image, frame), runs
        return rendered.replace("<video>", self._film(shown, frame), 1), runs

    def _film(self, shown: Shown, frame: str) -> str:
        duration = int(shown.end.max() - shown.start[0])
        hours, rest = divmod(duration, 3600)
        length = f"{hours}:{rest // 60:02d}:{rest % 60:02d}"
        words = f"You are provided the following series of {number_words(len(shown))} frames from a {length} "
        stamps = (f"\nFrame from {int(s // 60):02d}:{int(s % 60):02d}:{frame}" for s in shown.start.tolist())
        return f"{words}[H:MM:SS] video.\n{''.join(stamps)}\n\n"

    @staticmethod
    def _frame_words(tokenizer: Any) -> tuple[str, str]:
        """What stands before and after the image tokens of a frame; names may be empty in a tokenizer."""
        around = getattr(tokenizer, "fake_image_token", "<fake_token_around_image>")
        whole = getattr(tokenizer, "global_image_token", "<global-img>")
        return f"{around}{whole}", around
