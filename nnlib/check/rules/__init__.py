"""The rules of `diagnose`: functions of a Comparison that return a Diagnosis, or None.

A rule knows one kind of mistake, or a few that exclude one another, and says nothing unless it is
sure; the rules in `guesses` say what is likely.
"""
