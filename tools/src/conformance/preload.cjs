// Loaded before a test of Node's, and in its children and workers: registers the adapters, and leaves word of how much
// the rings were used. CommonJS, as Node before 20.19 can't `--require` anything else.
const { writeFileSync } = require('node:fs')
const { isAbsolute, join } = require('node:path')
const { threadId } = require('node:worker_threads')
const { openDefaultRing } = require('@sheaf/ring')
require('@sheaf/tcp/register')
require('@sheaf/udp/register')

const { SHEAF_CONFORMANCE_MARKS: directory } = process.env
// A name without a directory would be one in whatever directory a test that somebody runs by hand is in.
if (directory !== undefined && isAbsolute(directory)) {
  process.on('exit', () => {
    const submissions = openDefaultRing()?.metrics.submissions ?? 0
    writeFileSync(join(directory, `${process.pid}-${threadId}`), String(submissions))
  })
}
