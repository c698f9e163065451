"""Answers: JSON, what went wrong in words, and pictures that a browser may keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from primaps.errors import MissingExtraError, OutputError, PrimapsError

_MEANINGS: Final = {
    404: "Expected an address of the studio, but there is nothing at {path}.",
    405: "Expected another method than {method} at {path}.",
}


class Refused(Exception):  # noqa: N818 - an answer, not an error of the program
    """A request that is answered with a sentence.

    Args:
        status: Of the answer, 4xx or 5xx.
        sentence: What was expected, what came, what to do.
        further: What the answer carries besides.
    """

    def __init__(self, status: int, sentence: str, **further: Any) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.further = status, sentence, further


def as_json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON, in ASCII: names of files need not be valid Unicode.

    Args:
        value: JSON-ready; no NaN.
        status: Of the answer.
        headers: Further ones.
    """
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Response(text, status, headers, "application/json")


def problem(status: int, sentence: str, **further: Any) -> Response:
    """What went wrong, in words."""
    return as_json({"error": sentence, **further}, status)


def picture(
    content: bytes, tag: str, kind: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Bytes that a browser keeps, and asks for again only to hear that they are the same.

    Args:
        content: The bytes.
        tag: Another one for other bytes.
        kind: Their media type.
        headers: Further ones.
    """
    return Response(content, 200, {**kept(tag), **(headers or {})}, kind)


def unchanged(request: Request, tag: str) -> Response | None:
    """The answer to a browser that has these bytes already; None if it has not."""
    given = request.headers.get("if-none-match", "")
    if f'"{tag}"' not in (each.strip().removeprefix("W/") for each in given.split(",")):
        return None
    return Response(None, 304, kept(tag))


def kept(tag: str) -> dict[str, str]:
    """Headers of what a browser keeps."""
    return {"etag": f'"{tag}"', "cache-control": "private, no-cache"}


async def answer_error(request: Request, error: Exception) -> Response:
    """Turn whatever a route raised into a sentence."""
    if isinstance(error, Refused):
        return problem(error.status, error.sentence, **error.further)
    if isinstance(error, PrimapsError):
        return problem(status_of(error), printable(str(error)))
    if isinstance(error, HTTPException):
        words = _MEANINGS.get(error.status_code, error.detail)
        path = request.url.path[:200]
        sentence = words.format(path=path, method=request.method)
        answer = problem(error.status_code, sentence)
        answer.headers.update(error.headers or {})
        return answer
    return problem(500, "Something went wrong in the studio; its terminal tells what.")


def status_of(error: PrimapsError) -> int:
    """400 where another request would help, 500 where the machine has to."""
    if isinstance(error, OutputError):
        return 500
    return 501 if isinstance(error, MissingExtraError) else 400


def printable(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
