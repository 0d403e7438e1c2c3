/**
 * Loaded before a test of Node's, and in its children and workers: registers the adapters, and leaves word of how much
 * the rings were used.
 */
import { writeFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { openDefaultRing } from '@sheaf/ring'
import '@sheaf/tcp/register'
import '@sheaf/udp/register'

const { SHEAF_CONFORMANCE_MARKS: directory } = process.env
// A name without a directory would be one in whatever directory a test that somebody runs by hand is in.
if (directory !== undefined && isAbsolute(directory)) {
  process.on('exit', () => {
    const submissions = openDefaultRing()?.metrics.submissions ?? 0
    writeFileSync(join(directory, `${process.pid}-${threadId}`), String(submissions))
  })
}
