import { setTimeout as sleep } from 'node:timers/promises'
import { createRing, type Ring, type RingOptions } from '@sheaf/ring'
import { onTestFinished } from 'vitest'
import {
  bind, type BindOptions, connect, type ConnectOptions, type Destination, type InternetAddress, type MessageDetails,
  type UdpHandler, type UdpSocket,
} from '../src/index'
import { RingUdpSocket } from '../src/socket'

export const loopback = '127.0.0.1'

/** A loopback address of this process's own: strays meant for others, which had the port before, don't reach it. */
export const ownLoopback = `127.${1 + (process.pid >>> 14 & 63)}.${process.pid >>> 7 & 127}.${1 + (process.pid & 127)}`

/** As much as the system lets a socket keep without privileges, so that a test's bursts find room. */
export const receiveBufferBytes = 212_992

export function testRing(options?: RingOptions): Ring {
  const ring = createRing(options)
  onTestFinished(() => ring.close())
  return ring
}

export async function bound(
  ring: Ring,
  handler: UdpHandler = {},
  options: Partial<BindOptions> = {},
): Promise<RingUdpSocket> {
  return onRing(await bind({ host: loopback, receiveBufferBytes, ring, ...options }, handler))
}

function onRing(socket: UdpSocket): RingUdpSocket {
  if (socket instanceof RingUdpSocket) return socket
  throw new Error('the socket is not on the ring')
}

export async function connected(
  ring: Ring,
  to: UdpSocket,
  handler: UdpHandler = {},
  options: Partial<ConnectOptions> = {},
): Promise<RingUdpSocket> {
  return onRing(await connect({ host: loopback, port: portOf(to), ring, ...options }, handler))
}

export function portOf(socket: UdpSocket): number {
  return socket.localAddress?.port ?? 0
}

export function addressOf(socket: UdpSocket): Destination {
  return { address: loopback, port: portOf(socket) }
}

/** What arrived at a socket, and how it ended. */
export class Received implements UdpHandler {
  readonly chunks: Buffer[] = []
  readonly senders: InternetAddress[] = []
  readonly details: (MessageDetails | undefined)[] = []
  readonly errors: Error[] = []
  drains = 0
  closes = 0
  closeError: Error | undefined

  get texts(): string[] {
    return this.chunks.map(String)
  }

  message(_socket: UdpSocket, chunk: Buffer, from: InternetAddress, details?: MessageDetails): void {
    this.chunks.push(chunk)
    this.senders.push(from)
    this.details.push(details)
  }

  drain(): void {
    this.drains++
  }

  close(_socket: UdpSocket, error?: Error): void {
    this.closes++
    this.closeError = error
  }

  /** Waits for so many datagrams. */
  async arrived(count: number): Promise<void> {
    await until(() => this.chunks.length >= count, `${count} datagrams, of which ${this.chunks.length} came`)
  }
}

/** Waits until `condition` holds. Fails the test, naming `what`. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`timed out waiting for ${what}`)
    await sleep(1)
  }
}

/** Waits until a ring holds nothing but what is meant to be open. */
export async function untilIdle(ring: Ring, members = 0): Promise<void> {
  await until(() => {
    const { messageRequests, operationSlots, receiveBuffersHeld, sendBlocks } = ring.usage
    return operationSlots === members && receiveBuffersHeld === 0 && sendBlocks === 0 && messageRequests === 0
  }, `an idle ring, which has ${JSON.stringify(ring.usage)}`)
}

/** Descriptors of this process. */
/** Bytes that say which datagram they are, and where in it. */
export function pattern(sizeBytes: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes)
  for (let index = 0; index < sizeBytes; index++) bytes[index] = (seed * 31 + index * 7 + (index >>> 8)) & 0xff
  return bytes
}
