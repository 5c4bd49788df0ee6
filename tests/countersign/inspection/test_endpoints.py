"""A URL in, why it is refused out."""

import pytest

from countersign.inspection.endpoints import Endpoints, unusable

API = Endpoints(allow=("https://api.acme.test/v1/*", "https://*.acme.test/pub/*"), deny=("*/admin/*",))


class TestRefusal:
    @pytest.mark.parametrize(
        "url",
        [
            "",
            "https://evil.test/v1/x",
            "https://api.acme.test.evil.test/v1/x",
            "https://evil.test/.acme.test/pub/x",
            "https://evil.test/https://api.acme.test/v1/x",
            "https://evil.test?https://api.acme.test/v1/x",
            "https://evil.test#.acme.test/pub/x",
            "http://api.acme.test/v1/x",
            "https://api.acme.test/v2/x",
            "https://api.acme.test:8443/v1/x",
            "https://api.acme.test:0/v1/x",
            "https://api.acme.test:99999/v1/x",
            "https://api.acme.test:x/v1/x",
            # before the host
            "https://api.acme.test@evil.test/v1/x",
            "https://user:pass@api.acme.test/v1/x",
            "https://api.acme.test\\@evil.test/v1/x",
            "https://api.acme.test%40evil.test/v1/x",
            # schemes
            "ftp://api.acme.test/v1/x",
            "file:///v1/x",
            "gopher://api.acme.test/v1/x",
            "javascript://api.acme.test/v1/x",
            "//api.acme.test/v1/x",
            "https:/api.acme.test/v1/x",
            "https:api.acme.test/v1/x",
            "https:///api.acme.test/v1/x",
            # paths
            "https://api.acme.test/v1/../secret",
            "https://api.acme.test/v1/%2e%2e/secret",
            "https://api.acme.test/v1/.%2E/secret",
            "https://api.acme.test/v1/..",
            "https://api.acme.test/v1/..;/secret",
            "https://api.acme.test/v1/..%2fsecret",
            "https://api.acme.test/v1/..%5csecret",
            "https://api.acme.test/v1/%252e%252e/secret",
            "https://api.acme.test/v1/%00",
            "https://api.acme.test/v1/%",
            "https://api.acme.test/v1/%zz",
            "https://api.acme.test/v1/%2",
            "https://api.acme.test/v1//x",
            "https://api.acme.test/v1/..\\secret",
            # denied
            "https://api.acme.test/v1/admin/x",
            "https://api.acme.test/v1/ADMIN/x",
            "https://api.acme.test/v1/%61dmin/x",
            "https://api.acme.test/v1/x/../admin/x",
            "https://api.acme.test/v1/x?next=/admin/x",
            # characters
            " https://api.acme.test/v1/x",
            "https://api.acme.test/v1/x\n",
            "https://api.acme.test/v1/\tx",
            "https://api.acme.test/v1/é",
            "https://аpi.acme.test/v1/x",
            "https://api.acme.test/v1/" + "x" * 9000,
        ],
    )
    def test_refuses(self, url: str) -> None:
        why = API.refusal(url)

        assert why is not None
        assert "acme" not in why
        assert "evil" not in why

    @pytest.mark.parametrize(
        "url",
        [
            "https://api.acme.test/v1/x",
            "HTTPS://API.ACME.TEST/v1/x",
            "https://api.acme.test:443/v1/x",
            "https://api.acme.test./v1/x",
            "https://api.acme.test/v1/a/../b?q=%C3%A9&r=%2f#top",
            "https://api.acme.test/v1/%78",
            "https://www.eu.acme.test/pub/",
        ],
    )
    def test_lets_pass_what_is_the_same_address(self, url: str) -> None:
        assert API.refusal(url) is None

    def test_says_what_is_wrong_with_a_user_name(self) -> None:
        assert API.refusal("https://me@api.acme.test/v1/x") == "a URL with a user name before the host may not pass"

    def test_default_ports_are_no_difference_in_globs_either(self) -> None:
        assert Endpoints(allow=("http://a.test:80/*",)).refusal("http://a.test/x") is None
        assert Endpoints(allow=("http://a.test:81/*",)).refusal("http://a.test/x") is not None


class TestUnusable:
    @pytest.mark.parametrize(
        "glob",
        ["*", "*/v1/*", "https://*", "https://a.test*", "https://api*.test/*", "https://*test/*", "https://a.*/x",
         "ftp://a.test/*", "https://a.test/x?y=*", "https://u@a.test/*", "https://a.test/ x", "https://ä.test/*"],
    )  # fmt: skip
    def test_refuses_allow_globs_that_could_stand_for_another_host(self, glob: str) -> None:
        assert unusable(glob)
        with pytest.raises(ValueError):
            Endpoints(allow=(glob,))

    def test_a_deny_glob_may_be_anything_printable(self) -> None:
        assert unusable("*/admin/*", allow=False) is None
        assert unusable("a b", allow=False)
