"""Fine-tuning: a head is trained on the frozen base, then the last stages of the base are trained together with it.

This package owns the plan (where a base is cut), the head, the training loop with its checkpoints, and what a run
leaves behind: two evaluations and a model file that holds the tensors of its base.

Read in this order: `plan` (from a request to the cut), `unfreeze` (frozen prefix and trainable part), `head`,
`head_training` (the first phase, on cached features), `batches` (what the second phase is fed with), `schedule` and
`trainer` (the loop; `checkpoint` is how it resumes), and `run`, which puts them together for the workflow `finetune`.

Proofs: tests/finetuning/test_trainer.py (schedule, early stopping, exact resume, NaN), test_unfreeze.py (prefix and
trainable part are the network, bit for bit) and tests/workflows/test_finetune.py (from end to end).
"""
