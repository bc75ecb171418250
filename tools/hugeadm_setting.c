/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one table of settings: files of the kernel that hold a value. It is the
 * source of what --json prints, of what --apply takes, and of what the options
 * that set one of them write.
 */
#include "hugeadm.h"

#include <grp.h>
#include <limits.h>

#define THP	   "/sys/kernel/mm/transparent_hugepage/"
#define KHUGEPAGED THP "khugepaged/"

const struct adm_setting adm_settings[] = {
	{"thp", "enabled", THP "enabled", ADM_WORD, false, NULL, NULL},
	{"thp", "defrag", THP "defrag", ADM_WORD, false, NULL, NULL},
	{"thp", "shmem_enabled", THP "shmem_enabled", ADM_WORD, false, NULL,
		NULL},
	{"thp", "use_zero_page", THP "use_zero_page", ADM_SWITCH, false, NULL,
		NULL},
	{"thp", "shrink_underused", THP "shrink_underused", ADM_SWITCH, false,
		NULL, "this kernel has none; Linux has it since 6.12"},
	{"thp", "enabled", THP "%senabled", ADM_WORD, true, NULL,
		"this kernel has no such size; Linux has settings per size "
		"since 6.8"},
	{"thp", "shmem_enabled", THP "%sshmem_enabled", ADM_WORD, true, NULL,
		"this kernel has none for that size; Linux has it since 6.11"},
	{"khugepaged", "defrag", KHUGEPAGED "defrag", ADM_SWITCH, false, NULL,
		NULL},
	{"khugepaged", "pages_to_scan", KHUGEPAGED "pages_to_scan", ADM_COUNT,
		false, NULL, NULL},
	{"khugepaged", "scan_sleep_millisecs",
		KHUGEPAGED "scan_sleep_millisecs", ADM_UINT, false, NULL, NULL},
	{"khugepaged", "alloc_sleep_millisecs",
		KHUGEPAGED "alloc_sleep_millisecs", ADM_UINT, false, NULL,
		NULL},
	{"khugepaged", "max_ptes_none", KHUGEPAGED "max_ptes_none", ADM_PTES,
		false, NULL, NULL},
	{"khugepaged", "max_ptes_swap", KHUGEPAGED "max_ptes_swap", ADM_PTES,
		false, NULL, NULL},
	{"khugepaged", "max_ptes_shared", KHUGEPAGED "max_ptes_shared",
		ADM_PTES, false, NULL, NULL},
	{"vm", "hugetlb_shm_group", "/proc/sys/vm/hugetlb_shm_group", ADM_GROUP,
		false, "vm.hugetlb_shm_group", NULL},
	{"vm", "min_free_kbytes", "/proc/sys/vm/min_free_kbytes", ADM_INT,
		false, "vm.min_free_kbytes", NULL},
	{"vm", "hugetlb_optimize_vmemmap",
		"/proc/sys/vm/hugetlb_optimize_vmemmap", ADM_SWITCH, false,
		"vm.hugetlb_optimize_vmemmap",
		"this kernel cannot change it at run time; Linux can since "
		"5.19, where it was built with it"},
	{"vm", "zone_movable", "/proc/sys/vm/hugepages_treat_as_movable",
		ADM_SWITCH, false, "vm.hugepages_treat_as_movable",
		"gone since Linux 4.16: huge pages that can be moved go to "
		"movable zones by themselves"},
	{"kernel", "shmmax", "/proc/sys/kernel/shmmax", ADM_NUMBER, false,
		"kernel.shmmax", NULL},
};
const size_t adm_setting_count = HL_ARRAY_SIZE(adm_settings);

const struct adm_setting *adm_setting_find(
	const char *section, const char *key, bool per_size)
{
	for (size_t i = 0; i < adm_setting_count; i++) {
		const struct adm_setting *s = &adm_settings[i];

		if (strcmp(s->section, section) == 0 &&
			strcmp(s->key, key) == 0 && s->per_size == per_size)
			return s;
	}
	return NULL;
}

