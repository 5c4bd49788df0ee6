"""Member bytes in and out of a directory or a `.tar.gz` that has exactly one spelling."""

import io
import stat
import tarfile
import zlib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from countersign.proof.pack_layout import DIRECTORIES, BadPack, Limits

SUFFIX = ".tar.gz"

_LIMITS = Limits()
_GZIP = b"\x1f\x8b\x08\x10\x00\x00\x00\x00\x02\xff"  # deflate, a comment follows, no time, best compression, no system
_COMMENT = "sha256:{}\0"
_HEADER_BYTES = len(_GZIP) + len(_COMMENT.format("0" * 64))
_BLOCK = 512
_REGULAR = b"0"

Members = dict[str, bytes]


class _Intake:
    """Members as they come in, each once and all within the limits."""

    def __init__(self, limits: Limits) -> None:
        self.members: Members = {}
        self._limits = limits
        self._left = limits.total_bytes

    def expect(self, name: str, size: int) -> None:
        """Refuse a member before its bytes are read."""
        self._left -= size
        if name in self.members:
            raise BadPack(f"{name}: there twice")
        if size > self._limits.member_bytes or self._left < 0:
            raise BadPack(f"{name}: larger than allowed")
        if len(self.members) >= self._limits.members:
            raise BadPack("more members than allowed")


def read(path: Path, *, limits: Limits = _LIMITS) -> Members:
    """Every member of the pack at `path`. Raises BadPack for what no honest writer leaves behind."""
    try:
        members = _read_directory(path, limits) if path.is_dir() else _read_archive(path, limits)
    except OSError as error:
        raise BadPack(f"cannot be read: {error.strerror}") from error
    return members


def write(path: Path, members: Mapping[str, bytes]) -> None:
    """Lay the members down at `path`: an archive if its name says so, else a directory, complete or not at all."""
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise FileExistsError(f"{path} exists already")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    if path.name.endswith(SUFFIX):
        draft.write_bytes(archive(members))
    else:
        _write_directory(draft, members)
    draft.replace(path)


def archive(members: Mapping[str, bytes]) -> bytes:
    """The one `.tar.gz` of these members."""
    return compress(tar(members))


def compress(plain: bytes) -> bytes:
    """A gzip file in which no bit can change unnoticed.

    Deflate has many spellings of the same bytes, so the header's comment carries the SHA-256 of all that follows it:
    ordinary tools ignore the comment, we refuse an archive that differs from it in a single bit.
    """
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = squeeze.compress(plain) + squeeze.flush() + _trailer(plain)
    return _header(body) + body


def _trailer(plain: bytes) -> bytes:
    return zlib.crc32(plain).to_bytes(4, "little") + (len(plain) & 0xFFFFFFFF).to_bytes(4, "little")


def _header(body: bytes) -> bytes:
    return _GZIP + _COMMENT.format(sha256(body).hexdigest()).encode("ascii")


def tar(members: Mapping[str, bytes]) -> bytes:
    """A USTAR file of plain members, sorted, without owners and times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name in sorted(members):
            entry = tarfile.TarInfo(name)
            entry.size = len(members[name])
            out.addfile(entry, io.BytesIO(members[name]))
    return buffer.getvalue()


def _read_archive(path: Path, limits: Limits) -> Members:
    if path.stat().st_size > limits.total_bytes:
        raise BadPack("the archive is larger than allowed")
    return unpack(path.read_bytes(), limits=limits)


def unpack(data: bytes, *, limits: Limits = _LIMITS) -> Members:
    """The members of an archive that `archive` wrote. Raises BadPack for any other."""
    header, body = data[:_HEADER_BYTES], data[_HEADER_BYTES:]
    if header != _header(body):
        raise BadPack("the archive is not as it was written: unpack it and verify the directory, or export it again")
    plain = _inflate(body, limits)
    members = _untar(plain, limits)
    if tar(members) != plain:
        raise BadPack("the archive says more than its members: it was not written by an export")
    return members


def _inflate(body: bytes, limits: Limits) -> bytes:
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(body, limits.total_bytes)
    except zlib.error as error:
        raise BadPack("the archive cannot be decompressed") from error
    if not inflate.eof and inflate.unconsumed_tail:
        raise BadPack("the archive unpacks to more than allowed")
    if not inflate.eof or inflate.unused_data != _trailer(plain):
        raise BadPack("the archive is cut short or goes on after its end")
    return plain


def _untar(plain: bytes, limits: Limits) -> Members:
    """Members of a USTAR archive of plain files. What else stands in its headers is judged by writing it again."""
    intake = _Intake(limits)
    at = 0
    while (head := plain[at : at + _BLOCK]).strip(b"\0"):
        name, size = _entry(head)
        intake.expect(name, size)
        data = plain[at + _BLOCK : at + _BLOCK + size]
        if len(data) != size:
            raise BadPack(f"{name}: cut short")
        intake.members[name] = data
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
    return intake.members


def _entry(head: bytes) -> tuple[str, int]:
    """Name and size out of a USTAR header."""
    try:
        name = head[:100].rstrip(b"\0").decode("ascii")
        size = int(head[124:136].rstrip(b"\0 "), 8)
    except ValueError as error:
        raise BadPack("an archive header is malformed") from error
    if head[156:157] != _REGULAR:
        raise BadPack(f"{name}: not a plain file")
    return name, size


def _read_directory(path: Path, limits: Limits) -> Members:
    intake = _Intake(limits)
    for entry in sorted(path.iterdir()):
        if entry.name in DIRECTORIES and stat.S_ISDIR(entry.lstat().st_mode):
            for inner in sorted(entry.iterdir()):
                _take(inner, f"{entry.name}/{inner.name}", intake)
        else:
            _take(entry, entry.name, intake)
    return intake.members


def _take(path: Path, name: str, intake: _Intake) -> None:
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode):
        raise BadPack(f"{name}: not a plain file")
    intake.expect(name, found.st_size)
    intake.members[name] = path.read_bytes()


def _write_directory(draft: Path, members: Mapping[str, bytes]) -> None:
    draft.mkdir()
    for name in sorted(DIRECTORIES):
        (draft / name).mkdir()
    for name, data in members.items():
        (draft / name).write_bytes(data)
