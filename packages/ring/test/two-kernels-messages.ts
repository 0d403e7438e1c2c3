import type { Binding, Region } from '@sheaf/native'
import {
  bufferIdShift, CompletionFlag, controlHeaderBytes, EnterFlag, MessageFlag, MessageHeaderWord,
  multipleMessageHeaderBytes, receivedMessageHeaderBytes, ReceivedMessageWord, shutdownWrite,
} from '../src/abi'
import { BufferRing } from '../src/memory/buffer-ring'
import { Operation } from '../src/queue/operation-table'
import { rightsType, socketLevel } from '../src/socket/rights'
import { RawRing } from './raw-ring'

const unixFamily = 1
const internetFamily = 2
const datagramType = 2
const seqpacketType = 5
/** `SOL_UDP`, `UDP_SEGMENT`. */
const udpLevel = 17
const segmentType = 103
const bufferBytes = 256
const buffers = 16
const receiveGroup = 0
const controlBytes = 64
const outgoingBytes = 72 * 1024
/** Offsets in the memory of what is sent: the `msghdr` of receives, that of sends, its vector, its control message. */
const layout = { receiveHeader: 0, sendHeader: 64, vector: 128, control: 192, payload: 512 }
/** So many may wait to be read: nobody's send buffer is full by them. */
const unreadMax = 12
/** A datagram is with its receiver when the call that sends it returns, or when the kernel's own thread has run. */
const arrivalMsMax = 10_000

export type RawMessageFamily = 'datagram' | 'seqpacket' | 'udp'

export type RawMessageStep
  = | {
    readonly do: 'send'
    readonly at: 0 | 1
    readonly sizeBytes: number
    /** Of Unix sockets. */
    readonly descriptors?: number
    /** Of UDP: the size of each of several datagrams. */
    readonly segmentBytes?: number
  }
  | { readonly do: 'provide', readonly count: number }
  | { readonly do: 'receive' | 'cancel' | 'shutdown' | 'close', readonly at: 0 | 1 }

interface End {
  readonly fd: number
  readonly slot: number
  receiving: boolean
  open: boolean
}

/** Two connected sockets that keep message boundaries, on one kernel, driven by requests as they are. */
export class RawMessageRun {
  readonly log: string[] = []
  /** How long the log was after each step. */
  readonly lengths: number[] = []
  readonly #binding: Binding
  readonly #family: RawMessageFamily
  readonly #ring: RawRing
  readonly #outgoing: Region
  readonly #incoming: Region
  readonly #pool: BufferRing
  readonly #free: number[] = Array.from({ length: buffers }, (_, index) => index)
  readonly #ends: End[] = []
  #unread = 0
  #sent = 0
  /** Datagrams of the latest send. */
  #sending = 1

