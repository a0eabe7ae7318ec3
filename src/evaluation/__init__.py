"""Step 5: metrics, summary tables, plots and a report of the predictions for the test set.

    results/
      metrics.csv        a row per test case: group, metrics, areas, predicted Dice, out-of-distribution reasons
      summary.json       mean, SD, confidence interval and number of failed cases of each metric; empty reference masks;
                         agreement of quantities; subgroups; comparison; number of evaluations
      comparison.csv     with COMPARE_WITH: a row per case with the differences; most_improved.png, most_degraded.png
      summary.md, .tex   the same as a table for a manuscript
      methods.txt        a Methods paragraph: data, split, training, versions, metrics
      checklist.md       the reporting checklists CLAIM and TRIPOD+AI with what the program knows
      model_card.md      the model card with the results (see `model_card`)
      *.png, *.pdf       the plots at the column widths of journals; PDF for print
      cases.png, .pdf    a figure of selected cases; cases.csv: which case each row is
      report.html        everything on one page that works offline: sort, filter, view and mark the cases
    images/<case>.png    comparison images of the cases that IMAGES_TO_DRAW selects; _worst.png: the worst twelve
    evaluations.csv      a row per evaluation of any test set; never replaced

A distance is infinite if exactly one of the two masks is empty. Means are over the finite values. The other cases are
counted as failed, so that they are neither averaged in nor dropped. Cases with an empty reference mask are excluded
from the means: their number is reported, and the number of non-empty predictions among them (false positives).
"""

from evaluation.step import evaluate_test_set

__all__ = ["evaluate_test_set"]
