"""What requests say: parameters and JSON, read with a limit and checked before anything uses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import anyio
from starlette.requests import ClientDisconnect, Request

from primaps.studio.answering import Refused, printable

JSON_BYTES: Final = 4_000_000
"""Of a request in JSON: a lasso around ten thousand proposals is a tenth of it."""

DRAINED: Final = 512_000_000
"""Bytes of a body that is too large which are still read, and forgotten: browsers tell an answer
only once they have sent what they wanted to send.
"""

PATIENCE: Final = 60.0
"""Seconds that a body may take to come."""

_SHOWN: Final = 80
LARGEST: Final = 2**53
"""Whole numbers of JSON that browsers tell apart."""


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The body of a request.

    Args:
        request: The request.
        limit: Bytes that it may have.
        what: It is, in words.

    Raises:
        Refused: If it is larger, or takes too long.
    """
    content, size = bytearray(), 0
    too_large = _declared(request) > limit
    try:
        with anyio.fail_after(PATIENCE):
            async for chunk in request.stream():
                size += len(chunk)
                too_large = too_large or size > limit
                if too_large:
                    content.clear()
                    if size > DRAINED:
                        break
                else:
                    content += chunk
    except TimeoutError as error:
        raise Refused(
            408, f"Expected {what} within {PATIENCE:.0f} seconds, but it did not come. Try again."
        ) from error
    except ClientDisconnect as error:
        raise Refused(400, f"Expected {what}, but the connection ended before it came.") from error
    if too_large:
        raise Refused(
            413,
            f"Expected {what} of at most {limit / 1e6:.0f} MB, but it is larger. Make it smaller.",
        )
    return bytes(content)


def _declared(request: Request) -> int:
    text = request.headers.get("content-length", "")
    return int(text[:18]) if text.isdecimal() else 0


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body of a request.

    Raises:
        Refused: If it is something else, is not said to be JSON, or holds what JSON cannot.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, f"Expected the content type application/json, but got {shown(kind)}.")
    content = await read_body(request, JSON_BYTES, "JSON")
    try:
        value = json.loads(content.decode("utf-8"), parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # halves of characters do not pass
    except RecursionError as error:
        raise Refused(400, "Expected plain JSON, but it is nested too deeply.") from error
    except ValueError as error:
        raise Refused(400, f"Expected JSON, but got: {printable(str(error))[:200]}.") from error
    if not isinstance(value, dict):
        raise Refused(400, f"Expected a JSON object, but got {shown(value)}.")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def shown(value: object) -> str:
    """What came, short enough for a sentence."""
    text = printable(repr(value)) if isinstance(value, str) else type(value).__name__
    if isinstance(value, bool | int | float):
        text = str(value) if isinstance(value, bool | float) or abs(value) < LARGEST else "a number"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 4] + "...'"


def whole(value: object, what: str, low: int, high: int) -> int:
    """A whole number.

    Args:
        value: What came.
        what: It is, in words.
        low: Smallest that fits.
        high: Largest that fits.

    Raises:
        Refused: If it is none, or out of range.
    """
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise Refused(400, f"Expected {what} from {low} to {high}, but got {shown(value)}.")


def fraction(value: object, what: str) -> float:
    """A number from 0 to 1.

    Raises:
        Refused: If it is something else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1:
        return float(value)  # what is no number is not between two either
    raise Refused(400, f"Expected {what} from 0 to 1, but got {shown(value)}.")


def parameter(request: Request, name: str, start: str | None = None) -> str:
    """A parameter of the address.

    Args:
        request: The request.
        name: Of the parameter.
        start: What counts when it is left out; None = it may not be.

    Raises:
        Refused: If it is missing.
    """
    value: str | None = request.query_params.get(name, start)
    if value is None:
        raise Refused(400, f"Expected the parameter {name}, but it is missing.")
    return value


def number_parameter(request: Request, name: str, low: int, high: int, start: int | None) -> int:
    """A whole number among the parameters of the address.

    Args:
        request: The request.
        name: Of the parameter.
        low: Smallest that fits.
        high: Largest that fits.
        start: What counts when it is left out; None = it may not be.

    Raises:
        Refused: If it is missing, no whole number, or out of range.
    """
    text = parameter(request, name, None if start is None else str(start))
    value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text
    return whole(value, name, low, high)


def optional_number(request: Request, name: str, low: int, high: int) -> int | None:
    """As `number_parameter`; None when it is left out."""
    if name not in request.query_params:
        return None
    return number_parameter(request, name, low, high, None)


def fields(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object within another one.

    Raises:
        Refused: If it is something else.
    """
    if not isinstance(value, dict):
        raise Refused(400, f"Expected {what} as a JSON object, but got {shown(value)}.")
    return value
