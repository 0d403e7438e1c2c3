// Loaded before a program: tells who started it, on descriptor 3, what went through Sheaf.
import { writeSync } from 'node:fs'
import { defaultRing } from '@sheaf/ring'

process.on('exit', () => {
  const { bytesRead, bytesWritten, messagesRead, messagesWritten, accepted, connected } = defaultRing().metrics
  writeSync(3, JSON.stringify({ bytesRead, bytesWritten, messagesRead, messagesWritten, accepted, connected }))
})
