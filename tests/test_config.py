"""Recipes are strict: what is not understood is refused, with its path and the nearest name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest

from marginface import config
from marginface.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Apple:
    kind: Literal["apple"] = "apple"
    sweetness: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.sweetness <= 1:
            raise ValueError(f"sweetness {self.sweetness} is outside [0, 1].")


@dataclass(frozen=True, kw_only=True)
class Pear:
    kind: str = "pear"
    size: int = 3


FRUITS = {"apple": Apple, "pear": Pear}


@dataclass(frozen=True, kw_only=True)
class Basket:
    owner: str
    fruit: Annotated[Apple | Pear, config.by_kind("fruit", FRUITS)] = field(default_factory=Apple)
    more: tuple[Annotated[Apple | Pear, config.by_kind("fruit", FRUITS)], ...] = ()
    weights: tuple[float, ...] = (1.0,)
    colour: Literal["red", "green"] = "red"
    note: str | None = None


def test_a_recipe_becomes_dataclasses_and_back() -> None:
    basket = config.load(
        Basket, {"owner": "Ada", "fruit": {"kind": "pear", "size": 4}, "more": ["apple"], "weights": [1, "5e-4"]}
    )
    assert basket == Basket(owner="Ada", fruit=Pear(size=4), more=(Apple(),), weights=(1.0, 5e-4))
    assert config.load(Basket, config.dump(basket)) == basket


@pytest.mark.parametrize(
    "mapping, sentence",
    [
        ({}, "owner: this setting is missing and has no default."),
        ({"owner": "A", "colur": "red"}, "colur: there is no such setting; did you mean 'colour'?"),
        ({"owner": "A", "fruit": {"kind": "aple"}}, "fruit.kind: there is no fruit 'aple'; did you mean 'apple'?"),
        ({"owner": "A", "fruit": {"sweetness": 1}}, "fruit: say which fruit with `kind`; choose from apple, pear."),
        ({"owner": "A", "fruit": {"kind": "apple", "size": 1}}, "fruit.size: there is no such setting"),
        ({"owner": "A", "fruit": {"kind": "apple", "sweetness": 2}}, "fruit: sweetness 2.0 is outside [0, 1]."),
        ({"owner": "A", "more": [{"kind": "pear", "size": "x"}]}, "more[0].size: 'x' does not fit"),
        ({"owner": "A", "more": "apple"}, "more: expected a list, got 'apple'."),
        ({"owner": "A", "fruit": {"kind": "pear", "size": True}}, "fruit.size: expected a number, got True."),
        ({"owner": "A", "colour": "gren"}, "colour: 'gren' is not a choice; did you mean 'green'?"),
        ({"owner": "A", "fruit": 3}, "fruit: say which fruit with `kind`"),
        ({"owner": "A", "fruit": {"kind": "nowhere:Thing"}}, "fruit.kind: cannot import 'nowhere:Thing'"),
        ({"owner": "A", "fruit": {"kind": "math:pi"}}, "is not a dataclass; name the component's config class."),
    ],
)
def test_what_is_not_understood_is_refused_with_its_path(mapping: dict, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        config.load(Basket, mapping)
    assert sentence in str(error.value)


def test_a_component_of_ones_own_is_named_by_module_and_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_garden.py").write_text(
        "from dataclasses import dataclass\n"
        "@dataclass(frozen=True, kw_only=True)\n"
        "class Plum:\n    kind: str = 'my_garden:Plum'\n    stones: int = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    basket = config.load(Basket, {"owner": "A", "fruit": {"kind": "my_garden:Plum", "stones": 2}})
    assert config.dump(basket)["fruit"] == {"kind": "my_garden:Plum", "stones": 2}
    assert config.load(Basket, config.dump(basket)) == basket


def test_overrides_are_dotted_and_values_are_yaml() -> None:
    mapping = {"owner": "A", "fruit": {"kind": "apple", "sweetness": 0.1}}
    changed = config.with_overrides(mapping, ["--fruit.sweetness", "0.2", "--weights=[1, 2]", "--note", "null"])
    assert changed == {"owner": "A", "fruit": {"kind": "apple", "sweetness": 0.2}, "weights": [1, 2], "note": None}
    assert mapping["fruit"]["sweetness"] == 0.1, "the mapping given is not changed"


def test_choosing_another_kind_drops_the_settings_of_the_old_one() -> None:
    mapping = {"owner": "A", "fruit": {"kind": "apple", "sweetness": 0.1}}
    changed = config.with_overrides(mapping, ["--fruit.kind", "pear", "--fruit.size", "9"])
    assert changed["fruit"] == {"kind": "pear", "size": 9}


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["--note"], "--note: this override has no value"),
        (["note"], "expected an override such as"),
        (["--owner.name", "x"], "--owner.name: owner is 'A', which has no settings below it."),
        (["--note", "[1"], "is not a YAML value"),
    ],
)
def test_bad_overrides_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(InputError, match=".") as error:
        config.with_overrides({"owner": "A"}, words)
    assert sentence in str(error.value)


def test_a_recipe_extends_one_parent_and_no_more(tmp_path: Path) -> None:
    (tmp_path / "parent.yaml").write_text("owner: A\nfruit: {kind: apple, sweetness: 0.1}\ncolour: green\n")
    (tmp_path / "child.yaml").write_text("extends: parent.yaml\nfruit: {sweetness: 0.3}\n")
    (tmp_path / "grandchild.yaml").write_text("extends: child.yaml\n")
    assert config.read_recipe(tmp_path / "child.yaml") == {
        "owner": "A",
        "fruit": {"kind": "apple", "sweetness": 0.3},
        "colour": "green",
    }
    with pytest.raises(InputError, match="one level is the limit"):
        config.read_recipe(tmp_path / "grandchild.yaml")


def test_a_child_that_changes_kind_replaces_the_parents_mapping() -> None:
    parent = {"fruit": {"kind": "apple", "sweetness": 0.1}}
    assert config.merge(parent, {"fruit": {"kind": "pear"}}) == {"fruit": {"kind": "pear"}}


@pytest.mark.parametrize(
    "text, sentence", [("a: [1", "this is not valid YAML (line"), ("- 1\n- 2\n", "a recipe is a mapping of settings")]
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        config.read_recipe(tmp_path / "bad.yaml")
    assert sentence in str(error.value)
    assert "bad.yaml" in str(error.value)


def test_an_unknown_recipe_names_the_nearest_shipped_one() -> None:
    with pytest.raises(InputError, match="did you mean 'demo'"):
        config.read_recipe("demmo")
