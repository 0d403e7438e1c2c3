import { readdirSync, readFileSync } from 'node:fs'
import { binding } from '@sheaf/native'

/** How many descriptors the process has open. */
export function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length
}

/** Whether reading from it waits, for whoever has the socket. */
export function isBlocking(fd: number): boolean {
  const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1] ?? ''
  return (Number.parseInt(flags, 8) & nonBlocking) === 0
}

/** `SOCK_NONBLOCK`, and `O_NONBLOCK`. */
export const nonBlocking = 0o4000

/** The descriptors that this thread has to close before it ends: see `NativeRing.descriptors`. */
export function ownedDescriptors(): number[] {
  const ring = binding?.createRing({ submissionEntries: 1, completionEntries: 2, optionalFlags: 0 })
  if (typeof ring !== 'object') throw new Error(`a ring to ask can't be made: ${ring}`)
  const owned: number[] = []
  for (const [index, bits] of new Uint8Array(ring.descriptors).entries()) {
    for (let bit = 0; bits >>> bit !== 0; bit++) if ((bits >>> bit & 1) !== 0) owned.push(index * 8 + bit)
  }
  ring.close()
  return owned
}
