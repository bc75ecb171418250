#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""
redis-server under redis-benchmark. run_redis.py: no persistence. run_redis.py save:
two BGSAVEs while clients write.
"""
import sys

import harness as h
from redis_server import Redis

Redis.keys = 600000 if h.FULL else 200000
if 'save' in sys.argv[1:]:
    sys.argv.remove('save')
    Redis.saves = 2

h.main(Redis('redis-save' if Redis.saves else 'redis', forks=Redis.saves > 0))
