"""Keep-alive connections, each asking the next question when it has its answer; latencies out.

`wrk` if it is installed, else a small one of our own, which takes more of the machine it measures.
"""

import asyncio
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 10.0  # seconds after the end of a run in which an answer may still come


@dataclass(frozen=True)
class Load:
    """What one run saw. `failed` counts answers that were not 200 and connections that broke."""

    rate: float
    p50_ms: float
    p99_ms: float
    failed: int
    answers: int


def run(url: str, *, key: str, body: bytes, connections: int, seconds: float) -> Load:
    """POST `body` as fast as the server answers."""
    if shutil.which("wrk"):
        return _wrk(url, key=key, body=body, connections=connections, seconds=seconds)
    return asyncio.run(_own(url, key=key, body=body, connections=connections, seconds=seconds))


_SCRIPT = """
wrk.method = "POST"
wrk.body = [==[%s]==]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer %s"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


def _wrk(url: str, *, key: str, body: bytes, connections: int, seconds: float) -> Load:
    with tempfile.TemporaryDirectory() as home:
        script = Path(home) / "post.lua"
        script.write_text(_SCRIPT % (body.decode(), key))
        told = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script), url],
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", told)
    assert found, told
    answers, micros, failed, p50, p99 = map(int, found.groups())
    return Load(answers / micros * 1e6, p50 / 1000, p99 / 1000, failed, answers)


async def _own(url: str, *, key: str, body: bytes, connections: int, seconds: float) -> Load:
    host, _, rest = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    message = (
        f"POST /{rest} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    took: list[float] = []
    failed = 0
    ends = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(name, int(port))
        while (began := time.perf_counter()) < ends:
            writer.write(message)
            head = await reader.readuntil(b"\r\n\r\n")
            size = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(size[1]) if size else 0)
            took.append(time.perf_counter() - began)
            failed += not head.startswith(b"HTTP/1.1 200")
        writer.close()

    asking = [asyncio.create_task(one()) for _ in range(connections)]
    _, silent = await asyncio.wait(asking, timeout=seconds + PATIENCE)
    for task in silent:  # a server that never answers must not hold the whole run
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    failed += len(silent) + sum(1 for task in asking if not task.cancelled() and task.exception())
    took.sort()
    middle, high = (took[int(len(took) * share)] * 1000 for share in (0.5, 0.99))
    return Load(len(took) / seconds, middle, high, failed, len(took))


def paced(url: str, *, key: str, body: bytes, rate: int, seconds: float) -> subprocess.Popen[str]:
    """POST `body` so often, answered or not, from a process of its own, whose last word is how many 200s it got."""
    home = Path(tempfile.mkdtemp(prefix="countersign-bench-"))
    (home / "body").write_bytes(body)
    command = [sys.executable, "-m", "bench.load", url, key, str(home / "body"), str(rate), str(seconds)]
    if shutil.which("wrk"):
        script = home / "paced.lua"
        script.write_text(_SCRIPT % (body.decode(), key) + _PACE % rate)
        command = ["wrk", "-t1", f"-c{_LINES}", f"-d{seconds:.0f}s", "-s", str(script), url]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE)


def answered(generator: "subprocess.Popen[str]") -> int:
    """What `paced` got in the end."""
    told = generator.communicate()[0]
    found = re.search(r"RESULT (\d+) \d+ (\d+)", told)
    assert found, told
    return int(found[1]) - int(found[2])


_LINES = 32
_PACE = """
local ffi = require("ffi")
ffi.cdef("typedef struct { long s; long us; } when; int gettimeofday(when *, void *);")
local at, sent, began = ffi.new("when"), 0, nil
local function now()
  ffi.C.gettimeofday(at, nil)
  return tonumber(at.s) * 1000 + tonumber(at.us) / 1000
end
function delay()
  began = began or now()
  sent = sent + 1
  return math.max(0, math.floor(began + sent * 1000 / %d - now()))
end
"""


async def _paced(url: str, *, key: str, body: bytes, rate: int, seconds: float) -> int:
    """Where there is no wrk: lines that each ask when it is their turn, or as soon as they can after it."""
    began = time.perf_counter()
    turns = iter(range(int(rate * seconds)))
    lines = [_line(url, key=key, body=body, dues=(began + turn / rate for turn in turns)) for _ in range(_LINES)]
    return sum(await asyncio.gather(*lines))


async def _line(url: str, *, key: str, body: bytes, dues: Iterator[float]) -> int:
    """One connection that asks at these times; how many 200s it got."""
    host, _, rest = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    message = (
        f"POST /{rest} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {key}\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
    reader, writer = await asyncio.open_connection(name, int(port))
    good = 0
    for due in dues:
        await asyncio.sleep(due - time.perf_counter())
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        size = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(size[1]) if size else 0)
        good += head.startswith(b"HTTP/1.1 200")
    writer.close()
    return good


def main(url: str, key: str, body: str, rate: str, seconds: str) -> None:
    told = _paced(url, key=key, body=Path(body).read_bytes(), rate=int(rate), seconds=float(seconds))
    sys.stdout.write(f"RESULT {asyncio.run(told)} 0 0\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
