"""Golden values for scoring's estimators, by scipy: `python estimators.py > estimators.json`."""

import json
import math

import numpy
import scipy
from scipy.optimize import minimize
from scipy.stats import beta, binom

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


def sequence(scores, alpha):
    """Predictable plug-in empirical-Bernstein interval, with every sum from scratch."""
    x = numpy.array(scores)
    t = numpy.arange(1, len(x) + 1)
    means = (0.5 + numpy.cumsum(x)) / (t + 1)
    before = numpy.concatenate([[0.5], means[:-1]])
    variances = (0.25 + numpy.cumsum((x - means) ** 2)) / (t + 1)
    var_before = numpy.concatenate([[0.25], variances[:-1]])
    bets = numpy.minimum(numpy.sqrt(2 * numpy.log(2 / alpha) / (var_before * t * numpy.log(1 + t))), 0.5)
    psi = (-numpy.log(1 - bets) - bets) / 4
    half = (numpy.log(2 / alpha) + (4 * (x - before) ** 2 * psi).sum()) / bets.sum()
    centre = (bets * x).sum() / bets.sum()
    return [max(centre - half, 0), min(centre + half, 1)]


def bradley_terry(wins):
    """Maximum of the penalised likelihood by a quasi-Newton search over log strengths."""
    wins = numpy.array(wins, dtype=float)

    def loss(theta):
        diff = theta[:, None] - theta[None, :]
        games = (wins * numpy.logaddexp(0, -diff)).sum()
        return games + (numpy.logaddexp(0, -theta) + numpy.logaddexp(0, theta)).sum()

    found = minimize(loss, numpy.zeros(len(wins)), method="BFGS", options={"gtol": 1e-10})
    return numpy.exp(found.x).tolist()


def weighted_median(values):
    """The lower median of every value repeated as often as its whole weight says."""
    repeated = sorted(v for v, w in values for _ in range(w))
    return repeated[(len(repeated) - 1) // 2]


def hedge(losses, rate):
    return scipy.special.softmax(-rate * numpy.array(losses)).tolist()


WINS = [[0, 7, 9, 3], [3, 0, 6, 1], [1, 4, 0, 0], [2, 2, 5, 0]]
MEDIANS = [[[3.0, 2], [1.0, 5], [2.0, 4]], [[1.5, 1], [0.5, 1]], [[9.0, 3], [1.0, 1], [2.0, 1]]]
HEDGE = [([3.0, 1.5, 8.25, 1.5], 0.7), ([100.0, 90.0], 2.0)]
SHARED = [(20, 12, 0.25), (40, 3, 0.1), (7, 7, 0.3)]
SCORES = [round(0.5 + 0.4 * math.sin(i * i), 6) for i in range(300)]

BITS = [i % 7 != 0 for i in range(60)]
MARGINS = [round(0.3 * math.sin(i) + 0.1, 6) for i in range(80)]

print(json.dumps({
    "scipy": scipy.__version__,
    "beta": [[a, b, beta.ppf(0.05, a, b), beta.ppf(0.95, a, b)] for a, b in GRID],
    "sprt": [[h, c, sprt(h, c, 1e-8, 1e-2, BITS)] for h, c in [(0.9999, 0.95), (0.984, 0.92), (0.9, 0.5)]],
    "bits": BITS,
    "margins": MARGINS,
    "wealth": wealth(MARGINS),
    "scores": SCORES,
    "sequence": [[n, *sequence(SCORES[:n], 0.05)] for n in (1, 10, 100, 300)],
    "wins": WINS,
    "strengths": bradley_terry(WINS),
    "medians": [[values, weighted_median(values)] for values in MEDIANS],
    "hedge": [[losses, rate, hedge(losses, rate)] for losses, rate in HEDGE],
    "shared": [[n, k, p, binom.sf(k - 1, n, p)] for n, k, p in SHARED],
}))
