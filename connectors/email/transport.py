"""E-mail as a Transport: one letter that asks, one in its thread that says how it ended."""

import smtplib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.validators import validate_email

from connectors.email import card, relay
from connectors.email.card import Letter
from connectors.email.relay import Relay
from connectors.port import ABOUT, CALLED, Account, Name, Place, Ref, Told, TransportError

_SECONDS = 10
_BACKENDS: Mapping[str, str] = {"console": "console", "file": "filebased"}
_QUIET = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}  # RFC 3834, and Exchange's own
_PENDING = "pending"
_FOR_GOOD = 500  # RFC 5321 4.2.1: 4yz may pass later, 5yz will not


class Email:
    """One tenant's mail relay."""

    def __init__(self, relay_: Relay) -> None:
        self._relay = relay_

    def post(self, place: Place, told: Told) -> Ref:
        """The letter that asks. A request that ended before it was told leaves no letter at all."""
        ref = {"message_id": self._message_id(told.request_id, place), "status": told.status}
        if told.status == _PENDING:
            self._send(place, card.asking(told), {"Message-ID": ref["message_id"]})
            return ref
        return {**ref, "message_id": ""}

    def edit(self, place: Place, ref: Ref, told: Told) -> Ref:
        """A letter cannot be changed: one more in its thread once the request is over, and none for a vote."""
        asked = ref.get("message_id", "")
        if asked and told.status != _PENDING and ref.get("status") == _PENDING:
            thread = {"In-Reply-To": asked, "References": asked}
            own = self._message_id(f"{told.request_id}.{told.status}", place)
            self._send(place, card.closing(told), {"Message-ID": own, **thread})
            return {"message_id": asked, "status": told.status}
        return ref

    def find(self, place: Place, name: Name) -> Ref | None:  # noqa: ARG002  the port's shape
        """Nobody can look into a mailbox. A letter sent again has the same Message-ID, so that readers drop it."""
        return None

    def say(self, place: Place, words: str) -> None:
        """A letter of plain words, in the thread of what they are about; the first line is its subject.

        Words that are called something have their Message-ID of it, as a request's letter has.
        """
        about, called = place.config.get(ABOUT, {}).get("message_id"), place.config.get(CALLED)
        thread = {"In-Reply-To": about, "References": about} if about else {}
        own = {"Message-ID": self._message_id(called, place)} if called else {}
        self._send(place, card.saying(words), {**own, **thread})

    def check(self) -> str:
        """Connects, encrypts and signs in as for a letter, and sends none."""
        with self._open():
            pass
        where = self._relay.host or self._relay.scheme
        return f"The mail relay at {where} lets us in; mail comes from {self._relay.sender}."

    def _send(self, place: Place, letter: Letter, headers: Mapping[str, str]) -> None:
        message = EmailMultiAlternatives(
            letter.subject, letter.text, self._relay.sender, [_address(place)], headers={**_QUIET, **headers}
        )
        message.attach_alternative(letter.html, "text/html")
        with self._open() as connection:
            connection.send_messages([message])

    @contextmanager
    def _open(self) -> Iterator[BaseEmailBackend]:
        """Connected for the block; closed after it, which Django forgets where encrypting or signing in failed."""
        connection = self._connection()
        with _translated():
            try:
                connection.open()
                yield connection
            finally:
                connection.close()

    def _connection(self) -> BaseEmailBackend:
        to = self._relay
        backend = f"django.core.mail.backends.{_BACKENDS.get(to.scheme, 'smtp')}.EmailBackend"
        given: dict[str, Any] = {"file_path": to.folder} if to.scheme == "file" else {}
        if to.scheme not in relay.LOCAL:
            given = {
                "host": to.host, "port": to.port, "username": to.user, "password": to.password, "timeout": _SECONDS,
                "use_ssl": to.scheme == "smtps", "use_tls": to.scheme == "smtp+starttls",
            }  # fmt: skip
        return get_connection(backend, fail_silently=False, **given)

    def _message_id(self, what: str, place: Place) -> str:
        """The same for the same request and address, whoever computes it and however often."""
        domain = self._relay.sender.rpartition("@")[2]
        return f"<{what}.{sha256(place.key.encode()).hexdigest()[:16]}@{domain}>"


def open_(account: Account) -> Email:
    """Raises TransportError. Only this service's own environment may name a local folder or the console."""
    try:
        found = relay.parse(account.settings["url"])
    except relay.BadUrl as error:
        raise TransportError(f"The URL of the mail relay is of no use: {error}.", permanent=True) from None
    if found.scheme in relay.LOCAL and account.settings["url"] != settings.COUNTERSIGN.email_url:
        raise TransportError(f"The URL of the mail relay is of no use: {relay.FORM} is needed.", permanent=True)
    return Email(found)


def _address(place: Place) -> str:
    """One bare address, a person's own or the channel's: nothing that could be two, or a header."""
    address = str(place.config.get("address", place.key))
    try:
        validate_email(address)
    except ValidationError:
        raise TransportError("This is no e-mail address. Mend it in the registry.", permanent=True) from None
    return address


@contextmanager
def _translated() -> Iterator[None]:
    """What went wrong in our words: a server's own may repeat the letter, or be somebody else's."""
    try:
        yield
    except smtplib.SMTPAuthenticationError:
        raise TransportError("The mail relay refused our user or password. Look at both.", permanent=True) from None
    except smtplib.SMTPNotSupportedError:
        raise TransportError("The mail relay does not offer what its URL asks for.", permanent=True) from None
    except smtplib.SMTPRecipientsRefused as error:
        raise _refused("the address", max(code for code, _ in error.recipients.values())) from None
    except smtplib.SMTPResponseException as error:
        raise _refused("the letter", error.smtp_code) from None
    except (smtplib.SMTPException, OSError) as error:
        raise TransportError(f"The mail relay did not take it: {type(error).__name__}.") from None


def _refused(what: str, code: int) -> TransportError:
    return TransportError(f"The mail relay refused {what} ({code}).", permanent=code >= _FOR_GOOD)
