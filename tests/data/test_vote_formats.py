"""Formats of the field: each is known by its columns, from every source, and read as it is meant."""

import json
import re
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import emjax
from emjax.data.style_covariates import style_columns
from emjax.data.vote_check import check_votes
from emjax.data.vote_formats import FORMATS, format_of
from emjax.errors import VotesError
from emjax.train import to_dpo_dataset

PAGE = Path(__file__).parents[2] / "docs" / "formats.md"
SAMPLES = {
    name: json.loads(row)
    for name, row in re.findall(
        r"^## ([\w-]+)\n\n```json\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
}
BOTH_ORDERS = ("mt-bench-pair", "arena-hard")


def source_of(kind, records, folder):
    """Records as a file or a table."""
    if kind == "jsonl":
        (folder / "v.jsonl").write_text("\n".join(map(json.dumps, records)))
        return folder / "v.jsonl"
    if kind == "json":
        (folder / "v.json").write_text(json.dumps(records, indent=2))
        return folder / "v.json"
    if kind == "pandas":
        return pd.DataFrame(records)
    table = pa.Table.from_pylist(records)
    if kind.endswith("parquet"):
        pq.write_table(table, folder / "v.parquet")
        return pd.read_parquet(folder / "v.parquet") if kind.startswith("pandas") else folder / "v.parquet"
    if kind == "duckdb":
        return duckdb.connect().from_arrow(table)
    return pl.from_arrow(table) if kind == "polars" else table


def wins_of(prefs):
    """Votes for each model."""
    counts = prefs.counts.sum(axis=0) if prefs.n_comparisons == 1 else prefs.wins.sum(axis=0)
    return dict(zip(prefs.comparisons[0], counts.tolist(), strict=True))


def test_every_format_has_a_sample():
    assert set(SAMPLES) == set(FORMATS)
    named = re.findall(r"^\| `([\w-]+)` \|", PAGE.read_text(), re.MULTILINE)
    assert named == list(FORMATS)


@pytest.mark.parametrize(
    "kind", ["jsonl", "json", "parquet", "pandas", "pandas of parquet", "polars", "pyarrow", "duckdb"]
)
@pytest.mark.parametrize("name", list(FORMATS))
def test_a_sample_is_known_and_the_bee_wins(name, kind, tmp_path):
    source = source_of(kind, [SAMPLES[name]] * 3, tmp_path)
    assert check_votes(source).form == name
    prefs = emjax.read_votes(source)
    votes = 6.0 if name in BOTH_ORDERS else 3.0
    assert wins_of(prefs) == {"ant": 0.0, "bee": votes}
    assert prefs.n_users == 1
    assert prefs.read_as.startswith(f"format {name} ")
    assert wins_of(emjax.read_votes(source, format=name)) == wins_of(prefs)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_format_that_is_insisted_on_says_what_it_misses(name):
    plain = pa.table({"user": [1], "model_a": ["ant"], "model_b": ["bee"], "vote": ["a"]})
    with pytest.raises(VotesError, match=f"this is no table of the format {name} .*which has a column"):
        emjax.read_votes(plain, format=name)
    assert format_of(plain.column_names, {}) is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("arenahard", "did you mean arena-hard.* All are lmarena, kaggle"),
        ("argila", "did you mean argilla"),
        ("LabelStudio", "did you mean label-studio or"),
        ("xyz", "give one of lmarena, kaggle"),
    ],
)
def test_a_format_of_another_name_is_refused(name, says):
    with pytest.raises(VotesError, match=rf"format='{name}' is not known \(command.*\): {says}"):
        emjax.read_votes(pa.table({"user": [1]}), format=name)


def test_options_go_before_what_a_format_says(tmp_path):
    rows = [{**SAMPLES["alpaca-eval"], "winner_by_hand": "a", "person": "x"}] * 2
    prefs = emjax.read_votes(source_of("jsonl", rows, tmp_path), user="person", winner="winner_by_hand")
    assert wins_of(prefs) == {"ant": 2.0, "bee": 0.0} and prefs.users.tolist() == ["x"]


@pytest.mark.parametrize("name", ["kaggle", "helpsteer"])
def test_tables_without_users_are_refused_with_the_reason(name, tmp_path):
    row = {key: value for key, value in SAMPLES[name].items() if key not in ("user", "user_id")}
    with pytest.raises(VotesError, match=f"the user.*this is the format {name} .*several votes of each user"):
        emjax.read_votes(source_of("jsonl", [row], tmp_path))


