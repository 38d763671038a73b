"""Columns: common names are recognised; a missing one is reported with similar names."""

import pytest

from emjax.data.columns import ROLES, recognise
from emjax.errors import VotesError


@pytest.mark.parametrize(
    "columns",
    [
        ["user", "model_a", "model_b", "winner"],
        ["USER_ID", "Model A", "model-b", "Vote"],
        ["worker", "model_x", "model_y", "winner"],
        ["judge", "left_model", "right_model", "preference"],
        ["annotator", "model_left", "model_right", "choice"],
        ["rater_id", "model_1", "model_2", "label"],
        ["voter", "model1", "model2", "outcome"],
    ],
)
def test_common_names_are_recognised(columns):
    assert recognise(columns, {}) == dict(zip(ROLES, range(4), strict=True))


def test_other_columns_do_not_matter():
    columns = ["id", "prompt", "model_x", "model_y", "worker", "winner", "left", "right"]
    assert recognise(columns, {}) == {"user": 4, "model_a": 2, "model_b": 3, "winner": 5}


def test_a_column_that_is_told_goes_first():
    columns = ["user", "who", "model_a", "model_b", "winner"]
    assert recognise(columns, {"user": "who"})["user"] == 1
    assert recognise(columns, {"user": "WHO"})["user"] == 1


def test_the_very_name_of_a_role_settles_it():
    assert recognise(["user_id", "user", "model_a", "model_b", "winner"], {})["user"] == 1


def test_case_distinguishes_columns_only_where_needed():
    columns = ["who", "Who", "model_a", "model_b", "winner"]
    assert recognise(columns, {"user": "Who"})["user"] == 1
    with pytest.raises(
        VotesError, match="the user could be any of 'who', 'Who': say which with user='COLUMN'"
    ):
        recognise(columns, {"user": "WHO"})


def test_two_candidates_are_not_chosen_between():
    with pytest.raises(VotesError, match="the user could be any of 'worker', 'judge': say which with user="):
        recognise(["worker", "judge", "model_a", "model_b", "winner"], {})


def test_a_missing_column_is_named_with_the_closest_and_the_option():
    with pytest.raises(VotesError) as error:
        recognise(["usr", "modela", "model_b", "winner"], {}, where="of votes.csv")
    assert str(error.value) == (
        "no column holds the user, the closest is 'usr': give user='COLUMN' (command line: --user COLUMN); "
        "no column holds model A, the closest is 'modela' or 'model_b': give model_a='COLUMN' "
        "(command line: --model-a COLUMN) (columns of votes.csv: 'usr', 'modela', 'model_b', 'winner')"
    )


def test_a_misspelt_name_is_named_with_the_closest():
    with pytest.raises(
        VotesError, match="there is no column 'workr', the closest is 'worker': give user='COLUMN'"
    ):
        recognise(["worker", "model_a", "model_b", "winner"], {"user": "workr"})


def test_many_columns_are_not_all_listed():
    with pytest.raises(VotesError, match=r"'x11' and 88 more\)"):
        recognise([f"x{place}" for place in range(100)], {})


def test_no_columns_at_all():
    with pytest.raises(VotesError, match=r"no column holds the user: give .*\(columns: none\)"):
        recognise([], {})
