"""Sentences on the predicted Dice: calibration, bias and rank correlation."""

from evaluation.result import EvaluationResult, Reliability
from masks.calibration import COVERAGE
from wording import counted, number


def sentences(result: EvaluationResult) -> str:
    """Returns sentences on the calibration and reliability of the predicted Dice; "" if there is none."""
    reliability, provenance = result.reliability, result.subject.provenance
    if reliability is None:
        return ""
    measured = [
        f"On average the predicted Dice was {bias(reliability)}.",
        f"Its Spearman rank correlation with the true Dice was {number(reliability.correlation, 2)} over "
        f"{counted(reliability.cases, 'case')} (1: same order of the cases; 0: no relation).",
    ]
    if provenance and provenance.calibrated_on and reliability.within is not None:
        calibrated = f"The predicted Dice was calibrated on {counted(provenance.calibrated_on, 'out-of-fold case')}."
        share = f"{100 * reliability.within / reliability.cases:.0f} %"
        within = (
            f"The true Dice of {reliability.within} of {reliability.cases} cases ({share}) lay within its "
            f"{100 * COVERAGE:.0f} % prediction interval."
        )
        return " ".join([calibrated, *measured, within])
    # That of a cross-validation becomes the calibration.
    not_calibrated = [] if result.subject.folds else ["The predicted Dice is not calibrated."]
    return " ".join([*not_calibrated, *measured])


def bias(reliability: Reliability) -> str:
    """Returns the bias of the predicted Dice, such as "0.14 too high"."""
    if abs(reliability.bias) < 0.005:
        return "equal to the true Dice"
    return f"{abs(reliability.bias):.2f} too {'high' if reliability.bias > 0 else 'low'}"


def label(result: EvaluationResult) -> str:
    """Returns "Predicted Dice" with its bias, such as "Predicted Dice (0.14 too high on the test set)"."""
    if result.reliability is None:
        return "Predicted Dice"
    return f"Predicted Dice ({bias(result.reliability)} on the {result.subject.name})"
