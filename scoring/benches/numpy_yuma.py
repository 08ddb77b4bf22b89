"""A float epoch of the same shape in numpy, for comparison: median seconds per variant.

Usage: numpy_yuma.py [NEURONSxVALIDATORS ...]
It is what a researcher would write (vectorised, 64-bit floats), not what the chain computes.
"""

import sys
import time

import numpy as np

KAPPA, ALPHA = 32767 / 65535, 0.1
LOW, HIGH, STEEPNESS = 45875 / 65535, 58982 / 65535, 10.0


def columns(matrix):
    total = matrix.sum(axis=0)
    return np.divide(matrix, total, out=np.zeros_like(matrix), where=total > 0)


def consensus(weights, stake):
    order = np.argsort(weights, axis=0)
    support = np.cumsum(stake[order], axis=0)
    at = np.argmax(support > 1 - KAPPA, axis=0)
    return np.take_along_axis(weights, np.take_along_axis(order, at[None], 0), 0)[0]


def epoch(weights, bonds, stake, variant):
    weights = weights / weights.sum(axis=1, keepdims=True)
    level = consensus(weights, stake)
    clipped = np.minimum(weights, level)
    trust = clipped.sum(axis=1)
    ranks = stake @ clipped
    incentive = ranks / ranks.sum()
    if variant == "classic":
        held, bought = columns(bonds), columns(clipped * stake[:, None])
        bonds = columns(ALPHA * bought + (1 - ALPHA) * held)
        dividends = bonds @ incentive
        bonds = bonds / bonds.max(axis=0)
    else:
        held = bonds / 65535
        rate, new = ALPHA, clipped
        if variant == "liquid":
            new = weights
            buys, sells = weights - level, held - weights
            distance = np.clip(np.where(weights >= held, buys, sells), 0, 1)
            rate = LOW + (HIGH - LOW) / (1 + np.exp(-STEEPNESS * (distance - 0.5)))
        bonds = np.minimum(1, rate * new + (1 - rate) * held)
        dividends = (columns(bonds) @ incentive) * stake
    dividends = dividends / dividends.sum()
    return trust, incentive, dividends, np.floor(bonds * 65535).astype(np.uint16)


def measure(neurons, validators, variant):
    random = np.random.default_rng(neurons)
    quality = random.integers(0, 50_000, neurons)
    weights = (quality + random.integers(0, 15_000, (validators, neurons))).astype(float)
    bonds = (quality + random.integers(0, 5_000, (validators, neurons))).astype(float)
    stake = random.random(validators) + 1e-3
    stake /= stake.sum()
    seconds = []
    deadline = time.perf_counter() + 2
    while len(seconds) < 5 or time.perf_counter() < deadline:
        start = time.perf_counter()
        epoch(weights, bonds, stake, variant)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    for size in sys.argv[1:] or ["256x64", "4096x256"]:
        neurons, validators = map(int, size.split("x"))
        for variant in ("classic", "yuma3", "liquid"):
            print(f"numpy {size} {variant}: {measure(neurons, validators, variant) * 1e3:.3f} ms")
