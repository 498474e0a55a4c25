"""Random hierarchy: how many samples it takes until synonyms can be told by the classes that they go with."""

from __future__ import annotations


def sample_complexity(classes: int, synonyms: int, depth: int) -> float:
    """Return P* = n_c m^L, samples at which signal and sampling noise of class frequencies are equal, up to order 1.

    Valid for grammars with many synonyms, v = m or so. A number of samples. Source: cagnetta2024.
    """
    return float(classes) * float(synonyms) ** depth


def synonym_ratio(n: int, depth: int, strings: float) -> float:
    r"""Return R, the variance of class frequencies between groups of synonyms over that within them.

    For each class c the share of its strings whose first pair of leaves is a given one of the :math:`n^2` pairs; R is
    the mean square of the deviation of a group's mean from the mean over groups, over the mean square of the deviation
    of a pair from its group's mean, both averaged over pairs and classes, in a grammar of n features, n synonyms and n
    classes. Every pair is then used exactly once a level, so that the number of rules of a feature that begin with
    another one is hypergeometric of variance :math:`s^2 = (n - 1)^2 / (n^2 - 1)`, its sum over either index fixed, and
    the variance over grammars of the share :math:`P(a | c)` of the feature a of a first pair is

    .. math:: q_2 = s^2 / n^2, \qquad q_{L+1} = q_L\, s^2 / (n - 1).

    A share counted in :math:`\nu` strings of a class adds :math:`(n - 1) / (n^3 \nu)` within groups and
    :math:`(n^{-2} - n \overline{p^2}) / (n \nu)` between them, where :math:`\overline{p^2} = n^{-4} + q_L / n^2` is
    the mean squared share and :math:`\overline{1 / \nu} = (n / P) (1 + (n - 1) / P)`; so that

    .. math:: R = \frac{q_L / n^2 + (n^{-2} - n \overline{p^2}) \, \overline{1/\nu} / n}
        {(n - 1) \, \overline{1/\nu} / n^3} .

    It is about 1/n at few strings, of order one at :math:`P^* = n^{L+1}`, and linear in P beyond: a ratio of means over
    grammars, to second order in n / P. Valid for depth L >= 2. A pure number. Source: cagnetta2024 for the quantity,
    which is defined there up to order one; the closed form is worked out here.
    """
    s2 = (n - 1) ** 2 / (n**2 - 1)
    signal = s2 / n**4 * (s2 / (n - 1)) ** (depth - 2)
    rate = n / strings * (1 + (n - 1) / strings)
    between = (n**-2 - n * (n**-4 + signal)) * rate / n
    return (signal + between) / ((n - 1) * rate / n**3)
