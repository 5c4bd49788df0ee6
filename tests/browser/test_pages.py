"""Every page, by day and by night, on a desk and in a hand: readable, labelled, and silent in the console."""

import pytest
from playwright.sync_api import Page

from approvals.models import AccessRequest, Waiver
from countersign.policy.values import Principal
from evidence import clock, seal
from registry import sign_in
from tests.approvals import asking
from tests.approvals.asking import TOTP, call, enrolled, opened, requirement
from tests.approvals.waivers.excepting import asked
from tests.browser.conftest import DESKTOP, PHONE, Sit
from tests.worlds import SETUP, World, world

pytestmark = pytest.mark.browser

HOSTILE = {
    "to": "pay\u202eeeb@acme.test", "html": "</dd><script>document.title='hit'</script><img src=x onerror=alert(1)>",
    "note": "x" * 3000, "lines": "one\nArguments: none", **{f"number_{n}": "word " * n for n in range(40)},
}  # fmt: skip

CONTROLS = [{"kind": "obligation", "type": "log"}, {"kind": "check", "url": f"https://acme.test/{'x' * 200}"}]

# Names of what lacks them, contrast below AA, headings and landmarks: what an auditor of accessibility looks at first.
CHECK = r"""() => {
  const faults = [];
  const shown = e => e.checkVisibility() && e.getClientRects().length > 0;
  const name = e => (e.labels?.[0]?.textContent || e.getAttribute('aria-label') || e.textContent || e.alt || '').trim();
  if (document.querySelectorAll('h1').length !== 1) faults.push('not one h1');
  for (const landmark of ['header', 'main']) if (!document.querySelector(landmark)) faults.push('no ' + landmark);
  if (!document.documentElement.lang) faults.push('no language');
  const fields = 'input:not([type=hidden]), textarea, select, button, a[href], summary';
  for (const e of document.querySelectorAll(fields)) if (!name(e)) faults.push('no name: ' + e.outerHTML.slice(0, 80));
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) faults.push('no alt: ' + e.src);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push('id twice: ' + id);
  for (const e of document.querySelectorAll('[aria-labelledby], [aria-describedby]'))
    for (const id of ((e.getAttribute('aria-labelledby') || '') + ' ' + (e.getAttribute('aria-describedby') || '')).split(/\s+/))
      if (id && !document.getElementById(id)) faults.push('names nothing: ' + id);
  let level = 0;
  for (const h of document.querySelectorAll('h1, h2, h3, h4')) {
    const now = +h.tagName[1];
    if (now > level + 1) faults.push('heading skips to ' + h.textContent);
    level = now;
  }
  const parse = c => (c.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const light = ([r, g, b]) => { const f = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length < 4 || c[3] > .99) return c; } return [255, 255, 255]; };
  const over = (a, b, o) => a.map((v, i) => v * o + b[i] * (1 - o));
  const opacity = e => { let o = 1; for (; e; e = e.parentElement) o *= +getComputedStyle(e).opacity; return o; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !shown(e) || e.closest('.skip, script')) continue;
    const back = ground(e).slice(0, 3), style = getComputedStyle(e);
    const front = over(parse(style.color).slice(0, 3), back, opacity(e));
    const [hi, lo] = [light(front), light(back)].sort((a, b) => b - a);
    const ratio = (hi + .05) / (lo + .05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && +style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.push(`contrast ${ratio.toFixed(2)}: ${walk.currentNode.textContent.trim().slice(0, 40)}`);
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) faults.push('scrolls sideways by ' + wide);
  return [...new Set(faults)];
}"""


@pytest.fixture(scope="module")
def ours(database: None) -> World:
    made = world()
    enrolled(made.erin)
    return made


@pytest.fixture(scope="module")
def requests(ours: World) -> dict[str, AccessRequest | Waiver]:
    hostile = call(ours, HOSTILE, principal=Principal("user", "\u202eevil@acme.test"))
    denied, approved = opened(ours), asking.approved(ours).request
    asking.vote(denied, ours.frank, asking.DENY, reason="No receipt \u202e anywhere.")
    waiver = asked(ours, reason="long " * 300, when="double(arguments.amount) < 500.0", controls=CONTROLS)
    made: dict[str, AccessRequest | Waiver] = {
        "hostile": opened(ours, made=hostile, justification="harmless\u202e <b>"),
        "code": opened(ours, requirements=[requirement(step_up=TOTP)]),
        "denied": denied,
        "approved": approved,
        "waiver": waiver,
        "grant": waiver.request,
    }
    seal.seal_due(ours.slug)
    return made


