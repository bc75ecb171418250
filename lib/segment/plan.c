/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See plan.h. Loaders map PT_LOADs in order, each over what the one before left
 * of a shared page: so a later piece cuts the end of an earlier one. Adjacent
 * pieces of one kind and one run of the file become one, since linkers cut text
 * into several segments that the kernel maps as one.
 */
#include "segment/plan.h"

#include <errno.h>

struct extent {
	uintptr_t from, to;
};

static enum hl_piece_kind kind_of(uint32_t flags)
{
	switch (flags & (PF_R | PF_W | PF_X)) {
	case PF_R | PF_X:
		return HL_PIECE_TEXT;
	case PF_R:
		return HL_PIECE_RODATA;
	case PF_R | PF_W:
		return HL_PIECE_DATA;
	default:
		return HL_PIECE_OTHER;
	}
}

/* Base pages of [vaddr, vaddr + bytes); false if they wrap around. */
static bool pages_of(uintptr_t bias, uint64_t vaddr, uint64_t bytes,
	size_t base_bytes, struct extent *out)
{
	uintptr_t from = bias + vaddr, to;

	if (!hl_add_ok(from, bytes, &to) ||
		!hl_add_ok(to, base_bytes - 1, &to) || from < vaddr)
		return false;
	out->from = hl_align_down(from, base_bytes);
	out->to = hl_align_down(to, base_bytes);
	return true;
}

static bool continues(const struct hl_piece *a, const struct hl_piece *b)
{
	return a->kind == b->kind && a->kind == HL_PIECE_TEXT &&
	       a->to == b->from && a->marked == b->marked &&
	       b->file_offset - a->file_offset == b->from - a->from;
}

static void append(struct hl_plan *plan, const struct hl_piece *piece)
{
	struct hl_piece *last = NULL;

	if (piece->from >= piece->to)
		return;
	while (plan->pieces > 0) {
		last = &plan->piece[plan->pieces - 1];
		if (last->from < piece->from)
			break;
		/* Nothing is left of it. */
		plan->pieces--;
		last = NULL;
	}
	if (last && last->to > piece->from) {
		last->to = piece->from;
		last->file_to = HL_MIN(last->file_to, last->to);
	}
	if (last && continues(last, piece)) {
		last->to = piece->to;
		last->file_to = piece->file_to;
		return;
	}
	if (plan->pieces == HL_PLAN_PIECES_MAX) {
		plan->truncated = true;
		return;
	}
	plan->piece[plan->pieces++] = *piece;
}

/* [from, to) of a piece of data, as a piece of that kind. */
static void append_part(struct hl_plan *plan, const struct hl_piece *whole,
	uintptr_t from, uintptr_t to, enum hl_piece_kind kind)
{
	struct hl_piece part = *whole;

	part.kind = kind;
	part.from = from;
	part.to = to;
	part.file_to = HL_MAX(from, HL_MIN(whole->file_to, to));
	part.file_offset += from - whole->from;
	append(plan, &part);
}

/* What RELRO covers becomes a piece of its own, the rest stays data. */
static void append_data(struct hl_plan *plan, const struct hl_piece *piece,
	const struct extent *relro)
{
	uintptr_t from = HL_MAX(relro->from, piece->from);
	uintptr_t to = HL_MIN(relro->to, piece->to);

	if (from >= to) {
		append(plan, piece);
		return;
	}
	append_part(plan, piece, piece->from, from, HL_PIECE_DATA);
	append_part(plan, piece, from, to, HL_PIECE_RELRO);
	append_part(plan, piece, to, piece->to, HL_PIECE_DATA);
}

/* RELRO ends where the last page that it covers as a whole ends. */
static struct extent relro_of(
	const Elf64_Phdr *phdr, size_t count, uintptr_t bias, size_t base_bytes)
{
	struct extent relro = {0, 0};

	for (size_t i = 0; i < count; i++) {
		uintptr_t from = bias + phdr[i].p_vaddr, to;

		if (phdr[i].p_type != PT_GNU_RELRO ||
			!hl_add_ok(from, phdr[i].p_memsz, &to))
			continue;
		relro.from = hl_align_down(from, base_bytes);
		relro.to = hl_align_down(to, base_bytes);
	}
	return relro;
}

