/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The planner of text and data against a picture of memory: each base page is
 * painted as loaders map it, later segments over earlier ones, and a huge page
 * is whole if all its pages have the same paint.
 */
#include "model.h"

#include "segment/plan.h"

#include <string.h>

const char model_name[] = "segment";

#define BASE	 ((size_t)4096)
#define PAGES	 2048u /* of the picture */
#define PER_HUGE 16u
#define HUGE	 (BASE * PER_HUGE)
#define LOADS	 10

struct paint {
	bool there;
	enum hl_piece_kind kind;
	unsigned header; /* but for text, where the file's run counts */
	int64_t run;
	bool marked;
};

static struct paint picture[PAGES];
static Elf64_Phdr phdr[LOADS + 1];
static size_t headers;
static uintptr_t bias;
static struct hl_plan plan;

static struct {
	uint64_t plans, whole[5], stretched, merged;
} seen;

static enum hl_piece_kind kind_of(uint32_t flags)
{
	if (flags == (PF_R | PF_X))
		return HL_PIECE_TEXT;
	if (flags == PF_R)
		return HL_PIECE_RODATA;
	return flags == (PF_R | PF_W) ? HL_PIECE_DATA : HL_PIECE_OTHER;
}

/* Loads in ascending order, at times back to back. */
static void draw_headers(struct model_in *in)
{
	static const uint32_t flags[] = {PF_R, PF_R | PF_X, PF_R | PF_X,
		PF_R | PF_W, PF_R | PF_W, PF_R | PF_W | PF_X};
	uint64_t at = model_draw(in, HUGE), offset = at % BASE;

	headers = 0;
	while (headers < LOADS && at < (PAGES - 4 * PER_HUGE) * BASE) {
		Elf64_Phdr *p = &phdr[headers];
		uint64_t bytes = 1 + model_draw(in, 6 * HUGE);

		memset(p, 0, sizeof(*p));
		if (model_chance(in, 3))
			bytes = (bytes + BASE - 1) / BASE * BASE;
		p->p_type = PT_LOAD;
		p->p_flags = flags[model_draw(in, 6)];
		p->p_vaddr = at;
		p->p_offset = offset;
		p->p_memsz = bytes;
		p->p_filesz =
			model_chance(in, 3) ? model_draw(in, bytes + 1) : bytes;
		p->p_align = BASE;
		headers++;
		at += bytes;
		offset += bytes;
		if (model_chance(in, 3)) {
			uint64_t gap = model_draw(in, 2 * HUGE);

			at += gap;
			offset += model_chance(in, 2) ? gap : gap % BASE;
		}
		if (p->p_flags & PF_X && model_chance(in, 4))
			p->p_flags |= HL_PF_HUGETLB;
	}
}

static void draw_relro(struct model_in *in)
{
	size_t i = model_draw(in, headers);
	Elf64_Phdr *p = &phdr[headers];
	uint64_t skip = model_chance(in, 2) ? 0 : model_draw(in, HUGE);

	*p = phdr[i];
	p->p_type = PT_GNU_RELRO;
	p->p_vaddr += skip;
	p->p_memsz = model_draw(in, 4 * HUGE);
	headers++;
}

static void paint(struct paint *all, uint64_t from, uint64_t to,
	const struct paint *with, bool data_only)
{
	for (uint64_t page = from / BASE; page < to / BASE; page++) {
		/* RELRO is a cut of the loader in what is data already. */
		if (data_only &&
			(!all[page].there || all[page].kind != HL_PIECE_DATA))
			continue;
		if (data_only)
			all[page].kind = HL_PIECE_RELRO;
		else
			all[page] = *with;
	}
}

static uint64_t down(uint64_t n)
{
	return n / BASE * BASE;
}

