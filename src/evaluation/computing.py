"""Computes the result of an evaluation from masks, images and the user's tables."""

import pathlib

import pandas as pd

import settings
import storage
from data import intensities, patients_table
from data.patients_table import PatientsTable
from evaluation import measuring
from evaluation.comparison import Comparison
from evaluation.result import EvaluationResult, with_nonempty_reference
from evaluation.subject import Subject
from settings import Settings


def compute_result(subject: Subject, options: Settings) -> EvaluationResult:
    """Returns the result, without the number of evaluations.

    DatasetError if masks are missing or invalid, or if a case is missing in a table of the user. SettingsError if a
    setting needs the pixel spacing or heights that are unknown.
    """
    patients = _patients(subject, options)
    measures = _measures(subject, options, patients)
    subgroups, unused_columns = patients_table.subgroups(patients.of_cases(subject.cases)) if patients else ({}, [])
    table, second = _tables(subject, measures)
    quantities = sorted(measures.quantities, key=lambda quantity: quantity.name != options.PRIMARY_QUANTITY)
    comparison = None
    if (compared := _compared(subject, measures)) is not None:
        pair = with_nonempty_reference(table), with_nonempty_reference(compared)
        comparison = Comparison(subject.compared_name, *pair, quantities[0], options.SEED)
    return EvaluationResult(
        table=subject.with_quality(table),
        subject=subject,
        second=second,
        evaluations=None,
        tolerance_mm=options.SURFACE_DICE_TOLERANCE_MM,
        seed=options.SEED,
        quantities=quantities,
        comparison=comparison,
        intra_reader=options.SECOND_READER_IS_SAME_PERSON,
        subgroups=subgroups,
        unused_columns=unused_columns,
        spacings_mm=measures.spacings_mm,
    )


def check_settings(subject: Subject, options: Settings) -> None:
    """Raises the errors of `compute_result` that are known before the cases are predicted."""
    patients = _patients(subject, options)
    if patients:
        patients.of_cases(subject.cases)
    _measures(subject, options, patients)


def _patients(subject: Subject, options: Settings) -> PatientsTable | None:
    """Returns the table of patients; None if there is none, or if it has no case of an external test set."""
    if options.PATIENTS_TABLE is None:
        return None
    table = patients_table.read(pathlib.Path(options.PATIENTS_TABLE))
    if subject.external and len(table.missing(subject.cases)) == subject.cases[table.key].nunique():
        print(f"Warning: {table.file} has no {table.key} of the {subject.name}: no subgroups and no SMI are given.")
        return None
    return table


def _measures(subject: Subject, options: Settings, patients: PatientsTable | None) -> measuring.Measures:
    tolerance_mm, cases = options.SURFACE_DICE_TOLERANCE_MM, subject.cases
    spacings_mm = measuring.pixel_spacings(options.PIXEL_SPACING_MM, cases)
    if tolerance_mm and not spacings_mm:
        raise settings.SettingsError(
            "SURFACE_DICE_TOLERANCE_MM is set in config.py, but the pixel spacing is unknown. Set PIXEL_SPACING_MM."
        )
    if note := measuring.spacing_note(options.PIXEL_SPACING_MM, cases, spacings_mm):
        print(f"Warning: {note}")
    heights_m = patients.heights(cases) if patients else {}
    in_hu = intensities.are_in_hu(cases)
    measures = measuring.Measures(spacings_mm, tolerance_mm, options.VALUE_WINDOWS, in_hu, heights_m)
    if options.PRIMARY_QUANTITY not in [quantity.name for quantity in measures.quantities]:
        needed = "the pixel spacing (PIXEL_SPACING_MM) and a PATIENTS_TABLE with the column height_m"
        raise settings.SettingsError(f'PRIMARY_QUANTITY = "{options.PRIMARY_QUANTITY}" in config.py needs {needed}.')
    return measures


def _tables(subject: Subject, measures: measuring.Measures) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Returns the metrics of the predictions and, if there are such masks, of the second reader."""
    masks, second_masks = subject.masks, subject.second_masks
    for each in filter(None, (masks, second_masks)):
        if each.note:
            print(each.note)
    table = measuring.measure(subject, masks, measures)
    if second_masks is None:
        return table, None
    # Step 1 removed small components from the reference masks; the second reader's masks get the same treatment.
    max_component_px = subject.dataset.mask_speck_px
    return table, measuring.measure(subject, second_masks, measures, max_component_px)


def _compared(subject: Subject, measures: measuring.Measures) -> pd.DataFrame | None:
    """Returns the metrics of the masks to compare with; None if there are none."""
    if subject.compared is None:
        return None
    with storage.locked(subject.compared, shared=True):
        masks = subject.compared_masks
    if masks is None:
        return None
    if masks.note:
        print(masks.note)
    return measuring.measure(subject, masks, measures)
