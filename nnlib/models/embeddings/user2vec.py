"""User2Vec: a vector for every customer, learned together with those of the products."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnlib.data import Histories
from nnlib.models.embeddings.paragraph_vectors import ParagraphVectors


@dataclass(kw_only=True)
class User2Vec(ParagraphVectors):
    """`ParagraphVectors` whose documents are users and whose words are their purchases.

        (1) h   = (D_u + Σ_c E_c) / (1 + |C|)        C: the `window` purchases before the target
        (2) s_j = log p(j|h)                         or as `score` says
    E carries what goes together now, D_u the lasting taste, which the last purchases may not show.
    With score="cosine", s_j = cos(D_u, E_j) looks at the taste alone.

    `recommend`, `scores` and `evaluate` infer D_u from the history they are given, for known users
    too: the codes in `histories.user` may be those of another log, and a history may have grown
    since.  `recommend_to` takes the vector that a user was trained to.

    Arguments
        as of `ParagraphVectors`; every mode and output may be had
    Source
        Grbovic et al. 2015, "user2vec": PV-DM, whose contexts are on both sides (directed=False)
        and which found it behind prod2vec on the next days' purchases and ahead later on · the
        deck's context is "products purchased except the i-th": window ≥ the longest history and
        directed=False · differs: the context defaults to earlier purchases, as there are no others
        when recommending.
    """

    n_factors: int = 20
    window: int = 2
    directed: bool = True

    def recommend_to(
        self, user: Hashable, items: Sequence[Hashable], n: int = 10, *, exclude_seen: bool = False
    ) -> list[tuple[Any, float]]:
        """`recommend` for a user of the training data, with the vector that was learned for them.

        Arguments
            items: what they bought last, oldest first; the last `window` of them count
        Raises
            ValueError: the training data did not contain `user`.
        """
        codes = self._encode(items)
        history = Histories(codes, np.array([0]), np.array([len(codes)]))
        scores = self.scores_after(self.document_vector(user)[None], history)[0]
        return self._best(scores, n, codes if exclude_seen else codes[:0])
