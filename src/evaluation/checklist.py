"""checklist.md: the reporting checklists CLAIM and TRIPOD+AI with everything that the program knows filled in.

The items are paraphrased. Sources: Tejani et al. 2024, Radiol. Artif. Intell. 6(4), e240300 (CLAIM, 2024 update);
Collins et al. 2024, BMJ 385, e078378 (TRIPOD+AI).
"""

import dataclasses
import math
from collections.abc import Callable

import about
import training_text
from evaluation import methods, predicted_dice_texts, texts
from evaluation.result import EvaluationResult
from masks import agreement
from provenance import Provenance

_INTRODUCTION = """\
# Reporting checklist

Filled in by the program "{program}", version {version}, for the {evaluated}. **For the author** marks what the program
cannot know. Items are paraphrased: before submission, compare them with the published lists, and add page numbers.

* CLAIM, 2024 update: Tejani et al. 2024, Radiol Artif Intell 6(4):e240300, https://doi.org/10.1148/ryai.240300
* TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378, https://doi.org/10.1136/bmj-2023-078378. It is meant for prediction
  models; use its column if the segmentation is part of one.
"""

_HEADER = "| CLAIM | TRIPOD+AI | Item | Entry |\n| --- | --- | --- | --- |\n"


@dataclasses.dataclass(frozen=True)
class _Item:
    """An item: its number in each list ("–": in none), its topic, what the author has to add, and what is known."""

    claim: str
    tripod: str
    topic: str
    author: str = ""
    fact: Callable[[EvaluationResult], str] = lambda result: ""

    def row(self, result: EvaluationResult) -> str:
        """The row of the table. An item without fact and hint is for the author, too."""
        fact = self.fact(result)
        author = self.author if self.author or fact else "not recorded by the program."
        entry = " ".join(filter(None, [fact, f"**For the author:** {author}" if author else ""]))
        return f"| {self.claim} | {self.tripod} | {self.topic} | {entry.replace('|', chr(92) + '|')} |\n"


def text(result: EvaluationResult) -> str:
    """The checklist in Markdown: a table per section of a manuscript."""
    start = _INTRODUCTION.format(program=about.NAME, version=about.VERSION, evaluated=result.subject.name)
    tables = [
        f"\n## {section}\n\n{_HEADER}" + "".join(item.row(result) for item in items)
        for section, items in _SECTIONS.items()
    ]
    return start + "".join(tables)


def _of_model(sentence: Callable[[Provenance], str]) -> Callable[[EvaluationResult], str]:
    """A fact that is known only of this program's own models."""
    return lambda result: sentence(result.subject.provenance) if result.subject.provenance else ""


def _technology(provenance: Provenance) -> str:
    return f"Deep learning: {training_text.network(provenance.hyperparameters)} for the segmentation of 2-D images."


def _model(provenance: Provenance) -> str:
    side = provenance.training.image_size
    output = "one probability per pixel, thresholded at 0.5"
    return f"{_technology(provenance)} Input: {side} × {side} px, one channel. Output: {output}."


def _preprocessing(result: EvaluationResult) -> str:
    values = _of_model(lambda provenance: training_text.intensities(provenance.hyperparameters.clip_hu))(result)
    checks = "Step 1 checked images and masks for errors (`preloaded dataset/checks.csv`)."
    return " ".join(filter(None, [values, methods.removed_components(result), checks]))


def _disjoint(result: EvaluationResult) -> str:
    subject, grouped = result.subject, result.table["group"].nunique() < len(result.table)
    level = "Groups of images, such as patients." if grouped else "Images."
    if not subject.provenance:
        return f"{level} It is unknown which images the other program was trained on."
    if subject.folds:
        return f"{level} No model predicted a case that it was trained on."
    return f"{level} The program checked that no evaluated image was used for training (SHA-256)."


def _initialisation(provenance: Provenance) -> str:
    weights = training_text.initial_weights(provenance.training)
    return f"Initialised with {weights}." if weights else "Random initial weights."


