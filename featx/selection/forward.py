"""Greedy forward selection of layers whose features are worth concatenating."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from joblib import Parallel, cpu_count, delayed

from featx.features.splits import LabelledRows
from featx.linear.lapack import one_thread
from featx.selection.grams import BlockGram, compute_block_gram, sum_blocks
from featx.selection.kernel_ridge import RidgeTargets, score_gram
from featx.selection.sampling import draw_rows
from featx.types import Matrix, RowNumbers

MOST_ROWS = 700
"""About the most rows that sets are judged on. This only shortlists, and a decomposition of 1,000 rows, 0.16
seconds a set on an idle core, takes three times as long by the cube of the rows."""

MOST_LAYERS = 4
"""Layers in a set, at most: a fourth one rarely gains anything, and each makes fits and files larger."""


BALANCED_FIGURES = ("balanced_accuracy", "macro_f1")
"""Figures to which all classes count alike."""


def counts_classes_alike(class_weight: object, figure: str | None) -> bool:
    """Whether sets are shortlisted by balanced accuracy: by weights of classes, and the figure that was asked for."""
    return class_weight == "balanced" or figure in BALANCED_FIGURES


@dataclass(frozen=True)
class ForwardStep:
    """One step of the selection.

    Attributes
    ----------
    added : str
        The block that this step added.
    names : tuple of str
        All blocks of the set, in the order of the mapping they came in.
    accuracy : float
        Of the set, cross-validated by ridge regression.
    gain : float
        On the step before; of the first step, the accuracy itself.
    """

    added: str
    names: tuple[str, ...]
    accuracy: float
    gain: float


def select_forward(
    blocks: Mapping[str, Matrix],
    rows: LabelledRows,
    seed: int,
    most: int = MOST_LAYERS,
    balanced: bool = False,
    jobs: int | None = None,
) -> list[ForwardStep]:
    """Begin with the best block, then add the one that raises cross-validated accuracy most, as long as one does.

    Parameters
    ----------
    blocks : mapping of str to (n, d) float
        Features of all rows, such as those of a layer at one pooling, rows of length one. Each is asked for once, so a
        mapping may read them when they are asked for.
    rows : LabelledRows
    seed : int
        Of the folds, and of the sample that is judged where there are many rows.
    most : int
        Blocks in a set, at most.
    balanced : bool
        Whether classes count alike, however many rows they have.
    jobs : int, optional
        Sets to be judged at a time, in threads; None: as many as there are CPUs.

    Returns
    -------
    list of ForwardStep
        The set of each step holds those of the steps before. Of equally good blocks the first is taken.

    Raises
    ------
    UndividableGroups
        If groups of several rows cannot be divided into folds.
    """
    return select_on_sample(blocks, draw_sample(rows, seed, balanced), most, jobs)


@dataclass(frozen=True)
class SampleOfRows:
    """The rows that sets are judged on.

    Attributes
    ----------
    numbers : (m,) int
        Rising row numbers.
    targets : RidgeTargets
        Their labels and folds.
    """

    numbers: RowNumbers
    targets: RidgeTargets


def draw_sample(rows: LabelledRows, seed: int, balanced: bool = False) -> SampleOfRows:
    """Draw the rows that sets are judged on; parameters, and what is raised, are those of `select_forward`."""
    numbers = draw_rows(rows, MOST_ROWS, seed)
    sample = rows.take(numbers)
    return SampleOfRows(numbers, RidgeTargets(sample.y, sample.folds(seed), balanced))


def select_on_sample(
    blocks: Mapping[str, Matrix], sample: SampleOfRows, most: int = MOST_LAYERS, jobs: int | None = None
) -> list[ForwardStep]:
    """Select among blocks as `select_forward` does, on rows that are drawn already."""
    grams = {}
    for name in blocks:
        X = blocks[name]
        with one_thread():
            grams[name] = compute_block_gram(X if len(sample.numbers) == len(X) else X[sample.numbers])
    return select_among(grams, sample.targets, most, jobs)


def select_among(
    grams: Mapping[str, BlockGram], targets: RidgeTargets, most: int = MOST_LAYERS, jobs: int | None = None
) -> list[ForwardStep]:
    """Select among blocks by their Gram matrices, as `select_forward` does."""
    steps: list[ForwardStep] = []
    taken: list[BlockGram] = []
    accuracy_before = 0.0
    while len(steps) < min(most, len(grams)):
        left = [name for name in grams if all(name != step.added for step in steps)]
        accuracies = score_sets([sum_blocks([*taken, grams[name]]) for name in left], targets, jobs)
        best = max(range(len(left)), key=accuracies.__getitem__)
        gain = accuracies[best] - accuracy_before
        if steps and gain <= 0:
            break
        added = left[best]
        taken.append(grams[added])
        members = {added, *(step.added for step in steps)}
        names = tuple(name for name in grams if name in members)
        steps.append(ForwardStep(added, names, accuracies[best], gain))
        accuracy_before = accuracies[best]
    return steps


def score_sets(sets: Sequence[BlockGram], targets: RidgeTargets, jobs: int | None = None) -> list[float]:
    """Cross-validate several sets of blocks, some at a time, in threads."""
    # Around all threads: each that set the limit by itself would undo that of the others.
    with one_thread():
        scores: list[float] = Parallel(n_jobs=jobs or cpu_count(), prefer="threads")(
            delayed(score_gram)(each.gram, targets) for each in sets
        )
    return scores
