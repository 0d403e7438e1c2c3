import type { NativeRing } from '@sheaf/native'
import {
  CancelFlag,
  closeOnExec,
  EntryFlag,
  MessageFlag,
  Mode,
  Opcode,
  PollEvent,
  submissionEntryBytes,
  SubmissionQueueFlag,
} from '../abi'
import { invariant } from '../errors'
import { setAddress } from '../memory/address'
import type { Metrics } from '../metrics'
import { Wish } from '../wish'
import { Operation, type OperationTable, userDataLow } from './operation-table'

const wordsPerEntry = submissionEntryBytes / 4

/** How a descriptor tells that there is room. */
export type RoomEvent = PollEvent.Writable | PollEvent.Readable

/**
 * What a send does for which a stream has no room: wait in the kernel, or end with `EAGAIN`, or short. To wait there is
 * not for one whose peer may have ended: as that is never over, io_uring tries the send over and over, then has a
 * thread of the kernel's wait.
 */
export type SendWaits = 0 | MessageFlag.DontWait

/**
 * The one place where requests are written. Each method below is one kind of request that Sheaf makes; nothing else
 * is ever asked of the kernel. Nothing here calls into C++, unless the queue is full.
 */
export class SubmissionQueue {
  readonly #native: NativeRing
  readonly #table: OperationTable
  readonly #metrics: Metrics
  readonly #entries: Uint32Array
  readonly #head: Int32Array
  readonly #tailWord: Int32Array
  readonly #flags: Int32Array
  /** Says to the loop hook how many linked requests are in the queue, and whether something is sent. */
  readonly #wanted: Uint32Array
  /** See `NativeRing.descriptors`. */
  readonly #descriptors: Uint8Array
  readonly #mask: number
  #tail: number

  constructor(native: NativeRing, table: OperationTable, metrics: Metrics) {
    this.#native = native
    this.#table = table
    this.#metrics = metrics
    this.#entries = new Uint32Array(native.submissions)
    this.#head = new Int32Array(native.rings, native.offsets.submissionHead, 1)
    this.#tailWord = new Int32Array(native.rings, native.offsets.submissionTail, 1)
    this.#flags = new Int32Array(native.rings, native.offsets.submissionFlags, 1)
    this.#wanted = new Uint32Array(native.wanted)
    this.#descriptors = new Uint8Array(native.descriptors)
    this.#mask = native.submissionEntries - 1
    this.#tail = this.#tailWord[0]
  }