def _uncertainty(result: EvaluationResult) -> str:
    bootstrap = f"the expanded percentile bootstrap, {agreement.BOOTSTRAPS:,} resamples of {result.sampling_unit}s"
    intervals = "" if result.summary["ci_low"].isna().all() else f"95 % confidence intervals by {bootstrap}."
    return " ".join(filter(None, [intervals, texts.missing_intervals(result)]))


def _robustness(result: EvaluationResult) -> str:
    flagged = ""
    if "ood_reasons" in result.table:
        count = int((result.table["ood_reasons"].fillna("") != "").sum())
        flagged = f"{count} of {len(result.table)} images were flagged as out-of-distribution."
    return " ".join(filter(None, [flagged, predicted_dice_texts.sentences(result)]))


def _internal(result: EvaluationResult) -> str:
    return "See the checklist of the test set." if result.subject.external else texts.times_evaluated(result)


def _external(result: EvaluationResult) -> str:
    return methods.data(result) if result.subject.external else ""


def _numbers(result: EvaluationResult) -> str:
    groups = result.table["group"].nunique()
    evaluated = f"Evaluated: {texts.counted(len(result.table), 'image')} of {texts.counted(groups, 'group')}."
    trained = _of_model(lambda each: f"Trained on: {training_text.images(each.training.images, each.id)}.")(result)
    return " ".join(filter(None, [trained, evaluated]))


def _failures(result: EvaluationResult) -> str:
    dice = result.nonempty["dice"]
    if dice.empty:
        return result.empty.text()
    empty = f"The prediction was empty for {int((result.nonempty['predicted_px'] == 0).sum())} of {len(dice)} images."
    lowest = dice.min() if math.isfinite(dice.min()) else 0.0
    return f"{empty} Lowest Dice coefficient {texts.metric('dice', lowest)}. `report.html` sorts and shows all cases."


def _missing(result: EvaluationResult) -> str:
    return "No values were imputed. Step 1 lists excluded images in `preloaded dataset/left out.csv`."


def _program(result: EvaluationResult) -> str:
    return f'Program "{about.NAME}", version {about.VERSION}.'


def _unsuitable(result: EvaluationResult) -> str:
    return "The program flags out-of-distribution images."


# Of the model; not known for masks of another program.
_SOFTWARE = _of_model(lambda provenance: training_text.software(provenance.training))
_TRAINING = _of_model(lambda provenance: " ".join(training_text.training(provenance)))
_SELECTION = _of_model(lambda provenance: "The state after the last training step; no early stopping.")
_ENSEMBLE = _of_model(
    lambda provenance: training_text.prediction(provenance) or "A single network, thresholded at 0.5."
)
_UPDATES = _of_model(lambda provenance: f"None: all results are of the model {provenance.id}.")

