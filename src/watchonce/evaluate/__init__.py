"""Measures a recipe on a benchmark, beside what no recipe, chance and the truth itself would score."""

from __future__ import annotations

from watchonce.evaluate.report import table
from watchonce.evaluate.run import evaluate, save

__all__ = ["evaluate", "save", "table"]
