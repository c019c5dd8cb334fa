"""The training of what ships."""

from watchonce.train.tiny import train_tiny

__all__ = ["train_tiny"]
