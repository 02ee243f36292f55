"""The page of a backtest: it says in tables what it draws, and lets nothing through unescaped."""

import re
from datetime import UTC, datetime

from carbonq.reports.backtest_page import BacktestPage, Example, ScoredModel, render

DAY = [100.0 + hour for hour in range(24)]


def page(**fields: object) -> BacktestPage:
    models = [
        ScoredModel("carbonq", ["6.00 %"], [5.0] * 24, [0.06, 0.5, 0.94], {"4h": 80.0}),
        ScoredModel("yesterday", ["9.00 %"], [9.0] * 24, [0.1, 0.5, 0.9], {"4h": None}),
        ScoredModel("typical", ["9.50 %"], [9.5] * 24, [0.1, 0.5, 0.9], {"4h": -20.0}),
    ]
    example = Example("The worst forecast", datetime(2021, 7, 1, tzinfo=UTC), DAY, DAY, DAY, DAY)
    whole = BacktestPage(
        "FR", "1 forecast", 3600, ["MAPE"], models, "carbonq", (0.05, 0.5, 0.95), [example], ["a note"]
    )
    return whole._replace(**fields)  # type: ignore[arg-type]  # by name, as the tests need them


def test_every_plot_has_its_numbers_as_a_table() -> None:
    text = render(page())
    assert text.count("<figure>") == text.count("The same as a table") == 4
    assert text.count('role="img"') == 4
    assert re.search(r'<th scope="row">yesterday</th><td class="figure">9.0</td>', text)


def test_the_drawn_model_stands_out_and_each_other_has_a_line_of_its_own() -> None:
    text = render(page())
    assert {"line-saved", "line-other dash-0", "line-other dash-1"} <= set(re.findall(r'class="(line-[^"]+)"', text))


def test_an_unknown_share_is_no_zero() -> None:
    text = render(page())
    assert '<th scope="row">yesterday</th><td class="figure">-</td>' in text
    assert "-20.0 %" in text


def test_what_a_file_is_called_cannot_become_markup() -> None:
    text = render(page(zone="<script>x</script>", notes=["<img src=x>"]))
    assert "<script" not in text
    assert "<img" not in text


def test_a_constant_series_is_drawn() -> None:
    flat = [0.0] * 24
    models = [ScoredModel("carbonq", ["0 %"], flat, [1.0, 1.0, 1.0], {"4h": None})]
    example = Example("The best forecast", datetime(2021, 7, 1, tzinfo=UTC), flat, flat, flat, flat)
    assert "The best forecast" in render(page(models=models, examples=[example]))
