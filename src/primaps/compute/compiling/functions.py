"""Compilation of loops over numpy arrays to machine code when they are first called, kept on disk
where that is possible.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any, Generic, ParamSpec, TypeVar, cast

import numba
from numba.core.registry import cpu_target

from primaps.compute.compiling.announcing import compilation_begins
from primaps.compute.compiling.kept_code import KeptCode

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

if numba.config.DISABLE_JIT:
    raise ImportError("numba was told not to compile (NUMBA_DISABLE_JIT is set)")


class Compiled(Generic[Arguments, Result]):
    """A function that is compiled when it is first called and then runs without the global
    interpreter lock.

    Arguments that are tuples stand for sizes that are known when compiling; each combination of
    their lengths is compiled for itself. The machine code is kept beside the source or, where that
    folder cannot be written, in the user's cache folder of numba. Where neither can be written,
    each process compiles anew.

    Args:
        function: Function in the subset of Python that numba compiles.
    """

    def __init__(self, function: Callable[Arguments, Result]) -> None:
        self.__doc__ = function.__doc__
        self._function = cast("FunctionType", function)
        self._variants: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        """Run the machine code, after compiling or loading it if this is the first call with such
        tuples.
        """
        sizes = tuple(len(argument) for argument in args if isinstance(argument, tuple))
        variant = self._variants.get(sizes)
        if variant is not None:
            return cast("Result", variant(*args, **kwargs))
        with self._lock:
            variant = self._variants.get(sizes) or self._make(sizes)
            if not _is_kept(variant):
                compilation_begins()
            result = variant(*args, **kwargs)
            self._variants[sizes] = variant
        return cast("Result", result)

    @property
    def folder(self) -> str | None:
        """Where the machine code is kept; None if no folder can be written."""
        return cast("str | None", self._make(()).stats.cache_path)

    def _make(self, sizes: tuple[int, ...]) -> Any:
        """Variant of the function that is not compiled yet, with a cache file of its own.

        numba keeps all variants of a function in files with one index, which processes that compile
        at the same time can mix up, and it takes no notice of changes in other modules. A name of
        its own avoids both.
        """
        source = self._function
        copy = FunctionType(
            source.__code__,
            source.__globals__,
            source.__name__,
            source.__defaults__,
            source.__closure__,
        )
        beside = Path(source.__code__.co_filename).parent
        copy.__qualname__ = "-".join([source.__qualname__, *map(str, sizes), _surroundings(beside)])
        dispatcher = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(copy)
        with contextlib.suppress(RuntimeError):  # no folder can be written: works without
            dispatcher.enable_caching()
            dispatcher._cache = KeptCode(dispatcher._cache)
        return dispatcher


def compiled(function: Callable[Arguments, Result]) -> Compiled[Arguments, Result]:
    """Compile a function when it is first called, see `Compiled`."""
    return Compiled(function)


def inlined(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Make a function callable by compiled functions of the modules in its folder; it becomes part
    of their machine code.
    """
    dispatcher = numba.njit(error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True)(
        function
    )
    return cast("Callable[Arguments, Result]", dispatcher)


def _is_kept(variant: Any) -> bool:
    """Whether machine code for some arguments lies in the cache; each variant is called with
    arguments of one kind.
    """
    return isinstance(variant._cache, KeptCode) and variant._cache.is_there()


@cache
def _surroundings(folder: Path) -> str:
    """Digest of what machine code depends on: the processor, the modules of this package, and those
    in the folder of its own one, from which it may inline functions.
    """
    digest = hashlib.sha256(repr(cpu_target.target_context.codegen().magic_tuple()).encode())
    for place in (Path(__file__).parent, folder):
        for path in sorted(place.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
