"""The page is self-contained, shows text as given, and is written whole or not at all."""

import html
import json
import os
import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emjax.errors import OutputError
from emjax.report import read_fit_folder, write_report
from emjax.report.read_fit_folder import read_users

VOID = {"meta", "hr", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Elements, ids and visible text; complains about tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.attributes, self.text = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture(scope="module", params=["single", "arena", "beta"])
def page(request):
    path = write_report(request.getfixturevalue(request.param))
    assert path.name == "report.html"
    return path.read_text(encoding="utf-8")


def words(text):
    return re.sub(r"\s+", " ", "".join(Page(text).text).replace("\u202f", " "))


def test_the_page_is_well_formed(page):
    parsed = Page(page)
    assert page.startswith("<!DOCTYPE html>")
    assert parsed.tags.count("h1") == 1
    assert len(parsed.ids) == len(set(parsed.ids))
    targets = {value[1:] for name, value in parsed.attributes if name == "href"}
    assert targets <= set(parsed.ids)


def test_the_page_loads_nothing(page):
    parsed = Page(page)
    assert "http" not in page.replace("http-equiv", "")
    assert not {"script", "link", "img", "image", "iframe", "object", "embed"} & set(parsed.tags)
    assert "@import" not in page
    assert all(value.startswith("#") for name, value in parsed.attributes if name in {"href", "src"})
    assert all(inside.startswith("#") for inside in re.findall(r"url\(([^)]*)\)", page))
    assert not any(name.startswith("on") for name, _ in parsed.attributes)


def test_each_figure_has_a_wide_and_a_narrow_version(page):
    tags = Page(page).tags
    figures = 5 if "leaderboard.parquet" in page else 4
    assert tags.count("svg") == 2 * figures
    assert tags.count("figure") == tags.count("figcaption") == figures
    assert page.count('role="img"') == 2 * figures
    assert "fill: #000000" not in page  # colours are the theme's


def test_names_from_files_are_escaped(arena):
    text = write_report(arena).read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>bold" not in text
    shown = words(text)
    for name in ["<script>alert(1)</script>", "$x_1$", "quote\"&amp;'", "模型-七", "line break\ufffd"]:
        assert shown.count(name) >= 4  # two pictures, the leaderboard, the parameters
    assert "\u202e" not in text
    assert "\x07" not in text


def test_texts_of_the_fit_are_escaped(copy_of, single):
    folder = copy_of(single)
    fit = json.loads((folder / "fit.json").read_text())
    markup = "</p><script>alert('x')</script>"
    fit |= {"message": markup, "outcome": markup, "converged": False, "emjax": markup}
    fit["identifiability"]["findings"][0] |= {"what": markup, "remedy": markup, "level": markup}
    fit["data"] |= {"source": markup, "left_out": {markup: 3.0}}
    fit["prior"]["type"] = fit["strength"]["type"] = markup
    fit["parameters"] = [
        {"name": markup, "estimate": 1.0, "std_err": None, "lower": None, "upper": None, "note": markup}
    ]
    (folder / "fit.json").write_text(json.dumps(fit))
    text = write_report(folder).read_text(encoding="utf-8")
    assert "<script" not in text
    assert markup in words(text)


HOSTILE = "</td></p><script>alert(1)</script>\"'&amp;{{ 7 * 7 }}{% raw %}"


def estimate(name, note):
    return {"name": name, "estimate": 0.3, "std_err": 0.9, "lower": -1.5, "upper": 2.1, "note": note}


def with_names(folder, name):
    """The folder of a fit in which models, users, columns and strata have a name."""
    fit = json.loads((folder / "fit.json").read_text())
    signed = {"column": name, "log": False, "names": [name], "words": [name], "values": [[1.0]], "scale": 2.0}
    signed |= {"edges": [], "levels": [], "signed": True}
    fit["strength"]["covariates"] = {"strata": {"cuts": [signed]}}
    fit["parameters"] = [estimate(f"effect of {name}", name), estimate(name, name)]
    strata = {"names": [name], "contexts": [name], "values": [[1.0]]}
    fit["behavior"]["features"] = {"strata": strata, "slopes": [0.5]}
    fit["identifiability"]["findings"] = []
    (folder / "fit.json").write_text(json.dumps(fit))
    for file, columns in {
        "users": ["user"],
        "leaderboard": ["model"],
        "comparisons": ["model_a", "model_b", "context", "consensus"],
    }.items():
        table = pq.read_table(folder / f"{file}.parquet").to_pydict()
        table |= {column: [name] * len(table["n_votes"]) for column in columns}
        table |= {"prob_consensus": [0.9] * len(table["n_votes"])} if file == "comparisons" else {}
        pq.write_table(pa.table(table), folder / f"{file}.parquet")
    return write_report(folder).read_text(encoding="utf-8")


def test_no_name_is_taken_for_html_or_for_a_template(copy_of, arena):
    folder = copy_of(arena)
    calm, page = with_names(folder, "calm"), with_names(folder, HOSTILE)
    assert Page(page).tags == Page(calm).tags
    kept = {"class", "id", "href", "scope"}  # others place the names in pictures
    attributes = [[(k, v if k in kept else "") for k, v in Page(one).attributes] for one in (page, calm)]
    assert attributes[0] == attributes[1]
    text = words(page)
    for where in (
        f"{HOSTILE}2.000.300.90",  # the covariate, its unit, its effect and the standard error
        f"attentive votes {HOSTILE}1.6562 %",
        f"see the standard errors of effect of {HOSTILE}, {HOSTILE}.",
        f"effect of {HOSTILE}0.300.90\u22121.50 to 2.10{HOSTILE}",  # a parameter and its note
        f"{HOSTILE}{HOSTILE}{HOSTILE}",  # the models and the context of a comparison
    ):
        assert where in text, where


def test_the_headlines(single, arena, beta):
    shown = words(write_report(arena).read_text(encoding="utf-8"))
    assert "124 users cast 6,755 votes in 190 comparisons of 20 models, read from crowd/*.csv." in shown
    assert "Left out: 3,471 (ties dropped), 2 (users with no vote left)." in shown
    assert "Optimality gap, estimated near this maximum3.1 × 10⁻⁷ units (tolerance 0.001)" in shown
    users = pq.read_table(arena / "users.parquet")
    careless = (users["attentiveness"].to_numpy() < 0.5).sum()
    assert f"{careless} users ({careless / 1.24:.0f} %) appear careless" in shown
    assert "Nothing: these votes determine every parameter" not in shown
    assert f"is the strongest of 20 models; {careless} of 124 users appear careless" in shown
    shown = words(write_report(single).read_text(encoding="utf-8"))
    assert "attentiveness times (strength - 1/2), but not the two separately" in shown
    assert "Give the strength if you know it: --strength known:0.74." in shown
    assert "How many of 400 users are careless is not determined" in shown
    assert "of users appear careless, on an assumed scale" in shown and "--policy top:0.7" in shown
    assert "trust the order of users" in shown
    shown = words(write_report(beta).read_text(encoding="utf-8"))
    assert "The fit has not converged, so all figures here are preliminary: how it ended" in shown
    assert "The fit has not converged. EM stopped after 1,000 steps. Allow more: --max-steps 5000." in shown
    assert "No vote was left out." in shown
    assert "Nothing: these votes determine every parameter" in shown


def test_the_answer_comes_first_and_the_log_likelihood_last(arena):
    text = write_report(arena).read_text(encoding="utf-8")
    order = [
        text.index(f'<section id="{name}">') for name in ("models", "users", "keeping", "parameters", "fit")
    ]
    assert order == sorted(order)
    assert "log-likelihood" not in words(text[: order[-1]] + "</main></body></html>")
    assert "log-likelihood" in text[order[-1] :]


def test_the_words_of_a_page_are_those_of_its_reader(copy_of, single):
    folder = copy_of(single)
    assert "Known(" not in words(write_report(folder).read_text(encoding="utf-8"))
    in_python = words(write_report(folder, python=True).read_text(encoding="utf-8"))
    assert "Give the strength if you know it: Known(0.74)." in in_python


@pytest.mark.parametrize(
    "change, said",
    [
        ({"lower": [0.9, 0.1, -0.9], "upper": [1.1, 0.3, -0.7]}, None),
        ({"lower": [0.2, 0.1, -0.9], "upper": [1.8, 0.3, -0.7]}, "bee comes next"),
        ({"lower": [None] * 3, "upper": [None] * 3}, "bee comes next"),
    ],
)
def test_a_lead_that_may_be_chance_is_called_that(make, tmp_path, change, said):
    folder = make["arena"](tmp_path, models=3, users=300)
    board = pq.read_table(folder / "leaderboard.parquet").to_pydict()
    board |= {"model": ["ant", "bee", "cat"], "strength": [1.0, 0.2, -0.8]} | change
    types = {name: pa.array(values, pa.float64()) for name, values in board.items() if name != "model"}
    pq.write_table(pa.table({"model": board["model"], **types}), folder / "leaderboard.parquet")
    shown = words(write_report(folder).read_text(encoding="utf-8"))
    assert "ant is the strongest of 3 models" in shown
    assert ("Whether ant is really the strongest is not certain" in shown) == (said is not None)
    assert said is None or said in shown


def test_no_model_leads_where_no_votes_connect_the_models(copy_of, arena):
    folder = copy_of(arena)
    board = pq.read_table(folder / "leaderboard.parquet")
    ranks = pa.array([1, 1, *range(2, len(board))])
    at = board.schema.get_field_index("rank")
    pq.write_table(board.set_column(at, "rank", ranks), folder / "leaderboard.parquet")
    assert "is the strongest" not in words(write_report(folder).read_text(encoding="utf-8"))


def test_a_parameter_at_its_bound_is_not_called_determined(copy_of, arena):
    bound = {"level": "note", "what": "At the edge.", "remedy": "More votes.", "about": "bound"}
    shown = changed(copy_of(arena), identifiability={"identified": False, "findings": [bound]}, parameters=[])
    assert "Every parameter that is not at the end of its range is determined" in shown
    assert "Part of the answer does not come from the votes" not in shown


def changed(folder, **changes):
    fit = json.loads((folder / "fit.json").read_text())
    (folder / "fit.json").write_text(json.dumps(fit | changes))
    return words(write_report(folder).read_text(encoding="utf-8"))


def settled(parameters: list[tuple[str, float, float | None]]) -> dict:
    rows = [dict(zip(("name", "estimate", "std_err"), p, strict=True)) for p in parameters]
    return {
        "identifiability": {"identified": True, "findings": []},
        "parameters": [row | {"lower": None, "upper": None, "note": ""} for row in rows],
    }


def test_large_standard_errors_are_mentioned_where_parameters_are_identified(copy_of, single):
    folder = copy_of(single)
    strengths = [("strength of a", 1.0, 0.2), ("strength of b", -1.0, 0.2), ("strength of c", 0.0, None)]
    good = settled([("low", 0.2, 0.12), ("a", 3.0, 0.7), *strengths])
    assert "Nothing: these votes determine every parameter of this model." in changed(folder, **good)
    for worse in (("low", 0.2, 0.13), ("a", 3.0, 0.8), ("strength of d", 0.1, 0.6)):
        shown = changed(folder, **settled([worse, *strengths]))
        assert f"though some of them hardly: see the standard errors of {worse[0]}." in shown
    many = settled([(f"point {i}", 0.5, 0.3) for i in range(5)])
    assert "see the standard errors of point 0, point 1, point 2 and 2 more." in changed(folder, **many)
    note = {"level": "note", "what": "A thing.", "remedy": "Do."}
    many["identifiability"]["findings"] = [note]
    assert "determined, though some of them hardly" in changed(folder, **many)


def test_users_at_the_upper_edge_of_a_grid_are_mentioned(copy_of, arena):
    folder = copy_of(arena)
    said = "But 42 % of the users are put at an attentiveness of 1, the edge of what is possible."
    calm = {"identifiability": {"identified": True, "findings": []}, "parameters": []}
    assert said in changed(folder, **calm)
    assert said not in changed(folder, **calm, strength={"type": "Known", "value": 0.7})


def test_the_order_of_users_is_recommended_only_if_users_differ(copy_of, single):
    folder = copy_of(single)
    said = "trust the order of users before any fixed cut"
    fit = json.loads((folder / "fit.json").read_text())
    assert said in changed(folder)
    shown = changed(folder, attentiveness=fit["attentiveness"] | {"sd": 1e-6})
    assert said not in shown and "These figures rest on more than the votes" in shown
    users = pq.read_table(folder / "users.parquet")
    ones = pa.array(np.ones(len(users)))
    pq.write_table(users.set_column(1, "n_votes", ones), folder / "users.parquet")
    comparison = pq.read_table(folder / "comparisons.parquet").to_pydict() | {"n_votes": [float(len(users))]}
    pq.write_table(pa.table(comparison), folder / "comparisons.parquet")
    assert users.schema.names[1] == "n_votes"
    assert said not in changed(folder, data=fit["data"] | {"n_votes": float(len(users))})


def test_the_limits_of_the_posterior_sd_are_stated(single, arena, beta):
    shown = [words(write_report(folder).read_text(encoding="utf-8")) for folder in (single, arena, beta)]
    assert all(
        "takes the fitted distribution of attentiveness and the fitted strengths as known" in s for s in shown
    )
    assert ["With as few users as here" in s for s in shown] == [False, True, False]


def test_tables_fold_after_twenty_rows(make, tmp_path):
    folder = make["arena"](tmp_path, models=70, users=300)
    text = write_report(folder).read_text(encoding="utf-8")
    shown = words(text)
    assert "The other 50 models" in shown
    assert "The 60 strongest of 70 models are drawn" in shown
    assert "The next 280 comparisons" in shown
    assert "All 2,415 are in comparisons.parquet" in shown
    pictures = "".join(re.findall(r"<svg.*?</svg>", text, re.DOTALL))
    assert "model-59" in pictures
    assert "model-60" not in pictures


def test_the_most_and_least_attentive_users_are_listed(arena, make, tmp_path):
    shown = words(write_report(arena).read_text(encoding="utf-8"))
    assert "The 10 most attentive users" in shown
    assert "The 10 least attentive users" in shown
    shown = words(write_report(make["beta"](tmp_path, users=12)).read_text(encoding="utf-8"))
    assert "All users, the most attentive first" in shown


def test_listed_users_have_the_extreme_posterior_means(arena):
    users = pq.read_table(arena / "users.parquet").to_pandas().sort_values("attentiveness")
    text = write_report(arena).read_text(encoding="utf-8")
    most, least = (
        text.split(f"The 10 {word} attentive users")[1].split("</table>")[0] for word in ("most", "least")
    )
    assert re.findall(r"<bdi>(.*?)</bdi>", least) == users["user"].head(10).map(html.escape).tolist()
    assert re.findall(r"<bdi>(.*?)</bdi>", most) == users["user"].tail(10)[::-1].map(html.escape).tolist()


def test_comparisons_without_models_are_shown_by_label(beta):
    text = write_report(beta).read_text(encoding="utf-8")
    assert '<th scope="row" class="text"><bdi>topic: cooking</bdi></th>' in text
    assert '<th scope="col" class="text">comparison</th>' in text


def test_simulated_truth_is_compared_with_the_fit(copy_of, arena):
    folder = copy_of(arena)
    users = pq.read_table(folder / "users.parquet").to_pydict()
    board = pq.read_table(folder / "leaderboard.parquet").to_pydict()
    by_user = {user: mean + 0.1 for user, mean in zip(users["user"], users["attentiveness"], strict=True)}
    strengths = {m: s + 5.0 for m, s in zip(board["model"], board["strength"], strict=True)}
    truth = {"attentiveness_by_user": by_user, "strengths": strengths}
    (folder / "truth.json").write_text(json.dumps(truth))
    shown = words(write_report(folder).read_text(encoding="utf-8"))
    assert "root mean square error of the posterior means 0.100" in shown
    assert "Strengthsroot mean square error" in shown
    assert "Upright strokes are the strengths" in shown


def test_the_page_is_small_for_very_many_users(make, tmp_path):
    folder = make["single"](tmp_path, users=500)
    rng = np.random.default_rng(0)
    users, n = 300_000, rng.lognormal(4, 1, 300_000).round() + 1
    table = {name: rng.random(users) for name in pq.read_schema(folder / "users.parquet").names}
    pq.write_table(pa.table(table | {"user": np.arange(users), "n_votes": n}), folder / "users.parquet")
    comparison = pq.read_table(folder / "comparisons.parquet").to_pydict() | {"n_votes": [n.sum()]}
    pq.write_table(pa.table(comparison), folder / "comparisons.parquet")
    fit = json.loads((folder / "fit.json").read_text())
    fit["data"] |= {"n_users": users, "n_votes": n.sum()}
    (folder / "fit.json").write_text(json.dumps(fit))
    path = write_report(folder)
    assert path.stat().st_size < 1_000_000
    assert "300,000 users, gathered in small cells" in words(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["single", "arena", "beta"])
@pytest.mark.parametrize("by_id", [True, False])
def test_users_read_in_batches_give_the_same_page(name, by_id, copy_of, request, monkeypatch):
    folder = copy_of(request.getfixturevalue(name))
    users = pq.read_table(folder / "users.parquet")
    near = (users["attentiveness"].to_numpy() * 0.9 + 0.02).tolist()
    true = dict(zip(map(str, users["user"].to_pylist()), near, strict=True)) if by_id else near
    (folder / "truth.json").write_text(json.dumps({"attentiveness_by_user": true}))
    whole = write_report(folder).read_text(encoding="utf-8")
    assert "root mean square error of the posterior means" in whole
    pq.write_table(users, folder / "users.parquet", row_group_size=50)
    for batch in (1, 7, 64):
        monkeypatch.setattr(read_fit_folder, "BATCH", batch)
        assert write_report(folder).read_text(encoding="utf-8") == whole


def test_equal_users_are_in_the_order_of_votes_then_rows_whatever_the_batch(copy_of, single):
    folder = copy_of(single)
    users = pq.read_table(folder / "users.parquet")
    rng = np.random.default_rng(0)
    table = {name: users[name].to_numpy() for name in users.schema.names}
    table["attentiveness"] = rng.integers(0, 4, len(users)) / 4.0
    table["n_votes"] = rng.integers(1, 6, len(users)).astype(float)
    pq.write_table(pa.table(table), folder / "users.parquet")
    eta, votes = table["attentiveness"], table["n_votes"]
    rows = range(len(users))
    most = sorted(rows, key=lambda i: (-eta[i], -votes[i], i))[:20]
    least = sorted(rows, key=lambda i: (eta[i], -votes[i], i))[:10]
    for batch in (1, 3, 100, 10_000):
        read = read_users(folder / "users.parquet", batch=batch)
        assert [row["user"] for row in read.most] == [table["user"][i] for i in most]
        assert [row["user"] for row in read.least] == [table["user"][i] for i in least]


def test_the_same_files_give_the_same_page(arena):
    first = write_report(arena).read_bytes()
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "text.usetex": True}):
        assert write_report(arena).read_bytes() == first
        assert matplotlib.rcParams["text.usetex"]


