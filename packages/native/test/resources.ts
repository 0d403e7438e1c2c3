import { readFileSync, readdirSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'

/** This process's open descriptors, by what they are. */
export function openFds(): string[] {
  return readdirSync('/proc/self/fd').map((fd) => Number(fd)).filter((fd) => fd > 2).map(String)
}

/** Lines of /proc/self/maps. */
export function mappings(): number {
  return readFileSync('/proc/self/maps', 'latin1').split('\n').length
}

/** Collects garbage until finalizers, which the addon API runs in later turns of the loop, have run as well. */
export async function collect(): Promise<void> {
  if (gc === undefined) throw new Error('run with --expose-gc')
  for (let round = 0; round < 4; round++) {
    gc()
    await setImmediate()
  }
}
