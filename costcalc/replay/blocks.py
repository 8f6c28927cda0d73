"""The cache of a replica in blocks: what running requests hold, and prefixes kept until their room is needed.

Blocks of a prefix are shared by whoever begins with it. When nobody holds them any more they stay, and the least
recently used go first, the end of a prompt before its beginning (vLLM, v1/core/block_pool.py and
single_type_kv_cache_manager.py, free()).
"""

from __future__ import annotations

from collections.abc import Sequence

PREFIX_TOKENS = 512
"""Tokens that one id of a trace stands for (Mooncake, arXiv 2407.00079)."""


class BlockCache:
    """Blocks that are free, held, or only kept; `endless` prefixes are stored elsewhere and take none of them."""

    __slots__ = ("_holders", "_kept", "_sizes", "endless", "free", "kept", "total")

    def __init__(self, total: int, endless: bool = False, store: BlockCache | None = None) -> None:
        """store: a cache whose endless prefixes are this one's, too."""
        self.total = self.free = total
        self.kept = 0  # blocks that nobody holds, and that may be evicted
        self.endless = endless
        # How many hold each prefix block that is in the cache.
        self._holders: dict[int, int] = store._holders if endless and store else {}
        self._sizes: dict[int, int] = {}
        self._kept: dict[int, None] = {}  # the least recently used first

    @property
    def available(self) -> int:
        """Blocks that may be taken."""
        return self.free + self.kept

    @property
    def held(self) -> int:
        """Blocks of running requests."""
        return self.total - self.free - self.kept

    def leading(self, ids: Sequence[int]) -> int:
        """How many of a prompt's prefix blocks, from its first, are in the cache."""
        known, count = self._holders, 0
        for each in ids:
            if each not in known:
                break
            count += 1
        return count

    def missing(self, ids: Sequence[int], leading: int, blocks: int) -> int:
        """What a prompt of `blocks` takes of those available: the new ones, and kept ones that it would hold."""
        if self.endless or not ids:
            return blocks
        shared = sum(self._sizes[each] for each in ids[:leading] if self._holders[each])
        return blocks - shared

    def hold(self, ids: Sequence[int], leading: int, size: int, last: int, blocks: int) -> int:
        """Hold a prompt's `blocks`; returns those of them that are its own, not of a prefix.

        leading: of its ids are in the cache. size: blocks of an id; last: of the last one.
        """
        if self.endless:
            self._holders.update(dict.fromkeys(ids, 0))
            self.take(blocks)
            return blocks
        holders, sizes = self._holders, self._sizes
        for each in ids[:leading]:
            if not holders[each]:
                del self._kept[each]
                self.kept -= sizes[each]
            holders[each] += 1
        new = ids[leading:]
        for each in new:
            sizes[each] = size
        if new:
            sizes[new[-1]] = last
            self.take(size * (len(new) - 1) + last)
            holders.update(dict.fromkeys(new, 1))
        own = blocks - (size * (len(ids) - 1) + last if ids else 0)
        self.take(own)
        return own

    def take(self, blocks: int) -> None:
        """Take blocks, evicting kept ones where none is free."""
        while self.free < blocks:
            oldest = next(iter(self._kept))
            del self._kept[oldest], self._holders[oldest]
            size = self._sizes.pop(oldest)
            self.kept -= size
            self.free += size
        self.free -= blocks

    def release(self, ids: Sequence[int], own: int) -> None:
        """Give back what a request held: its own blocks, and those of its prefix, which are kept."""
        self.free += own
        if self.endless:
            return
        for each in reversed(ids):
            self._holders[each] -= 1
            if not self._holders[each]:
                self._kept[each] = None
                self.kept += self._sizes[each]
