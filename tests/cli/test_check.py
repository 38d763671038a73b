"""The command `emjax check`: training texts, votes left out, and names of formats that are nearly right."""

import json

import pyarrow as pa
import pyarrow.csv
from command_line import emjax_cli

ROWS = {
    "user": [1, 1, 2, 2],
    "model_a": ["x"] * 4,
    "model_b": ["y"] * 4,
    "winner": ["a", "b", "a", "b"],
    "asked": ["2 + 2?"] * 4,
    "answer_a": ["4", "4", "5", ""],
    "answer_b": ["4", "3", "4", "4"],
}


def test_training_pairs_are_counted_and_refuse_no_vote(tmp_path):
    pyarrow.csv.write_csv(pa.table(ROWS), tmp_path / "v.csv")
    found = emjax_cli("check", tmp_path / "v.csv", cwd=tmp_path).stdout
    assert "no training pairs: no column holds the prompt" in found and "--prompt COLUMN" in found
    found = emjax_cli("check", tmp_path / "v.csv", "--prompt", "asked", cwd=tmp_path).stdout
    assert "texts: prompt from 'asked', response_a from 'answer_a', response_b from 'answer_b'" in found
    assert "training pairs: 2 of 4 votes for one side give one; pairs of equal answers, 1, first at" in found
    assert "refused in training pairs: 1 of 4 votes for one side have no answer of model A" in found


def test_cancelled_annotations_are_said_by_check_and_fit(tmp_path):
    annotation = {"id": 1, "completed_by": 1, "was_cancelled": False}
    annotation["result"] = [{"type": "pairwise", "value": {"selected": "left"}}]
    given = [{**annotation, "completed_by": user} for user in range(4)] + [
        {**annotation, "was_cancelled": True}
    ]
    record = {"id": 1, "data": {"model_a": "ant", "model_b": "bee"}, "annotations": given}
    (tmp_path / "v.json").write_text(json.dumps([record] * 2))
    said = emjax_cli("check", "v.json", cwd=tmp_path).stdout
    assert said.startswith("8 of 8 rows are votes that count; left out: cancelled annotations 2\n")
    said = emjax_cli("fit", "v.json", "--strength", "known:0.8", "--out", "fitted", cwd=tmp_path).stdout
    assert "left out: cancelled annotations, 2" in said
    left_out = json.loads((tmp_path / "fitted" / "fit.json").read_text())["data"]["left_out"]
    assert left_out == {"cancelled annotations": 2}


def test_a_format_that_is_nearly_right_is_named(tmp_path):
    (tmp_path / "v.csv").write_text("user,model_a,model_b,winner\n1,x,y,a\n")
    found = emjax_cli("check", "v.csv", "--format", "argila", cwd=tmp_path, code=1)
    assert found.stderr.startswith("error: --format argila is not known: did you mean argilla? All are ")
