/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When segments move without being told by the program: at start, as the
 * environment or the marks in the program's headers ask, and again when objects
 * were loaded since.
 *
 * HUGETLB_ELFMAP has parts separated by colons: letters R (text), W (data and
 * bss) and B (the brk area), "=SIZE" behind them.
 */
#include "segment/plan.h"
#include "segment/segment.h"

#include "base/fmt.h"
#include "base/log.h"
#include "base/opt.h"

#include <link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/auxv.h>

/* Objects that the dynamic linker had ever loaded when we last looked. */
static _Atomic unsigned long long loads_seen;

static void read_part(
	struct hl_segment_want *want, const char *part, size_t length)
{
	char size[32];
	size_t letters = 0, bytes = 0;

	while (letters < length && part[letters] != '=')
		letters++;
	if (letters < length && length - letters <= sizeof(size)) {
		memcpy(size, part + letters + 1, length - letters - 1);
		size[length - letters - 1] = '\0';
		if (hl_parse_size(size, &bytes))
			bytes = 0;
	}
	for (size_t i = 0; i < letters; i++) {
		if ((part[i] | 0x20) == 'r') {
			want->text = true;
			want->text_page_bytes = bytes;
		} else if ((part[i] | 0x20) == 'w') {
			want->data = true;
		} else if ((part[i] | 0x20) == 'b') {
			want->brk = true;
		}
	}
}

bool hl_segments_wanted(struct hl_segment_want *want)
{
	const char *part = hl_opt.elfmap;

	*want = (struct hl_segment_want){
		.names = hl_opt.segments,
		.no_shared = !hl_opt.share,
		.share_path = hl_opt.share_path,
		.perf_map = hl_opt.perf_map,
		.all_bss = !hl_opt.minimal_copy,
		.once = true,
	};
	while (*part != '\0') {
		size_t length = strcspn(part, ":");

		read_part(want, part, length);
		part += length;
		part += *part == ':';
	}
	return want->text || want->data || want->brk;
}

/* hugeedit's marks, in the headers that the kernel has put before us. */
static bool is_marked(void)
{
	const ElfW(Phdr) *phdr = (const void *)getauxval(AT_PHDR);
	unsigned long count = getauxval(AT_PHNUM);

	if (phdr == NULL || getauxval(AT_PHENT) != sizeof(*phdr))
		return false;
	for (unsigned long i = 0; i < count; i++) {
		if (phdr[i].p_type == PT_LOAD &&
			(phdr[i].p_flags & HL_PF_HUGETLB) != 0)
			return true;
	}
	return false;
}

static int see_loads(struct dl_phdr_info *info, size_t bytes, void *arg)
{
	unsigned long long *loads = arg;

	if (bytes >= offsetof(struct dl_phdr_info, dlpi_adds) +
			     sizeof(info->dlpi_adds))
		*loads = info->dlpi_adds;
	return 1;
}

/* True if there are objects that have not been looked at. */
static bool has_loaded_more(void)
{
	unsigned long long loads = 0;

	(void)dl_iterate_phdr(see_loads, &loads);
	return atomic_exchange(&loads_seen, loads) != loads;
}

static void move(const struct hl_segment_want *want)
{
	struct hl_segment_result result;
	int err = hl_segments_move(want, &result);

	if (err)
		hl_log(HL_LOG_INFO, "segments stay where they are: error %d",
			-err);
}

void hl_segments_start(void)
{
	struct hl_segment_want want;

	if (!hl_segments_wanted(&want)) {
		if (hl_opt.elfmap_off || hl_opt.secure || !is_marked())
			return;
		want.text = want.data = want.marked_only = true;
		want.names = NULL;
	}
	(void)has_loaded_more();
	move(&want);
}

void hl_segments_again(void)
{
	struct hl_segment_want want;

	if (hl_opt.segments[0] == '\0' || !hl_segments_wanted(&want) ||
		!want.text || !has_loaded_more())
		return;
	/* Data no longer moves: there may be threads. */
	want.data = want.brk = false;
	move(&want);
}
