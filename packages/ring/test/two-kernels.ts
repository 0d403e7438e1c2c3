import type { Binding, Region } from '@sheaf/native'
import { bufferIdShift, CompletionFlag, EnterFlag, shutdownWrite } from '../src/abi'
import { BufferRing } from '../src/memory/buffer-ring'
import { Operation } from '../src/queue/operation-table'
import { RawRing } from './raw-ring'

const unixFamily = 1
const streamType = 1
const bufferBytes = 64
const buffers = 16
const receiveGroup = 0
const sendEntries = 512
const outgoingBytes = 64 * 1024
/** So much may wait to be read: sends never have to wait, which is when a kernel's accounting would tell. */
const unreadBytesMax = 12_000

export type RawStep
  = | { readonly do: 'send', readonly at: 0 | 1, readonly sizeBytes: number }
    | { readonly do: 'bundle', readonly at: 0 | 1, readonly count: number, readonly sizeBytes: number }
    | { readonly do: 'receive', readonly at: 0 | 1, readonly bundle: boolean }
    | { readonly do: 'provide', readonly count: number }
    | { readonly do: 'cancelReceive' | 'cancel' | 'shutdown' | 'close', readonly at: 0 | 1 }

interface End {
  readonly fd: number
  readonly slot: number
  readonly group: BufferRing
  /** Requests that have not ended, by operation. */
  readonly inFlight: Map<Operation, number>
  open: boolean
  shut: boolean
}

/**
 * One connection on one kernel, real or simulated, driven by requests as they are; everything it says is written down.
 * It is one of Unix sockets: what they send has arrived when the call that sends it returns, so that two kernels can be
 * compared completion by completion.
 */
export class RawRun {
  readonly log: string[] = []
  readonly #binding: Binding
  readonly #ring: RawRing
  readonly #memory: Region
  readonly #outgoing: Buffer
  readonly #incoming: Region
  readonly #pool: BufferRing
  /** Receive buffers in the order that the kernel takes them, and those that it has not got. */
  readonly #published: number[] = []
  readonly #free: number[] = Array.from({ length: buffers }, (_, index) => index)
  #unreadBytes = 0
  #offset = 0
  readonly #ends: End[] = []