static int append_load(struct hl_plan *plan, const Elf64_Phdr *phdr,
	unsigned header, uintptr_t bias, size_t base_bytes,
	const struct extent *relro)
{
	struct extent file, all;
	struct hl_piece piece = {.kind = kind_of(phdr->p_flags),
		.header = header,
		.marked = (phdr->p_flags & HL_PF_HUGETLB) != 0};

	if (phdr->p_filesz > phdr->p_memsz ||
		!pages_of(bias, phdr->p_vaddr, phdr->p_filesz, base_bytes,
			&file) ||
		!pages_of(bias, phdr->p_vaddr, phdr->p_memsz, base_bytes, &all))
		return -EINVAL;
	if (plan->pieces > 0 && all.from < plan->piece[plan->pieces - 1].from)
		return -EINVAL;
	piece.from = all.from;
	piece.to = all.to;
	piece.file_to = phdr->p_filesz > 0 ? file.to : file.from;
	piece.file_offset = hl_align_down(phdr->p_offset, base_bytes);
	if (plan->pieces == 0)
		plan->from = piece.from;
	plan->to = HL_MAX(plan->to, piece.to);
	if (phdr->p_align > plan->align_bytes && hl_is_pow2(phdr->p_align))
		plan->align_bytes = phdr->p_align;
	if (piece.kind == HL_PIECE_DATA)
		append_data(plan, &piece, relro);
	else
		append(plan, &piece);
	return 0;
}

/* The first huge page border at or behind an address; 0 if there is none. */
static uintptr_t border_behind(uintptr_t at, size_t huge_bytes)
{
	return hl_add_ok(at, huge_bytes - 1, &at)
		       ? hl_align_down(at, huge_bytes)
		       : 0;
}

static void set_huge(struct hl_piece *piece, uintptr_t from, uintptr_t to)
{
	bool any = from != 0 && from < to;

	piece->huge_from = any ? from : piece->from;
	piece->huge_to = any ? to : piece->from;
}

static void settle(struct hl_plan *plan, size_t huge_bytes)
{
	for (unsigned i = 0; i < plan->pieces; i++) {
		struct hl_piece *piece = &plan->piece[i];

		/* Beside the object may be anything: the heap of brk. */
		piece->room_from = i > 0 ? piece[-1].to : piece->from;
		piece->room_to =
			i + 1 < plan->pieces ? piece[1].from : piece->to;
		set_huge(piece, border_behind(piece->from, huge_bytes),
			hl_align_down(piece->to, huge_bytes));
	}
}

int hl_plan_make(struct hl_plan *plan, const Elf64_Phdr *phdr, size_t count,
	uintptr_t bias, size_t base_bytes, size_t huge_bytes)
{
	struct extent relro = relro_of(phdr, count, bias, base_bytes);
	int err;

	plan->pieces = 0;
	plan->from = plan->to = 0;
	plan->align_bytes = 0;
	plan->truncated = false;
	for (size_t i = 0; i < count; i++) {
		if (phdr[i].p_type != PT_LOAD || phdr[i].p_memsz == 0)
			continue;
		err = append_load(
			plan, &phdr[i], (unsigned)i, bias, base_bytes, &relro);
		if (err)
			return err;
	}
	settle(plan, huge_bytes);
	return 0;
}

void hl_plan_sum(const struct hl_plan *plan, enum hl_piece_kind kind,
	uint64_t *bytes, uint64_t *huge_bytes)
{
	*bytes = *huge_bytes = 0;
	for (unsigned i = 0; i < plan->pieces; i++) {
		if (plan->piece[i].kind != kind)
			continue;
		*bytes += plan->piece[i].to - plan->piece[i].from;
		*huge_bytes += hl_piece_huge_bytes(&plan->piece[i]);
	}
}

void hl_piece_stretch(struct hl_piece *piece, size_t huge_bytes)
{
	uintptr_t from = hl_align_down(piece->from, huge_bytes);
	uintptr_t to = border_behind(piece->to, huge_bytes);

	if (from < piece->room_from)
		from = border_behind(piece->from, huge_bytes);
	if (to == 0 || to > piece->room_to)
		to = hl_align_down(piece->to, huge_bytes);
	set_huge(piece, from, to);
}
