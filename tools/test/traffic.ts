/** Clients and targets on `node:net` that check what a proxy between them does to the bytes. */
import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'

/** A generator that gives the same numbers for the same seed (mulberry32), from 0 up to 1. */
export function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Sizes between 1 byte and `maxBytes`, each magnitude as likely as another. */
export function randomSize(random: () => number, maxBytes: number): number {
  return Math.max(1, Math.floor(2 ** (random() * Math.log2(maxBytes + 1))))
}

/** Random bytes in random pieces; now and then waits for another turn of the event loop. @returns the hash of all. */
export async function sendRandomly(
  socket: Socket,
  random: () => number,
  totalBytes: number,
  chunkBytesMax: number,
): Promise<string> {
  const hash = createHash('sha256')
  for (let left = totalBytes; left > 0;) {
    const chunk = randomFillSync(Buffer.alloc(Math.min(left, randomSize(random, chunkBytesMax))))
    left -= chunk.length
    hash.update(chunk)
    if (!socket.write(chunk)) await once(socket, 'drain')
    else if (random() < 0.3) await turn()
  }
  socket.end()
  return hash.digest('hex')
}

/** @returns the hash of all that arrives until the end, and how much it was. Rejects when there is no end. */
export function receiveAll(socket: Socket): Promise<{ hash: string, bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      hash.update(chunk)
      bytes += chunk.length
    })
    socket.once('end', () => { resolve({ hash: hash.digest('hex'), bytes }) })
    socket.once('close', () => { reject(new Error(`closed after ${bytes} bytes`)) })
  })
}

/** A half-open server on a free port of loopback, and the sockets it has accepted, in order. */
export class Target {
  readonly sockets: Socket[] = []
  readonly #server: Server
  readonly #waiting: (() => void)[] = []

  private constructor() {
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      // Tests that break connections say so; others see it in the bytes that are missing.
      socket.on('error', () => undefined)
      this.sockets.push(socket)
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  static async open(): Promise<Target> {
    const target = new Target()
    target.#server.listen(0, '127.0.0.1')
    await once(target.#server, 'listening')
    return target
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  /** The socket accepted as number `index`, as soon as it is. */
  async accepted(index: number): Promise<Socket> {
    for (;;) {
      const socket = this.sockets[index] as Socket | undefined
      if (socket !== undefined) return socket
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  close(): void {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
  }
}

/** @returns when the other side is gone, by its FIN or in disorder (`once` of `node:events` would reject then). */
export function peerGone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed || socket.readableEnded) resolve()
    socket.once('end', () => { resolve() })
    socket.once('close', () => { resolve() })
  })
}

export async function connectTo(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  socket.on('error', () => undefined)
  await once(socket, 'connect')
  return socket
}