@pytest.mark.parametrize(
    ("number", "won"),
    [(-3, 1.0), (-1, 1.0), (-0.5, 1.0), (0, 0.5), ("-0.0", 0.5), (1, 0.0), (3, 0.0), (2.5, 0.0)],
)
def test_numbers_below_zero_prefer_the_first(number, won, tmp_path):
    row = {**SAMPLES["helpsteer"], "overall_preference": number}
    prefs = emjax.read_votes(source_of("jsonl", [row], tmp_path), ties="half")
    assert wins_of(prefs) == {"ant": won, "bee": 1.0 - won}


@pytest.mark.parametrize("number", [4, -7, "better", 17])
def test_numbers_out_of_range_are_refused(number, tmp_path):
    row = {**SAMPLES["helpsteer"], "overall_preference": number}
    with pytest.raises(VotesError, match="not understood"):
        emjax.read_votes(source_of("jsonl", [row], tmp_path))


def test_the_baseline_changes_its_side_between_games(tmp_path):
    games = [{"score": "A>B"}, {"score": "A>B"}]
    row = {**SAMPLES["arena-hard"], "games": games}
    assert wins_of(emjax.read_votes(source_of("jsonl", [row], tmp_path))) == {"ant": 1.0, "bee": 1.0}
    del row["baseline"]
    prefs = emjax.read_votes(source_of("jsonl", [row], tmp_path))
    assert wins_of(prefs) == {"baseline": 1.0, "bee": 1.0}


def test_a_game_without_a_score_is_an_empty_winner(tmp_path):
    row = {**SAMPLES["arena-hard"], "games": [{"score": None}, {"score": "A>B"}]}
    source = source_of("jsonl", [row], tmp_path)
    with pytest.raises(VotesError, match="1 of 2 rows have no winner"):
        emjax.read_votes(source)
    assert emjax.read_votes(source, empty_winner="drop").n_votes == 1


