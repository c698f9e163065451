"""Reading pickles as data: plain values come back, nothing is imported or run."""

import collections
import pickle
import sys

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from primaps.errors import CheckpointError
from primaps.heads import pickle_reader
from primaps.heads.pickle_reader import Name, Record, read_pickle

NUMBERS = st.integers(2 - 2**61, 2**61 - 2)  # as keys
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | NUMBERS, inner)
        | st.frozensets(st.text())
        | st.sets(NUMBERS)
    ),
    max_leaves=12,
)


def twice(arguments):
    if len(arguments) != 1:
        raise ValueError("not one argument")
    return 2 * arguments[0]


def read(data):
    def persistent(identifier):
        raise ValueError(f"no persistent ids such as {identifier!r}")

    builders = {
        "collections.OrderedDict": lambda _: {},
        "builtins.set": lambda a: set(a[0]),
        "numbers.twice": twice,
    }
    return read_pickle(
        data, builders, lambda name: name.startswith("known."), persistent, "the file"
    )


class Payload:
    """Pickles as a call of a function with arguments."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def typed(value):
    """The value with all types, which equality looks over; sets have no order."""
    if isinstance(value, list | tuple):
        return type(value), [typed(item) for item in value]
    if isinstance(value, dict):
        return dict, [(typed(key), typed(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, value))
    return type(value), repr(value)


@given(PLAIN, st.sampled_from([2, 3, 4, 5]))
def test_plain_values_come_back(value, protocol):
    value = (value, value)  # shared: goes through the memo
    spelled = {
        name
        for name in (b"frozenset", b"_codecs", b"bytes", b"set")
        if name in pickle.dumps(value, protocol)
    }
    assume(protocol > 3 or not spelled)  # then as calls of what no checkpoint has a need of
    found = read(pickle.dumps(value, protocol))
    assert found == value
    assert typed(found) == typed(value), "True is not 1"


@settings(max_examples=300)
@given(st.data())
def test_damaged_pickles_fail_in_one_way_only(data):
    value = [
        collections.OrderedDict(a=(1, 2.5, "x")),
        {"b": b"bytes", 3: None},
        [1, [2, [3]]],
        {1, 2},
    ]
    content = bytearray(pickle.dumps(value, data.draw(st.sampled_from([2, 4]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(2, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))
    try:
        found = read(bytes(content[:cut]))
    except CheckpointError as error:
        reason = str(error)
    else:
        reason = "Refused to read the file: it "
        assert types_in(found) <= {
            dict,
            list,
            tuple,
            set,
            frozenset,
            str,
            bytes,
            int,
            float,
            bool,
            type(None),
            Name,
            Record,
        }
    assert reason.startswith(
        ("Refused to read the file: it ", "Expected the file to be a complete checkpoint, but")
    )


def types_in(value):
    """Of everything that lies in a value."""
    types, seen, waiting = set(), set(), [value]
    while waiting:
        value = waiting.pop()
        types.add(type(value))
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
        elif isinstance(value, Record):
            waiting += [value.arguments, value.state, value.entries, value.elements]
    return types


def test_shared_and_recursive_lists():
    inner = [1]
    inner.append(inner)
    found = read(pickle.dumps(inner, 2))
    assert found[1] is found


def test_foreign_objects_become_records(monkeypatch):
    import types

    module = types.ModuleType("known")
    monkeypatch.setitem(sys.modules, "known", module)
    module.Thing = type("Thing", (dict,), {"__module__": "known"})
    thing = module.Thing(a=1)
    thing.colour = "red"
    data = pickle.dumps({"thing": thing, module.Thing: 3}, 2)
    monkeypatch.undo()

    found = read(data)

    record = found["thing"]
    assert isinstance(record, Record)
    assert (record.kind, record.entries, record.state) == (
        "known.Thing",
        {"a": 1},
        {"colour": "red"},
    )
    assert found[Name("known.Thing")] == 3
    assert "known" not in sys.modules


def test_a_payload_that_python_would_run_is_not(tmp_path):
    canary = tmp_path / "canary"
    payload = pickle.dumps(Payload(__import__("os").system, f"touch {canary}"), 2)
    pickle.loads(payload)
    assert canary.exists(), "the payload is a real one"
    canary.unlink()
    with pytest.raises(
        CheckpointError,
        match=r"Refused to read the file: it names 'posix\.system'.* Nothing in it was run",
    ):
        read(payload)
    assert not canary.exists()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (eval, ("1 + 1",), "builtins.eval"),
        (exec, ("x = 1",), "builtins.exec"),
        (getattr, ("", "join"), "builtins.getattr"),
        (__import__, ("os",), "builtins.__import__"),
        (__import__("subprocess").Popen, (["true"],), r"(subprocess|commands)\.Popen"),
        (__import__("importlib").import_module, ("os",), "importlib.import_module"),
        (__import__("operator").attrgetter, ("a.b",), "operator.attrgetter"),
        (pickle.loads, (b"N.",), "_?pickle.loads"),
    ],
)
def test_dangerous_names_are_refused(function, arguments, name, protocol):
    with pytest.raises(CheckpointError, match=f"it names '{name}'"):
        read(pickle.dumps([1, Payload(function, *arguments)], protocol))


def short(text):
    return b"\x8c" + bytes([len(text)]) + text.encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            b"\x80\x04"
            + short("collections")
            + short("OrderedDict.__init__.__globals__")
            + b"\x93.",
            "names 'collections.Ordered",
        ),
        (
            b"\x80\x04" + short("known") + short("Thing.__init__.__globals__") + b"\x93.",
            "names 'known.Thing.__init__",
        ),
        (b"\x80\x04K\x01K\x02\x93.", "names something by values that are no text"),
        (b"\x80\x02cknown\nThing\n)R)R.", "calls an object of 'known.Thing'"),
        (b"\x80\x02K\x01)R.", "calls a value of type int"),
        (
            b"\x80\x02cknown\nThing\nK\x01R.",
            "calls 'known.Thing' with a value of type int instead of arguments",
        ),
        (
            b"\x80\x02cnumbers\ntwice\n)R.",
            r"calls 'numbers.twice' with impossible arguments \(not one argument\)",
        ),
        (b"\x80\x02cknown\nThing\n}b.", "sets attributes of 'known.Thing'"),
        (b"\x80\x02cnumbers\ntwice\n}b.", "sets attributes of 'numbers.twice'"),
        (b"\x80\x02]}b.", "sets attributes of a value of type list"),
        (b"\x80\x02cknown\nThing\nK\x01a.", "appends to 'known.Thing'"),
        (b"\x80\x02cknown\nThing\nK\x01K\x02s.", "sets items of 'known.Thing'"),
        (b"\x80\x04](K\x01\x90.", "adds items to a value of type list"),
        (b"\x80\x02(iknown\nThing\n.", "uses the pickle instruction INST"),
        (b"\x80\x02(cknown\nThing\no.", "uses the pickle instruction OBJ"),
        (b"\x80\x02Pknown\n.", "uses the pickle instruction PERSID"),
        (b"\x80\x02\x82\x01.", "uses the pickle instruction EXT1"),
        (b"\x80\x05\x97.", "uses the pickle instruction NEXT_BUFFER"),
    ],
)
def test_tricks_are_refused(data, reason):
    with pytest.raises(CheckpointError, match=f"Refused to read the file: it {reason}"):
        read(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "pickle exhausted before seeing STOP"),
        (b"\x80\x02]", "pickle exhausted before seeing STOP"),
        (b"\x80\x02.", "pop from empty list"),
        (b"\x80\x02h\x07.", "7"),
        (b"\x80\x02(K\x01K\x02K\x03", "pickle exhausted"),
        (b"\x80\x02}(K\x01u.", "zip"),
        (b"\x80\x02}]K\x01s.", "a key is a value of type list"),
        (b"\x80\x02K\x01\x86.", "too few values"),
        (b"\x80\x02K\x01Q.", "no persistent ids such as 1"),
        (b"\xff\xff", "opcode"),
    ],
)
def test_damage_is_named(data, reason):
    with pytest.raises(CheckpointError, match=f"its pickle is damaged: .*{reason}"):
        read(data)


def long_integer(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


@pytest.mark.parametrize(
    "key",
    [
        long_integer(2**61 - 1),
        long_integer(-(2**61 - 1)),
        long_integer(3 * (2**61 - 1)) + b"\x85",
        b"(" + b"K\x01" * 17 + b"t",
    ],
    ids=["multiple of the modulus", "negative", "in a tuple", "long tuple"],
)
def test_keys_that_are_made_to_collide_are_refused(key):
    for data in (
        b"\x80\x04}" + key + b"Ns.",
        b"\x80\x04\x8f(" + key + b"\x90.",
        b"\x80\x04(" + key + b"\x91.",
    ):
        with pytest.raises(CheckpointError, match="a key is a"):
            read(data)


@pytest.mark.parametrize("key", [b"K\x01\x85", b"G" + bytes(8)], ids=["tuple", "fraction"])
def test_only_so_many_keys_can_collide(key):
    assert read(b"\x80\x02}(" + (key + b"N") * 1000 + b"u.") in ({(1,): None}, {0.0: None})
    with pytest.raises(CheckpointError, match="more than 1000 keys that are tuples or fractions"):
        read(b"\x80\x02}(" + (key + b"N") * 1001 + b"u.")


@pytest.mark.parametrize(
    "instruction",
    [b"\x8f", b"(", b"]", b"}", b"h\x00)\x81"],
    ids=["set", "mark", "list", "dict", "object"],
)
def test_memory_is_bounded_however_long_the_pickle_is(instruction, monkeypatch):
    monkeypatch.setattr(pickle_reader, "MOST_VALUES", 1000)
    with pytest.raises(
        CheckpointError, match="Refused to read the file: it holds more than 1000 values"
    ):
        read(b"\x80\x04cknown\nThing\nq\x000" + instruction * 1001 + b".")


def test_copies_in_calls_are_counted(monkeypatch):
    monkeypatch.setattr(pickle_reader, "MOST_VALUES", 5000)
    items = b"K\x01" * 500
    make_set = b"\x80\x04cbuiltins\nset\nq\x000(](" + items + b"et"  # the list, in a tuple of one
    with pytest.raises(CheckpointError, match="holds more than 5000 values"):
        read(make_set + b"q\x010" + b"h\x00h\x01R0" * 10 + b"N.")
    keywords = b"\x80\x04cknown\nThing\nq\x000}K\x01K\x02sq\x020(" + items + b"tq\x010"
    with pytest.raises(CheckpointError, match="holds more than 5000 values"):
        read(keywords + b"h\x00h\x01h\x02\x920" * 10 + b"N.")


def test_deep_nesting_does_no_harm():
    depth = 50_000
    found = read(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
    assert len(found) == 1
    with pytest.raises(CheckpointError, match="a key is a value of type tuple"):
        read(b"\x80\x02})" + b"\x85" * depth + b"K\x01s.")