  /** @param awaited how long the log gets in each step, for a kernel that may take its time. */
  constructor(
    binding: Binding,
    family: RawMessageFamily,
    steps: readonly RawMessageStep[],
    awaited: readonly number[] = [],
  ) {
    this.#binding = binding
    this.#family = family
    this.#ring = new RawRing(binding)
    this.#outgoing = this.#ring.map(outgoingBytes)
    this.#incoming = this.#ring.map(buffers * bufferBytes)
    this.#pool = new BufferRing(this.#ring.native, receiveGroup, buffers).open()
    new Uint32Array(this.#outgoing.buffer)[MessageHeaderWord.ControlBytes] = controlBytes
    connectedPair(binding, family).forEach((fd, index) => {
      const slot = this.#ring.table.allocate({
        complete: (operation, result, flags) => { this.#completed(index, operation, result, flags) },
      })
      this.#ends.push({ fd, slot, receiving: false, open: true })
    })
    try {
      for (const [index, step] of steps.entries()) {
        this.log.push(`${index} ${JSON.stringify(step)}`)
        this.#step(step)
        this.#enter()
        const deadline = Date.now() + arrivalMsMax
        while (this.log.length < (awaited.at(index) ?? 0) && Date.now() < deadline) this.#enter()
        this.lengths.push(this.log.length)
      }
    } finally {
      this.#ring.native.close()
      for (const { fd, open } of this.#ends) if (open) binding.sockets.close(fd)
    }
  }

  #step(step: RawMessageStep): void {
    if (step.do === 'provide') {
      for (const id of this.#free.splice(0, step.count)) {
        this.#pool.push(this.#incoming.address + id * bufferBytes, bufferBytes, id)
      }
      this.#pool.publish()
      return
    }
    const end = this.#ends[step.at]
    const { fd, slot } = end
    if (!end.open) return
    switch (step.do) {
      case 'send':
        if (this.#unread < unreadMax) this.#send(end, step)
        break
      case 'receive':
        if (end.receiving) return
        end.receiving = true
        this.#ring.submissions.receiveMessageMultishot(slot, fd, receiveGroup, this.#outgoing.address, 0)
        break
      case 'cancel':
        this.#ring.submissions.cancelDescriptor(slot, fd)
        break
      case 'shutdown':
        this.log.push(`  shutdown: ${this.#binding.sockets.shutdown(fd, shutdownWrite)}`)
        break
      case 'close':
        if (end.receiving) return
        end.open = false
        this.#ring.submissions.close(slot, fd)
        break
    }
  }

  #send({ fd, slot }: End, { sizeBytes, descriptors = 0, segmentBytes = 0 }: RawMessageStep & { do: 'send' }): void {
    const { address, buffer } = this.#outgoing
    const { sockets } = this.#binding
    const fds = Array.from({ length: descriptors }, () => sockets.socket(unixFamily, datagramType, 0))
    new Uint8Array(buffer, layout.payload, sizeBytes).fill(++this.#sent)
    const header = new BigUint64Array(buffer, layout.sendHeader, multipleMessageHeaderBytes / 8).fill(0n)
    const words = new Uint32Array(buffer, layout.sendHeader, multipleMessageHeaderBytes / 4)
    header[MessageHeaderWord.Vector / 2] = BigInt(address + layout.vector)
    words[MessageHeaderWord.VectorCount] = 1
    new BigUint64Array(buffer, layout.vector, 2).set([BigInt(address + layout.payload), BigInt(sizeBytes)])
    let control: number[] = []
    if (descriptors !== 0) control = [controlHeaderBytes + descriptors * 4, 0, socketLevel, rightsType, ...fds]
    if (segmentBytes !== 0) control = [controlHeaderBytes + 2, 0, udpLevel, segmentType, segmentBytes]
    if (control.length !== 0) {
      header[MessageHeaderWord.Control / 2] = BigInt(address + layout.control)
      words[MessageHeaderWord.ControlBytes] = (control.length * 4 + 7) & ~7
      new Int32Array(buffer, layout.control, control.length).set(control)
    }
    this.#sending = segmentBytes === 0 ? 1 : Math.ceil(sizeBytes / segmentBytes)
    // As Sheaf does: Unix messages by a system call, datagrams through the ring.
    if (this.#family === 'udp') {
      this.#ring.submissions.sendMessage(slot, fd, address + layout.sendHeader)
    } else {
      const headers = new Uint8Array(buffer, layout.sendHeader, multipleMessageHeaderBytes)
      const result = sockets.sendmmsg(fd, headers, 1, MessageFlag.DontWait | MessageFlag.NoSignal)
      if (result > 0) this.#unread++
      this.log.push(`  sendmmsg: ${result} ${words[14]}`)
    }
    this.#enter()
    for (const each of fds) sockets.close(each)
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
    const more = (flags & CompletionFlag.More) === 0 ? '' : ' more'
    // What was found is told by what ends.
    if (operation === Operation.CancelAll) return
    const heard = this.#ends[1 - index].open
    if (operation === Operation.Send && result >= 0 && heard) this.#unread += this.#sending
    if (operation === Operation.Receive && more === '') this.#ends[index].receiving = false
    const holds = operation === Operation.Receive && result > 0
    const received = holds ? this.#received(flags >>> bufferIdShift, result) : ''
    this.log.push(`  end ${index} operation ${operation}: ${result}${more}${received}`)
  }

  #received(id: number, bytes: number): string {
    this.#free.push(id)
    this.#unread--
    const at = id * bufferBytes
    const words = new Int32Array(this.#incoming.buffer, at, bufferBytes / 4)
    const control = words[ReceivedMessageWord.ControlBytes]
    const cut = words[ReceivedMessageWord.Flags] & (MessageFlag.Truncated | MessageFlag.ControlTruncated)
    let fds = 0
    if (control !== 0) {
      const first = receivedMessageHeaderBytes / 4
      fds = (words[first] - controlHeaderBytes) / 4
      for (let each = 0; each < fds; each++) this.#binding.sockets.close(words[first + 4 + each])
    }
    const payload = new Uint8Array(this.#incoming.buffer, at, bytes).subarray(receivedMessageHeaderBytes + controlBytes)
    const told = words[ReceivedMessageWord.PayloadBytes]
    return ` payload ${told} ${payload.at(0) ?? '-'} control ${control} flags ${cut} descriptors ${fds}`
  }
}

/** Two sockets that are connected with each other. */
function connectedPair({ sockets }: Binding, family: RawMessageFamily): number[] {
  if (family !== 'udp') {
    const pair = new Int32Array(2)
    const type = family === 'seqpacket' ? seqpacketType : datagramType
    if (sockets.socketpair(unixFamily, type, pair) < 0) throw new Error('socketpair failed')
    return [...pair]
  }
  const loopback = Uint8Array.of(internetFamily, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
  const fds = [0, 1].map(() => sockets.socket(internetFamily, datagramType, 0))
  const names = fds.map((fd) => {
    const name = new Uint8Array(loopback.byteLength)
    if (sockets.bind(fd, loopback) < 0 || sockets.getsockname(fd, name) < 0) throw new Error('bind failed')
    return name
  })
  for (const [index, fd] of fds.entries()) {
    if (sockets.connect(fd, names[1 - index]) < 0) throw new Error('connect failed')
  }
  return fds
}
