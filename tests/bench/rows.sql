-- SPDX-License-Identifier: LGPL-2.1-or-later
-- A real program for run.py: sqlite3 in memory.
CREATE TABLE t(id INTEGER PRIMARY KEY, word TEXT, number INTEGER, rest BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000)
INSERT INTO t SELECT i, 'word ' || (i * 7919 % 150001), i * 104729 % 1000003,
	zeroblob(i % 200) FROM n;
CREATE INDEX by_word ON t(word);
CREATE INDEX by_number ON t(number);
SELECT count(*), sum(length(a.word)) FROM t a JOIN t b
	ON a.word = 'word ' || (b.number % 150001);
UPDATE t SET word = word || ' changed at length' WHERE id % 3 = 0;
DELETE FROM t WHERE id % 2 = 0;
SELECT word FROM t ORDER BY rest, number DESC LIMIT 1;