_SECTIONS = {
    "Title, abstract, introduction": [
        _Item("1", "1", "Title names the AI method", "name it in the title.", _of_model(_technology)),
        _Item("2", "2", "Structured abstract", "write it; methods.txt and summary.md have the numbers."),
        _Item("3", "3a, 3b", "Background, intended use and users", "clinical role and current practice."),
        _Item("4", "4", "Aims and hypotheses", "state them, and whether a model is developed, evaluated or both."),
        _Item("–", "3c", "Known health inequalities", "describe them, or state that none are known."),
    ],
    "Methods: design and data": [
        _Item("5", "5a", "Prospective or retrospective", "state it."),
        _Item("6", "4", "Goal of the study", "such as feasibility or creation of a model."),
        _Item("7", "5a, 5b", "Data sources and dates", "hospitals, period, public data sets with links."),
        _Item("8", "6a, 6b", "Setting, inclusion and exclusion criteria", "state them."),
        _Item("–", "6c", "Treatments", "only if relevant."),
        _Item("9", "7, 12b", "Preprocessing, quality checks", "steps before this program.", _preprocessing),
        _Item("10", "9a", "Selection of parts of the data", "such as which slice of a scan, and who selected it."),
        _Item("11", "–", "De-identification", "method; this program stores no DICOM headers."),
        _Item("12", "11", "Missing data", "", _missing),
        _Item("13", "9b", "Image acquisition", "scanner, protocol, slice thickness, contrast agent."),
    ],
    "Methods: reference standard": [
        _Item("14", "8a", "Definition of the reference masks", "which structure, and its borders."),
        _Item("15", "8a", "Why this reference standard", "state it."),
        _Item("16", "8b, 9c", "Annotators and their qualification", "number, experience, training."),
        _Item("17", "8c", "Annotation of the test set", "tools, and whether annotators were blinded to predictions."),
        _Item("18", "–", "Inter- and intra-reader variability", "how differences were resolved.", texts.second_reader),
    ],
    "Methods: partitions and sample size": [
        _Item("19", "12a", "Assignment to partitions", fact=methods.data),
        _Item("20", "12a", "Level at which partitions are disjoint", "what a group is.", _disjoint),
        _Item("21", "10", "Sample size", "why it suffices.", _numbers),
    ],
    "Methods: model and training": [
        _Item("22", "12c, 15", "Model, inputs and outputs", fact=_of_model(_model)),
        _Item("23", "18f", "Software", "", _SOFTWARE),
        _Item("24", "12c", "Initial weights", fact=_of_model(_initialisation)),
        _Item("25", "12c, 13", "Training, augmentation, hyperparameters", "", _TRAINING),
        _Item("26", "12c", "Selection of the final model", "how hyperparameters were chosen.", _SELECTION),
        _Item("27", "12c, 12g", "Ensembles; how predictions are computed", "", _ENSEMBLE),
    ],
    "Methods: evaluation": [
        _Item("28", "12e", "Metrics", fact=methods.definitions),
        _Item("29", "12e", "Uncertainty and significance", fact=_uncertainty),
        _Item("30", "12d", "Robustness, sensitivity, heterogeneity", "subgroups, scanners, hospitals.", _robustness),
        _Item("31", "–", "Explainability", "only if such a method was used; the program has none."),
        _Item("32", "12a", "Test on internal data", "", _internal),
        _Item("33", "16", "Test on external data", "differences to the train set; or why there is none.", _external),
        _Item("34", "18d", "Registration of a trial", "register and number, or that there is none."),
        _Item("–", "12f, 24", "Updates of the model", "", _UPDATES),
        _Item("–", "14", "Fairness", "approaches and their rationale, or that there are none."),
        _Item("–", "17", "Ethics approval and consent", "committee, number, consent or waiver."),
    ],
    "Results": [
        _Item("35", "20a, 21", "Included and excluded images", "flow chart of eligible patients.", _numbers),
        _Item("36", "20b, 20c", "Characteristics in each partition", "age, sex, disease, scanner."),
        _Item("37", "23a", "Performance with uncertainty", "subgroups; see summary.md.", methods.mean_results),
        _Item("38", "23a", "Diagnostic performance", "only if a diagnosis is derived from the masks."),
        _Item("39", "23b", "Failure analysis", "describe typical errors and results by cluster.", _failures),
    ],
    "Discussion and other information": [
        _Item("40", "26", "Limitations", "such as sample, annotators, single centre."),
        _Item("41", "25, 27c", "Implications and next steps", "intended use and barriers."),
        _Item("–", "27a", "Unsuitable input", "what users do with it.", _unsuitable),
        _Item("–", "27b", "Users' interaction and expertise", "a person must check the masks: state who."),
        _Item("42", "18c", "Protocol", "where it is, or that there is none."),
        _Item("43", "18e, 18f, 22", "Availability of software, model, data", "where, and under which terms.", _program),
        _Item("44", "18a, 18b", "Funding and conflicts of interest", "state them, with the role of the funders."),
        _Item("–", "19", "Involvement of patients and the public", "describe it, or state that there was none."),
    ],
}
