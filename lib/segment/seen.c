/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which objects were looked at, so that a start of a thread looks at those only
 * that were opened since. Objects are known by name and address; one that was
 * closed and opened again mostly has both, and its text is the file's again,
 * where ours was before. The dynamic linker's lock guards all this.
 */
#include "segment/mover.h"

#include "base/meta.h"
#include "system/sys.h"

struct seen {
	uint64_t key;
	uintptr_t at; /* text of it that is not of its file any more; 0: none */
	ino_t inode;  /* of what is there instead */
	bool gone;
};

/*
 * What no longer fits, or all if there is no memory, is looked at again, which
 * costs time only. Mapped when the first object moves: programs of which no
 * segment does are not made larger.
 */
#define SEEN_MAX 512
static struct seen *seen;
static size_t count;
static unsigned long long closed; /* objects, ever, when we last looked */

static uint64_t key_of(const struct dl_phdr_info *info)
{
	uint64_t key = 0xcbf29ce484222325u ^ info->dlpi_addr;

	for (const char *c = info->dlpi_name; c && *c != '\0'; c++)
		key = (key ^ (uint64_t)*c) * 0x100000001b3u;
	return key;
}

static int see(const struct hl_map_record *r, void *arg)
{
	(void)arg;
	for (size_t i = 0; i < count; i++) {
		struct seen *s = &seen[i];

		if (s->at >= r->from && s->at < r->to)
			s->gone = r->inode != s->inode;
	}
	return 0;
}

static void forget_gone(struct hl_mover *m)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++)
		seen[i].gone = seen[i].at != 0;
	if (hl_maps_visit(&hl_root_real, 0, m->scratch, sizeof(m->scratch), see,
		    NULL) < 0)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!seen[i].gone)
			seen[kept++] = seen[i];
	}
	count = kept;
}

bool hl_seen_is_new(struct hl_mover *m, const struct dl_phdr_info *info)
{
	uint64_t key = key_of(info);

	if (info->dlpi_subs != closed) {
		closed = info->dlpi_subs;
		forget_gone(m);
	}
	for (size_t i = 0; i < count; i++) {
		if (seen[i].key == key)
			return false;
	}
	return true;
}

void hl_seen_add(struct hl_mover *m, const struct dl_phdr_info *info)
{
	if (seen == NULL)
		seen = hl_meta_map(SEEN_MAX * sizeof(*seen));
	if (seen != NULL && count < SEEN_MAX)
		seen[count++] = (struct seen){.key = key_of(info),
			.at = m->moved.at,
			.inode = m->moved.inode};
}
