import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRing, type Ring, type RingOptions } from '@sheaf/ring'
import { onTestFinished } from 'vitest'
import { listen, type ListenerHandler, type ListenOptions, type UnixConnection, type UnixListener } from '../src/index'

/** A ring for one test, closed when it is over. */
export function testRing(options?: RingOptions): Ring {
  const ring = createRing(options)
  onTestFinished(() => {
    ring.close()
  })
  return ring
}

/** A directory of one test's own. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'sheaf-'))
  onTestFinished(() => {
    rmSync(path, { recursive: true })
  })
  return path
}

/** A listener on a path of its own, closed when the test is over. */
export async function server(
  ring: Ring,
  handler: ListenerHandler<UnixConnection>,
  options: Partial<ListenOptions> = {},
): Promise<UnixListener> {
  const listener = await listen({ path: join(directory(), 's'), ring, ...options }, handler)
  onTestFinished(() => listener.close())
  return listener
}

/** A socket file whose listener is gone, as a killed process leaves it. */
export function leaveBehind(path: string): void {
  const program = `
    require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', program])
  if (!statSync(path).isSocket()) throw new Error(`${path} is no socket`)
}

/** Threads of the kernel's that wait for this process's requests, or have until some seconds ago. */
export function kernelThreads(): number {
  const names = readdirSync('/proc/self/task').map((id) => {
    try {
      return readFileSync(`/proc/self/task/${id}/comm`, 'utf8')
    } catch {
      return 'gone'
    }
  })
  return names.filter((name) => name.startsWith('iou-wrk')).length
}

/** A socket that listens at `path`, which lets no more than one wait to be accepted. The caller's to close. */
export function fullSoon({ sockets }: Ring, path: string, type: number): number {
  const fd = sockets.socket(1, type, 0)
  sockets.bind(fd, Buffer.from(`\x01\x00${path}\0`, 'latin1'))
  sockets.listen(fd, 0)
  return fd
}

/** What JavaScript holds, once the collector has finished, part of which it leaves to later turns. */
export async function heldBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.()
    await nextTurn()
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