@pytest.mark.parametrize("name", ["fit.json", "users.parquet", "comparisons.parquet"])
@pytest.mark.parametrize("damage", ["missing", "broken"])
def test_a_missing_or_damaged_file_is_named_in_the_error(name, damage, copy_of, arena):
    folder = copy_of(arena)
    if damage == "missing":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
    (folder / "report.html").unlink(missing_ok=True)
    with pytest.raises(OutputError, match=name) as caught:
        write_report(folder)
    assert "\n" not in str(caught.value)
    assert "emjax fit VOTES" in str(caught.value)
    assert not [path for path in folder.iterdir() if "report" in path.name]


def damaged(folder, change):
    fit = json.loads((folder / "fit.json").read_text())
    (folder / "fit.json").write_text(json.dumps(change(fit)))
    return folder


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda fit: [1, 2], "is not an emjax fit"),
        (lambda fit: {"format": "other"}, "is not an emjax fit"),
        (lambda fit: fit | {"version": 3}, "has version 3 of the format"),
        (lambda fit: {k: v for k, v in fit.items() if k not in {"trace", "gap"}}, "without trace, gap"),
        (lambda fit: fit | {"data": fit["data"] | {"n_votes": 7.0}}, "belong to different fits"),
    ],
)
def test_a_file_that_is_not_a_fit_is_refused(change, said, copy_of, single):
    with pytest.raises(OutputError, match=said):
        write_report(damaged(copy_of(single), change))


def test_missing_and_nonnumeric_columns_are_refused(copy_of, single):
    folder = copy_of(single)
    users = pq.read_table(folder / "users.parquet")
    pq.write_table(users.drop_columns(["flip_rate"]), folder / "users.parquet")
    with pytest.raises(OutputError, match="no column flip_rate"):
        write_report(folder)
    words_ = pa.array(["much"] * len(users))
    i = users.schema.get_field_index("flip_rate")
    pq.write_table(users.set_column(i, "flip_rate", words_), folder / "users.parquet")
    with pytest.raises(OutputError, match="should hold numbers"):
        write_report(folder)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(OutputError, match="There is no folder"):
        write_report(tmp_path / "nowhere")


def test_a_failed_write_leaves_the_old_page(copy_of, single, monkeypatch):
    folder = copy_of(single)
    write_report(folder)
    (folder / "report.html").write_text("old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError, match="No space left on device"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "old"
    assert len(list(folder.glob("*report*"))) == 1
