"""llama.cpp's own server, from its wheel. usage: llama_server.py MODEL.gguf PORT"""

import sys
import time

import xllamacpp as llama

params = llama.CommonParams()
params.model.path = sys.argv[1]
params.port = int(sys.argv[2])
params.n_ctx, params.n_parallel = 2048, 2
params.cpuparams.n_threads = 1
server = llama.Server(params)
print(server.listening_address, flush=True)
while True:
    time.sleep(60)
