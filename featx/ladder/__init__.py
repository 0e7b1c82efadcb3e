"""The ladder that `featx auto` climbs: steps, each a choice among candidates that was measured, within a budget.

Read `candidates` (what may be chosen), `bench` (measures candidates on rows of the training part, each once) and
`climb` (the choice, as a function of rows). `opened_base` says what of a base is tried, `costs` and `budget` which
steps there is time for, `ascent` extracts what they need. `procedure` says how good the choice itself is, `report` what
comes of it. `kept` says what is remembered of what was measured and decided (in
`evaluation.records`), so that a run which was killed goes on.

No choice reads the held-out part: `tests/workflows/test_auto.py` permutes its labels.
"""
