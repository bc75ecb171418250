-- SPDX-License-Identifier: LGPL-2.1-or-later
.bail on
PRAGMA cache_size = -2000000;
PRAGMA temp_store = MEMORY;
CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, grp INTEGER, body TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500000)
INSERT INTO item SELECT i, printf('name-%08x', i * 2654435761 & 0xffffffff),
	i * 7919 % 1000, printf('%s-%d', substr('the quick brown fox jumps over the lazy dog and goes on', 1 + i % 30), i) FROM n;
CREATE INDEX by_name ON item (name);
CREATE INDEX by_group ON item (grp, id);
SELECT count(*), sum(id), max(name), sum(length(body)) FROM item;
SELECT grp, count(*), min(name) FROM item GROUP BY grp ORDER BY grp LIMIT 20;
CREATE TABLE copy AS SELECT a.id, a.name || ':' || b.name AS pair FROM item a JOIN item b ON b.id = a.id * 3 % 500000 + 1 ORDER BY a.name;
SELECT count(*), max(pair), min(pair), sum(length(pair)) FROM copy;
DELETE FROM item WHERE grp % 3 = 0;
SELECT count(*), total(length(body)) FROM item;
UPDATE item SET body = body || body || '-again' WHERE grp % 5 = 0;
SELECT count(*), total(length(body)) FROM item;
DROP TABLE copy;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
SELECT length(group_concat(zeroblob(100000))), count(*) FROM n;
VACUUM;
SELECT max(id), min(name) FROM item WHERE name LIKE 'name-0%';
