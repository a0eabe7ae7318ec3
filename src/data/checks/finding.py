"""The record of something that is wrong, or looks wrong, with some cases."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Finding:
    """One problem of one or more cases.

    check: a short name, such as "constant image"; a check can give several findings
    cases: the names of the cases, the most striking first
    certain: whether this can't be right (an error), or only looks wrong (a warning)
    message: the problem with the number of cases and examples, and the fix
    """

    check: str
    cases: tuple[str, ...]
    certain: bool
    message: str


def examples(cases: tuple[str, ...], total: int) -> str:
    """ "3 of 20 cases (a, b, c)": the number of cases and the first three names."""
    more = ", ..." if len(cases) > 3 else ""
    return f"{len(cases)} of {total} case{'s' * (total != 1)} ({', '.join(cases[:3])}{more})"
