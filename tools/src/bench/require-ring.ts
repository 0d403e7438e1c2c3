import type { Command } from 'commander'
import { capabilities } from '@sheaf/ring'

/**
 * Ends a benchmark where there is no io_uring: Sheaf runs on Node's own sockets there, and those would be compared with
 * themselves. Programs that are registered can't ask for a backend, so whoever starts them has to look.
 */
export function requireRing(command: Command): void {
  const { ring } = capabilities()
  if (ring.enabled) return
  command.error(`error: there is no io_uring, so Sheaf's figures would be those of Node's own sockets: ${ring.reason}`)
}
