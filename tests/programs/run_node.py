#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""node: buffers by malloc beside a heap that is V8's own, and worker threads."""
import harness as h

h.main(h.Workload('node', ['node', f'{h.HERE}/loads/buffers.js', '200'],
                  needs=['node'], strict=False))
