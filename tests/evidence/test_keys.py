"""Keys are made once, kept from others, and open only what they closed."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from countersign.proof.keys import BadSignature, Signer
from evidence import keys
from evidence.keys import Purpose


@pytest.fixture
def own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A KEYS_DIR of this test's own."""
    directory = tmp_path / "keys"
    monkeypatch.setattr(settings, "COUNTERSIGN", settings.COUNTERSIGN.model_copy(update={"keys_dir": directory}))
    return directory


class TestSigner:
    def test_says_what_makes_a_missing_key(self, own_keys: Path) -> None:
        with pytest.raises(keys.KeysMissing, match=r"sealer.key.*COUNTERSIGN_KEYS_DIR.*manage.py setup"):
            keys.signer(Purpose.SEALER)

    def test_refuses_a_key_file_of_another_size(self, own_keys: Path) -> None:
        own_keys.mkdir()
        (own_keys / "sealer.key").write_text("AAAA\n")
        with pytest.raises(keys.KeysMissing, match="32 bytes"):
            keys.signer(Purpose.SEALER)

    def test_cannot_speak_for_another_purpose(self) -> None:
        signature = keys.signer(Purpose.PDP).sign(b"x")
        with pytest.raises(BadSignature):
            keys.verifiers(Purpose.SEALER)[0].verify(signature, b"x")

    @given(st.binary(min_size=32, max_size=32), st.binary(max_size=4096))
    def test_signs_what_the_library_that_verifies_would_have_signed(self, seed: bytes, data: bytes) -> None:
        quick, plain = keys.QuickSigner(name="x", seed=seed), Signer(name="x", seed=seed)
        assert quick.sign(data) == plain.sign(data)


class TestVerifiers:
    def test_older_keys_still_count_after_a_change_of_key(self, own_keys: Path) -> None:
        keys.create_missing(own_keys)
        older = Signer(name="countersign/sealer", seed=b"o" * 32)
        with (own_keys / "sealer.vkeys").open("a") as file:
            file.write(f"{older.vkey}\n")
        assert keys.verifiers(Purpose.SEALER) == (keys.signer(Purpose.SEALER).verifier, older.verifier)


class TestCreateMissing:
    def test_changes_nothing_the_second_time(self, tmp_path: Path) -> None:
        made = keys.create_missing(tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        assert sorted(made) == ["approvals.key", "box.key", "mac.key", "pdp.key", "releases.key", "sealer.key"]
        assert keys.create_missing(tmp_path) == []
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_nobody_else_may_read_a_key(self, tmp_path: Path) -> None:
        keys.create_missing(tmp_path)
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}

    def test_two_at_once_make_one_set(self, tmp_path: Path) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = [name for names in pool.map(lambda _: keys.create_missing(tmp_path), range(8)) for name in names]
        assert len(made) == len(set(made)) == 6


class TestMac:
    def test_differs_by_label(self) -> None:
        assert keys.mac("a", b"secret") != keys.mac("b", b"secret")

    def test_label_and_data_cannot_slide_into_each_other(self) -> None:
        assert keys.mac("ab", b"c") != keys.mac("a", b"bc")


class TestUnseal:
    def test_refuses_a_box_that_was_moved(self) -> None:
        with pytest.raises(keys.CannotUnseal):
            keys.unseal(keys.seal(b"seed", bound_to="device/1"), bound_to="device/2")

    @pytest.mark.parametrize("at", [0, 3, 8, -1])
    def test_refuses_a_changed_byte(self, at: int) -> None:
        box = bytearray(keys.seal(b"seed", bound_to="x"))
        box[at] ^= 1
        with pytest.raises(keys.CannotUnseal):
            keys.unseal(bytes(box), bound_to="x")

    @pytest.mark.parametrize("length", [0, 4, 16, 20])
    def test_refuses_a_box_cut_short(self, length: int) -> None:
        with pytest.raises(keys.CannotUnseal):
            keys.unseal(keys.seal(b"seed", bound_to="x")[:length], bound_to="x")

    def test_opens_what_was_closed_and_no_two_boxes_are_alike(self) -> None:
        first, second = keys.seal(b"seed", bound_to="x"), keys.seal(b"seed", bound_to="x")
        assert first != second
        assert keys.unseal(first, bound_to="x") == keys.unseal(second, bound_to="x") == b"seed"
