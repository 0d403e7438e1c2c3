// Loaded before a program: tells who started it, on descriptor 3, what went through Sheaf, at the end; where it can
// collect garbage, it does so on SIGUSR2, and says so.
import { writeSync } from 'node:fs'
import { defaultRing } from '@sheaf/ring'

if (globalThis.gc !== undefined) {
  process.on('SIGUSR2', () => {
    globalThis.gc()
    writeSync(3, 'collected\n')
  })
}
process.on('exit', () => {
  const { bytesRead, bytesWritten, messagesRead, messagesWritten, accepted, connected } = defaultRing().metrics
  writeSync(3, JSON.stringify({ bytesRead, bytesWritten, messagesRead, messagesWritten, accepted, connected }))
})
