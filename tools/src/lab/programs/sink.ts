/**
 * Counts what arrives, and with `--verify` checks every byte against the pattern. Driven over IPC (see messages.ts).
 * Usage: lab-sink HOST PORT [--verify]
 */
import { createServer, type AddressInfo } from 'node:net'
import type { FromProgram, ToProgram } from '../messages'
import { createPattern, PatternCheck } from '../pattern'

const [host, port] = process.argv.slice(2)
const pattern = process.argv.includes('--verify') ? createPattern() : undefined
let bytes = 0
let ended = 0
let open = 0
let mismatch: string | undefined

function tell(message: FromProgram): void {
  process.send?.(message)
}

const server = createServer((socket) => {
  const check = pattern && new PatternCheck(pattern)
  open++
  socket.on('data', (chunk) => {
    bytes += chunk.length
    if (check !== undefined) mismatch ??= check.add(chunk)
  })
  socket.on('end', () => { ended++ })
  // A proxy that is stopped in the middle resets its connections.
  socket.on('error', () => undefined)
  socket.on('close', () => { open-- })
})

process.on('message', (message: ToProgram) => {
  if (message.kind !== 'count') return
  tell({
    kind: 'count',
    bytes,
    nanoseconds: process.hrtime.bigint().toString(),
    open,
    ended,
    ...mismatch !== undefined && { mismatch },
  })
})
process.on('disconnect', () => process.exit())
server.listen(Number(port), host, () => {
  tell({ kind: 'ready', port: (server.address() as AddressInfo).port })
})
