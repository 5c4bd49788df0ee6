"""`countersign verify` says in plain words which step does not hold, and by its exit code whether all do."""

import pytest
import typer
from typer.testing import CliRunner

from countersign.proof.command import verify


@pytest.fixture
def run():
    app = typer.Typer()
    app.command()(verify)
    return lambda *given: CliRunner().invoke(app, [str(one) for one in given])


class TestVerify:
    def test_ends_with_1_and_names_the_step_that_fails(self, run, full, lay):
        path = lay(full)
        (path / "checkpoint").write_bytes(b"x")
        done = run(path)
        assert done.exit_code == 1
        assert "✗  3. manifest: checkpoint: not the bytes that the manifest lists" in done.output
        assert "NOT VERIFIED: step 3 (manifest)" in done.output

    def test_ends_with_1_under_another_key(self, run, full, lay, another):
        assert run(lay(full), "--key", another(seed=b"f" * 32).signer.vkey).exit_code == 1

    def test_ends_with_1_under_another_checkpoint(self, run, full, lay, another):
        held = lay(full).with_name("held")
        held.write_text(another().head())
        assert run(held.with_name("pack"), "--against", held).exit_code == 1

    @pytest.mark.parametrize(
        "given",
        [
            ["absent"],
            ["pack", "--key", "nonsense"],
            ["pack", "--key", "a+b+c"],
            ["pack", "--against", "absent"],
            [],
            ["pack", "--more"],
        ],
    )
    def test_ends_with_2_if_asked_wrongly(self, run, full, lay, given, monkeypatch):
        monkeypatch.chdir(lay(full).parent)
        done = run(*given)
        assert done.exit_code == 2
        assert "Verified: every step holds." not in done.output

    def test_shows_no_control_characters_of_a_strangers_pack(self, run, full, lay, replace):
        path = lay(replace(full, tenant="a\u001b[2K\u202eb"))
        done = run(path)
        assert "\u001b" not in done.output
        assert "\u202e" not in done.output
        assert "\\u001b[2K\\u202eb" in done.output

    def test_ends_with_0_if_all_holds(self, run, log, full, lay, tmp_path):
        (tmp_path / "held").write_text(log.head(3))
        (tmp_path / "key").write_text(f"# the log\n{log.signer.vkey}\n")
        for key in (log.signer.vkey, tmp_path / "key"):
            done = run(lay(full, name=f"pack-{len(str(key))}"), "--against", tmp_path / "held", "--key", key)
            assert (done.exit_code, done.output.count("✓")) == (0, 17)
            assert "Verified: every step holds." in done.output

    def test_calls_nothing_verified_that_only_vouches_for_itself(self, run, full, lay):
        done = run(lay(full))
        assert done.exit_code == 0
        assert "Verified" not in done.output
        assert done.output.splitlines()[-1].endswith("Only --key tells who did.")
