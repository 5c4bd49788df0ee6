"""The approvers, played: each signs in, opens the request, reads it and votes, through the very pages people use."""

import html
import re
import time

import httpx2
import pyotp

from examples.demo.chat import Begun
from examples.demo.house import Approver, House, found

READING = 2.5  # seconds: a vote faster than anybody reads is flagged as one


class Browser:
    """One person's session: follows redirects, keeps cookies, sends the form's own hidden fields back."""

    def __init__(self, house: House) -> None:
        self.client = httpx2.Client(base_url=house.url, follow_redirects=True, timeout=20)

    def read(self, path: str) -> str:
        answer = self.client.get(path)
        answer.raise_for_status()
        return answer.text

    def submit(self, path: str, page: str, **fields: str) -> str:
        hidden = {}
        for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page):
            name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
            if name and value:
                hidden[html.unescape(name[1])] = html.unescape(value[1])
        address = str(self.client.base_url.join(path))
        answer = self.client.post(path, data={**hidden, **fields}, headers={"Referer": address})
        answer.raise_for_status()
        return answer.text


def approve(house: House, approver: Approver, request_id: str, reason: str) -> None:
    """Sign in by the one-time link, look at the request, approve it with a fresh code."""
    browser = signed_in(house, approver)
    path = f"/requests/{request_id}/"
    page = browser.read(path)
    time.sleep(READING)
    code = pyotp.TOTP(approver.secret).now()
    after = browser.submit(f"{path}vote/", page, decision="approve", reason=reason, code=code)
    found(re.escape(approver.username), after)


def confirm(house: House, approver: Approver, begun: Begun) -> None:
    """Finish on our own page what was begun in the chat: the number shown there, and a fresh code."""
    browser = signed_in(house, approver)
    page = browser.read(begun.link.removeprefix(house.url))
    time.sleep(READING)
    code = pyotp.TOTP(approver.secret).now()
    after = browser.submit(begun.link.removeprefix(house.url).split("?")[0], page, number=begun.number, code=code)
    found(re.escape(approver.username), after)


def signed_in(house: House, approver: Approver) -> Browser:
    browser = Browser(house)
    link = approver.link.removeprefix(house.url)
    browser.submit(link, browser.read(link))
    return browser