char *adm_setting_path(const struct adm_setting *setting, size_t page_bytes)
{
	const char *hole = strstr(setting->path, "%s");

	if (!hole)
		return tool_strdup(setting->path);
	return tool_text("%.*shugepages-%zukB/%s", (int)(hole - setting->path),
		setting->path, page_bytes / HL_KIB, hole + 2);
}

char *adm_setting_read(const struct hl_root *root,
	const struct adm_setting *setting, size_t page_bytes)
{
	char text[128];
	char *path = adm_setting_path(setting, page_bytes);

	if (hl_choice_read(root, path, text, sizeof(text)) != 0)
		return NULL;
	return tool_strdup(text);
}

/* Of base pages in a transparent huge page; 0: not known. */
static uint64_t ptes(const struct hl_root *root)
{
	uint64_t bytes;

	if (root->prefix[0] != '\0' ||
		hl_root_read_u64(root, THP "hpage_pmd_size", &bytes) != 0)
		return 0;
	return bytes / hl_base_page_bytes();
}

/* What the kernel would refuse is refused before anything is changed. */
static char *number_value(const struct hl_root *root, enum adm_form form,
	uint64_t number, char **why)
{
	uint64_t least = form == ADM_COUNT, most = UINT64_MAX;

	if (form == ADM_UINT || form == ADM_COUNT)
		most = UINT_MAX;
	else if (form == ADM_INT || form == ADM_GROUP)
		most = INT_MAX;
	else if (form == ADM_PTES)
		most = ptes(root) > 0 ? ptes(root) - 1 : UINT_MAX;
	if (number >= least && number <= most)
		return tool_text("%" PRIu64, number);
	*why = tool_text("%" PRIu64 " is not from %" PRIu64 " to %" PRIu64,
		number, least, most);
	return NULL;
}

static char *group_value(
	const struct hl_root *root, const char *text, char **why)
{
	const struct group *group;
	uint64_t number;

	if (hl_parse_u64(text, &number) == 0)
		return number_value(root, ADM_GROUP, number, why);
	group = getgrnam(text);
	if (group)
		return number_value(root, ADM_GROUP, group->gr_gid, why);
	*why = tool_text("\"%s\" is no group here", text);
	return NULL;
}

static char *word_value(const struct hl_root *root, const char *path,
	const char *text, char **why)
{
	char offered[256], *to = offered;

	if (hl_choice_offers(root, path, text))
		return tool_strdup(text);
	if (hl_root_read(root, path, offered, sizeof(offered)) < 0)
		return tool_strdup(text);
	/* The brackets around the one that is set are not part of it. */
	for (const char *from = offered; *from; from++) {
		if (*from != '[' && *from != ']')
			*to++ = *from;
	}
	*to = '\0';
	*why = tool_text("\"%s\" is not one of: %s", text, offered);
	return NULL;
}

char *adm_setting_value(const struct hl_root *root,
	const struct adm_setting *setting, size_t page_bytes, const char *text,
	char **why)
{
	uint64_t number;
	bool yes;

	switch (setting->form) {
	case ADM_NUMBER:
	case ADM_UINT:
	case ADM_COUNT:
	case ADM_INT:
	case ADM_PTES:
		if (hl_parse_u64(text, &number) == 0)
			return number_value(root, setting->form, number, why);
		*why = tool_text("\"%s\" is not a number", text);
		return NULL;
	case ADM_SWITCH:
		if (*text != '\0' && hl_parse_bool(text, &yes) == 0)
			return tool_strdup(yes ? "1" : "0");
		*why = tool_text("\"%s\" is neither on nor off", text);
		return NULL;
	case ADM_GROUP:
		return group_value(root, text, why);
	case ADM_WORD:
		break;
	}
	return word_value(
		root, adm_setting_path(setting, page_bytes), text, why);
}
