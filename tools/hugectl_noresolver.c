/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libnuma's node strings may be "ip:HOST": the nodes near the network device
 * that leads to HOST. To resolve a name, a static executable would have to load
 * shared objects of just the C library that it was linked with. So a static
 * hugectl answers that it cannot; numeric lists and devices are not concerned.
 */
#include <netdb.h>
#include <stddef.h>

int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	(void)node;
	(void)service;
	(void)hints;
	*out = NULL;
	return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
	(void)list;
}
