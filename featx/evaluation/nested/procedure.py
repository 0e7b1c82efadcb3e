"""The procedure "let featx choose", judged as a whole: the choice of the row is made anew in every outer fold.

The accuracy of the row that won a table is too high on average, since it won by luck, too; the accuracy of the
procedure is that of what is shipped (Varma and Simon, 2006; Cawley and Talbot, 2010).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from featx.evaluation.nested.evaluations import ByFold, NestedRow
from featx.evaluation.nested.figures import Choice, Procedure
from featx.evaluation.nested.folds import OuterFolds
from featx.evaluation.nested.pooling import pool_folds
from featx.evaluation.result import best


def judge_procedure(rows: Sequence[NestedRow], outer: OuterFolds) -> Procedure:
    """In each outer fold, let the row that is best by cross-validation inside judge it; pool what it says.

    Parameters
    ----------
    rows : sequence of NestedRow
        The first of equally good ones is chosen, as in the table.
    """
    chosen = choose_rows(rows)
    counts = Counter(place for places in chosen for place in places)
    by_fold: ByFold = []
    for repeat, places in enumerate(chosen):
        by_fold.append([rows[place].by_fold[repeat][fold] for fold, place in enumerate(places)])
    pooled = pool_folds(by_fold, outer)
    result = pooled.evaluation.result
    choices = []
    for place, folds in counts.most_common():
        of_row = rows[place].by_fold[0][0].result
        choices.append(Choice(of_row.base, of_row.layer, of_row.pooling, of_row.clf, folds))
    return Procedure(
        n_test=result.n_test,
        cv_accuracy=result.cv_accuracy,
        test_accuracy=result.test_accuracy,
        ci_low=result.ci_low,
        ci_high=result.ci_high,
        balanced_accuracy=result.balanced_accuracy,
        macro_f1=result.macro_f1,
        calibration_error=result.calibration_error,
        chosen=tuple(choices),
        nested=pooled.nested,
    )


def choose_rows(rows: Sequence[NestedRow]) -> list[list[int]]:
    """Choose a row in every fold by what cross-validation inside says: for each repeat, its place for each fold."""
    chosen = []
    for repeat in range(len(rows[0].by_fold)):
        places = []
        for fold in range(len(rows[0].by_fold[repeat])):
            results = [row.by_fold[repeat][fold].result for row in rows]
            winner = best(results)
            places.append(next(place for place, result in enumerate(results) if result is winner))
        chosen.append(places)
    return chosen
