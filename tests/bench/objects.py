# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real program for run.py: objects are built, looked up, dropped."""
import random

rng = random.Random(1)


def build(count):
    return {f'key {i} {rng.getrandbits(30)}': [i, (i, str(i)), {'i': i}]
            for i in range(count)}


def search(table, rounds):
    keys = list(table)
    return sum(table[rng.choice(keys)][1][0] for _ in range(rounds))


for _ in range(2):
    objects = build(120000)
    search(objects, 100000)
    # Every second one goes, and as many of another size come.
    for number, key in enumerate(list(objects)):
        if number % 2:
            del objects[key]
            objects[number] = 'x' * (number % 300)
    del objects
