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
  .plugin(require('pouchdb-mapreduce'));

// A database's name is taken for a file's name and loses its slashes, so that `a/b` and `ab` are one database. Here
// no name becomes a file, and each stays as it is.
const cleanFilename = require.resolve('express-pouchdb/lib/clean-filename');
require.cache[cleanFilename] = { id: cleanFilename, filename: cleanFilename, loaded: true, exports: (name) => name };

// For a name with slashes a folder is made all the same, below the current one.
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'couchdb-protocol-server-'));
process.chdir(folder);
process.on('exit', () => fs.rmSync(folder, { recursive: true, force: true }));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

const app = express();
// There are no users here: who names one is let in as anyone.
app.use((request, response, next) => {
  delete request.headers.authorization;
  next();
});
app.use(require('express-pouchdb')(PouchDB.defaults({ adapter: 'memory' }), { mode: 'minimumForPouchDB' }));

const server = app.listen(Number(process.argv[2] || 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
// As in CouchDB, an idle connection stays open: node's 5 s would close one just as a client sends on it.
server.keepAliveTimeout = 0;
