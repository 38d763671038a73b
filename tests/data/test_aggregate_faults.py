"""aggregate interrupted: killed, corrupt or changed files, a full disk."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import pytest
from vote_files import drawn, folder_of, message_of, write

import emjax
from emjax.errors import VotesError


def test_a_finished_folder_is_left_as_it_is(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    emjax.aggregate(votes, out, shards=2)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    emjax.aggregate(votes, out)
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before
    assert "was written with ties='drop'" in message_of(votes, out, ties="half")
    write(votes / "9.parquet", drawn(9))
    assert f"{votes / '9.parquet'} was added or removed since it was written" in message_of(votes, out)
    (votes / "9.parquet").unlink()
    write(votes / "0.parquet", drawn(10))
    assert f"{votes / '0.parquet'} has changed since it was written" in message_of(votes, out)


KILLED = """
import os, signal, sys
import emjax, emjax.data.aggregate as module

left = int(sys.argv[3])

def die(what, done, total):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

def slowly(*given, usual=module.count_file):
    part = usual(*given)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return part

module.count_file = slowly
emjax.aggregate(sys.argv[1], sys.argv[2], shards=3, progress=die)
"""


@pytest.mark.parametrize("after", [1, 2, 3, 6, 8])
def test_a_killed_run_is_resumed(tmp_path, after, assert_same):
    """At a file, between a part and its description, while shards are added up: nothing counts twice."""
    votes, out = folder_of(tmp_path), tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, votes, out, str(after)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    counted = sorted((out / "counted").glob("file-*.json"))
    written = {path: path.stat().st_mtime_ns for path in counted}
    with pytest.raises(VotesError, match="is not finished: give the emjax aggregate that began it once more"):
        emjax.open_shards(out)
    told = []
    shards = emjax.aggregate(
        votes, out, shards=3, progress=lambda *what: told.append((what, written_now(counted)))
    )
    assert all(now == written for _, now in told), "what was counted is not counted again"
    straight = emjax.aggregate(votes, tmp_path / "straight", shards=3)
    for mine, yours in zip(shards, straight, strict=True):
        assert_same(mine, yours)
    assert not (out / "counted").exists()


def written_now(paths: list[Path]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in paths}


def test_a_corrupt_file_among_good_ones(tmp_path, assert_same):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    whole = (votes / "2.parquet").read_bytes()
    start = len(whole) // 3
    (votes / "2.parquet").write_bytes(
        whole[:8] + b"\xff" * start + whole[8 + start :]
    )  # its end still tells its columns
    message = message_of(votes, out, shards=2)
    assert message.startswith(f"cannot read {votes / '2.parquet'}: ")
    kept = out / "counted"
    assert message.endswith(f"2 files are counted, and kept in {kept}: the same command goes on from there")
    (votes / "2.parquet").write_bytes(whole)
    shards = emjax.aggregate(votes, out, shards=2)
    # what was left out is told of all shards together, not of each
    assert_same(reduce(add, shards), replace(emjax.read_votes(votes), left_out=()))


def test_a_truncated_file_is_found_before_anything_is_counted(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    whole = (votes / "2.parquet").read_bytes()
    (votes / "2.parquet").write_bytes(whole[:-20])
    assert message_of(votes, out).startswith(f"cannot read {votes / '2.parquet'}: ")
    assert not out.exists()


def test_a_file_that_vanishes_and_one_that_changes(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    last, whole = votes / "3.parquet", (votes / "3.parquet").read_bytes()

    def vanish(what, done, total):
        if done == 3:
            last.unlink(missing_ok=True)

    message = message_of(votes, out, shards=2, progress=vanish)
    assert message.startswith(
        f"{last} has vanished while votes were counted: put it back; 3 files are counted"
    )
    last.write_bytes(whole)
    os.utime(votes / "1.parquet", ns=(1, 1))
    changed = message_of(votes, out, shards=2)
    described = out / "counted" / "file-00001.json"
    assert changed.startswith(
        f"{votes / '1.parquet'} has changed since it was counted: delete {described} to have it "
        "counted again, alone; "
    )
    described.unlink()
    assert emjax.aggregate(votes, out).table.n_votes == emjax.read_votes(votes).n_votes


def test_a_run_that_is_begun_in_one_way_goes_on_in_it(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    hidden = votes.parent / "hidden.parquet"
    stop(votes, out, after=2)
    assert "was begun with ties drop, which now is half: give the same as then" in message_of(
        votes, out, ties="half"
    )
    assert "was begun with shards 2, which now is 3" in message_of(votes, out, shards=3)
    assert "was begun with told not given, which now is {'user': 'user'}" in message_of(
        votes, out, user="user"
    )
    (votes / "0.parquet").rename(hidden)
    assert f"{votes / '0.parquet'} was counted, and is not among the files now" in message_of(votes, out)
    hidden.rename(votes / "0.parquet")
    assert len(emjax.aggregate(votes, out)) == 2


def stop(votes: Path, out: Path, after: int) -> None:
    """Begin, and be interrupted after some files."""

    def interrupt(what, done, total):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        emjax.aggregate(votes, out, shards=2, progress=interrupt)


def test_a_part_that_is_lost_is_counted_again(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    stop(votes, out, after=3)
    (out / "counted" / "file-00001.parquet").unlink()
    assert emjax.aggregate(votes, out).table.n_votes == emjax.read_votes(votes).n_votes


def test_a_part_that_is_damaged_gives_no_wrong_answer(tmp_path):
    votes, out = folder_of(tmp_path), tmp_path / "out"
    stop(votes, out, after=3)
    part = out / "counted" / "file-00001.parquet"
    part.write_bytes(part.read_bytes()[:-100])
    message = message_of(votes, out)
    assert message.startswith(f"cannot read what was counted in {out / 'counted'} (")
    shutil.copy(out / "counted" / "file-00000.parquet", part)
    assert "were counted, so something has changed what was counted" in message_of(votes, out)
    assert not (out / "manifest.json").exists()


def test_a_disk_that_is_full(tmp_path):
    """Simulated by a limit on the size of files: what is written must not look complete."""
    votes, out = write(tmp_path / "v.parquet", drawn(0, 40_000, users=20_000)), tmp_path / "out"
    code = (
        "import resource, signal, sys, emjax\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "try:\n"
        "    emjax.aggregate(sys.argv[1], sys.argv[2], shards=1)\n"
        "except emjax.OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, votes, out], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"cannot write {out / 'counted' / 'file-00000.part'}: ")
    assert not out.exists()
    assert emjax.aggregate(votes, out, shards=1).table.n_votes == emjax.read_votes(votes).n_votes


def test_a_disk_that_is_full_while_shards_are_written(tmp_path, monkeypatch):
    votes, out = folder_of(tmp_path), tmp_path / "out"

    def full(*given):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("emjax.data.aggregate.merge_shard", full)
        message = message_of(votes, out, shards=2)
    assert message.startswith(f"{out} cannot be written (No space left on device): free some space")
    assert len(list((out / "counted").glob("file-*.json"))) == 4
    assert emjax.aggregate(votes, out).table.n_votes == emjax.read_votes(votes).n_votes
