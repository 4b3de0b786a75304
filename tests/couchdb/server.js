// A server that speaks CouchDB's protocol and keeps everything in memory, for tests on machines without a CouchDB.
//
//   node server.js [PORT]     PORT 0 (the default) is any that is free; the first line on stdout is the URL
'use strict';

const fs = require('fs');
const os = require('os');
const path = require('path');
const express = require('express');
const PouchDB = require('pouchdb-core')
  .plugin(require('pouchdb-adapter-memory'))
  .plugin(require('pouchdb-mapreduce'))
  .plugin(require('pouchdb-replication'));

// what keeps the names of databases writes to the current folder
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'couchdb-protocol-server-'));
process.chdir(folder);
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const app = express();
// there are no users here: who names one is let in as anyone
app.use((request, response, next) => {
  delete request.headers.authorization;
  next();
});
app.use(require('express-pouchdb')(PouchDB.defaults({ adapter: 'memory' }), { mode: 'minimumForPouchDB' }));

const server = app.listen(Number(process.argv[2] || 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