static void draw_picture(void)
{
	memset(picture, 0, sizeof(picture));
	for (size_t i = 0; i < headers; i++) {
		const Elf64_Phdr *p = &phdr[i];
		struct paint with = {.there = true,
			.kind = kind_of(p->p_flags & 7),
			.marked = (p->p_flags & HL_PF_HUGETLB) != 0};

		if (p->p_type != PT_LOAD)
			continue;
		if (with.kind == HL_PIECE_TEXT)
			with.run =
				(int64_t)(down(p->p_vaddr) - down(p->p_offset));
		else
			with.header = (unsigned)i + 1;
		paint(picture, down(p->p_vaddr),
			down(p->p_vaddr + p->p_memsz + BASE - 1), &with, false);
	}
	for (size_t i = 0; i < headers; i++) {
		if (phdr[i].p_type == PT_GNU_RELRO)
			paint(picture, down(phdr[i].p_vaddr),
				down(phdr[i].p_vaddr + phdr[i].p_memsz), NULL,
				true);
	}
}

static bool same(const struct paint *a, const struct paint *b)
{
	return a->there && b->there && a->kind == b->kind &&
	       a->header == b->header && a->run == b->run &&
	       a->marked == b->marked;
}

/* The link address of a page counts from 0, but huge pages lie at addresses. */
static bool naive_whole(uint64_t first)
{
	for (uint64_t i = 1; i < PER_HUGE; i++) {
		if (!same(&picture[first], &picture[first + i]))
			return false;
	}
	return picture[first].there;
}

static const struct hl_piece *real_piece(uint64_t page)
{
	uintptr_t at = bias + page * BASE;

	for (unsigned i = 0; i < plan.pieces; i++) {
		if (at >= plan.piece[i].huge_from && at < plan.piece[i].huge_to)
			return &plan.piece[i];
	}
	return NULL;
}

static void compare(void)
{
	uint64_t lead = (HUGE - bias % HUGE) % HUGE / BASE;

	for (uint64_t first = lead; first + PER_HUGE <= PAGES;
		first += PER_HUGE) {
		const struct hl_piece *piece = real_piece(first);

		model_equal(piece != NULL, naive_whole(first));
		if (!piece)
			continue;
		model_equal(piece->kind, picture[first].kind);
		model_equal(piece->marked, picture[first].marked);
		seen.whole[piece->kind]++;
	}
}

/* Stretched, a piece still covers nothing that another one has. */
static void compare_stretched(struct hl_piece piece)
{
	hl_piece_stretch(&piece, HUGE);
	if (piece.huge_from < piece.from || piece.huge_to > piece.to)
		seen.stretched++;
	for (unsigned i = 0; i < plan.pieces; i++) {
		const struct hl_piece *other = &plan.piece[i];

		if (other->from == piece.from)
			continue;
		model_check(piece.huge_to <= other->from ||
			    piece.huge_from >= other->to ||
			    piece.huge_from == piece.huge_to);
	}
}

void model_start(struct model_in *in)
{
	bias = (1 + model_draw(in, 100)) * HUGE;
	bias += model_chance(in, 2) ? 0 : model_draw(in, PER_HUGE) * BASE;
}

void model_step(struct model_in *in)
{
	size_t loads;

	draw_headers(in);
	loads = headers;
	if (model_chance(in, 2))
		draw_relro(in);
	draw_picture();
	model_equal(hl_plan_make(&plan, phdr, headers, bias, BASE, HUGE), 0);
	model_check(!plan.truncated);
	compare();
	for (unsigned i = 0; i < plan.pieces; i++) {
		model_check(plan.piece[i].from < plan.piece[i].to);
		model_check(
			i == 0 || plan.piece[i - 1].to <= plan.piece[i].from);
		compare_stretched(plan.piece[i]);
	}
	seen.merged += plan.pieces < loads;
	seen.plans++;
}

void model_end(void)
{
}

void model_summary(FILE *out)
{
	fprintf(out,
		"%llu plans, %llu with text joined; whole pages: %llu text, "
		"%llu read-only, %llu RELRO, %llu data; %llu stretched\n",
		(unsigned long long)seen.plans, (unsigned long long)seen.merged,
		(unsigned long long)seen.whole[HL_PIECE_TEXT],
		(unsigned long long)seen.whole[HL_PIECE_RODATA],
		(unsigned long long)seen.whole[HL_PIECE_RELRO],
		(unsigned long long)seen.whole[HL_PIECE_DATA],
		(unsigned long long)seen.stretched);
}
