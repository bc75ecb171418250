/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Intrusive doubly linked circular list. The caller's lock guards it. A node
 * that is on no list is "unlinked": next == NULL.
 */
#ifndef HL_BASE_LIST_H
#define HL_BASE_LIST_H

#include "base/base.h"

struct hl_list {
	struct hl_list *next;
	struct hl_list *prev;
};

#define hl_list_entry(node, type, member) hl_container_of(node, type, member)

/* pos is a struct hl_list *. The list must not change in the body. */
#define hl_list_for_each(pos, head) \
	for (pos = (head)->next; pos != (head); pos = pos->next)

/* pos itself may be removed in the body; tmp is a struct hl_list *. */
#define hl_list_for_each_safe(pos, tmp, head)                    \
	for (pos = (head)->next, tmp = pos->next; pos != (head); \
		pos = tmp, tmp = pos->next)

static inline void hl_list_init(struct hl_list *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool hl_list_is_empty(const struct hl_list *head)
{
	return head->next == head;
}

static inline bool hl_list_is_linked(const struct hl_list *node)
{
	return node->next != NULL;
}

static inline void hl_list_insert_(
	struct hl_list *node, struct hl_list *prev, struct hl_list *next)
{
	node->prev = prev;
	node->next = next;
	prev->next = node;
	next->prev = node;
}

static inline void hl_list_push_front(
	struct hl_list *head, struct hl_list *node)
{
	hl_list_insert_(node, head, head->next);
}

static inline void hl_list_push_back(struct hl_list *head, struct hl_list *node)
{
	hl_list_insert_(node, head->prev, head);
}

static inline void hl_list_remove(struct hl_list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

/* First node or NULL. */
static inline struct hl_list *hl_list_first(const struct hl_list *head)
{
	return head->next == head ? NULL : head->next;
}

#endif
