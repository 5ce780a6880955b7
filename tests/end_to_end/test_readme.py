"""What README and docs name exists: verbs and their flags, make targets, recipes, files behind links."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from marginface.cli.main import VERBS, main
from marginface.config import recipe_names

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _blocks(page: Path) -> list[str]:
    return re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)


def _commands(page: Path) -> list[list[str]]:
    lines = "\n".join(_blocks(page)).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if re.match(r"\s*(marginface|make) ", line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_name_verbs_flags_and_recipes_that_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for program, *words in _commands(page):
        if program == "make":
            assert words[0] in targets
            continue
        verb = next(v for v in (" ".join(words[:2]), words[0]) if v in VERBS or v.startswith("-"))
        if verb.startswith("-"):
            continue
        with pytest.raises(SystemExit):
            main([*verb.split(), "--help"])
        known = set(re.findall(r"--[a-z0-9-]+", capsys.readouterr().out))
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        if verb in {"train", "config show", "finetune"}:  # settings of recipes are overrides there
            given = {flag for flag in given if "." not in flag and flag[2:] not in {"epochs", "seed"}}
        if verb in {"train", "config show"}:
            recipe = words[len(verb.split())]
            assert recipe in recipe_names() or recipe.endswith(".yaml"), recipe
        assert given <= known, f"{verb}: {given - known}"
