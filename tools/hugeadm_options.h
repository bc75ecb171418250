/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line of hugeadm, read but not judged: what needs the state of the
 * machine (sizes, nodes) is turned into requests by hugeadm_options.c as well,
 * once --sysroot is known.
 */
#ifndef HL_TOOLS_HUGEADM_OPTIONS_H
#define HL_TOOLS_HUGEADM_OPTIONS_H

#include "hugeadm.h"

struct adm_options {
	struct hl_root root;
	struct adm_effort effort;
	struct adm_mount_limits limits;
	const char *leave;
	unsigned sections; /* enum adm_section: what is to be listed */
	bool per_node, json, explain, dry_run, persist, obey_policy;
	bool boot_parameters, suggest, done;
	int verbose;
	char **operands; /* of --suggest */
	/* Options that ask for changes, in their order. */
	struct adm_asked {
		int option;
		const char *name; /* as given, with hyphens */
		const char *value;
	} * asked;
	size_t asked_count;
};

/* 0, or a status if the command line is wrong and that was said. */
int adm_options_read(struct adm_options *o, int argc, char **argv);
int adm_options_requests(const struct adm_options *o, struct adm_state *state,
	struct adm_requests *list);

#endif
