"""Rankings by context on the page, in CSV files and in pictures; folders written before there were any."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from command_line import emjax_cli
from scipy.special import expit

from emjax.errors import ModelError
from emjax.report import plot_leaderboard, write_report
from emjax.report.leaderboard_blocks import rankings
from emjax.report.leaderboard_files import on_scale, read_board, write_csv
from emjax.report.leaderboard_picture import leaderboard_picture
from emjax.report.read_fit_folder import load_report_files

MODELS = ["ant in code", "<b>bee</b>", 'cat "c"', "dog"]
# Best first. With votes in these shares, dog is worst overall and ant best.
ORDERS = {"x in y": [0, 1, 2, 3], "in": [0, 2, 1, 3], "<i>&amp;</i>": [1, 0, 3, 2]}
SHARES = [0.5, 0.3, 0.2]


class Parts(HTMLParser):
    """The summaries of a part of a page, and the names in each of its tables."""

    def __init__(self, text):
        super().__init__()
        self.summaries, self.tables, self.open = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.summaries += [""] * (tag == "summary")
        self.tables += [[] for _ in range(tag == "table")]
        if tag == "bdi" and "table" in self.open:
            self.tables[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "summary" in self.open:
            self.summaries[-1] += data
        if "table" in self.open and "bdi" in self.open:
            self.tables[-1][-1] += data


def words(text):
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What the command writes for votes on three topics with odd names, whose orders of models differ."""
    where, rng = tmp_path_factory.mktemp("contexts"), np.random.default_rng(0)
    n = 9_000
    user, topic = rng.integers(150, size=n), rng.choice(3, n, p=SHARES)
    a = rng.integers(4, size=n)
    b = (a + rng.integers(1, 4, n)) % 4
    place = np.array([np.argsort(order) for order in ORDERS.values()])
    p = 0.5 + np.where(user < 100, 0.95, 0.1) * (expit(1.0 * (place[topic, b] - place[topic, a])) - 0.5)
    won, names = rng.random(n) < p, np.array(MODELS, object)
    table = {
        "user": user, "model_a": names[a], "model_b": names[b], "lang": np.array(list(ORDERS), object)[topic],
        "winner": np.where(won, "model_a", "model_b"),
    }  # fmt: skip
    pyarrow.csv.write_csv(pa.table(table), where / "votes.csv")
    words_ = ["fit", "votes.csv", "--context", "lang", "--prior", "two-point", "--out", "fitted"]
    emjax_cli(*words_, "--csv", "b.csv", "--plot", "b.png", "--scale", "elo", cwd=where)
    return where


def named(order):
    return [MODELS[i] for i in order]


def test_the_table_has_the_overall_ranking_and_one_for_each_context(folder):
    board = read_board(folder / "fitted")
    overall, by_context = rankings(board)
    assert list(board)[:2] == ["context", "model"]
    assert board["context"].tolist() == [None] * 4 + [of for of in ORDERS for _ in MODELS]
    assert overall["model"].tolist()[0] == MODELS[0] and overall["rank"].tolist() == [1, 2, 3, 4]
    assert {of: one["model"].tolist() for of, one in by_context.items()} == {
        of: named(order) for of, order in ORDERS.items()
    }
    assert list(by_context) == list(ORDERS)  # most votes first
    assert all(one["rank"].tolist() == [1, 2, 3, 4] for one in by_context.values())
    assert overall["n_votes"].sum() == sum(one["n_votes"].sum() for one in by_context.values()) == 18_000


def test_the_page_has_the_overall_ranking_and_a_table_for_each_context(folder):
    text = (folder / "fitted" / "report.html").read_text(encoding="utf-8")
    section = text[text.index('<section id="models">') : text.index('<section id="users">')]
    found = Parts(section)
    overall = rankings(read_board(folder / "fitted"))[0]["model"].tolist()
    assert found.tables == [overall, *(named(order) for order in ORDERS.values())]
    assert len(found.summaries) == 3 and section.count("<details open>") == 1
    for said, (of, order) in zip(found.summaries, ORDERS.items(), strict=True):
        assert re.match(
            rf"{re.escape(of)}: [\d,]+ votes, {re.escape(MODELS[order[0]])} is first of 4 models$",
            words(said),
        ), said
    assert section.count("<figure>") == 4 and section.count("<svg") == 8
    shown = words(re.sub(r"<[^>]*>", "", section))
    assert "with a standard deviation of 1.00 in log-odds" in shown
    assert "a model with few votes in a context stands near its overall place" in shown
    assert "<b>bee" not in text and "<i>&amp;</i>" not in text
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert "ant in code is the strongest of 4 models overall" in text


def test_the_csv_and_the_picture_are_written(folder):
    board = pyarrow.csv.read_csv(folder / "b.csv").to_pydict()
    assert board["context"] == ["overall"] * 4 + [of for of in ORDERS for _ in MODELS]
    assert board["model"][4:8] == named(ORDERS["x in y"])
    for first in range(0, 16, 4):
        assert np.mean(board["strength"][first : first + 4]) == pytest.approx(1000.0, abs=0.01)
    assert (folder / "b.png").read_bytes()[:4] == b"\x89PNG"


