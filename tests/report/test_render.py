"""Templates escape what they are given, take what they name, and are all shipped and used."""

import re
from importlib.resources import files

import jinja2
import pytest

from emjax.report.render import environment, prepare, render
from emjax.report.svg import VARIABLES, SvgAxes
from emjax.report.tables import Column, Table, folded

TEMPLATES = {
    file.name: file.read_text(encoding="utf-8")
    for file in files("emjax.report").joinpath("templates").iterdir()
}


def part(monkeypatch, call: str, **content) -> str:
    """What a macro of parts.html makes of some content."""
    source = '{% from "parts.html" import name, table_of %}' + call
    monkeypatch.setattr(environment(), "loader", jinja2.DictLoader(TEMPLATES | {"call.html": source}))
    return render("call.html", **content)


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(jinja2.UndefinedError, match="title"):
        render("page.html")


def test_text_is_escaped_and_a_picture_is_not(monkeypatch):
    assert part(monkeypatch, "{{ name(text) }}", text="<b>\n\u202e&") == "<bdi>&lt;b&gt; \ufffd&amp;</bdi>"
    ax = SvgAxes(4.0, 3.0, prefix="a", label="<i>")
    assert part(monkeypatch, "{{ text }}", text=ax) == ax.svg()
    assert 'aria-label="&lt;i&gt;"' in ax.svg()


def test_every_cell_of_a_table_is_escaped(monkeypatch):
    columns = [Column("<a>", "text", names=True), Column("<b>", error="<c>"), Column("<d>", "less")]
    table = Table(columns, [("<e>", ("<f>", "<g>"), "<h>"), ("1", "2", "3")], "<i>")
    html = part(monkeypatch, "{{ table_of(table) }}", table=table)
    assert sorted(re.findall(r"&lt;(\w)&gt;", html)) == list("abcdefghi")
    assert not re.findall(r"<[a-i]>", html)
    assert '<th scope="row" class="text"><bdi>1</bdi></th><td>2</td><td class="less">3</td>' in html
    assert '<span class="quiet less">\u00a0±\u00a0&lt;g&gt;</span>' in html.replace("&nbsp;", "\u00a0")


@pytest.mark.parametrize(
    ("rows", "total", "shown", "summary", "all_of_them"),
    [
        (24, 24, 24, "", ""),
        (25, 25, 20, "The other 5 votes", ""),
        (300, 1234, 20, "The next 280 votes", "All 1,234 are in <code>x.parquet</code>."),
    ],
)
def test_long_tables_are_folded(rows, total, shown, summary, all_of_them, monkeypatch):
    table = folded([Column("n")], [(str(i),) for i in range(rows)], total, "votes", "x.parquet")
    assert (len(table.rows), table.summary) == (shown, summary)
    html = part(monkeypatch, "{{ table_of(table) }}", table=table)
    assert re.findall(r'<th scope="row">(\d+)</th>', html) == [str(i) for i in range(rows)]
    assert (f"<details><summary>{summary}</summary>" in html) == bool(summary)
    assert re.findall(r'<p class="quiet">(.*?)</p>', html) == [all_of_them] * bool(all_of_them)


def test_both_themes_have_every_color():
    page = render("page.html", title="")
    light, dark = (set(re.findall(r"--([\w-]+):#\w{6};", part)) for part in page.split("@media screen")[:2])
    assert light == dark == set(VARIABLES) | {"note", "warning"}
    assert set(re.findall(r"var\(--([\w-]+)\)", page)) <= light


def test_every_template_compiles_and_is_used():
    prepare()
    assert sorted(TEMPLATES) == environment().list_templates()
    used = "\n".join(TEMPLATES.values()) + '"fit.html" "filter.html"'
    assert {name for name in TEMPLATES if f'"{name}"' not in used} == set()
