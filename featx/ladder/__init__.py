"""The ladder that `featx auto` climbs: steps, each a choice among candidates that was measured, within a budget.

Read `candidates` (what may be chosen), `bench` (measures candidates on rows of the training part, each once), `climb`
(the choice, as a function of rows), `costs` and `record` (which steps the budget allows, predicted before they are begun
and remembered, so that a run which was killed goes on and ends alike), `procedure` (how good the choice itself is, where
it can be repeated in outer folds), `report` (what comes of it).

No choice reads the held-out part: `tests/workflows/test_auto.py` permutes its labels.
"""
