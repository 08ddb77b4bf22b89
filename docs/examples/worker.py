"""A miner's worker in Python, standard library alone: sums for a text rule, lines for a forecast.

    ganglion miner --netuid 1 --worker-command "python3 docs/examples/worker.py"

Each line of standard input is a job; each line of standard output answers one. What is written to
standard error is in the miner's log.
"""

import json
import sys


def total(task):
    """The numbers of a task, added."""
    return {"sum": sum(task["numbers"])}


def forecast(task):
    """The least-squares line through each series, three steps on, in thousandths."""
    values = []
    for series in task["series"]:
        history = series["history"]
        count = len(history)
        middle, mean = (count - 1) / 2, sum(history) / count
        slope = sum((at - middle) * value for at, value in enumerate(history)) / sum(
            (at - middle) ** 2 for at in range(count)
        )
        values.append(round(mean + slope * (count + 2 - middle)))
    return values


def answer(task):
    if "numbers" in task:
        return total(task)
    if "series" in task:
        return forecast(task)
    raise ValueError("a task of another rule")


for line in sys.stdin:
    job = json.loads(line)
    try:
        said = {"job": job["job"], "answer": answer(job["task"])}
    except Exception as error:
        said = {"job": job["job"], "error": str(error)}
    print(json.dumps(said), flush=True)
