"""Times the Python SDK's metagraph of a running chain: the median of several reads, in ms.

usage: sdk_metagraph.py ENDPOINT NETUID READS
"""

import statistics
import sys
import time

import bittensor

endpoint, netuid, reads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times = []
neurons = 0
with bittensor.SyncClient(endpoint) as chain:
    for _ in range(reads + 1):  # the first one also learns the runtime's types
        begun = time.perf_counter()
        neurons = len(chain.subnets.metagraph(netuid).neurons)
        times.append(1000 * (time.perf_counter() - begun))
print(neurons, statistics.median(times[1:]))
