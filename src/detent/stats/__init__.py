"""The tests that decisions rest on: counts in, one number out. Pure, and each in the file of the question it answers.

    sequential.py  is the candidate worse?      e-processes, valid at every look: event rates, shadow pairs, sample ratio
    values.py      the same of tokens, seconds  bets and proofs from units counted by log bucket (buckets.py: these as arrays)
    proof.py       is it shown to be no worse?  stratified non-inferiority at planned looks, and their boundaries
    power.py       what would it take?          both tests on simulated units, before there are any
    paired.py      did a prompt flip?           exact tests for baseline runs, false discovery rate, noise floor
    least.py       can it be shown at all?      how few runs never are enough; plain Python, for the pin file
    unseen.py      how much was not met yet?    Good-Turing, with Esty's interval; plain Python
    sketch.py      how are values spread?       log buckets that merge by addition; plain Python, no numpy

Abort and promote are different tests and never share a p-value. Import the file you need: the ingester uses `sketch` alone, and must
not pay for numpy, so nothing is imported here.
"""
