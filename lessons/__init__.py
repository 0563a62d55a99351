"""The course: one Python file per lesson, and what a lesson needs from the outside.

    check("01.2", ...)      compare your answer to exercise 01.2 with an independent one
    hint("01.2")            the next hint
    solution("01.2")        the lesson's own answer, after a pass
    show("spirals")         show the current figure (or save it, see `python -m lessons run`)

`python -m lessons` lists the lessons; lessons/README.md tells how to take, teach and write one.
"""

from lessons.engine.exercises import check, hint, solution
from lessons.engine.figures import show

__all__ = ["check", "hint", "show", "solution"]
