"""The page in a real browser: with a mouse, with a keyboard, and as a screen reader hears it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from marginface.serve.keys import create_key
from tests.serve.browser import NO_BROWSER, Page, chromium, open_page
from tests.serve.made_up import ADA, ADA_AGAIN, BOB, GROUP, NOBODY, enrol, new_service, running


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if chromium() is None:
        pytest.skip(NO_BROWSER)
    with open_page(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with photographs and something that is none."""
    named = {"ada": ADA, "again": ADA_AGAIN, "bob": BOB, "group": GROUP, "nobody": NOBODY}
    for name, content in named.items():
        (tmp_path / f"{name}.png").write_bytes(content)
    (tmp_path / "drawing.jpg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'></svg>")
    return tmp_path


def picture_of(tab: Page, name: str) -> None:
    """Keep a screenshot where somebody asked for them (MARGINFACE_SCREENSHOTS)."""
    folder = os.environ.get("MARGINFACE_SCREENSHOTS")
    if folder:
        tab.screenshot(Path(folder) / f"{name}.png")


def rows(tab: Page, table: str) -> list[list[str]]:
    script = f"[...document.querySelectorAll('{table} tbody tr')].map(r => [...r.children].map(c => c.textContent))"
    return list(tab.run(script))


def box_in(tab: Page, place: str) -> list[float]:
    """Return left, top and width of the first box drawn there, as shares of its photograph."""
    return list(
        tab.run(
            f"(() => {{ const frame = document.querySelector('{place} .frame:has(.box)');"
            " const f = frame.querySelector('img').getBoundingClientRect();"
            " const b = frame.querySelector('.box').getBoundingClientRect();"
            " return [(b.left - f.left) / f.width, (b.top - f.top) / f.height, b.width / f.width]; })()"
        )
    )


def test_enrol_look_compare_browse_and_delete(tab: Page, start, photos: Path) -> None:
    client = start()
    tab.complaints.clear()
    tab.prefer("light")
    tab.width(1100)
    tab.go(str(client.base_url))
    tab.wait_for("document.getElementById('people-count').textContent === 'Nobody is enrolled yet.'")
    assert tab.run("document.getElementById('key').hidden")

    hostile = "<img src=x onerror=alert(1)>"
    for name, file in (("Ada", "ada"), (hostile, "bob")):
        tab.run("document.getElementById('enrol-name').focus()")
        tab.type(name)
        tab.choose("#enrol-files", photos / f"{file}.png", photos / "nobody.png")
        tab.run("document.querySelector('#enrol-form button').click()")
        tab.said(f"{name}: 1 image added, 1 in all; photograph 2 was left out: no face was found.")
    assert rows(tab, "#people-table") == [[hostile, "1", "Delete"], ["Ada", "1", "Delete"]]

    tab.choose("#who-files", photos / "group.png", photos / "nobody.png")
    tab.said("2 faces on 2 photographs.")
    found = rows(tab, "#who-results")
    assert [row[:2] for row in found] == [["1", "Ada"], ["2", hostile]]
    assert float(found[0][2]) > 0.5
    assert box_in(tab, "#who-results") == pytest.approx([10 / 320, 10 / 240, 112 / 320], abs=0.01)

    tab.choose("#verify-first", photos / "ada.png")
    tab.choose("#verify-second", photos / "again.png")
    tab.run("document.querySelector('#verify-form button').click()")
    tab.said("same, score 0.9")
    tab.wait_for("document.querySelectorAll('#verify-result .box').length === 2")
    assert box_in(tab, "#verify-result") == pytest.approx([10 / 320, 10 / 240, 112 / 320], abs=0.01)
    picture_of(tab, "light")
    tab.prefer("dark")
    tab.width(420)
    picture_of(tab, "dark_narrow")
    assert tab.run("document.documentElement.scrollWidth <= window.innerWidth")

    tab.choose("#who-files", photos / "drawing.jpg")
    tab.said("drawing.jpg: photograph 1: this file is an SVG drawing")

    tab.run("document.querySelector('#people-rows button').click()")
    tab.width(1100)
    picture_of(tab, "delete")
    assert tab.run("document.activeElement.textContent") == "Keep"
    tab.run("document.querySelector('#delete .danger').click()")
    tab.said(f"{hostile} was deleted.")
    assert [row[0] for row in rows(tab, "#people-table")] == ["Ada"]
    assert [p.name for p in client.service.gallery.people()] == ["Ada"]
    assert [one for one in tab.complaints if "422" not in one] == []


