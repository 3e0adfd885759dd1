"""Bytes made wrong in the ways of disks, downloads, editors and ill will."""

import random
from collections.abc import Callable, Sequence

# Anchors that stand for each other: gigabytes, were they written out.
_YAML_BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name, name, b",".join([b"*%c" % (name - 1)] * 9)) for name in b"bcdefghijk"
)
_XML_BOMB = b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">%s]><l>&k;</l>' % b"".join(
    b'<!ENTITY %c "%s">' % (name, b"&%c;" % (name - 1) * 10) for name in b"bcdefghijk"
)
TOKENS = (
    *(bytes([mark]) for mark in b"\0\r\n\t#:,\"'{}[]<>-*&%"),
    *(b"1e999", b"-1", b"NaN", b".inf", b"null", b"true", b"~", b'""'),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800"),  # a byte order mark, halves of characters
    *(b"\x1b[31m", b"\xe2\x80\xae"),  # red; backwards
    *(b"9" * 5000, b"0x7fffffffffffffff", b"12:30:45", b"2024-13-45", b"a" * 300),
    *(b"../../../etc/passwd", b"/dev/zero", b"C:\\Windows\\win.ini"),
    *(b"{class}", b"![](http://example.org)", b"id,name,r,g,b\n"),
    *(b"[" * 5000, b'{"a":' * 5000, b"<a>" * 5000, b"- " * 5000),
    *(b"&a [*a]", b"<<: *a", b"!!python/object/apply:os.system [id]", _YAML_BOMB, _XML_BOMB),
)
HUGE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1, 2**63 - 1, 2**64 - 1)


def flip_bits(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 4, 32))):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def change_bytes(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, stop = _part(data, rng, most=16)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def cut(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, stop = _part(data, rng, most=len(data))
    return rng.choice((data[:start], data[stop:], data[:start] + data[stop:]))


def splice(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other) + 1) :]


def repeat(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, stop = _part(data, rng, most=64)
    return data[:stop] + data[start:stop] * rng.choice((1, 2, 100, 1000)) + data[stop:]


def swap(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    a, b, c = sorted(rng.randrange(len(data) + 1) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def change_length(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A number of some bytes, as formats have them for lengths and sizes."""
    size = rng.choice((1, 2, 4, 8))
    number = rng.choice(HUGE) & (256**size - 1)
    start = rng.randrange(len(data))
    return (
        data[:start] + number.to_bytes(size, rng.choice(("little", "big"))) + data[start + size :]
    )


def change_digits(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A number in a text."""
    digits = [i for i, byte in enumerate(data[:100_000]) if 48 <= byte <= 57]
    if not digits:
        return change_length(data, others, rng)
    start = rng.choice(digits)
    number = rng.choice((*map(str, HUGE), "-1", "1e308", "1e999", "nan", "0.5", "9" * 5000))
    return data[:start] + number.encode() + data[start + 1 :]


def insert_token(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    start, stop = _part(data, rng, most=8)
    return data[:start] + rng.choice(TOKENS) + data[rng.choice((start, stop)) :]


def empty(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    return rng.choice((b"", b"\0" * len(data), b"\n", rng.choice(TOKENS)))


Mutator = Callable[[bytes, Sequence[bytes], random.Random], bytes]
# What is named more than once is done more often.
MUTATORS: tuple[Mutator, ...] = (
    *(flip_bits, flip_bits, change_bytes, change_bytes, cut, cut, splice, repeat, swap),
    *(change_length, change_length, change_digits, change_digits),
    *(insert_token, insert_token, insert_token),
)


def mutate(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """The bytes, changed in one to three ways; `others` are files of the same kind."""
    if rng.random() < 0.01:
        return empty(data, others, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(MUTATORS)(data or b"\0", others, rng)
    return data


def _part(data: bytes, rng: random.Random, *, most: int) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(len(data), start + 1 + rng.randrange(most))
