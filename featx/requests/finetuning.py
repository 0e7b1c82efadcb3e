"""The request for fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from featx.base_choice import BaseChoice, BatchSize, Count, GroupChoice, ThreadCount
from featx.fields import WRITTEN, check_class_weight, format_class_weight
from featx.requests.extraction import ExtractRequest
from featx.requests.values import AugmentPreset, ClassWeight, HeadKind, KeepRule, Seed, default_cache
from featx.storage.paths import CachePath


@dataclass(frozen=True)
class FinetuneRequest(GroupChoice):
    """Fine-tuning: a head is trained on the frozen base, then the stages from one on with it.

    Attributes
    ----------
    start : str or int
        The first stage that is unfrozen (`--from`), by name or alias, or how many stages counted from the end.
    out : pathlib.Path
        The model; its name ends in `.featx`.
    head : {"linear", "mlp"}
        "linear" is solved as `fit` solves it, "mlp" is trained by gradients.
    hidden : int
        Width of the fully connected layer of "mlp".
    dropout : float
        Share of the last layer's inputs that is left out in each step.
    augment : {"none", "light", "standard"}
        How images are changed in each epoch of fine-tuning; see `PRESETS`.
    views : int
        Views of each training image that the head is trained on and, with `from_cache`, the unfrozen stages, too.
    test_views : int
        Views of each test image whose scores are averaged.
    from_cache : bool
        Whether epochs run on cached activations at the cut instead of images.
    epochs_head, epochs : int
        Maximum epochs of the two phases.
    patience : int
        Epochs without improvement that end a phase.
    lr_head, lr : float
        Peak learning rate of each phase.
    lr_decay : float
        From the head down, each stage has `lr_decay` times the learning rate of the one above.
    whole : bool
        Whether, once validation has chosen the epochs, both phases are run again on the whole training part.
    keep : {"proven", "best"}
        "proven": the frozen base is kept unless the best epoch beats it on the validation part beyond chance; "best":
        the best epoch, by whatever margin.
    thaw_batchnorm : bool
        Whether running statistics of BatchNorm change in the stages that are unfrozen.
    path_column, label_column : str or None
        As in `ExtractRequest`.
    class_weight : str or mapping of str to float
        As in `CompareRequest`; of both phases.
    """

    data: str
    base: BaseChoice
    start: str | int = field(metadata={WRITTEN: "from"})
    out: Path
    head: HeadKind = "linear"
    hidden: Count = 256
    dropout: Annotated[float, Meta(ge=0, lt=1)] = 0.5
    augment: AugmentPreset = "light"
    views: Count = 6
    test_views: Count = 1
    from_cache: bool = False
    epochs_head: Annotated[int, Meta(ge=0)] = 40
    epochs: Annotated[int, Meta(ge=0)] = 20
    patience: Count = 6
    lr_head: Annotated[float, Meta(gt=0)] = 1e-3
    lr: Annotated[float, Meta(gt=0)] = 1e-4
    lr_decay: Annotated[float, Meta(gt=0, le=1)] = 0.9
    whole: bool = False
    keep: KeepRule = "proven"
    thaw_batchnorm: bool = False
    batch_size: BatchSize = 32
    seed: Seed = 42
    device: str = "auto"
    workers: ThreadCount | None = None
    rehash: bool = False
    cache: CachePath = field(default_factory=default_cache)
    path_column: str | None = None
    label_column: str | None = None
    class_weight: ClassWeight = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "class_weight", format_class_weight(self.class_weight))

    def contradictions(self) -> list[str]:
        """Report a model name without .featx, a precision that cannot be trained, and senseless class weights."""
        problems = [*super().contradictions(), *check_class_weight(self.class_weight)]
        if self.out.suffix != ".featx":
            problems.append(f"the model '{self.out}' must end in .featx, so that --weights can name it")
        if self.base.precision != "float32":
            problems.append(f"precision {self.base.precision} is for extraction only: train in float32")
        return problems

    def extraction(self, layer: str, pooling: str) -> ExtractRequest:
        """Build the request that computes the features of one layer which this one needs."""
        return ExtractRequest(
            self.data,
            self.base,
            [layer],
            [pooling],
            device=self.device,
            workers=self.workers,
            rehash=self.rehash,
            cache=self.cache,
            views=max(self.views, self.test_views),
            path_column=self.path_column,
            label_column=self.label_column,
        )
