"""Tables for a manuscript: Markdown and LaTeX with the same texts and notes."""

from evaluation import manuscript

ROWS = [["Metric", "Mean, SD"], ["95 % distance", "1.0 ± 0.5"], ["Area difference (%)", "−3.0 ± 1.0"]]


def test_a_markdown_table_is_followed_by_its_notes_as_paragraphs():
    table = (
        "| Metric | Mean, SD |\n| --- | --- |\n| 95 % distance | 1.0 ± 0.5 |\n| Area difference (%) | −3.0 ± 1.0 |\n"
    )
    assert manuscript.markdown(ROWS, []) == table
    assert manuscript.markdown(ROWS, ["One.", "Two."]) == table + "\nOne.\n\nTwo.\n"


def test_latex_escapes_percent_minus_and_plus_minus_signs():
    lines = manuscript._latex(ROWS, ["No 95 % interval."]).splitlines()
    assert lines[0] == r"\begin{tabular}{lc}"
    assert lines[-2:] == [r"\end{tabular}", r"\par No 95 \% interval."]
    assert r"95 \% distance & 1.0 $\pm$ 0.5 \\" in lines
    assert r"Area difference (\%) & $-$3.0 $\pm$ 1.0 \\" in lines
