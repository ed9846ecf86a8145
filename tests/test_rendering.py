"""Nothing from outside becomes markup, in HTML or Markdown; every cell has its unit."""

from __future__ import annotations

from html.parser import HTMLParser

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from perflab import rendering

HOSTILE = "a|b `c` <script>alert(1)</script> [x](javascript:alert(1)) ![y](http://e/x.png) **b** \\ $z$ # ~~q~~\n- n"


class Seen(HTMLParser):
    """The tags, attributes and text of a document."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.text += data


@given(st.text(max_size=60))
def test_any_text_is_only_text_in_html(text):
    seen = Seen(rendering.html(text, pd.DataFrame({"sql": [text]}), [text]))
    assert set(seen.tags) <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li"}
    assert {name for name, _ in seen.attributes} <= {"class", "style"}


@given(st.text(max_size=60))
def test_any_text_is_only_text_in_markdown(text):
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = markdown.parse(rendering.markdown_text(text))
    kinds = {t.type for t in tokens} | {c.type for t in tokens for c in t.children or ()}
    assert kinds <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    shown = "".join(c.content for t in tokens for c in t.children or ())
    assert shown.split() == rendering.visible(text).split()


@given(st.lists(st.text(max_size=30), min_size=1, max_size=4))
def test_a_markdown_table_has_its_rows_whatever_is_in_the_cells(cells):
    markdown = MarkdownIt("commonmark").enable("table")
    page = markdown.render(rendering.markdown_table(pd.DataFrame({"sql": cells, HOSTILE: cells})))
    seen = Seen(page)
    assert seen.tags.count("tr") == len(cells) + 1
    assert seen.tags.count("td") == 2 * len(cells)
    assert set(seen.tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_hostile_text_is_readable_in_both():
    flat = " ".join(HOSTILE.split())
    assert flat in " ".join(Seen(rendering.html(HOSTILE)).text.split())
    rendered = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(rendering.markdown_text(HOSTILE))
    assert Seen(rendered).text.strip() == flat


def test_unseen_characters_are_shown_as_such():
    assert rendering.visible("a\u202eb\x00c\ud800d\u00a0e") == "a�b�c�d e"
    assert rendering.visible("a\tb\nc") == "a\tb\nc"


def test_long_cells_and_tables_are_bounded_and_say_so():
    frame = pd.DataFrame({"sql": ["x" * 10_000] * 200})
    grid = rendering.grid(frame)
    assert len(grid.rows) == rendering.MAX_ROWS and grid.left_out == 140
    assert len(grid.rows[0][0]) == rendering.MAX_CELL
    assert "140 more rows" in rendering.html("", frame)
    assert "140 more rows" in rendering.text("", frame)
    assert "140 more rows" in rendering.markdown_table(frame)


def test_of_a_long_statement_the_end_is_shown():
    """An ORM's statements begin alike, with all columns of a table: they differ in what follows."""
    columns = ", ".join(f"shift.column_{i}" for i in range(40))
    both = pd.DataFrame(
        {"sql": [f"select {columns} from shift where shift.{key} = ?" for key in ("ward_id", "nurse_id")], "n": 1}
    )
    for shown in (rendering.text("", both), rendering.html("", both), rendering.markdown_table(both)):
        flat = shown.replace("\\_", "_")
        assert "select shift.column… from shift where shift.ward_id = ?" in flat
        assert "select shift.column… from shift where shift.nurse_id = ?" in flat
    assert rendering.shortened("a" * 50 + "b" * 50, 30) == "a" * 19 + "…" + "b" * 10
    assert rendering.shortened("select a from b", 15) == "select a from b"


def test_units_come_from_the_columns():
    frame = pd.DataFrame({"p95_ms": [182.4], "rss_bytes": [1.5e6], "error_fraction": [0.012], "ok": [True]})
    assert rendering.grid(frame).rows == (("182 ms", "1.5 MB", "1.2 %", "yes"),)
    assert rendering.grid(frame).numeric == (True, True, True, False)


def test_text_is_aligned():
    frame = pd.DataFrame({"endpoint": ["GET /", "GET /orders"], "p95_ms": [1.0, 182.4]})
    assert rendering.text("s", frame, ["careful"]).splitlines() == [
        "s",
        "endpoint     p95_ms",
        "GET /          1 ms",
        "GET /orders  182 ms",
        "! careful",
    ]


def test_wide_characters_take_two_columns_of_a_terminal():
    frame = pd.DataFrame({"endpoint": ["GET /商品", "GET /e\u0301"], "verdict": ["improved", "equivalent"]})
    assert rendering.text("", frame).splitlines() == [
        "endpoint   verdict",
        "GET /商品  improved",
        "GET /e\u0301     equivalent",
    ]
