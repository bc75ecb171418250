/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the kernel's settings of transparent huge pages mean for a PMD-sized
 * page of anonymous memory: the file of that size counts where it exists, and
 * "inherit" there is the file above. The process may be switched off as well,
 * or put on advice only (6.18); that is inherited over exec, so it is asked
 * for and not assumed. No lock, no state.
 */
#include "system/sys.h"
#include "base/fmt.h"
#include "base/syscall.h"
#include "system/admin.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#define DIRECTORY "/sys/kernel/mm/transparent_hugepage"

/* What PR_GET_THP_DISABLE returns. */
#define DISABLED	     1
#define DISABLED_BUT_ADVISED 3

static bool parse_mode(const char *word, enum hl_thp_mode *mode)
{
	if (strcmp(word, "always") == 0)
		*mode = HL_THP_ALWAYS;
	else if (strcmp(word, "madvise") == 0)
		*mode = HL_THP_MADVISE;
	else if (strcmp(word, "never") == 0)
		*mode = HL_THP_NEVER;
	else
		return false;
	return true;
}

static void read_size_mode(const struct hl_root *root, struct hl_thp *thp)
{
	char path[128], word[24];
	struct hl_buf buf;

	hl_buf_init(&buf, path, sizeof(path));
	hl_buf_printf(&buf, DIRECTORY "/hugepages-%zukB/enabled",
		thp->pmd_bytes / HL_KIB);
	if (hl_choice_read(root, path, word, sizeof(word)) == 0)
		(void)parse_mode(word, &thp->enabled);
}

static void read_process(struct hl_thp *thp)
{
	long how = hl_syscall(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0, 0);

	thp->process_disabled = how == DISABLED;
	if (how == DISABLED_BUT_ADVISED && thp->enabled == HL_THP_ALWAYS)
		thp->enabled = HL_THP_MADVISE;
}

int hl_thp_read(const struct hl_root *root, struct hl_thp *out)
{
	struct hl_thp thp = {.present = true};
	size_t base = hl_base_page_bytes();
	char word[24];
	uint64_t pmd;
	int err =
		hl_choice_read(root, DIRECTORY "/enabled", word, sizeof(word));

	if (err)
		return err;
	if (!parse_mode(word, &thp.enabled))
		return -EINVAL;
	/* A table of one page has a page of 8-byte entries. */
	thp.pmd_bytes = base * base / 8;
	if (hl_root_read_u64(root, DIRECTORY "/hpage_pmd_size", &pmd) == 0 &&
		hl_is_pow2(pmd))
		thp.pmd_bytes = pmd;
	read_size_mode(root, &thp);
	(void)hl_choice_read(
		root, DIRECTORY "/defrag", thp.defrag, sizeof(thp.defrag));
	(void)hl_choice_read(
		root, DIRECTORY "/shmem_enabled", thp.shmem, sizeof(thp.shmem));
	if (root->prefix[0] == '\0')
		read_process(&thp);
	*out = thp;
	return 0;
}
