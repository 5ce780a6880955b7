"""The page on backbones: every kind is there with its real counts, YAML loads, Python prints what it says."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from marginface.backbones import BACKBONES
from marginface.backbones.describe import describe_backbone
from marginface.config import load

TEXT = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text(encoding="utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if re.match(r"\| `\w+` \|", line)
]
COUNTS = {row[0].strip("`"): row[1:4] for row in ROWS if len(row) == 5}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def test_every_kind_is_on_the_page_in_the_registrys_order():
    assert list(COUNTS) == list(BACKBONES)


@pytest.mark.parametrize(
    "kind", ["iresnet18", "ir_se50", "multiface_ir50", "mobilefacenet_112x96", "edgeface_s", "vit_l"]
)
def test_counts_are_those_of_the_networks(kind):
    summary = describe_backbone(BACKBONES[kind](kind=kind))
    expected = [f"{summary.parameters / 1e6:,.2f}", f"{summary.multiply_adds / 1e6:,.0f}", f"{summary.num_keys:,}"]
    assert COUNTS[kind] == expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(BACKBONES))
def test_all_counts_are_those_of_the_networks(kind):
    test_counts_are_those_of_the_networks(kind)


def test_kinds_that_the_text_speaks_of_exist():
    named = set(re.findall(r"`((?:ir|iresnet|vit|edgeface|mobilefacenet|multiface|mindface|cvlface)_?\w*\d?)`", TEXT))
    weights = {name for row in ROWS if len(row) == 5 for name in re.findall(r"`(\w+)`", row[4])}
    assert named - weights - set(BACKBONES) == set()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_yaml_loads(text):
    mapping = yaml.safe_load(text)["backbone"]
    assert load(BACKBONES[mapping["kind"]], mapping).kind == mapping["kind"]


@pytest.mark.parametrize("text", blocks("python"))
def test_python_prints_what_it_says(text):
    said = re.findall(r"print\(.*\)  # (.+)", text)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(text, "backbones.md", "exec"), {})
    assert printed.getvalue().splitlines() == said
