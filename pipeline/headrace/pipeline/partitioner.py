"""Which partition a key belongs to: as Java's clients decide, and our `Producer`.

Kafka's default partitioner hashes a record's key with MurmurHash2 (Austin Appleby, 2008; 32 bits)
from a seed of its own, clears the sign bit, and takes the remainder by the partition count:
`org.apache.kafka.common.utils.Utils.murmur2` and `BuiltInPartitioner.partitionForKey`, Kafka 4.3.
librdkafka calls the same `murmur2_random`; its own default is another hash.
"""

import struct
from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_32_BITS: Final = 0xFFFFFFFF
_31_BITS: Final = 0x7FFFFFFF
_CACHED_KEYS: Final = 8_192
_LONGEST_CACHED: Final = 128
"""Bytes: a remembered key may cost memory, and a foreign producer's may be of any length."""


def partition_of(key: bytes, partitions: int) -> int:
    """Give the partition where Java's default partitioner puts a key.

    Keys up to 128 bytes are remembered, because a worker asks for every record of an ordered
    queue, and such keys come again.

    Args:
        key: The record's key, as it lies on Kafka. A record without one may lie anywhere.
        partitions: How many partitions the topic has; when it grows, most keys move.

    Raises:
        ValueError: There is no partition to choose from.
    """
    if partitions < 1:
        raise ValueError(
            f"a topic with {partitions} partitions has none for key {key!r}: ask Kafka"
        )
    hashed = _remembered(key) if len(key) <= _LONGEST_CACHED else murmur2(key)
    return (hashed & _31_BITS) % partitions


def murmur2(data: bytes) -> int:
    """Hash bytes as Kafka does: 32 bits, unsigned."""
    whole = len(data) & ~3
    hashed = _SEED ^ len(data)
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        mixed = word * _MULTIPLIER & _32_BITS
        mixed ^= mixed >> 24
        hashed = (hashed * _MULTIPLIER ^ mixed * _MULTIPLIER) & _32_BITS
    tail = data[whole:]
    if tail:
        hashed = (hashed ^ int.from_bytes(tail, "little")) * _MULTIPLIER & _32_BITS
    hashed ^= hashed >> 13
    hashed = hashed * _MULTIPLIER & _32_BITS
    return hashed ^ hashed >> 15


_remembered = lru_cache(maxsize=_CACHED_KEYS)(murmur2)
