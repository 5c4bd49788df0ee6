"""A mail server on loopback that speaks just enough SMTP, keeps what it is given, and fails on demand."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage

_GREETING = b"250-sink\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n"


class Sink:
    """`answers` names what goes wrong: a verb (`RCPT`, `DATA`, `.`, `AUTH`, `CONNECT`) and the reply, `hang` or `cut`.

    `.` may also be `kept`: the letter is, and the connection ends before the answer.
    """

    def __init__(self) -> None:
        self.port = 0
        self.answers: dict[str, str] = {}
        self.raw: list[bytes] = []
        self.envelopes: list[tuple[str, str]] = []

    @property
    def letters(self) -> list[EmailMessage]:
        return [message_from_bytes(one, policy=policy.default) for one in self.raw]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sender = to = ""
        try:
            await self._reply(writer, "CONNECT", b"220 sink\r\n")
            while line := await reader.readline():
                verb = line[:4].upper().decode().strip()
                match verb:
                    case "MAIL":
                        sender = line.decode().strip()
                    case "RCPT":
                        to = line.decode().strip()
                    case "DATA":
                        await self._reply(writer, "DATA", b"354 go on\r\n")
                        body = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                        if self.answers.get(".") == "kept":
                            self._keep(body, sender, to)
                            break
                        await self._reply(writer, ".", b"250 kept\r\n")
                        if "." not in self.answers:
                            self._keep(body, sender, to)
                        continue
                await self._reply(writer, verb, _GREETING if verb == "EHLO" else b"250 fine\r\n")
                if verb == "QUIT":
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _keep(self, body: bytes, sender: str, to: str) -> None:
        self.raw.append(body.replace(b"\r\n..", b"\r\n."))
        self.envelopes.append((sender, to))

    async def _reply(self, writer: asyncio.StreamWriter, verb: str, usual: bytes) -> None:
        wanted = self.answers.get(verb)
        if wanted == "hang":
            await asyncio.sleep(3600)
        if wanted == "cut":
            raise ConnectionError
        writer.write(f"{wanted}\r\n".encode() if wanted else usual)
        await writer.drain()
        if wanted and verb == "DATA":
            raise ConnectionError


@contextmanager
def sink() -> Iterator[Sink]:
    made, loop = Sink(), asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(made.serve, "127.0.0.1", 0))
    made.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield made
    loop.call_soon_threadsafe(server.close)
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])
    loop.call_soon_threadsafe(lambda: loop.call_later(0.05, loop.stop))
    thread.join(10)
    loop.close()
