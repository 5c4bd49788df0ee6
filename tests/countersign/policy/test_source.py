"""YAML to located nodes."""

import pytest

from countersign.policy import source
from countersign.policy.source import PolicyErrors


def refusal(text: str) -> str:
    with pytest.raises(PolicyErrors) as caught:
        source.parse(text, file="p.yaml")
    return str(caught.value)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("a: 1\nb: 2\na: 3\n", "p.yaml:3:1: duplicate key 'a', first given in line 1"),
            ('"a": 1\n"\\u0061": 3\n', "p.yaml:2:1: duplicate key 'a'"),
            ("a: &x [1]\nb: *x\n", "p.yaml:2:4: alias *x"),
            ("a: &x [1]\n", "p.yaml:1:4: anchor &x"),
            ("a: {<<: {b: 1}}\n", "p.yaml:1:5: merge keys"),
            ("a: !!python/object/apply:os.system [x]\n", "p.yaml:1:4: tag"),
            ("a: !!binary aGk=\n", "p.yaml:1:4: tag"),
            ("1: x\n", "p.yaml:1:1: a key must be text"),
            ("? [a]\n: 1\n", "p.yaml:1:3: a key must be text"),
            ("a: 1\n---\nb: 2\n", "p.yaml:2:1: a second document"),
            ("- a\n", "p.yaml:1:1: the top level must be a mapping"),
            ("just text\n", "p.yaml:1:1: the top level must be a mapping"),
            ("", "p.yaml:1:1: the file is empty"),
            ("a: [1\n", "p.yaml:2:1: not valid YAML"),
            ("a:\n\tb: 1\n", "p.yaml:2:1: not valid YAML: a tab; use spaces"),
            ("é: 1\na:\n  - b\n\t- c\n", "p.yaml:4:1: not valid YAML: a tab; use spaces"),
            ("a: \x00\n", "p.yaml:1:1: the file holds characters"),
            ("a: \ud800\n", "p.yaml:1:1: the file holds characters"),
            ("a: " + "[" * 10_000, "p.yaml:1:44: nested deeper than 40 levels"),
            ("a: " + "{b: " * 10_000, "nested deeper than 40 levels"),
            ("#" * (source.MAX_CHARACTERS + 1), "p.yaml:1:1: the file is longer"),
        ],
    )
    def test_refuses_with_the_place(self, text: str, expected: str) -> None:
        assert expected in refusal(text)

    def test_reports_all_mistakes_in_reading_order(self) -> None:
        assert [line.split(":")[1] for line in refusal("a: 1\na: 2\nb: &x 1\nc: *x\n2: 3\n").splitlines()] == [*"2345"]

    def test_a_billion_laughs_stays_a_joke(self) -> None:
        text = "a: &a [x, x]\n" + "".join(
            f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        )

        assert "aliases are not allowed" in refusal(text)

    def test_scalars_mean_what_yaml_1_2_says(self) -> None:
        text = "{a: no, b: on, c: 1, d: -1.5, e: true, f: ~, g: '1', h: 2026-01-01, i: 1:30, j: 010, k: 0x1f, l: 1e3}"

        assert source.parse(text, file="p").plain() == {
            "a": "no", "b": "on", "c": 1, "d": -1.5, "e": True, "f": None, "g": "1", "h": "2026-01-01", "i": "1:30",
            "j": "010", "k": "0x1f", "l": 1000.0,
        }  # fmt: skip


class TestInside:
    @pytest.mark.parametrize(
        "written",
        [
            "when: aa == X",
            "when:   'aa == X'",
            'when: "aa == X"',
            "when: 'it''s X'",
            'when: "a\\"b X"',
            "when: |\n    a ==\n      X && b\n",
            "when: |-\n\n    a ==\n\n    X\n",
            "when: >\n  a ==\n  b && X\n",
            "when: aa ==\n   bb && X\n",
            "{when: 'aa X'}",
            "when: |2\n   a\n     X\n",
            "when: é == X",
        ],
    )
    def test_points_at_the_character_in_every_style(self, written: str) -> None:
        node = source.parse(written, file="p").child("when")
        assert node is not None
        before = node.value[: node.value.index("X")]

        line, column = node.inside(before.count("\n") + 1, len(before) - before.rfind("\n"))

        assert written.split("\n")[line - 1][column - 1] == "X"

    def test_a_place_past_the_end_stays_in_the_file(self) -> None:
        node = source.parse("when: a\n", file="p").child("when")
        assert node is not None

        assert node.inside(9, 99) == (1, 8)


class TestPlace:
    def test_answers_the_nearest_thing_that_exists(self) -> None:
        root = source.parse("a:\n  - b: 1\n", file="p")

        assert root.place(("a", 0, "b")) == (2, 8)
        assert root.place(("a", 0, "b"), key=True) == (2, 5)
        assert root.place(("a", 0, "missing")) == (2, 5)
        assert root.place(("a", 5)) == (2, 3)
        assert root.place(("nothing",)) == (1, 1)