def test_everything_can_be_reached_and_done_with_a_keyboard(tab: Page, start, photos: Path) -> None:
    client = start()
    enrol(client, "Ada", ADA)
    tab.width(1100)
    tab.go(str(client.base_url))
    tab.wait_for("document.querySelectorAll('#people-rows tr').length === 1")
    reached = []
    for _ in range(40):
        tab.press("Tab", 9)
        reached.append(tab.run("document.activeElement.id || document.activeElement.textContent"))
        if reached[-1] == "Delete":
            break
    wanted = [
        "Skip to the content",
        "Who is it?",
        "Enrol",
        "Compare two",
        "People",
        "who-files",
        "enrol-name",
        "enrol-files",
        "enrol-duplicate",
        "Enrol",
    ]
    wanted += ["verify-first", "verify-second", "Compare", "Delete"]
    assert [one for one in reached if one in wanted] == wanted
    assert tab.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    tab.press("Enter", 13, "\r")
    tab.wait_for("document.getElementById('delete').open")
    tab.press("Escape", 27)
    tab.wait_for("!document.getElementById('delete').open")
    assert tab.run("document.activeElement.textContent") == "Delete"
    tab.press("Enter", 13, "\r")
    tab.wait_for("document.getElementById('delete').open")
    tab.press("Tab", 9)
    tab.press("Enter", 13, "\r")
    tab.said("Ada was deleted.")
    assert tab.run("document.activeElement.id") == "people-title"


def test_a_screen_reader_hears_what_everything_is(tab: Page, start, photos: Path) -> None:
    client = start()
    enrol(client, "Ada", ADA)
    tab.go(str(client.base_url))
    tab.wait_for("document.querySelectorAll('#people-rows tr').length === 1")
    tab.choose("#who-files", photos / "group.png")
    tab.said("2 faces on 1 photograph.")
    assert tab.names("heading") == ["MarginFace", "Who is it?", "Enrol", "Compare two", "People"]
    assert "Delete Ada" in tab.names("button")
    assert "Name" in tab.names("textbox")
    assert tab.names("image") == ["Photograph with 2 faces: Ada, unknown"]
    unnamed = "[...document.querySelectorAll('input')].filter(i => !i.labels.length).length"
    assert tab.run(unnamed) == 0
    assert tab.run("document.getElementById('status').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_words_stand_out_from_their_ground(scheme: int) -> None:
    """4.5 to 1, WCAG 2.2's contrast for text."""
    css = resources.files("marginface.serve").joinpath("page", "page.css").read_text()
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css.split(":root {")[1 + scheme]))
    pairs = [("ink", "paper"), ("ink", "card"), ("soft", "card"), ("accent", "card"), ("accent", "paper")]
    pairs += [("on-accent", "accent"), ("known", "card"), ("unknown", "card"), ("danger", "card"), ("paper", "danger")]
    assert min(contrast(colours[one], colours[other]) for one, other in pairs) >= 4.5


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast ratio of two colours #rrggbb."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_with_keys_the_page_asks_for_one(tab: Page, tmp_path: Path) -> None:
    _, key = create_key(tmp_path / "keys.json", "admin")
    service = new_service(tmp_path)
    with running(service, keys=tmp_path / "keys.json") as address:
        tab.go(address)
        tab.wait_for("!document.getElementById('key').hidden")
        for given, words in (("mf_wrong", "this key is not known"), (key, "The key is used from now on.")):
            tab.run("document.getElementById('key-value').focus(); document.getElementById('key-value').select()")
            tab.type(given)
            tab.press("Enter", 13, "\r")
            tab.said(words)
        assert tab.run("document.getElementById('people-count').textContent") == "Nobody is enrolled yet."
        assert tab.run("localStorage.length + sessionStorage.length + document.cookie.length") == 0
