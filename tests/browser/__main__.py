"""`python -m tests.browser [play] [chat] [waivers]`: the pictures of README and docs, taken anew in demos of their own."""

import os
import sys
import tempfile

from playwright.sync_api import sync_playwright

from examples.demo.house import house
from tests.browser.screenshots import CHROMIUM, FLAGS, IMAGES, chat, play
from tests.browser.screenshots_waivers import waivers

STORIES = (play, chat, waivers)


def main() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    for story in STORIES:
        if sys.argv[1:] and story.__name__ not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory(prefix="countersign-pictures-") as directory:
            os.environ["COUNTERSIGN_DEMO_DIR"] = directory
            with house("127.0.0.1", int(os.environ.get("PORT") or 8765)) as built, sync_playwright() as playwright:
                story(built, playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS))


if __name__ == "__main__":
    main()
