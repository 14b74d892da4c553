"""The process that mirrors requests, to a candidate or a way back, apart from the gateway that draws them.

job.py is what passes between the two.
"""
