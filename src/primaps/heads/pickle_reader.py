"""Read a pickle as data: a small machine over a closed set of opcodes and names, which imports and
runs nothing.

Python's own unpickler imports what a pickle names and calls it. Here a name stays a name, and a
call either goes to a builder that the caller of this module provides (tensors, containers) or
becomes an inert `Record`. Names that are neither are refused.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from primaps.errors import CheckpointError

Builder = Callable[[tuple[Any, ...]], Any]
"""Makes a value from the arguments of a call in the pickle; raises ValueError if they are not what
they should be.
"""

_LITERALS: Final = frozenset(
    {
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "LONG4",
        "BINFLOAT",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "BINUNICODE8",
    }
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "SHORT_BINSTRING", "BINSTRING"}
)
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_EMPTY: Final[Mapping[str, Callable[[], Any]]] = {
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_SET": set,
}
_HEADERS: Final = frozenset({"PROTO", "FRAME"})
MOST_VALUES: Final = 1_000_000
"""Instructions, plus values that are copied in calls: several times what an official checkpoint
has.
"""
_LONGEST_KEY: Final = 16  # items of a tuple that is a key
# keys of which many with one hash can be made: tuples and floating-point numbers
_MOST_ODD_KEYS: Final = 1000
# integers below it have hashes of their own (Python's documentation of numeric types)
_HASH_MODULUS: Final = 2**61 - 1
# protocol 2 spells module names the old way
_PYTHON_2: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}


@dataclass(frozen=True)
class Name:
    """A class or function that a pickle names; it was not imported.

    Attributes:
        qualified: Module and name, with a dot between.
    """

    qualified: str


@dataclass(eq=False)
class Record:
    """An object of a foreign class, as data.

    Attributes:
        kind: Its class.
        arguments: What it was constructed with.
        state: What its attributes were set from; None if they were not.
        entries: Its entries, if it is a kind of dictionary.
        elements: Its elements, if it is a kind of list.
    """

    kind: str
    arguments: tuple[Any, ...] = ()
    state: Any = None
    entries: dict[Any, Any] = field(default_factory=dict)
    elements: list[Any] = field(default_factory=list)


def read_pickle(
    data: bytes,
    builders: Mapping[str, Builder],
    is_inert: Callable[[str], bool],
    persistent: Callable[[Any], Any],
    source: str,
) -> Any:
    """The value that a pickle describes.

    Args:
        data: The pickle, protocol 2 or later.
        builders: What may be called, by qualified name.
        is_inert: Whether a qualified name may stand for a class whose objects become `Record`.
        persistent: Gives the value behind a persistent id; raises ValueError if it is not what it
            should be.
        source: What is read, for messages.

    Returns:
        Plain values and containers, what the builders made, `Name` and `Record`.

    Raises:
        CheckpointError: If the pickle is damaged, names anything else, or holds far more values
            than a checkpoint does.
    """
    machine = _Machine(builders, is_inert, persistent, source)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except (ValueError, IndexError, KeyError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(
            f"Expected {source} to be a complete checkpoint, but its pickle is damaged: {reason}."
        ) from error
    raise CheckpointError(
        f"Expected {source} to be a complete checkpoint, but its pickle does not end."
    )


class _Machine:
    """Stack, marks and memo of one pickle."""

    def __init__(
        self,
        builders: Mapping[str, Builder],
        is_inert: Callable[[str], bool],
        persistent: Callable[[Any], Any],
        source: str,
    ) -> None:
        self.builders = builders
        self.is_inert = is_inert
        self.persistent = persistent
        self.source = source
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what lies under each mark
        self.spent = 0
        self.odd_keys = 0
        self.memo: dict[int, Any] = {}
        self.actions: dict[str, Callable[[Any], None]] = {
            "MARK": self._mark,
            "POP": lambda _: self._drop(),
            "POP_MARK": lambda _: self._drop_mark(),
            "TUPLE": lambda _: self.push(tuple(self._since_mark())),
            "TUPLE1": lambda _: self._tuple(1),
            "TUPLE2": lambda _: self._tuple(2),
            "TUPLE3": lambda _: self._tuple(3),
            "FROZENSET": lambda _: self.push(frozenset(map(self._key, self._since_mark()))),
            "APPEND": lambda _: self._extend([self.pop()]),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set_items([self.stack.pop(-2), self.pop()]),
            "SETITEMS": lambda _: self._set_items(self._since_mark()),
            "ADDITEMS": lambda _: self._add_items(self._since_mark()),
            "BINPUT": self._remember,
            "LONG_BINPUT": self._remember,
            "MEMOIZE": lambda _: self._remember(len(self.memo)),
            "BINGET": lambda index: self.push(self.memo[index]),
            "LONG_BINGET": lambda index: self.push(self.memo[index]),
            "GLOBAL": lambda text: self._name(*text.split(" ", 1)),
            "STACK_GLOBAL": lambda _: self._name(self.stack.pop(-2), self.pop()),
            "REDUCE": lambda _: self._call(self.stack.pop(-2), self.pop()),
            "NEWOBJ": lambda _: self._call(self.stack.pop(-2), self.pop()),
            "NEWOBJ_EX": lambda _: self._call_with_keywords(),
            "BUILD": lambda _: self._set_state(self.pop()),
            "BINPERSID": lambda _: self.push(self.persistent(self.pop())),
        }

    def step(self, opcode: str, argument: Any) -> None:
        self._spend(1)
        if opcode in _LITERALS:
            self.push(argument)
        elif opcode in _CONSTANTS:
            self.push(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.push(_EMPTY[opcode]())
        elif opcode in self.actions:
            self.actions[opcode](argument)
        elif opcode not in _HEADERS:
            raise self._refusal(f"uses the pickle instruction {opcode}")

    def push(self, value: Any) -> None:
        self.stack.append(value)  # looked up here: a mark replaces the stack

    def pop(self) -> Any:
        return self.stack.pop()

    def _refusal(self, what: str) -> CheckpointError:
        return CheckpointError(
            f"Refused to read {self.source}: it {what}, which a checkpoint of tensors and settings"
            " has no need of. Nothing in it was run. Get the file from its official source."
        )

    def _spend(self, values: int) -> None:
        self.spent += values
        if self.spent > MOST_VALUES:
            raise self._refusal(f"holds more than {MOST_VALUES} values")

    def _drop(self) -> None:
        self.stack.pop()

    def _mark(self, _: Any) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _drop_mark(self) -> None:
        self._since_mark()

    def _tuple(self, length: int) -> None:
        if len(self.stack) < length:
            raise ValueError("too few values on its stack")
        items = tuple(self.stack[-length:])
        del self.stack[-length:]
        self.push(items)

    def _remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        elements = target.elements if isinstance(target, Record) else target
        if not isinstance(elements, list):
            raise self._refusal(f"appends to {_describe(target)}")
        elements.extend(values)

    def _set_items(self, flat: list[Any]) -> None:
        target = self.stack[-1]
        entries = target.entries if isinstance(target, Record) else target
        if not isinstance(entries, dict):
            raise self._refusal(f"sets items of {_describe(target)}")
        entries.update(zip(map(self._key, flat[::2]), flat[1::2], strict=True))

    def _add_items(self, values: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, set):
            raise self._refusal(f"adds items to {_describe(target)}")
        target.update(map(self._key, values))

    def _key(self, value: Any) -> Any:
        key = plain_key(value)
        if isinstance(key, tuple | float):
            self.odd_keys += 1
            if self.odd_keys > _MOST_ODD_KEYS:
                raise self._refusal(
                    f"has more than {_MOST_ODD_KEYS} keys that are tuples or fractions"
                )
        return key

    def _name(self, module: Any, name: Any) -> None:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise self._refusal("names something by values that are no text")
        qualified = f"{_PYTHON_2.get(module, module)}.{name}"
        # A dotted name reaches into the attributes of what it starts with: no checkpoint has one.
        if "." in name or not (qualified in self.builders or self.is_inert(qualified)):
            raise self._refusal(f"names {qualified!r}")
        self.push(Name(qualified))

    def _call(self, target: Any, arguments: Any) -> None:
        if not isinstance(target, Name):
            raise self._refusal(f"calls {_describe(target)}")
        if not isinstance(arguments, tuple):
            raise self._refusal(
                f"calls {target.qualified!r} with {_describe(arguments)} instead of arguments"
            )
        # One list or tuple may be given to many calls, and each of them may copy it.
        self._spend(
            len(arguments) + sum(len(item) for item in arguments if isinstance(item, list | tuple))
        )
        builder = self.builders.get(target.qualified)
        if builder is None:
            self.push(Record(target.qualified, arguments))
            return
        try:
            self.push(builder(arguments))
        except ValueError as error:
            raise self._refusal(
                f"calls {target.qualified!r} with impossible arguments ({error})"
            ) from error

    def _call_with_keywords(self) -> None:
        keywords = self.pop()
        if not isinstance(keywords, dict):
            raise self._refusal(f"calls with {_describe(keywords)} as keywords")
        arguments = self.pop()
        if keywords and isinstance(arguments, tuple):
            self._spend(len(arguments))
            arguments = (*arguments, keywords)  # of a record, since no builder takes keywords
        self._call(self.pop(), arguments)

    def _set_state(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Record):
            target.state = state
        # the attributes of an ordered dictionary (`_metadata`) are of no use here
        elif not isinstance(target, dict):
            raise self._refusal(f"sets attributes of {_describe(target)}")


def plain_key(value: Any) -> Any:
    """A value that may be a key: comparing and hashing it neither runs deep nor long.

    Args:
        value: From a pickle.

    Raises:
        ValueError: If it may not.
    """
    items = value if isinstance(value, tuple) and len(value) <= _LONGEST_KEY else (value,)
    if not all(
        isinstance(item, str | int | float | bytes | Name | Record | None) for item in items
    ):
        raise ValueError(f"a key is {_describe(value)}")
    if any(isinstance(item, int) and abs(item) >= _HASH_MODULUS for item in items):
        raise ValueError("a key is a number of 2**61 - 1 or more")
    return value


def _describe(value: Any) -> str:
    if isinstance(value, Name):
        return repr(value.qualified)
    return (
        f"an object of {value.kind!r}"
        if isinstance(value, Record)
        else f"a value of type {type(value).__name__}"
    )
