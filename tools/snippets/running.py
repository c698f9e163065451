"""A page from top to bottom: every block runs, or is parsed and says why it does not run."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from snippets import data_blocks, python_blocks
from snippets.exceptions import BY_HAND, EXIT_CODES, NOT_RUN_LINES
from snippets.pages import DATA, EXECUTED, SHELL, Block, blocks_of, commands_of_console
from snippets.reader import PythonPage, Ran, Reader

_MAKES: Final = re.compile(r"(?:--out[ =]|run_dir=\"|model_dir=\")(?P<folder>[\w./-]+)")
_ONLY_PARSE: Final = (
    "set +e; SNIPPET_KIND=parse SNIPPET_UNKNOWN= PATH=$SNIPPET_SILENT_PATH;"
    " trap 'test $? != 127 || SNIPPET_UNKNOWN=yes' ERR"
)
"""Programs of the machine do nothing then, and what they lack is no error; unknown ones are."""
_RUN: Final = (
    "SNIPPET_KIND=run PATH=$SNIPPET_RUN_PATH; trap - ERR; set -e\n"
    'test -z "$SNIPPET_UNKNOWN" || { echo a program is not known; exit 127; }'
)
_WORD: Final = re.compile(r"\s*([A-Za-z]{3,})")


@dataclass(frozen=True)
class Outcome:
    """What became of a block.

    Attributes:
        block: The block.
        how: "run", or "parsed" if the page or a list says why.
        ran: Number of commands that ran (a block of Python or data: 1).
        parsed: Number of commands that were only parsed.
        seconds: Processor time of the commands of a shell block.
        problem: What went wrong; None = nothing.
    """

    block: Block
    how: Literal["run", "parsed"]
    ran: int
    parsed: int
    seconds: float = 0.0
    problem: str | None = None


def run_page(page: str, reader: Reader) -> Iterator[Outcome]:
    """Carry all blocks of a page out, in order, also those below one that fails."""
    return run_blocks(blocks_of(page), reader)


def run_blocks(blocks: Iterable[Block], reader: Reader) -> Iterator[Outcome]:
    """Carry blocks out in the folder that a page finds; others than `EXECUTED` are passed over."""
    reader.restore()
    with contextlib.ExitStack() as stack:
        interpreter: PythonPage | None = None
        for block in (each for each in blocks if each.language in EXECUTED):
            if block.reason is None:
                _begin_anew(block.text, reader)
            if block.language in SHELL:
                outcome = _shell(block, reader)
            elif block.language in DATA:
                outcome = _data(block, reader)
            else:
                interpreter = interpreter or stack.enter_context(reader.python())
                outcome = _python(block, interpreter)
            yield outcome


def _begin_anew(text: str, reader: Reader) -> None:
    """Remove a folder that the block begins by making: a reader has none of that name yet. One that
    it only asks about is as at the top of the page.
    """
    met: set[str] = set()
    for line in map(bare, text.splitlines()):
        if line in NOT_RUN_LINES:
            continue
        for name in {found["folder"] for found in _MAKES.finditer(line)} - met:
            others = _MAKES.sub("", line)
            used = re.search(rf"(?<![\w/-]){re.escape(name)}(?![\w.-])", others)
            if used is not None or "--overwrite" in line:
                continue
            if "--dry-run" in line:
                reader.given_again(name)
            elif (reader.home / name).is_dir():
                shutil.rmtree(reader.home / name)
        met |= set(re.findall(r"[\w-]+", line))


def shell_text(block: Block) -> str:
    """What bash gets: lines that are listed as not run are parsed."""
    text = commands_of_console(block.text) if block.language == "console" else block.text
    if block.reason is not None:
        return f"{_ONLY_PARSE}\n{text}\n{_RUN}"
    lines = []
    for line in text.splitlines():
        if bare(line) in BY_HAND:
            lines.append(BY_HAND[bare(line)])
        if bare(line) in NOT_RUN_LINES:
            lines += [_ONLY_PARSE, line, _RUN]
        elif bare(line) in EXIT_CODES:
            lines.append(f"{bare(line)} || test $? = {EXIT_CODES[bare(line)]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def bare(line: str) -> str:
    """A line without its comment."""
    return re.sub(r"(^|\s+)#.*", "", line).strip()


def _shell(block: Block, reader: Reader) -> Outcome:
    done = reader.shell(shell_text(block))
    ran = sum(each["how"] == "run" for each in done.commands)
    parsed = len(done.commands) - ran
    how: Literal["run", "parsed"] = "run" if block.reason is None else "parsed"
    seconds = sum(each["seconds"] for each in done.commands)
    return Outcome(block, how, ran, parsed, seconds, _shell_problem(block, done))


def _shell_problem(block: Block, done: Ran) -> str | None:
    listed = {EXIT_CODES.get(bare(line), 0) for line in block.text.splitlines()}
    expected = {0, *listed}
    bad = [each for each in done.commands if each["code"] not in expected]
    if done.code or bad:
        told = "\n".join(f"exit code {each['code']}: {' '.join(each['words'])}" for each in bad)
        return f"{block.place}: exit code {done.code}\n{told}\n{done.output}"
    if block.output is not None and block.reason is None:
        for line in block.output.splitlines():
            word = _WORD.match(line)
            if word is not None and word[1] not in done.output:
                return f"{block.place}: shows {line!r}, but printed\n{done.output}"
    return None


def _data(block: Block, reader: Reader) -> Outcome:
    problem = None
    try:
        data_blocks.look_at(block.text, block.language, reader.home)
    except data_blocks.DataBlockError as error:
        problem = f"{block.place}: {error}"
    return Outcome(block, "run", 1, 0, problem=problem)


def _python(block: Block, interpreter: PythonPage) -> Outcome:
    if block.reason is None:
        problem = interpreter.run(block.text, block.place)
        return Outcome(block, "run", 1, 0, problem=problem and f"{block.place}:\n{problem}")
    try:
        python_blocks.look_at(block.text, block.place)
    except (SyntaxError, ImportError, AttributeError) as error:
        return Outcome(block, "parsed", 0, 1, problem=f"{block.place}: {error}")
    return Outcome(block, "parsed", 0, 1)
