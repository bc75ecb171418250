#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""sqlite3 with a database in memory."""
import harness as h

h.main(h.Workload('sqlite', ['sqlite3', '-batch', ':memory:'], needs=['sqlite3'],
                  stdin=f'{h.HERE}/loads/store.sql'))
