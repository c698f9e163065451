"""What a person asks for in the studio, as JSON: checked, and said in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from primaps.config import did_you_mean
from primaps.errors import ConfigError
from primaps.naming.table import (
    MAX_CLASS_ID,
    checked_name,
    colour_class,
    find_class,
    ignore_class,
    merge_classes,
    name_class,
    note_class,
    parse_colour,
)
from primaps.types import ClassTable

Change = Callable[[ClassTable], tuple[ClassTable, Mapping[int, int]]]
"""From a table to another one, and the id that each class that is gone lives on under."""


def _is_class(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_CLASS_ID


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_proposal(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _are_proposals(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(
            isinstance(each, (list, tuple))
            and len(each) == 2
            and isinstance(each[0], str)
            and _is_proposal(each[1])
            for each in value
        )
    )


def _is_target(value: Any) -> bool:
    return value is None or _is_text(value) or _is_class(value)


_CLASS: Final = (_is_class, "the id of a class")
_NAME: Final = (_is_text, "a name")
_TARGET: Final = (_is_target, "the id of a class, a name, or null for no class")
_PROPOSALS: Final = (_are_proposals, "pairs of an image and a proposal, at least one")
_FIELDS: Final[Mapping[str, Mapping[str, tuple[Callable[[Any], bool], str]]]] = {
    "name": {
        "class": _CLASS,
        "name": (lambda value: value is None or _is_text(value), "a name, or null for none"),
    },
    "merge": {
        "classes": (
            lambda value: isinstance(value, list) and bool(value) and all(map(_is_class, value)),
            "ids of classes, at least one",
        ),
        "name": _NAME,
    },
    "ignore": {
        "class": _CLASS,
        "ignore": (lambda value: isinstance(value, bool), "true or false"),
    },
    "colour": {"class": _CLASS, "colour": (_is_text, "a colour such as '#804080'")},
    "note": {"class": _CLASS, "note": (_is_text, "text")},
    "say": {"proposals": _PROPOSALS, "class": _TARGET},
    "alike": {
        "image": (_is_text, "the name of an image"),
        "proposal": (_is_proposal, "the id of a proposal"),
        "class": _TARGET,
    },
    "retract": {"proposals": _PROPOSALS},
    "cut": {"classes": (_is_proposal, "a number of classes, 1 or more")},
    "dataset": {"name": (_is_text, "the name of a data set")},
    "reset": {},
}


def checked_edit(edit: object) -> dict[str, Any]:
    """A change that somebody asks for, once its form is right; whether its classes and proposals
    exist is seen when it is made.

    Args:
        edit: From JSON: ``Edit`` of ``viewer/web/types.js``.

    Raises:
        ConfigError: If it is none; the message says what was expected, and what came.
    """
    if not isinstance(edit, dict) or not isinstance(edit.get("kind"), str):
        raise ConfigError(f"Expected an edit with its kind, but got {_short(edit)}.")
    kind = edit["kind"]
    if kind not in _FIELDS:
        raise ConfigError(
            f"Expected a kind of edit ({', '.join(_FIELDS)}), but got"
            f" {_short(kind)}.{did_you_mean(kind, list(_FIELDS))}"
        )
    wanted = {"kind", *_FIELDS[kind]}
    if set(edit) != wanted:
        raise ConfigError(
            f"Expected an edit {kind!r} to have {', '.join(sorted(wanted))}, but got"
            f" {_short(sorted(map(str, edit)))}."
        )
    for key, (fits, expected) in _FIELDS[kind].items():
        if not fits(edit[key]):
            raise ConfigError(
                f"Expected {key} of the edit {kind!r} to be {expected}, but got"
                f" {_short(edit[key])}."
            )
    return dict(edit)


def asked_change(edit: Mapping[str, Any]) -> Change:
    """The change of the table that an edit of one or some classes asks for.

    Args:
        edit: Of kind name, merge, ignore, colour or note, from `checked_edit`.
    """

    def change(table: ClassTable) -> tuple[ClassTable, Mapping[int, int]]:
        kind = edit["kind"]
        if kind == "merge":
            return merge_classes(table, edit["classes"], edit["name"])
        number = edit["class"]
        if kind == "name":
            _refuse_taken(table, number, edit["name"])
            return name_class(table, number, edit["name"])
        if kind == "ignore":
            return ignore_class(table, number, ignore=edit["ignore"]), {}
        if kind == "colour":
            return colour_class(table, number, parse_colour(edit["colour"])), {}
        return note_class(table, number, edit["note"]), {}

    return change


def _refuse_taken(table: ClassTable, number: int, name: str | None) -> None:
    """As `name_class` does, with what to do in the studio."""
    wanted = None if name is None else checked_name(name)
    other = next((each for each in table.classes if each.name == wanted is not None), None)
    if other is not None and other.id != number and other.clusters:
        raise ConfigError(
            f"Expected a name that no other class has, but class {other.id} is {other.title}"
            " already. Merge the two to make one class of them."
        )


def words_of(edit: Mapping[str, Any], table: ClassTable, count: int = 0) -> str:
    """What an edit does, in words that can follow "undo:".

    Args:
        edit: From `checked_edit`.
        table: The classes before it.
        count: Proposals that it speaks of, if it does.
    """
    kind = edit["kind"]
    if kind in {"say", "alike", "retract"}:
        return _words_of_proposals(edit, table, count)
    if "class" in edit:
        return _words_of_class(edit, find_class(table, edit["class"]).title)
    if kind == "merge":
        titles = [find_class(table, each).title for each in edit["classes"]]
        return f"{_listed(titles)} merged into {edit['name'].strip()}"
    words = {
        "cut": f"{edit.get('classes')} classes by the tree",
        "dataset": f"classes of {edit.get('name')} added",
        "reset": "all names taken away",
    }
    return words[kind]


def _words_of_class(edit: Mapping[str, Any], title: str) -> str:
    kind = edit["kind"]
    if kind == "name":
        name = edit["name"]
        return f"name of {title} taken away" if name is None else f"{title} named {name.strip()}"
    if kind == "ignore":
        return f"{title} ignored" if edit["ignore"] else f"{title} no longer ignored"
    return f"{kind} of {title} changed"


def _words_of_proposals(edit: Mapping[str, Any], table: ClassTable, count: int) -> str:
    what = "1 proposal" if count == 1 else f"{count} proposals"
    if edit["kind"] == "retract":
        return f"what was said of {what} taken back"
    target = edit["class"]
    if target is None:
        return f"{what} said to be of no class"
    title = target.strip() if isinstance(target, str) else find_class(table, target).title
    return f"{what} said to be {title}"


def _listed(titles: Sequence[str]) -> str:
    shown = [*titles[:4], f"{len(titles) - 4} more"] if len(titles) > 5 else list(titles)
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
