"""The training of what ships."""

from watchonce.train.dynfocus import train_dynfocus
from watchonce.train.relational.trainer import train_long_vmnet, train_tubedetr
from watchonce.train.tiny import train_tiny

__all__ = ["train_dynfocus", "train_long_vmnet", "train_tiny", "train_tubedetr"]
