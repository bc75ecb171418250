/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside segment/: one piece of text. */
#ifndef HL_SEGMENT_TEXT_H
#define HL_SEGMENT_TEXT_H

#include "segment/mover.h"

void hl_text_move(struct hl_mover *m, const struct hl_piece *piece);
/* The reason that an error number stands for. */
enum hl_stay hl_text_stay(int err);

#endif
