#!/usr/bin/env python3
"""What montecarlo has to print, computed another way.

    expected_montecarlo.py DIMENSIONS SAMPLES BATCHES SEED

Prints estimate, standard error and known value of all points of all batches.
"""

import math
import sys

MASK = 0xffffffff


def philox(counter, key):
    """Philox4x32-10, as in the paper: D. E. Shaw Research's Random123."""
    for i in range(10):
        k = [(key[0] + i * 0x9E3779B9) & MASK, (key[1] + i * 0xBB67AE85) & MASK]
        low, high = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [(high >> 32) ^ counter[1] ^ k[0], high & MASK,
                   (low >> 32) ^ counter[3] ^ k[1], low & MASK]
    return counter


def value(point, dimensions, key):
    words = [word for block in range((dimensions + 3) // 4)
             for word in philox([point, block, 0, 0], key)]
    return math.exp(-sum((2 * (word + 0.5) / 2**32 - 1) ** 2 for word in words[:dimensions]))


# Known answers of Random123's kat_vectors.
assert philox([0] * 4, [0] * 2) == [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
assert philox([MASK] * 4, [MASK] * 2) == [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]

dimensions, samples, batches, seed = map(int, sys.argv[1:])
values = [value(point, dimensions, [batch, seed])
          for batch in range(batches) for point in range(samples)]
mean = math.fsum(values) / len(values)
variance = math.fsum((x - mean) ** 2 for x in values) / (len(values) - 1)
known = (math.sqrt(math.pi) / 2 * math.erf(1)) ** dimensions
print(f'{mean:.12g} {math.sqrt(variance / len(values)):.3g} {known:.12g}')
