"""Golden values for scoring's estimators, by scipy: `python estimators.py > estimators.json`."""

import json
import math

import scipy
from scipy.stats import beta

GRID = [(1.5, 1), (2, 1), (2, 9), (21, 1), (61, 3.5), (1.25, 0.5), (400, 120.25), (3000, 2), (2, 5000)]


def sprt(honest, cheat, alpha, beta_, bits):
    """Wald's log-likelihood ratio after `bits`, without boundaries."""
    return sum(math.log(cheat / honest) if b else math.log((1 - cheat) / (1 - honest)) for b in bits)


def wealth(margins):
    """ln of the bettor's wealth: bets are clipped mean over second moment of the past."""
    total = squares = log = 0.0
    for x in margins:
        bet = min(max(total / (squares + 1), 0), 0.5)
        log += math.log1p(bet * x)
        total += x
        squares += x * x
    return log


BITS = [i % 7 != 0 for i in range(60)]
MARGINS = [round(0.3 * math.sin(i) + 0.1, 6) for i in range(80)]

print(json.dumps({
    "scipy": scipy.__version__,
    "beta": [[a, b, beta.ppf(0.05, a, b), beta.ppf(0.95, a, b)] for a, b in GRID],
    "sprt": [[h, c, sprt(h, c, 1e-8, 1e-2, BITS)] for h, c in [(0.9999, 0.95), (0.984, 0.92), (0.9, 0.5)]],
    "bits": BITS,
    "margins": MARGINS,
    "wealth": wealth(MARGINS),
}))