  constructor(binding: Binding, steps: readonly RawStep[]) {
    this.#binding = binding
    this.#ring = new RawRing(binding)
    this.#memory = this.#ring.map(outgoingBytes)
    this.#outgoing = Buffer.from(this.#memory.buffer)
    this.#outgoing.forEach((_value, index) => { this.#outgoing[index] = (index * 7) ^ (index >>> 8) })
    this.#incoming = this.#ring.map(buffers * bufferBytes)
    this.#pool = new BufferRing(this.#ring.native, receiveGroup, buffers).open()
    const pair = new Int32Array(2)
    if (binding.sockets.socketpair(unixFamily, streamType, pair) < 0) throw new Error('socketpair failed')
    pair.forEach((fd, index) => { this.#ends.push(this.#end(fd, index)) })
    try {
      for (const [index, step] of steps.entries()) {
        this.log.push(`${index} ${JSON.stringify(step)}`)
        this.#step(step)
        this.#enter()
      }
      this.log.push(`the pool's head is ${this.#pool.kernelHead}`)
    } finally {
      this.#ring.native.close()
      for (const { fd, open } of this.#ends) if (open) binding.sockets.close(fd)
    }
  }

  #end(fd: number, index: number): End {
    const inFlight = new Map<Operation, number>()
    const slot = this.#ring.table.allocate({
      complete: (operation, result, flags) => { this.#completed(index, operation, result, flags) },
    })
    const group = new BufferRing(this.#ring.native, 1 + index, sendEntries).open()
    return { fd, slot, group, inFlight, open: true, shut: false }
  }

  #step(step: RawStep): void {
    if (step.do === 'provide') {
      for (const id of this.#free.splice(0, step.count)) {
        this.#pool.push(this.#incoming.address + id * bufferBytes, bufferBytes, id)
        this.#published.push(id)
      }
      this.#pool.publish()
      return
    }
    const end = this.#ends[step.at]
    if (!end.open) return
    const { fd, slot } = end
    const sending = (end.inFlight.get(Operation.Send) ?? 0) !== 0
    const receiving = (end.inFlight.get(Operation.Receive) ?? 0) !== 0
    switch (step.do) {
      case 'send':
        if (sending || !this.#roomFor(step.sizeBytes)) return
        this.#begin(end, Operation.Send)
        this.#ring.submissions.send(slot, fd, this.#next(step.sizeBytes), step.sizeBytes)
        break
      case 'bundle':
        if (sending || !this.#roomFor(step.count * step.sizeBytes)) return
        for (let id = 0; id < step.count; id++) end.group.push(this.#next(step.sizeBytes), step.sizeBytes, id)
        end.group.publish()
        this.#begin(end, Operation.Send)
        this.#ring.submissions.sendBundle(slot, fd, end.group.group)
        break
      case 'receive':
        if (receiving) return
        this.#begin(end, Operation.Receive)
        this.#ring.submissions.receiveMultishot(slot, fd, receiveGroup, step.bundle)
        break
      case 'cancelReceive':
        if (receiving) this.#ring.submissions.cancelOperation(slot, Operation.Receive)
        break
      case 'cancel':
        this.#ring.submissions.cancelDescriptor(slot, fd)
        break
      case 'shutdown':
        if (end.shut) return
        end.shut = true
        this.#binding.sockets.shutdown(fd, shutdownWrite)
        break
      case 'close':
        if (sending || receiving) return
        end.open = false
        this.#ring.submissions.close(slot, fd)
        break
    }
  }

  #begin(end: End, operation: Operation): void {
    end.inFlight.set(operation, (end.inFlight.get(operation) ?? 0) + 1)
  }

  #roomFor(sizeBytes: number): boolean {
    if (this.#unreadBytes + sizeBytes > unreadBytesMax) return false
    this.#unreadBytes += sizeBytes
    return true
  }

  #next(sizeBytes: number): number {
    if (this.#offset + sizeBytes > outgoingBytes) this.#offset = 0
    const address = this.#memory.address + this.#offset
    this.#offset += sizeBytes
    return address
  }

  /** Until the kernel has nothing more to do. */
  #enter(): void {
    this.#ring.submissions.publish()
    do {
      this.#ring.native.enter(0, EnterFlag.GetEvents)
      this.#ring.completions.drain()
    } while (this.#ring.submissions.workWaits)
  }

  #completed(index: number, operation: Operation, result: number, flags: number): void {
    const end = this.#ends[index]
    if ((flags & CompletionFlag.More) === 0) end.inFlight.set(operation, (end.inFlight.get(operation) ?? 1) - 1)
    // It says nothing that is not said by what it ends.
    if (operation === Operation.Cancel) return
    const named = (flags & CompletionFlag.Buffer) === 0 ? '' : ` buffer ${flags >>> bufferIdShift}`
    const more = (flags & CompletionFlag.More) === 0 ? '' : ' more'
    const received = operation === Operation.Receive && result > 0 ? ` ${this.#received(result)}` : ''
    this.log.push(`  end ${index} operation ${operation}: ${result}${named}${more}${received}`)
  }

  /** Takes what a completion covers off the published buffers. @returns a digest of its bytes. */
  #received(bytes: number): string {
    this.#unreadBytes -= bytes
    let left = bytes
    let digest = 0
    let taken = 0
    while (left > 0) {
      const position = (this.#pool.tail - this.#published.length) | 0
      const id = this.#published.shift()
      if (id === undefined) return 'more than there were buffers'
      const length = Math.min(left, this.#pool.lengthBytes(position))
      for (const byte of new Uint8Array(this.#incoming.buffer, id * bufferBytes, length)) {
        digest = (Math.imul(digest, 31) + byte) | 0
      }
      this.#free.push(id)
      left -= length
      taken++
    }
    return `${taken} buffers, digest ${digest}`
  }
}
