import { createHash, type Hash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Ring, StreamHandler, Transport } from '@sheaf/ring'
import type { SendBlock } from '../memory/send-memory'
import type { Random } from './random'

/** Sends everything back, with back-pressure: receiving pauses while the peer does not read. */
export const echo = {
  data(connection: Transport, chunk: Buffer): void {
    if (!connection.write(chunk)) connection.pause()
  },
  drain(connection: Transport): void {
    connection.resume()
  },
}

/** What arrived on a connection, and how it ended. */
export class Received implements StreamHandler {
  readonly chunks: Buffer[] = []
  bytes = 0
  ended = false
  closes = 0
  error: Error | undefined
  readonly closed: Promise<void>
  #close: () => void = () => undefined

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#close = resolve
    })
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  data(_connection: Transport, chunk: Buffer): void {
    this.chunks.push(chunk)
    this.bytes += chunk.byteLength
  }

  end(): void {
    this.ended = true
  }

  close(_connection: Transport, error?: Error): void {
    this.closes++
    this.error = error
    this.#close()
  }
}

/** Chunks of this size leave by requests, in bundles if there are many, not each by a call of its own. */
export const gatheredBytes = 40_000

/** Writes `bytes` in chunks of {@link gatheredBytes}. */
export function writeGathered(connection: Transport, bytes: Buffer, callback?: (error?: Error) => void): void {
  for (let offset = 0; offset < bytes.byteLength; offset += gatheredBytes) {
    const isLast = offset + gatheredBytes >= bytes.byteLength
    connection.write(bytes.subarray(offset, offset + gatheredBytes), isLast ? callback : undefined)
  }
}

/** What nobody catches while `action` runs, of which a test runner is told nothing. */
export async function uncaughtDuring(action: () => Promise<void>): Promise<unknown[]> {
  const errors: unknown[] = []
  const catches = (error: unknown): void => { errors.push(error) }
  const others = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', catches)
  try {
    await action()
  } finally {
    process.off('uncaughtException', catches)
    for (const other of others) process.on('uncaughtException', other)
  }
  return errors
}

/** Waits until `condition` holds. @throws Error naming `what`, after `timeoutMs`. */
export async function until(condition: () => boolean, what: string, timeoutMs = 20_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`)
    await sleep(2)
  }
}

/** Waits until a ring holds nothing but `members` listeners and connections that are meant to be open. */
export async function untilIdle(ring: Ring, members = 0): Promise<void> {
  await until(() => {
    const { operationSlots, receiveBuffersHeld, sendBlocks, messageRequests, groups } = ring.usage
    return operationSlots === members && receiveBuffersHeld + sendBlocks + messageRequests + groups === 0
  }, `an idle ring, which has ${JSON.stringify(ring.usage)}`)
}

/** Takes the send memory that a ring's streams share, as peers that do not read may. @returns what gives it back. */
export function takeSendMemory({ sendMemory }: Ring): () => void {
  const blocks: SendBlock[] = []
  const acquire = (): SendBlock | undefined => sendMemory.acquire({ blocks: 0 })
  for (let block = acquire(); block !== undefined; block = acquire()) blocks.push(block)
  return () => {
    for (const block of blocks) sendMemory.release(block)
  }
}

/** Bytes that differ from position to position, so that none can be lost, doubled or swapped unseen. */
export function pattern(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  const words = new Uint32Array(bytes.buffer, 0, sizeBytes >>> 2)
  let x = seed | 1
  for (let index = 0; index < words.length; index++) {
    x = (Math.imul(x, 1664525) + 1013904223) | 0
    words[index] = x
  }
  for (let index = words.length * 4; index < sizeBytes; index++) bytes[index] = index
  return bytes
}

export function sha(): Hash {
  return createHash('sha256')
}

/** Writes `bytes` in chunks of random sizes, as fast as back-pressure lets it, then ends. */
export class Writer {
  readonly #bytes: Buffer
  readonly #random: Random
  readonly #chunkBytesMax: number
  #offset = 0

  constructor(bytes: Buffer, random: Random, chunkBytesMax: number) {
    this.#bytes = bytes
    this.#random = random
    this.#chunkBytesMax = chunkBytesMax
  }

  write(connection: Transport): void {
    const bytes = this.#bytes
    while (this.#offset < bytes.byteLength) {
      const end = Math.min(bytes.byteLength, this.#offset + this.#random.size(this.#chunkBytesMax))
      const chunk = bytes.subarray(this.#offset, end)
      this.#offset = end
      if (!connection.write(chunk)) return
    }
    connection.end()
  }
}
