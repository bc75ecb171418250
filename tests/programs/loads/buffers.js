// SPDX-License-Identifier: LGPL-2.1-or-later
// Buffers (malloc), strings and objects (V8's own heap), worker threads.
'use strict';
const crypto = require('crypto');
const zlib = require('zlib');
const { Worker, isMainThread, workerData, parentPort } = require('worker_threads');

let x = 88172645463325252n;
function next() {
	x ^= x << 13n & 0xffffffffffffffffn;
	x ^= x >> 7n;
	x ^= x << 17n & 0xffffffffffffffffn;
	return Number(x & 0xfffffffn);
}

function fill(megabytes, seed) {
	x = 88172645463325252n + BigInt(seed);
	const hash = crypto.createHash('sha256');
	let kept = [];
	let bytes = 0;
	while (bytes < megabytes * 1000000) {
		const size = 100 + next() % (next() % 20 === 0 ? 600000 : 30000);
		const b = Buffer.alloc(size, next() & 255);
		b.writeUInt32LE(size, 0);
		bytes += size;
		kept.push(b);
	}
	for (const b of kept)
		hash.update(b.subarray(0, 64));
	kept = kept.filter((b, i) => i % 3 === 0);
	const text = kept.map((b) => b.toString('latin1').slice(0, 1000)).join('\n');
	hash.update(text);
	const packed = zlib.deflateSync(Buffer.from(text));
	hash.update(zlib.inflateSync(packed));
	return [hash.digest('hex'), kept.length, text.length];
}

const size = Number(process.argv[2]);
if (isMainThread) {
	console.log(JSON.stringify(fill(size, 0)));
	const objects = [];
	for (let i = 0; i < 200000; i++)
		objects.push({ id: i, name: 'object ' + i, list: [i, i * 2, String(next())] });
	console.log(crypto.createHash('sha256').update(JSON.stringify(objects)).digest('hex'));
	let results = [];
	for (let i = 0; i < 2; i++) {
		const worker = new Worker(__filename, { workerData: i + 1, argv: [String(size / 4)] });
		worker.on('message', (m) => {
			results.push(m);
			if (results.length === 2)
				console.log(results.sort().join('\n'));
		});
	}
} else {
	parentPort.postMessage(JSON.stringify(fill(size, workerData)));
}