  /** Requests that the kernel has not been given yet. Its head moves only while this thread is in `enter`. */
  get pending(): number {
    return (this.#tail - this.#head[0]) | 0
  }

  /** Lets the kernel see the entries written so far: it takes them when it is entered. */
  publish(): void {
    Atomics.store(this.#tailWord, 0, this.#tail)
  }

  /** Work waits until the kernel is entered for events: what follows in a chain of linked requests, for one. */
  get workWaits(): boolean {
    return (this.#flags[0] & SubmissionQueueFlag.TaskRun) !== 0
  }

  /** The kernel keeps completions that did not fit the completion queue. */
  get completionsOverflowed(): boolean {
    return (this.#flags[0] & SubmissionQueueFlag.CompletionOverflow) !== 0
  }

  /** Receives into buffers of `group` until the kernel ends it. */
  receiveMultishot(slot: number, fd: number, group: number, bundle: boolean): void {
    const mode = bundle ? Mode.ReceiveMultishot | Mode.Bundle : Mode.ReceiveMultishot
    this.#push(slot, Operation.Receive, Opcode.Receive, EntryFlag.BufferSelect, mode, fd, 0, 0, 0, group)
  }

  /**
   * As {@link receiveMultishot}, each buffer beginning with a message header. `header` is the address of a `msghdr`.
   * Descriptors that arrive, for which the header must have room, are close-on-exec.
   */
  receiveMessageMultishot(slot: number, fd: number, group: number, header: number, flags = 0): void {
    this.#push(
      slot,
      Operation.Receive,
      Opcode.ReceiveMessage,
      EntryFlag.BufferSelect,
      Mode.ReceiveMultishot,
      fd,
      header,
      1,
      flags,
      group,
    )
  }

  /** Sends all of one span; without `WaitAll` a send that had to wait would come back short. */
  send(slot: number, fd: number, address: number, lengthBytes: number, waits: SendWaits = 0): void {
    const flags = MessageFlag.WaitAll | MessageFlag.NoSignal | waits
    this.#push(slot, Operation.Send, Opcode.Send, 0, 0, fd, address, lengthBytes, flags, 0)
  }

  /** Sends every buffer published in `group`. */
  sendBundle(slot: number, fd: number, group: number, waits: SendWaits = 0): void {
    const flags = MessageFlag.WaitAll | MessageFlag.NoSignal | waits
    this.#push(slot, Operation.Send, Opcode.Send, EntryFlag.BufferSelect, Mode.Bundle, fd, 0, 0, flags, group)
  }

  /** Sends the next buffer published in `group`; `linked` to the request that follows, which waits for this one. */
  sendBuffer(slot: number, fd: number, group: number, linked: boolean, waits: SendWaits = 0): void {
    if (linked) this.#wanted[Wish.Linked]++
    const more = linked ? MessageFlag.More : 0
    const flags = MessageFlag.WaitAll | MessageFlag.NoSignal | waits | more
    const entryFlags = linked ? EntryFlag.BufferSelect | EntryFlag.Link : EntryFlag.BufferSelect
    this.#push(slot, Operation.Send, Opcode.Send, entryFlags, 0, fd, 0, 0, flags, group)
  }

  /** Sends the vector of the `msghdr` at `header`; `linked` as in {@link sendBuffer}. */
  sendMessage(slot: number, fd: number, header: number, linked = false, waits: SendWaits = 0): void {
    if (linked) this.#wanted[Wish.Linked]++
    const flags = MessageFlag.WaitAll | MessageFlag.NoSignal | waits
    this.#push(slot, Operation.Send, Opcode.SendMessage, linked ? EntryFlag.Link : 0, 0, fd, header, 1, flags, 0)
  }

  /**
   * Sends as much of the `msghdr` at `header` as there is room for: what is left must not take its control messages
   * along a second time, as it did before 6.4 with `WaitAll`.
   */
  sendMessageOnce(slot: number, fd: number, header: number, waits: SendWaits = 0): void {
    this.#push(slot, Operation.Send, Opcode.SendMessage, 0, 0, fd, header, 1, MessageFlag.NoSignal | waits, 0)
  }

  /**
   * Sends one span as a datagram, to the `sockaddr` at `name` if that is not empty (6.2 and later; before that only the
   * empty one is taken). It costs the kernel less than a `msghdr`.
   */
  sendDatagram(
    slot: number,
    fd: number,
    address: number,
    lengthBytes: number,
    name: number,
    nameBytes: number,
    linked: boolean,
  ): void {
    if (linked) this.#wanted[Wish.Linked]++
    const entryFlags = linked ? EntryFlag.Link : 0
    const flags = MessageFlag.NoSignal
    const at = this.#push(slot, Operation.Send, Opcode.Send, entryFlags, 0, fd, address, lengthBytes, flags, 0)
    if (nameBytes === 0) return
    setAddress(this.#entries, at + 2, name)
    this.#entries[at + 11] = nameBytes
  }

  /** Makes room for a chain of linked requests, which must reach the kernel together. @returns how many fit. */
  reserve(requests: number): number {
    const entries = this.#mask + 1
    if (this.pending !== 0 && entries - this.pending < requests) this.#submitFull()
    return Math.min(requests, entries - this.pending)
  }

  /** Completes once when the peer has reset the connection, or both directions are shut. */
  hangUp(slot: number, fd: number): void {
    const events = PollEvent.Error | PollEvent.HangUp
    this.#push(slot, Operation.HangUp, Opcode.PollAdd, 0, 0, fd, 0, 0, events, 0)
  }

  /** Accepts until the kernel ends it. */
  acceptMultishot(slot: number, fd: number): void {
    this.#push(slot, Operation.Accept, Opcode.Accept, 0, Mode.AcceptMultishot, fd, 0, 0, closeOnExec, 0)
  }

  /** The kernel copies the `sockaddr` at `address` when the request is submitted. */
  connect(slot: number, fd: number, address: number, lengthBytes: number): void {
    const at = this.#push(slot, Operation.Connect, Opcode.Connect, 0, 0, fd, address, 0, 0, 0)
    this.#entries[at + 2] = lengthBytes
  }

  /** Completes once when `fd` can be written to (or read, if it watches that), or has failed. */
  writable(slot: number, fd: number, event: RoomEvent = PollEvent.Writable): void {
    this.#push(slot, Operation.Writable, Opcode.PollAdd, 0, 0, fd, 0, 0, event, 0)
  }

  /** Cancels every request on `fd`. The kernel looks for them among all that wait for anything. */
  cancelDescriptor(slot: number, fd: number): void {
    const flags = CancelFlag.ByDescriptor | CancelFlag.All
    this.#push(slot, Operation.CancelAll, Opcode.AsyncCancel, 0, 0, fd, 0, 0, flags, 0)
  }

  /** Cancels the requests of one kind that are `of` a slot, by default this one. @param as what completes. */
  cancelOperation(
    slot: number,
    operation: Operation,
    as: Operation.Cancel | Operation.CancelAll | Operation.Recall = Operation.Cancel,
    of = slot,
  ): void {
    const at = this.#push(slot, as, Opcode.AsyncCancel, 0, 0, -1, 0, 0, CancelFlag.All, 0)
    this.#entries[at + 4] = userDataLow(of, operation)
    this.#entries[at + 5] = this.#table.userDataHigh(of, operation)
  }

  /**
   * From now on it is the request, which the kernel is given even if this thread is stopped, that closes `fd`.
   * @param waits closing may take time, which must not be this thread's.
   */
  close(slot: number, fd: number, waits = false): void {
    this.#push(slot, Operation.Close, Opcode.Close, waits ? EntryFlag.Async : 0, 0, fd, 0, 0, 0, 0)
    // A thread can't be stopped between these two, as nothing of JavaScript's is called there.
    Atomics.store(this.#tailWord, 0, this.#tail)
    this.#descriptors[fd >>> 3] &= ~(1 << (fd & 7))
  }

  /** Writes one entry. @returns the word index of the entry, for fields that few requests have. */
  #push(
    slot: number,
    operation: Operation,
    opcode: Opcode,
    entryFlags: number,
    mode: number,
    fd: number,
    address: number,
    length: number,
    operationFlags: number,
    group: number,
  ): number {
    if (this.pending > this.#mask) this.#submitFull()
    if (operation === Operation.Send) this.#wanted[Wish.Sent] = 1
    const entries = this.#entries
    const at = (this.#tail & this.#mask) * wordsPerEntry
    entries[at] = opcode | (entryFlags << 8) | (mode << 16)
    entries[at + 1] = fd
    entries[at + 2] = 0
    entries[at + 3] = 0
    setAddress(entries, at + 4, address)
    entries[at + 6] = length
    entries[at + 7] = operationFlags
    entries[at + 8] = this.#table.begin(slot, operation)
    entries[at + 9] = this.#table.userDataHigh(slot, operation)
    entries[at + 10] = group
    entries[at + 11] = 0
    entries[at + 12] = 0
    entries[at + 13] = 0
    entries[at + 14] = 0
    entries[at + 15] = 0
    this.#tail = (this.#tail + 1) | 0
    this.#metrics.submissions++
    return at
  }

  /** Makes room in the middle of a turn. Completions that this causes wait in the completion queue. */
  #submitFull(): void {
    this.#metrics.submissionQueueFull++
    this.publish()
    const taken = this.#native.enter(0, 0)
    invariant(taken > 0, `the kernel refuses submissions (${taken})`)
  }
}
