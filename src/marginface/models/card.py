"""What a person should know before using a model: where it comes from, what it was judged on, what it is for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from marginface import config
from marginface.errors import InputError
from marginface.models.threshold import Threshold

__all__ = ["CommercialUse", "ModelCard", "Provenance", "Result", "Threshold"]

CommercialUse = Literal["allowed", "not allowed", "not stated"]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One number that the model reached, with its story."""

    data: str
    """What it was judged on: `LFW, 6,000 pairs`."""
    metric: str
    """Such as `FNMR at FMR 1e-3` or `ten-fold accuracy`."""
    value: float
    low: float | None = None
    """Lower end of the interval; None where there is none."""
    high: float | None = None
    count: int | None = None
    """Comparisons behind the number."""
    convention: str = ""
    """How it was computed: flip, interval, folds."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """How the weights came to be."""

    recipe: str = ""
    """The resolved recipe, as YAML text."""
    command: str = ""
    marginface_version: str = ""
    date: str = ""
    """ISO 8601, UTC."""
    origin: str = ""
    """For imported weights: the file or address, and its sha256."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The card of a model: plain data, stored beside the weights as JSON and shown as Markdown."""

    name: str = "unnamed"
    description: str = ""
    training_data: str = ""
    """Name, number of people and images."""
    licence: str = ""
    """Terms of the weights, which are often those of the training data."""
    commercial_use: CommercialUse = "not stated"
    """Whether those terms let a product use the weights."""
    intended_use: str = ""
    results: tuple[Result, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)

    def with_thresholds(self, thresholds: Sequence[Threshold]) -> ModelCard:
        """Return the card with these thresholds in front; they replace those for the same rate, data and flip."""
        fresh = {(t.target_fmr, t.data, t.flip) for t in thresholds}
        kept = [t for t in self.thresholds if (t.target_fmr, t.data, t.flip) not in fresh]
        return replace(self, thresholds=(*thresholds, *kept))

    def terms(self) -> str:
        """Return in one line what somebody who loads the model has to know."""
        licence = self.licence or "licence not stated"
        data = self.training_data or "training data not stated"
        return f"{self.name}: {licence}; commercial use {self.commercial_use}; {data}"

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(config.dump(self), indent=2, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Return the card written in `text`.

        Raises:
            InputError: not JSON, or not a card.
        """
        try:
            mapping = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(f"the model card is not valid JSON (line {error.lineno}).") from error
        return config.load(cls, mapping, path="card")

    def to_markdown(self) -> str:
        """Return the card for reading; what is not known is said to be so."""
        parts = [
            f"# {self.name}",
            self.description,
            "## Training data",
            self.training_data or "Not stated.",
            "## Licence",
            self.licence or "Not stated. Ask whoever trained the model before using it.",
            f"Commercial use: {self.commercial_use}.",
            "## Intended use",
            self.intended_use or "Not stated.",
            "## Results",
            _results(self.results),
            "## Thresholds",
            _thresholds(self.thresholds),
            "## Provenance",
            _provenance(self.provenance),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"


def _results(results: tuple[Result, ...]) -> str:
    if not results:
        return "Not evaluated."
    rows = []
    for r in results:
        interval = f"{r.low:.4g} to {r.high:.4g}" if r.low is not None and r.high is not None else "none"
        count = f"{r.count:,}" if r.count is not None else "not stated"
        rows.append((r.data, r.metric, f"{r.value:.4g}", interval, count, r.convention))
    return _table(("data", "metric", "value", "interval", "comparisons", "convention"), rows)


def _thresholds(thresholds: tuple[Threshold, ...]) -> str:
    if not thresholds:
        return "None measured. Choose one on data like your own before deciding anything by it."
    rows = [
        (
            f"{t.score:.4f}" + (" (extrapolated)" if t.extrapolated else ""),
            f"{t.low:.4f} to {t.high:.4f}" if t.low is not None and t.high is not None else "none",
            f"{t.target_fmr:g}",
            f"{t.achieved_fmr:.3g}",
            f"{t.num_non_mated:,}" if t.num_non_mated is not None else "not stated",
            f"{t.reject_below:.4f}, FNMR {t.reject_fnmr:g}" if t.reject_below is not None else "none",
            t.data,
            t.flip,
        )
        for t in thresholds
    ]
    header = ("same from", "interval", "FMR asked for", "FMR seen", "non-mated", "different below", "on", "flip")
    return _table(header, rows)


def _provenance(provenance: Provenance) -> str:
    lines = [
        ("origin", provenance.origin),
        ("command", f"`{provenance.command}`" if provenance.command else ""),
        ("marginface", provenance.marginface_version),
        ("date", provenance.date),
    ]
    text = "\n".join(f"- {name}: {value}" for name, value in lines if value)
    if provenance.recipe:
        text += f"\n\n```yaml\n{provenance.recipe.strip()}\n```"
    return text.strip() or "Not stated."


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