PATHS: dict[str, tuple[str | None, str]] = {
    "overview": ("erin", "/"),
    "inbox": ("erin", "/inbox/"),
    "empty inbox": ("ada", "/inbox/"),
    "hostile request": ("erin", "/requests/{hostile}/"),
    "request with a code": ("erin", "/requests/{code}/"),
    "request without an authenticator": ("carol", "/requests/{code}/"),
    "denied request": ("erin", "/requests/{denied}/"),
    "approved request": ("erin", "/requests/{approved}/"),
    "not for me": ("ada", "/requests/{code}/"),
    "exceptions": ("erin", "/waivers/"),
    "no exceptions found": ("erin", "/waivers/?q=nothing"),
    "an exception": ("ada", "/waivers/{waiver}/"),
    "asking for an exception": ("dana", "/waivers/new/"),
    "asking for it again": ("dana", "/waivers/new/?renews={waiver}"),
    "an exception's grant": ("erin", "/requests/{grant}/"),
    "remembering": ("erin", "/requests/{code}/remember/"),
    "not to be remembered": ("erin", "/requests/{hostile}/remember/"),
    "decisions": ("ada", "/decisions/"),
    "no decisions found": ("ada", "/decisions/?agent=nobody"),
    "evidence": ("ada", "/evidence/"),
    "account": ("erin", "/account/"),
    "sign in": (None, "/sign-in/"),
    "link": (None, "LINK"),
    "404": ("erin", "/nothing/"),
    "404 for a stranger": (None, "/nothing/"),
    "403": ("erin", "/evidence/"),
    "incomplete link": (None, "/sign-in/link/"),
}  # fmt: skip
REFUSED = {"not to be remembered", "404", "404 for a stranger", "403", "incomplete link"}


LOOKS = {"desk by day": (DESKTOP, "light"), "phone at night": (PHONE, "dark")}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PATHS)
def test_a_page_is_readable_labelled_and_silent(
    ours: World, requests: dict[str, AccessRequest | Waiver], sit: Sit, name: str, look: str
) -> None:
    size, scheme = LOOKS[look]
    who, path = PATHS[name]
    if path == "LINK":
        path = sign_in.PATH + sign_in.issue(ours.erin.user, actor=SETUP, now=clock.now())
    path = path.format(**{key: request.pk for key, request in requests.items()})
    seat = sit(ours.people[who] if who else None, size, color_scheme=scheme, reduced_motion="reduce")
    page = seat.go(path)
    for details in page.locator("details").all():
        details.locator("summary").click()
    assert page.evaluate(CHECK) == []
    assert page.title() != "hit"
    if name in REFUSED:  # Chromium reports the status that is meant here
        assert [one for one in seat.complaints if "Failed to load resource" not in one] == []
        seat.complaints.clear()


class TestDocs:
    def test_the_api_documentation_works_without_the_internet(self, ours: World, sit: Sit) -> None:
        seat = sit(ours.erin)
        elsewhere: list[str] = []
        seat.page.on("request", lambda asked: elsewhere.append(asked.url) if not _ours(asked.url, seat.url) else None)
        page = seat.go("/api/docs/")
        page.get_by_text("/api/v1/requests/{request_id}/votes").wait_for()
        assert elsewhere == []


def _ours(address: str, url: str) -> bool:
    return address.startswith((url, "data:", "blob:"))


class TestEnrolment:
    def test_the_picture_and_the_secret_are_shown_once(self, ours: World, sit: Sit) -> None:
        page: Page = sit(ours.frank).go("/account/")
        page.get_by_role("button", name="Set up authenticator").click()
        picture = page.get_by_role("img", name="QR code")
        picture.wait_for()
        assert picture.evaluate("e => e.naturalWidth") > 0
        assert page.evaluate(CHECK) == []