def test_scales_are_within_a_ranking():
    board = {
        "context": np.array([None, None, "x", "x", "y"], object), "component": np.array([1, 1, 1, 1, 1]),
        "model": np.array(["a", "b", "a", "b", "a"], object), "std_err": np.full(5, 0.1),
        "strength": np.array([0.5, -0.5, 1.0, -1.0, 0.0]),
    }  # fmt: skip
    rate = on_scale(board, "win-rate")
    np.testing.assert_allclose(rate["strength"][:4], expit([1.0, -1.0, 2.0, -2.0]))
    assert np.isnan(rate["strength"][4]) and np.isnan(rate["std_err"][4])  # alone: there is no field


def test_a_model_without_a_field_has_no_win_rate_in_the_csv_file(tmp_path):
    board = {"model": np.array(["a"], object), "strength": np.zeros(1), "component": np.ones(1, int)}
    write_csv(on_scale(board, "win-rate"), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[1] == '"a",,1'


def test_the_picture_has_a_panel_for_each_context(folder):
    board = read_board(folder / "fitted")
    figure = leaderboard_picture(board)
    first, *panels = figure.axes
    assert len(panels) == 3
    assert [t.get_text() for t in first.get_yticklabels()] == rankings(board)[0]["model"].tolist()
    for ax, order in zip(panels, ORDERS.values(), strict=True):
        assert [t.get_text() for t in ax.get_yticklabels()] == named(order)
        assert ax.get_xlim() == panels[0].get_xlim() and ax.get_legend() is None
    headings = [text.get_text() for text in figure.texts]
    assert [said.rsplit(":", 1)[0] for said in headings[:-1]] == list(ORDERS)
    assert headings[-1] == "Strength (log-odds) in each context, shrunk to the overall ranking."


def with_contexts(folder, n_contexts):
    """The folder of a fit whose leaderboard is given to so many contexts too."""
    board = pq.read_table(folder / "leaderboard.parquet")
    parts = [
        board.add_column(0, "context", pa.array([of] * len(board), pa.string()))
        for of in [None, *(f"c{i:03d}" for i in range(n_contexts))]
    ]
    pq.write_table(pa.concat_tables(parts), folder / "leaderboard.parquet")
    fit = json.loads((folder / "fit.json").read_text())
    fit["strength"]["l2_context"] = 4.0
    (folder / "fit.json").write_text(json.dumps(fit))
    return folder


def test_of_many_contexts_the_page_and_the_picture_show_those_of_most_votes(copy_of, arena):
    folder = with_contexts(copy_of(arena), 115)
    text = write_report(folder).read_text(encoding="utf-8")
    section = text[text.index('<section id="models">') : text.index('<section id="users">')]
    found = Parts(section)
    assert len([said for said in found.summaries if re.match(r"c\d", said)]) == 12
    shown = words(re.sub(r"<[^>]*>", "", section))
    assert "standard deviation of 0.50 in log-odds" in shown
    assert "Contexts with fewer votes, which are in leaderboard.parquet: c012, c013," in shown
    assert shown.endswith("c110, c111 and 3 more.")
    files = load_report_files(folder)
    assert len(files.by_context) == 115 and len(files.leaderboard["model"]) == 20
    board = read_board(folder) | {"component": np.ones(116 * 20, int)}
    figure = leaderboard_picture(board)
    assert len(figure.axes) == 13
    assert figure.texts[0].get_text().endswith("votes, 15 of 20 models")
    assert figure.texts[-1].get_text().endswith("The 12 contexts with most votes, of 115.")


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "arrays"])
def test_a_ranking_is_chosen_by_its_context(kind, folder):
    table = pq.read_table(folder / "fitted" / "leaderboard.parquet")
    pl = pytest.importorskip("polars")
    given = {"pandas": table.to_pandas, "polars": lambda: pl.from_arrow(table), "arrow": lambda: table}
    board = given.get(kind, lambda: read_board(folder / "fitted"))()
    of, order = list(ORDERS.items())[1]
    names = [t.get_text() for t in plot_leaderboard(board, context=of).get_yticklabels()]
    assert names == named(order)
    assert len(plot_leaderboard(board).get_yticklabels()) == 4
    with pytest.raises(ModelError, match=r"no context 'z': give one of those it has \('x in y', 'in'"):
        plot_leaderboard(board, context="z")


def test_folders_written_before_there_were_contexts_are_read(folder, tmp_path):
    """There a model in a context is one name, and all are in one list."""
    board = pq.read_table(folder / "fitted" / "leaderboard.parquet").to_pylist()
    rows = [row | {"model": f"{row['model']} in {row['context']}"} for row in board if row["context"]]
    old = pa.Table.from_pylist(rows).drop_columns(["context"])
    for path in (folder / "fitted").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    pq.write_table(old, tmp_path / "leaderboard.parquet")
    emjax_cli("report", tmp_path, cwd=folder)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "ant in code in x in y" in text and "In each context" not in text
    filter_ = ("filter", "votes.csv", "--context", "lang", "--policy", "weights")
    emjax_cli(*filter_, "--fit", tmp_path, "--out", tmp_path / "kept", cwd=folder)
    kept = pq.read_table(tmp_path / "kept" / "votes.parquet")
    emjax_cli(*filter_, "--fit", "fitted", "--out", tmp_path / "again", cwd=folder)
    assert kept.equals(pq.read_table(tmp_path / "again" / "votes.parquet"))