def test_cancelled_annotations_are_no_votes(tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    (first,) = row["annotations"]
    other = {**first, "completed_by": 9, "was_cancelled": True}
    choices = {**first, "completed_by": 4, "result": [{"type": "choices", "value": {"choices": ["left"]}}]}
    empty = {**first, "completed_by": 5, "result": []}
    row["annotations"] = [first, other, choices, empty]
    prefs = emjax.read_votes(source_of("json", [row], tmp_path), empty_winner="drop")
    assert wins_of(prefs) == {"ant": 1.0, "bee": 1.0}
    assert prefs.users.tolist() == ["4", "u1@example.org"]


def left_out_of(source, **options):
    """What reading leaves out, which a check of the same source must count alike."""
    left_out = emjax.read_votes(source, **options).left_out
    assert check_votes(source, **options).left_out == left_out
    return left_out


EVERY_KIND = ["jsonl", "json", "parquet", "pandas", "pandas of parquet", "polars", "pyarrow", "duckdb"]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_cancelled_annotations_are_counted(kind, tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    row["annotations"].append({**row["annotations"][0], "completed_by": {"id": 9}, "was_cancelled": True})
    source = source_of(kind, [row] * 2, tmp_path)
    assert left_out_of(source) == (("cancelled annotations", 2.0),)
    said = "left out: cancelled annotations"
    assert f"{said}, 2" in repr(emjax.read_votes(source)) and f"{said} 2" in str(check_votes(source))


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_drafts_and_discarded_responses_are_counted(kind, tmp_path):
    row = {**SAMPLES["argilla"], "preference.responses": ["response_b"] * 4}
    row["preference.responses.users"] = ["u1", "u2", "u3", "u4"]
    row["preference.responses.status"] = ["submitted", "draft", "discarded", "archived"]
    expected = [("discarded responses", 2.0), ("draft responses", 2.0)]
    expected.append(("responses that were not submitted", 2.0))
    assert left_out_of(source_of(kind, [row] * 2, tmp_path)) == tuple(expected)


@pytest.mark.parametrize("kind", ["jsonl", "pandas"])
def test_discarded_rankings_are_counted_beside_ties(kind, tmp_path):
    row = json.loads(json.dumps(ARGILLA["ranking of version 1"]))
    same = [{"rank": 1, "value": "response-1"}, {"rank": 1, "value": "response-2"}]
    row["preference"].append({"user_id": "u3", "status": "submitted", "value": same})
    source = source_of(kind, [row], tmp_path)
    left_out = emjax.read_votes(source).left_out
    assert left_out[:2] == (("ties dropped", 1.0), ("discarded responses", 1.0))
    assert check_votes(source).left_out == left_out[:2]


def test_what_is_no_vote_is_counted_over_files_and_shards(tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    row["annotations"].append({**row["annotations"][0], "was_cancelled": True})
    folder = tmp_path / "votes"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.jsonl").write_text(json.dumps(row))
    assert left_out_of(folder) == (("cancelled annotations", 3.0),)
    shards = emjax.aggregate(folder, tmp_path / "shards")
    assert shards.table.left_out == (("cancelled annotations", 3.0),)
    assert "left out: cancelled annotations, 3" in repr(shards)


@pytest.mark.parametrize("kind", ["jsonl", "pandas"])
def test_where_all_are_cancelled_the_error_counts_them(kind, tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    row["annotations"][0]["was_cancelled"] = True
    with pytest.raises(VotesError, match=r"holds no votes \(cancelled annotations, 2\)$"):
        emjax.read_votes(source_of(kind, [row] * 2, tmp_path))


@pytest.mark.parametrize("kind", ["jsonl", "pandas"])
def test_fields_of_records_are_named_as_they_are_there(kind, tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    row["annotations"].append({**row["annotations"][0], "result": []})
    source = source_of(kind, [row], tmp_path)
    found = check_votes(source)
    assert found.read_from == {"user": "completed_by in annotations", "winner": "result in annotations"}
    assert "user from 'annotator' (from completed_by in annotations), model_a from 'model_a'," in str(found)
    where = r"1 of 2 rows have no winner \(read from result in annotations of the format label-studio\)"
    with pytest.raises(VotesError, match=f"^{where}, first at vote 2: "):
        emjax.read_votes(source)
    with pytest.raises(VotesError, match=r"taken out of the format label-studio.*'task' from id,"):
        emjax.read_votes(source, user="who")


@pytest.mark.parametrize("kind", ["jsonl", "pandas"])
def test_a_field_that_holds_lists_is_named(kind, tmp_path):
    row = json.loads(json.dumps(SAMPLES["label-studio"]))
    row["annotations"][0]["completed_by"] = [1, 2]
    with pytest.raises(VotesError, match=r"column 'annotator' \(from completed_by in annotations of the fo"):
        emjax.read_votes(source_of(kind, [row], tmp_path))


def test_columns_that_say_together_who_won_are_named(tmp_path):
    rows = [SAMPLES["kaggle"], {**SAMPLES["kaggle"], "winner_model_a": 1}]
    read_from = "read from winner_model_a and winner_model_b and winner_tie of the format kaggle"
    with pytest.raises(
        VotesError, match=rf"^1 of 2 rows have no winner \({read_from}\), first at data row 2"
    ):
        emjax.read_votes(source_of("jsonl", rows, tmp_path))


def test_responses_without_their_users_are_refused_and_not_dropped(tmp_path):
    row = {**SAMPLES["argilla"], "preference.responses": ["response_b"] * 2}
    with pytest.raises(VotesError, match=r"1 of 2 rows have no user \(read from the user of each response"):
        emjax.read_votes(source_of("jsonl", [row], tmp_path))


def test_label_studio_as_csv(tmp_path):
    row = {**SAMPLES["label-studio-min"], "pw": json.dumps(SAMPLES["label-studio-min"]["pw"])}
    pd.DataFrame([row] * 2).to_csv(tmp_path / "v.csv", index=False)
    assert wins_of(emjax.read_votes(tmp_path / "v.csv")) == {"ant": 0.0, "bee": 2.0}


ARGILLA = {
    "nested": {
        "id": "r1",
        "status": "completed",
        "_server_id": "x",
        "fields": {"prompt": "2 + 2?"},
        "metadata": {"model_a": "ant", "model_b": "bee"},
        "suggestions": {},
        "responses": {"preference": [{"value": "response-2", "user_id": "u1"}]},
    },
    "ranking of version 1": {
        "prompt": "2 + 2?",
        "model_a": "ant",
        "model_b": "bee",
        "external_id": "r1",
        "preference-suggestion": None,
        "preference": [
            {
                "user_id": "u1",
                "status": "submitted",
                "value": [{"rank": 2, "value": "response-1"}, {"rank": 1, "value": "response-2"}],
            },
            {"user_id": "u2", "status": "discarded", "value": [{"rank": 1, "value": "response-1"}]},
        ],
    },
}


@pytest.mark.parametrize("shape", list(ARGILLA))
@pytest.mark.parametrize("kind", ["jsonl", "pandas"])
def test_other_shapes_of_argilla(shape, kind, tmp_path):
    prefs = emjax.read_votes(source_of(kind, [ARGILLA[shape]], tmp_path))
    assert wins_of(prefs) == {"ant": 0.0, "bee": 1.0} and prefs.users.tolist() == ["u1"]


def test_a_draft_is_no_vote_and_a_shared_first_rank_is_a_tie(tmp_path):
    row = {**SAMPLES["argilla"], "preference.responses": ["response_a", "response_b"]}
    row |= {"preference.responses.users": ["u1", "u2"], "preference.responses.status": ["draft", "submitted"]}
    assert emjax.read_votes(source_of("jsonl", [row], tmp_path)).users.tolist() == ["u2"]
    equal = json.loads(json.dumps(ARGILLA["ranking of version 1"]))
    equal["preference"][0]["value"] = [{"rank": 1, "value": "response-1"}, {"rank": 1, "value": "response-2"}]
    prefs = emjax.read_votes(source_of("jsonl", [equal], tmp_path), ties="half")
    assert wins_of(prefs) == {"ant": 0.5, "bee": 0.5}


@pytest.mark.parametrize(
    ("word", "won"),
    [
        *(("A>B", 1.0), ("A >> B", 1.0), ("A is better", 1.0), ("B>A", 0.0), ("A=B", 0.5), ("tie", 0.5)),
        *(
            ("a", 1.0),
            ("2", 0.0),
            ("response-1", 1.0),
            ("Response 2", 0.0),
            ("answer_b", 0.0),
            ("right", 0.0),
        ),
    ],
)
def test_words_of_argilla_mean_what_they_mean_elsewhere(word, won, tmp_path):
    if word == "2":
        word, won = "response2", 0.0
    row = {**SAMPLES["argilla"], "preference.responses": [word]}
    prefs = emjax.read_votes(source_of("jsonl", [row], tmp_path), ties="half")
    assert wins_of(prefs) == {"ant": won, "bee": 1.0 - won}


@pytest.mark.parametrize(
    "word", ["A is better than B", "prefer A over B", "both A and B", "banana", "plan b!"]
)
def test_words_of_argilla_that_could_be_misread_are_refused(word, tmp_path):
    row = {**SAMPLES["argilla"], "preference.responses": [word]}
    with pytest.raises(VotesError, match="1 of 1 rows have a winner that is not understood"):
        emjax.read_votes(source_of("jsonl", [row], tmp_path))


def test_several_questions_have_to_be_named(tmp_path):
    nested = ARGILLA["nested"]
    answers = {
        "helpful": [{"value": "response-1", "user_id": "u1"}],
        "safe": nested["responses"]["preference"],
    }
    source = source_of("jsonl", [{**nested, "responses": answers}], tmp_path)
    with pytest.raises(VotesError, match=r"several questions \('helpful', 'safe'\).*winner='NAME'"):
        emjax.read_votes(source)
    assert wins_of(emjax.read_votes(source, winner="helpful")) == {"ant": 1.0, "bee": 0.0}
    assert wins_of(emjax.read_votes(source, winner="safe")) == {"ant": 0.0, "bee": 1.0}


def test_the_judge_of_a_run_and_invalid_choices_of_evals(tmp_path):
    lines = [{"spec": {"completion_fns": ["ant", "judge_9"]}}]
    models = {"model_a": "ant", "model_b": "bee"}
    for choice in ("Yes", "No", "B", "__invalid__"):
        lines.append({"run_id": "r", "event_id": 1, "type": "metrics", "data": {"choice": choice, **models}})
    lines += [
        {"run_id": "r", "event_id": 2, "type": "sampling", "data": {"prompt": "?"}},
        {"final_report": {}},
    ]
    prefs = emjax.read_votes(source_of("jsonl", lines, tmp_path), empty_winner="drop")
    assert wins_of(prefs) == {"ant": 1.0, "bee": 2.0} and prefs.users.tolist() == ["judge_9"]


def test_half_a_character_in_a_text_is_refused_in_one_line(tmp_path):
    text = json.dumps(SAMPLES["label-studio"]).replace("2 + 2?", "\\ud83d?")
    (tmp_path / "v.jsonl").write_text(text)
    with pytest.raises(VotesError, match=r"Malformed JSON.*no low surrogate in string") as error:
        emjax.read_votes(tmp_path / "v.jsonl")
    assert "\n" not in str(error.value)


def test_a_file_without_votes_says_so(tmp_path):
    row = {**SAMPLES["label-studio"], "annotations": []}
    with pytest.raises(VotesError, match=r"of the format label-studio .*holds no votes"):
        emjax.read_votes(source_of("jsonl", [row], tmp_path))


def test_a_filter_writes_the_votes_one_by_one(tmp_path):
    rows = [json.loads(json.dumps(SAMPLES["label-studio"])) for _ in range(6)]
    for number, row in enumerate(rows):
        row["annotations"][0]["id"] = number
        row["data"]["answer1"], row["data"]["answer2"] = f"no {number}", f"yes {number}"
    source = source_of("json", rows, tmp_path)
    fit = emjax.fit_em(emjax.read_votes(source), emjax.Fixed(emjax.Beta(2, 2)), strength=emjax.Known(0.8))
    pairs = to_dpo_dataset(source, fit, emjax.Weights(), folder=tmp_path / "dpo")
    assert [row["chosen"] for row in pairs] == [f"yes {number}" for number in range(6)]
    assert pairs[0]["prompt"] == "2 + 2?" and pairs[0]["rejected"] == "no 0"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def spoiled(draw):
    """A sample in which a few values are replaced by others, or gone."""
    record = json.loads(json.dumps(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]))
    for _ in range(draw(st.integers(1, 3))):
        held = record
        while True:
            keys = list(held) if isinstance(held, dict) else list(range(len(held)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(held[key], dict | list) and held[key] and draw(st.booleans()):
                held = held[key]
                continue
            held[key] = draw(JSON)
            break
    return record


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(spoiled(), min_size=1, max_size=3), kind=st.sampled_from(["jsonl", "json", "pandas"]))
def test_spoiled_records_are_votes_or_one_line(records, kind, tmp_path):
    source = source_of(kind, records, tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", emjax.EmjaxWarning)
        try:
            said = repr(emjax.read_votes(source, empty_winner="drop"))
        except VotesError as error:
            said = f"refused: {error}"
    assert said.startswith("Preferences: ") or "\n" not in said


COUNTS = SAMPLES["lmarena"]["conv_metadata"]
STYLE = {
    "length_difference": -190.0,
    "header_difference": 1.0,
    "list_difference": 4.0,
    "bold_difference": 2.0,
}


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "pandas", "polars", "pyarrow", "duckdb"])
def test_counts_of_style_are_covariates(kind, tmp_path):
    turned = {"a": "b", "b": "a"}
    other = {
        re.sub("_([ab])(?=_|$)", lambda found: "_" + turned[found[1]], name): value
        for name, value in COUNTS.items()
    }
    rows = [SAMPLES["lmarena"], {**SAMPLES["lmarena"], "conv_metadata": other}] * 2
    source = source_of(kind, rows, tmp_path)
    prefs = emjax.read_votes(source, covariates=list(STYLE))
    assert prefs.strata is not None and prefs.n_comparisons == 2
    values = np.abs(np.array([[float(x) for x in re.findall(r"-?[\d.]+", of)] for of in prefs.contexts]))
    np.testing.assert_allclose(values, np.abs([list(STYLE.values())] * 2))
    found = check_votes(source)
    assert any("length_difference" in note for note in found.notes)


def test_counts_of_style_as_text_in_a_csv(tmp_path):
    row = {**SAMPLES["lmarena"], "conv_metadata": json.dumps(COUNTS)}
    other = {**row, "conv_metadata": json.dumps({**COUNTS, "sum_assistant_a_tokens": 500})}
    pd.DataFrame([row, other]).to_csv(tmp_path / "v.csv", index=False)
    prefs = emjax.read_votes(tmp_path / "v.csv", covariates=["length_difference"])
    assert sorted(prefs.contexts) == ["length_difference -190", "length_difference 190"]


def test_a_column_of_that_name_goes_before_the_counts():
    assert "length_difference" not in style_columns(["conv_metadata", "length_difference"])
    assert style_columns(["length_difference"]) == ()


def test_style_covariates_through_aggregate_and_filter(tmp_path):
    rng = np.random.default_rng(3)
    rows = []
    for number in range(60):
        counts = {**COUNTS, "sum_assistant_a_tokens": int(rng.integers(1, 600))}
        winner = ["model_a", "model_b"][int(rng.integers(2))]
        rows.append({**SAMPLES["lmarena"], "winner": winner, "conv_metadata": counts})
        rows[-1] |= {"evaluation_session_id": f"s{number % 5}", "id": number}
    source = source_of("jsonl", rows, tmp_path)
    prefs = emjax.read_votes(source, covariates=["length_difference"], covariate_bins=4)
    shards = emjax.aggregate(source, tmp_path / "shards", covariates=["length_difference"], covariate_bins=4)
    both = shards.table
    assert sorted(both.contexts) == sorted(prefs.contexts)
    assert both.votes.sum() == prefs.n_votes
