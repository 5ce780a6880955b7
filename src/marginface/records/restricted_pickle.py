"""Reads plain data out of a pickle that nobody vouches for, and never runs what it asks for.

A pickle is a program for a small stack machine. This is that machine with the dangerous half left out: there is no
import and no call. It knows numbers, texts, bytes, lists, tuples and numpy arrays of plain numbers;
the few functions that write those (`numpy...._reconstruct` and friends) are recognised by name and done here by hand.
Anything else is refused, and the message says what the pickle wanted.

The standard unpickler with a guarded `find_class` would keep code out, but not bound the memory: a five-byte opcode
makes it reserve a memo of four thousand million places. Here a step costs at most about a hundred bytes besides the
bytes that it copies from the file, and there are at most `MAX_STEPS` of them. Opcodes: Lib/pickletools.py of Python.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from marginface.errors import InputError

MAX_STEPS = 5_000_000
"""Opcodes; packs of images need two to fifteen an image. Bounds the memory to the file's size and about 0.5 GB."""

_MARK = object()
_PLAIN_DTYPES = frozenset({"b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"})
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")


class _Name:
    """A global that the pickle asks for, known to be harmless."""

    def __init__(self, what: str) -> None:
        self.what = what


class _Unbuilt:
    """An array or dtype whose content comes with the BUILD opcode."""

    def __init__(self, what: str, dtype: str = "") -> None:
        self.what, self.dtype = what, dtype
        self.memo_keys: list[int] = []


def load_restricted(data: bytes, *, name: str) -> Any:
    """Return the plain data in a pickle of protocol 0 to 5, from Python 2 or 3; texts of Python 2 come out as bytes.

    Args:
        data: the pickle.
        name: of the file, for messages.

    Raises:
        InputError: it wants something else than plain data, is damaged or cut short, or has more than `MAX_STEPS`
            steps.
    """
    return _Machine(data, name).run()


