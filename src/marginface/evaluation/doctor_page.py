"""The page of a data doctor's visit: what was found, with the image, its person, and whom it looks like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np

from marginface.curation.doctor import Diagnosis
from marginface.curation.findings import KINDS, Finding
from marginface.curation.people import images_of
from marginface.records.embedding_table import EmbeddingTable
from marginface.records.record import RecordSource

from . import words
from .page import render_page
from .pair_strips import thumbnails
from .plots import INK, MATED, NON_MATED, Plot, figure_of, finish, plot_style

SHOWN = 18
"""Findings of a kind with pictures."""
SHOWN_A_PERSON = 2
FACES = 3
"""Of a person, to compare with."""


def doctor_page(
    record: Mapping[str, Any], diagnosis: Diagnosis, table: EmbeddingTable, *, sources: Sequence[RecordSource]
) -> str:
    """Return the HTML page.

    Args:
        record: doctor.json.
        diagnosis: the findings.
        table: embeddings of the data set.
        sources: where pictures come from; none leaves names and scores alone.
    """
    typical = _Typical(diagnosis, table)
    strips = {
        kind: [typical.strip(f) for f in _varied(diagnosis.findings, kind)] for kind in KINDS if diagnosis.counts[kind]
    }
    keys = [key for strip in strips.values() for one in strip for key in (*one["image"], *one["own"], *one["other"])]
    return render_page(
        "doctor_template.html",
        record=record,
        kinds=KINDS,
        strips=strips,
        plot=_plot(diagnosis),
        pictures=thumbnails(keys, sources),
        words=words,
    )


def _varied(findings: Sequence[Finding], kind: str) -> list[Finding]:
    """Return the surest findings of a kind, a person in two of them at most."""
    times: Counter[str] = Counter()
    chosen: list[Finding] = []
    for finding in findings:
        if finding.kind == kind and times[finding.person] < SHOWN_A_PERSON and len(chosen) < SHOWN:
            times[finding.person] += 1
            chosen.append(finding)
    return chosen


class _Typical:
    """The images that show best who a person is: those nearest to the others of their name."""

    def __init__(self, diagnosis: Diagnosis, table: EmbeddingTable) -> None:
        self.table = table
        self.own = np.nan_to_num(diagnosis.near.own, nan=-1.0)
        self.images = images_of(table)
        self.label_of = {name: label for label, name in enumerate(table.identities)}

    def strip(self, finding: Finding) -> dict[str, Any]:
        """Return what the page shows of a finding: keys of pictures and words."""
        other = [finding.other_key] if finding.other_key else self.keys(finding.other_person, but="")
        return {
            "image": [finding.key] if finding.key else [],
            "own": self.keys(finding.person, but=finding.key),
            "other": other,
            "person": finding.person,
            "other_person": finding.other_person,
            "key": finding.key,
            "score": f"{finding.score:.3f}",
            "own_score": None if finding.own_score is None else f"{finding.own_score:.3f}",
        }

    def keys(self, person: str, *, but: str) -> list[str]:
        label = self.label_of.get(person)
        if label is None:
            return []
        images = self.images[label]
        nearest = images[np.argsort(-self.own[images], kind="stable")]
        return [key for key in (self.table.keys[i] for i in nearest[: FACES + 1].tolist()) if key != but][:FACES]


def _plot(diagnosis: Diagnosis) -> Plot:
    """Return the cosines of images to their own and to the nearest other name, with the marks."""
    near, marks = diagnosis.near, diagnosis.marks
    own = near.own[~np.isnan(near.own)]
    with matplotlib.rc_context(plot_style()):
        figure, (axes,) = figure_of(6.6, 3.0)
        edges = np.linspace(min(-0.2, float(own.min(initial=0.0))), 1.0, 90)
        for values, colour, name in ((near.other_cos, NON_MATED, "nearest other name"), (own, MATED, "own name")):
            counts, _ = np.histogram(values, edges)
            share = counts / max(counts.sum(), 1)
            axes.stairs(share, edges, fill=True, color=colour, alpha=0.22, lw=0)
            axes.stairs(share, edges, color=colour, lw=1.4, label=f"to the {name} ({len(values):,})")
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        for score, name, side in ((marks.stranger, "stranger", "right"), (marks.typical, "typical", "left")):
            axes.axvline(score, color=INK, lw=1.2, ls=(0, (4, 2)))
            axes.annotate(
                f"{name} {score:.2f}",
                (score, 0.98),
                xycoords=("data", "axes fraction"),
                xytext=(-4 if side == "right" else 4, 0),
                textcoords="offset points",
                ha=side,
                va="top",
                fontsize=8.5,
            )
        axes.set_xlabel("Cosine of an image to the centre of a name")
        axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize=8.5, borderpad=0.1)
        return finish(
            figure,
            name="names",
            title="How well images fit their names",
            caption="Left of the line “stranger” an image is no nearer to its own name than strangers are. Right of "
            "“typical” lie all but a few of the images of their own name.",
            alt="Histograms of cosines of images to their own name and to the nearest other name.",
        )
