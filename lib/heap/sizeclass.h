/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Size classes: 16-byte steps up to 128 bytes, then eight per doubling up to
 * 32 KiB, so that rounding up wastes at most 1/9. All are multiples of 16, the
 * alignment that malloc promises.
 */
#ifndef HL_HEAP_SIZECLASS_H
#define HL_HEAP_SIZECLASS_H

#include "base/base.h"

#define HL_CLASSES    72
#define HL_SMALL_MAX  ((size_t)32768)
#define HL_CLASS_NONE HL_CLASSES
/* Requests up to this size find their class in a table. */
#define HL_CLASS_TABLE_MAX ((size_t)1024)

struct hl_class {
	uint32_t block_bytes;
	uint32_t magic; /* ceil(2^32 / block_bytes) */
	uint16_t slots; /* of the smallest span */
};

extern const struct hl_class hl_class[HL_CLASSES];
extern const uint8_t hl_class_table[HL_CLASS_TABLE_MAX / 16 + 1];

/* bytes <= HL_SMALL_MAX; 0 counts as 1. */
static inline unsigned hl_class_of(size_t bytes)
{
	unsigned top;

	if (hl_likely(bytes <= HL_CLASS_TABLE_MAX))
		return hl_class_table[(bytes + 15) / 16];
	/* 8 steps per doubling: the three bits below the highest one. */
	top = hl_log2(bytes - 1);
	return (top - 7) * 8 + (unsigned)((bytes - 1) >> (top - 3));
}

/* The smallest class of at least `bytes` whose blocks are all aligned to
 * `align` (a power of two up to HL_SLOT_BYTES); HL_CLASS_NONE if none. */
unsigned hl_class_aligned(size_t bytes, size_t align);

/*
 * Whether `offset` (< 2^17 or a span of power-of-two blocks) is a multiple of
 * the block size: no division on the path of free.
 */
static inline bool hl_class_is_block(
	uint32_t block_bytes, uint32_t magic, size_t offset)
{
	return ((offset * magic) >> 32) * block_bytes == offset;
}

#endif