class _Machine:
    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        self.place = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        start = 0
        try:
            for _ in range(MAX_STEPS):
                start = self.place
                opcode = self._take(1)
                if opcode == b".":
                    return self._finished()
                if opcode not in _STEPS:
                    self._refuse(_WANTS.get(opcode, f"the opcode {opcode!r}"))
                _STEPS[opcode](self)
        except InputError as error:
            raise InputError(f"{self.name}: {error} (at byte {start}); nothing of it was run.") from None
        except (IndexError, KeyError, TypeError, ValueError, struct.error, OverflowError) as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(f"{self.name}: this pickle is damaged at byte {start} ({what}); copy it again.") from error
        raise InputError(f"{self.name}: this pickle has more than {MAX_STEPS:,} steps, so it is no pack of images.")

    def _finished(self) -> Any:
        if len(self.stack) != 1 or isinstance(self.stack[0], _Name | _Unbuilt) or self.stack[0] is _MARK:
            raise ValueError("it ends without a value")
        return self.stack[0]

    def _refuse(self, what: str) -> None:
        raise InputError(f"this pickle wants {what}; only numbers, bytes, texts, lists and plain arrays are read")

    # --- reading

    def _take(self, size: int) -> bytes:
        if size < 0 or self.place + size > len(self.data):
            raise ValueError(f"{size} bytes wanted, {len(self.data) - self.place} left")
        taken = self.data[self.place : self.place + size]
        self.place += size
        return taken

    def _number(self, code: str) -> int:
        return int(struct.unpack("<" + code, self._take(struct.calcsize(code)))[0])

    def _line(self) -> bytes:
        end = self.data.find(b"\n", self.place)
        if end < 0:
            raise ValueError("a line without an end")
        line = self._take(end - self.place)
        self.place += 1
        return line

    def _sized(self, code: str) -> bytes:
        return self._take(self._number(code))

    # --- the stack

    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is due")
        return value

    def _above_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
            if place < 0:
                raise ValueError("no mark")
        above = self.stack[place + 1 :]
        del self.stack[place:]
        return above

    def _tuple(self, size: int) -> None:
        values = [self._pop() for _ in range(size)]
        self.stack.append(tuple(reversed(values)))

    def _append(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("something is appended to what is no list")
        self.stack[-1].extend(values)

    def _remember(self, key: int) -> None:
        value = self.stack[-1]
        if isinstance(value, _Unbuilt):
            value.memo_keys.append(key)
        self.memo[key] = value

    # --- numbers and texts

    def _long(self, data: bytes) -> None:
        if len(data) > 8:
            self._refuse("a number of more than 64 bits")
        self.stack.append(int.from_bytes(data, "little", signed=True))

    def _integer_line(self) -> None:
        line = self._line()
        if len(line) > 22:
            self._refuse("a number of more than 64 bits")
        flags = {b"00": False, b"01": True}
        self.stack.append(flags[line] if line in flags else int(line.rstrip(b"L")))

    def _quoted_line(self) -> None:
        line = self._line().strip()
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise ValueError("a text without quotes")
        self.stack.append(codecs.escape_decode(line[1:-1])[0])  # type: ignore[attr-defined]

    # --- what stands for calls

    def _global(self, module: str, attribute: str) -> None:
        what = _HARMLESS.get((module, attribute))
        if what is None:
            self._refuse(f"{module}.{attribute}"[:200])
        self.stack.append(_Name(str(what)))

    def _stack_global(self) -> None:
        attribute, module = self._pop(), self._pop()
        if not (isinstance(attribute, str) and isinstance(module, str)):
            raise ValueError("a global that is no name")
        self._global(module, attribute)

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of what is no function")
        if function.what not in _CALLS:
            self._refuse(f"to call {function.what}")
        self.stack.append(_CALLS[function.what](*arguments))

    def _build(self) -> None:
        state, target = self._pop(), self._pop()
        if not isinstance(target, _Unbuilt):
            self._refuse("to fill an object")
        built = _filled_dtype(target, state) if target.what == "dtype" else _filled_array(state)
        for key in target.memo_keys:
            self.memo[key] = built
        self.stack.append(built)


# --- arrays by hand: `_reconstruct(ndarray, (0,), b"b")` makes an empty one, BUILD brings shape, dtype and bytes


def _reconstruct(kind: Any, shape: Any, code: Any) -> _Unbuilt:
    if not isinstance(kind, _Name) or kind.what != "ndarray":
        raise InputError("this pickle wants an array of a class of its own")
    return _Unbuilt("array")


def _dtype(code: Any, *flags: Any) -> _Unbuilt:
    text = code.decode("ascii") if isinstance(code, bytes) else code
    if not isinstance(text, str):
        raise ValueError("a dtype without a name")
    if text not in _PLAIN_DTYPES:
        raise InputError(f"this pickle wants an array of {text[:40]!r}; only plain numbers are read")
    return _Unbuilt("dtype", text)


def _filled_dtype(target: _Unbuilt, state: Any) -> np.dtype:
    order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
    if order not in ("<", ">", "|", "=") or any(part is not None for part in state[2:5]):
        raise InputError("this pickle wants an array with fields or an unknown byte order")
    return np.dtype(order + target.dtype)


def _filled_array(state: Any) -> np.ndarray:
    _version, shape, dtype, is_fortran, data = state
    return _array(data, dtype, shape, "F" if is_fortran else "C")


def _array(data: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(dtype, np.dtype | _Unbuilt) or not isinstance(data, bytes | bytearray):
        raise InputError("this pickle wants an array that is not made of plain numbers")
    kind = dtype if isinstance(dtype, np.dtype) else np.dtype(dtype.dtype)
    if not isinstance(shape, tuple) or len(shape) > 8 or not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError("an array with a shape that is none")
    return np.frombuffer(data, kind).reshape(shape, order="F" if order in ("F", b"F") else "C")


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(data, dtype, (), "C")[()]


def _encode(text: Any, encoding: Any) -> bytes:
    """What protocol 2 of Python 3 writes for bytes."""
    if not (isinstance(encoding, str) and isinstance(text, str)):
        raise ValueError("a text in no encoding")
    if encoding not in ("latin1", "latin-1"):
        raise InputError(f"this pickle wants a text in the encoding {encoding[:40]!r}")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    return b""


_HARMLESS: dict[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "bytes",
    ("builtins", "bytes"): "bytes",
    **{(module, "_reconstruct"): "_reconstruct" for module in _ARRAY_MODULES},
    **{(module, "_frombuffer"): "_frombuffer" for module in _ARRAY_MODULES},
    **{(module, "scalar"): "scalar" for module in _ARRAY_MODULES},
}
_CALLS: dict[str, Callable[..., Any]] = {
    "_reconstruct": _reconstruct,
    "_frombuffer": _array,
    "scalar": _scalar,
    "dtype": _dtype,
    "encode": _encode,
    "bytes": _no_bytes,
}

_Step = Callable[[_Machine], Any]


def _push(read: Callable[[_Machine], Any]) -> _Step:
    return lambda machine: machine.stack.append(read(machine))


_STEPS: dict[bytes, _Step] = {
    # what frames the program
    b"\x80": lambda m: m._take(1),
    b"\x95": lambda m: m._take(8),
    b"(": _push(lambda m: _MARK),
    b"0": lambda m: m.stack.pop(),
    b"1": lambda m: m._above_mark(),
    # constants and numbers
    b"N": _push(lambda m: None),
    b"\x88": _push(lambda m: True),
    b"\x89": _push(lambda m: False),
    b"K": _push(lambda m: m._number("B")),
    b"M": _push(lambda m: m._number("H")),
    b"J": _push(lambda m: m._number("i")),
    b"\x8a": lambda m: m._long(m._sized("B")),
    b"\x8b": lambda m: m._long(m._sized("i")),
    b"I": lambda m: m._integer_line(),
    b"L": lambda m: m._integer_line(),
    b"F": _push(lambda m: float(m._line())),
    b"G": _push(lambda m: struct.unpack(">d", m._take(8))[0]),
    # bytes and texts; S, T and U are the texts of Python 2
    b"B": _push(lambda m: m._sized("I")),
    b"C": _push(lambda m: m._sized("B")),
    b"\x8e": _push(lambda m: m._sized("Q")),
    b"\x96": _push(lambda m: m._sized("Q")),
    b"T": _push(lambda m: m._sized("i")),
    b"U": _push(lambda m: m._sized("B")),
    b"S": lambda m: m._quoted_line(),
    b"X": _push(lambda m: m._sized("I").decode("utf-8", "surrogatepass")),
    b"\x8c": _push(lambda m: m._sized("B").decode("utf-8", "surrogatepass")),
    b"\x8d": _push(lambda m: m._sized("Q").decode("utf-8", "surrogatepass")),
    b"V": _push(lambda m: m._line().decode("raw-unicode-escape")),
    # lists and tuples
    b"]": _push(lambda m: []),
    b"l": _push(lambda m: m._above_mark()),
    b"a": lambda m: m._append([m._pop()]),
    b"e": lambda m: m._append(m._above_mark()),
    b")": _push(lambda m: ()),
    b"t": _push(lambda m: tuple(m._above_mark())),
    b"\x85": lambda m: m._tuple(1),
    b"\x86": lambda m: m._tuple(2),
    b"\x87": lambda m: m._tuple(3),
    # the memo
    b"p": lambda m: m._remember(int(m._line()[:20])),
    b"q": lambda m: m._remember(m._number("B")),
    b"r": lambda m: m._remember(m._number("I")),
    b"\x94": lambda m: m._remember(len(m.memo)),
    b"g": _push(lambda m: m.memo[int(m._line()[:20])]),
    b"h": _push(lambda m: m.memo[m._number("B")]),
    b"j": _push(lambda m: m.memo[m._number("I")]),
    # what stands for calls
    b"c": lambda m: m._global(m._line().decode("utf-8"), m._line().decode("utf-8")),
    b"\x93": lambda m: m._stack_global(),
    b"R": lambda m: m._reduce(),
    b"b": lambda m: m._build(),
}
_WANTS = {
    b"i": "to make an object of a class",
    b"o": "to make an object of a class",
    b"\x81": "to make an object of a class",
    b"\x92": "to make an object of a class",
    b"P": "an object from elsewhere",
    b"Q": "an object from elsewhere",
    b"\x97": "a buffer from elsewhere",
    b"\x82": "a registered extension",
    b"\x83": "a registered extension",
    b"\x84": "a registered extension",
    b"\x8f": "a set",
    b"\x90": "a set",
    b"\x91": "a set",
    b"}": "a dict",
    b"d": "a dict",
    b"2": "to copy a value on its stack",
}
