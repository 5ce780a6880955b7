"""Recipes: strict YAML <-> frozen dataclasses, dotted overrides, one parent.

A recipe is a mapping; `load(TrainConfig, mapping)` turns it into dataclasses and refuses what it does not know, naming
the path and the nearest name. A choice between components is a field whose mapping carries a `kind`:

    MARGINS = {"arcface": ArcFaceConfig, "cosface": CosFaceConfig}          # a plain dict literal: the registry
    margin: Annotated[MarginConfig, by_kind("margin", MARGINS)]             # {kind: arcface, margin: 0.5}

`kind: "my_lab.margins:MyMarginConfig"` imports that dataclass instead.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from marginface.errors import InputError, one_of

T = TypeVar("T")


@dataclass(frozen=True)
class ByKind:
    """Marks a field whose class is chosen by the `kind` of its mapping, from one registry."""

    family: str
    registry: Mapping[str, type]

    def config_class(self, kind: str, path: str) -> type:
        """Return the config class that `kind` names, from the registry or from `module:Class`."""
        if kind in self.registry:
            return self.registry[kind]
        if ":" in kind:
            return _import_class(kind, path)
        raise InputError(f"{path}.kind: there is no {self.family} {kind!r}{one_of(kind, list(self.registry))}.")


def by_kind(family: str, registry: Mapping[str, type]) -> ByKind:
    """Return the annotation for a field chosen by `kind`; `family` is the word that error messages use."""
    return ByKind(family, registry)


def load(cls: type[T], mapping: Mapping[str, Any], *, path: str = "") -> T:
    """Return an instance of the dataclass `cls` made from `mapping`, strictly.

    Args:
        cls: a dataclass; nested dataclasses, tuples, optionals, literals and `by_kind` fields are followed.
        mapping: what YAML gave.
        path: where `mapping` stands in the recipe, for messages.

    Raises:
        InputError: a key that `cls` does not have, one that it needs and is missing, or a value of the wrong kind.
    """
    if not isinstance(mapping, Mapping):
        raise InputError(f"{path or 'the recipe'}: expected a mapping of settings, got {mapping!r}.")
    hints = _hints(cls)  # type: ignore[arg-type] # a class is hashable, mypy cannot know it of a TypeVar
    fields = {f.name: f for f in dataclasses.fields(cls) if f.init}  # type: ignore[arg-type]
    for key in mapping:
        if key not in fields:
            raise InputError(f"{_join(path, str(key))}: there is no such setting{one_of(str(key), list(fields))}.")
    values = {}
    for name, field in fields.items():
        if name in mapping:
            values[name] = _value(hints[name], mapping[name], _join(path, name))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{_join(path, name)}: this setting is missing and has no default.")
    try:
        return cls(**values)
    except InputError:
        raise
    except ValueError as error:  # __post_init__ refused a value
        raise InputError(f"{path + ': ' if path else ''}{error}") from error


def dump(config: object) -> dict[str, Any]:
    """Return plain YAML-ready values for a config; `load(type(config), dump(config)) == config`."""
    assert dataclasses.is_dataclass(config)
    return {f.name: _plain(getattr(config, f.name)) for f in dataclasses.fields(config) if f.init}


def to_yaml(config: object) -> str:
    """Return the resolved config as YAML text, itself a valid recipe."""
    return yaml_text(dump(config))


def yaml_text(values: Mapping[str, Any]) -> str:
    """Return plain values as YAML text, in their order."""
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def read_recipe(recipe: str | Path) -> dict[str, Any]:
    """Return the mapping of a recipe: a YAML file, or the name of one that ships with the package.

    A recipe may name one parent, `extends: NAME_OR_PATH` (a path is relative to the recipe's folder), which may not
    extend another itself. Mappings are merged key by key; where `kind` changes, the child's mapping takes the place of
    the parent's.

    Raises:
        InputError: no such recipe, not YAML, not a mapping, or two levels of `extends`.
    """
    path = find_recipe(recipe)
    child = _read_yaml(path)
    if "extends" not in child:
        return child
    parent_name = str(child.pop("extends"))
    beside = path.parent / parent_name
    parent_path = beside if beside.is_file() else find_recipe(parent_name)
    parent = _read_yaml(parent_path)
    if "extends" in parent:
        raise InputError(f"{path}: extends {parent_name}, which extends another recipe itself; one level is the limit.")
    return merge(parent, child)


def recipe_names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(p.stem for p in _recipes_folder().glob("*.yaml"))


def find_recipe(recipe: str | Path) -> Path:
    """Return the file of a recipe, given its path or its name among the shipped ones."""
    path = Path(recipe)
    if path.is_file():
        return path
    shipped = _recipes_folder() / f"{recipe}.yaml"
    if shipped.is_file():
        return shipped
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        raise InputError(f"{recipe}: there is no such file; shipped recipes are {', '.join(recipe_names())}.")
    raise InputError(f"{recipe}: there is no such recipe{one_of(str(recipe), recipe_names())}, or give a YAML file.")


def merge(parent: Mapping[str, Any], child: Mapping[str, Any]) -> dict[str, Any]:
    """Return `parent` with the child's settings over it, mapping by mapping."""
    merged = dict(parent)
    for key, value in child.items():
        old = merged.get(key)
        merged[key] = value
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            same_kind = value.get("kind", old.get("kind")) == old.get("kind")
            merged[key] = merge(old, value) if same_kind else value
    return merged


def with_overrides(mapping: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return `mapping` with `--optim.lr 0.2` or `--optim.lr=0.2` style overrides applied; values are YAML.

    Changing a `kind` drops the settings of the old kind, unless an override sets them again after it.

    Raises:
        InputError: an override without a value, or one that goes through something that is not a mapping.
    """
    result = _copy(mapping)
    for dotted, text in _pairs(overrides):
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InputError(f"--{dotted}: {text!r} is not a YAML value.") from error
        *parents, last = dotted.split(".")
        place = result
        for i, key in enumerate(parents):
            below = place.setdefault(key, {})
            if not isinstance(below, dict):
                raise InputError(
                    f"--{dotted}: {'.'.join(parents[: i + 1])} is {below!r}, which has no settings below it."
                )
            place = below
        if last == "kind" and place.get("kind") != value:
            place.clear()
        place[last] = value
    return result


# -- how a value is read -------------------------------------------------------------------------------------------


def _value(hint: Any, value: Any, path: str) -> Any:
    if typing.get_origin(hint) is typing.Annotated:
        base, *marks = typing.get_args(hint)
        choice = next((m for m in marks if isinstance(m, ByKind)), None)
        return _chosen(choice, value, path) if choice else _value(base, value, path)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return load(typing.cast(type, hint), value, path=path)
    if origin in (typing.Union, types.UnionType) and type(None) in args:
        if value is None:
            return None
        rest = [a for a in args if a is not type(None)]
        return _value(rest[0] if len(rest) == 1 else typing.Union[tuple(rest)], value, path)  # noqa: UP007
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise InputError(f"{path}: expected a list, got {value!r}.")
        return tuple(_value(args[0], v, f"{path}[{i}]") for i, v in enumerate(value))
    return _leaf(hint, value, path)


def _chosen(choice: ByKind, value: Any, path: str) -> Any:
    if isinstance(value, str):  # `margin: arcface` is short for `margin: {kind: arcface}`
        value = {"kind": value}
    if not isinstance(value, Mapping) or "kind" not in value:
        raise InputError(
            f"{path}: say which {choice.family} with `kind`; choose from {', '.join(sorted(choice.registry))}."
        )
    return load(choice.config_class(str(value["kind"]), path), value, path=path)


def _leaf(hint: Any, value: Any, path: str) -> Any:
    if typing.get_origin(hint) is typing.Literal and value not in typing.get_args(hint):
        choices = [str(a) for a in typing.get_args(hint)]
        raise InputError(f"{path}: {value!r} is not a choice{one_of(str(value), choices)}.")
    is_union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    members = typing.get_args(hint) if is_union else (hint,)
    if isinstance(value, bool) and bool not in members and {int, float} & {*members}:
        raise InputError(f"{path}: expected a number, got {value!r}.")
    try:
        return _adapter(hint).validate_python(value)
    except ValidationError as error:
        reasons = [one["msg"][0].lower() + one["msg"][1:] for one in error.errors()]
        reason = ", or ".join(reasons) if is_union else reasons[0]
        raise InputError(f"{path}: {value!r} does not fit: {reason}.") from error


@functools.lru_cache(maxsize=256)
def _adapter(hint: Any) -> TypeAdapter:
    return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))


@functools.lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def _import_class(kind: str, path: str) -> type:
    module_name, _, class_name = kind.partition(":")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise InputError(f"{path}.kind: cannot import {kind!r} ({error}); is its folder on PYTHONPATH?") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise InputError(f"{path}.kind: {kind!r} is not a dataclass; name the component's config class.")
    return found


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return dump(value)
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


# -- files and words -----------------------------------------------------------------------------------------------


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise InputError(f"{path}: this is not valid YAML{line}; a recipe is a mapping of settings.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: a recipe is a mapping of settings, this file holds {type(content).__name__}.")
    return content


def _recipes_folder() -> Path:
    return Path(__file__).parent / "recipes"


def _pairs(overrides: Sequence[str]) -> list[tuple[str, str]]:
    pairs, words = [], list(overrides)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise InputError(f"{word!r}: expected an override such as `--optim.lr 0.2`.")
        dotted, equals, text = word[2:].partition("=")
        if not equals:
            if not words or words[0].startswith("--"):
                raise InputError(f"{word}: this override has no value; write `{word} VALUE`.")
            text = words.pop(0)
        pairs.append((dotted.replace("-", "_"), text))
    return pairs


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _copy(mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, Mapping) else v for k, v in mapping.items()}
