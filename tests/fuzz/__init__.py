"""Hostile input on running daemons: whatever is sent, they answer, they live, and they give nothing away.

``make fuzz`` sends at least 100 000 inputs to daemons on both stores; `tests/fuzz/test_fuzz.py` some
thousands with the other tests. What fails shows the seed of its run; ``make fuzz ARGS=--seed=N`` repeats it.
"""
