"""A process that looks into image files: ``python -m primaps.engine.looking_worker``, started by
`primaps.engine.looking_apart`. It answers lines of JSON with lines of JSON, until its input ends.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from primaps.config import part_from_record
from primaps.data.looking import HERE, Look
from primaps.engine.limits import limit_memory
from primaps.errors import ImageError
from primaps.types import ImageFile


def answer(look: Look, question: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a question.

    Args:
        look: Who looks.
        question: As `primaps.engine.looking_apart.LookApart` asks it.
    """
    about = question["image"]
    image = ImageFile(Path(about["path"]), about["name"], about["page"])
    try:
        return {"found": _found(look, image, question)}
    except ImageError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": f"Expected {image.path} to take less memory."}
    except Exception:  # noqa: BLE001 - raised by the command, with what is told here
        return {"error": traceback.format_exc()}


def _found(look: Look, image: ImageFile, question: Mapping[str, Any]) -> Any:
    if question["what"] == "pages":
        return look.pages(image)
    if question["what"] == "kind":
        return look.kind(image)
    inputs = part_from_record("inputs", question["inputs"])
    values = look.values(image, question["kind"], inputs)
    if values is None:
        return None
    content = base64.b64encode(values.tobytes()).decode("ascii")
    return {"content": content, "dtype": values.dtype.str}


def main() -> None:
    """Answer until the input ends."""
    # what libraries print must not come between the answers
    with os.fdopen(os.dup(1), "wb") as told:
        os.dup2(2, 1)
        memory = json.loads(sys.stdin.buffer.readline())["memory"]
        if memory is not None:
            limit_memory(memory)
        _tell(told, {"ready": True})
        for line in sys.stdin.buffer:
            _tell(told, answer(HERE, json.loads(line)))


def _tell(stream: Any, message: Mapping[str, Any]) -> None:
    stream.write(json.dumps(dict(message)).encode("ascii") + b"\n")
    stream.flush()


if __name__ == "__main__":
    main()
