import {
  controlHeaderBytes, EntryFlag, Errno, MessageHeaderWord, messageHeaderBytes, Opcode, vectorBytes,
} from '../abi'
import { DatagramSocket } from './datagram-socket'
import type { Descriptors, OpenFile } from './descriptors'
import type { SimulatedMemory } from './memory'
import { LocalMessageSocket } from './local-message-socket'
import { type MessageEnd, type OutgoingMessage, ReceiveMessageRequest, SendMessageRequest } from './message-requests'
import type { Names } from './names'
import { ReceiveRequest } from './receive-request'
import type { Request } from './request'
import type { SimulatedRing } from './ring'
import { SendRequest } from './send-request'
import { AcceptRequest, ConnectRequest, PollRequest, ImmediateRequest } from './socket-requests'
import { StreamSocket } from './stream-socket'
import type { Submission } from './submission'

const twoTo32 = 2 ** 32
/** `IORING_ASYNC_CANCEL_FD`. */
const cancelByDescriptor = 1 << 1
/** Levels and types of control messages: `UDP_SEGMENT`, `SCM_RIGHTS`. */
const udpLevel = 17
const segmentType = 103
const socketLevel = 1
const rightsType = 1

/** What requests are about. */
export interface Process {
  readonly memory: SimulatedMemory
  readonly descriptors: Descriptors
  readonly names: Names
}

/** Makes a request of a submission, as the kernel's `prep` functions do. @returns `-errno` if it is refused. */
export function beginRequest(process: Process, ring: SimulatedRing, submission: Submission): Request | number {
  switch (submission.opcode) {
    case Opcode.AsyncCancel: return beginCancel(process, ring, submission)
    case Opcode.Close:
      return new ImmediateRequest(ring, submission, undefined, () => process.descriptors.close(submission.fd))
    default: {
      const file = process.descriptors.get(submission.fd)
      return file === undefined ? -Errno.EBADF : beginOnSocket(process, ring, submission, file)
    }
  }
}

function beginOnSocket(
  process: Process,
  ring: SimulatedRing,
  submission: Submission,
  file: OpenFile,
): Request | number {
  const { socket } = file
  switch (submission.opcode) {
    case Opcode.PollAdd: return new PollRequest(ring, submission, file)
    case Opcode.Receive:
    case Opcode.ReceiveMessage:
    case Opcode.Send:
    case Opcode.SendMessage:
    case Opcode.Accept:
    case Opcode.Connect:
      if (socket instanceof StreamSocket) return beginOnStream(process, ring, submission, file, socket)
      if (socket instanceof DatagramSocket || socket instanceof LocalMessageSocket) {
        return beginOnMessages(process, ring, submission, file, socket)
      }
      return -Errno.ENOTSOCK
    default: return -Errno.EINVAL
  }
}

function beginOnStream(
  process: Process,
  ring: SimulatedRing,
  submission: Submission,
  file: OpenFile,
  socket: StreamSocket,
): Request | number {
  const { descriptors, memory, names } = process
  switch (submission.opcode) {
    case Opcode.Receive:
    case Opcode.ReceiveMessage: return new ReceiveRequest(ring, submission, file, socket)
    case Opcode.Send: {
      const selects = (submission.entryFlags & EntryFlag.BufferSelect) !== 0
      const source = selects ? 'group' : [{ address: submission.address, lengthBytes: submission.length }]
      return new SendRequest(ring, submission, file, socket, source)
    }
    case Opcode.SendMessage: {
      const header = readMessageHeader(memory, submission.address)
      return header === undefined ? -Errno.EFAULT : new SendRequest(ring, submission, file, socket, header.spans)
    }
    case Opcode.Accept: {
      const install = (accepted: StreamSocket): number => descriptors.open(accepted)
      return new AcceptRequest(ring, submission, file, socket, install, () => descriptors.full)
    }
    case Opcode.Connect: {
      const bytes = memory.at(submission.address, submission.offset)
      if (bytes === undefined) return -Errno.EFAULT
      const target = Uint8Array.from(bytes)
      const bind = (): void => names.bindAnywhere(socket, target)
      return new ConnectRequest(ring, submission, file, socket, () => names.stream(target), bind)
    }
    default: return -Errno.EINVAL
  }
}

function beginOnMessages(
  process: Process,
  ring: SimulatedRing,
  submission: Submission,
  file: OpenFile,
  socket: MessageEnd,
): Request | number {
  const { descriptors, memory } = process
  const fileOf = (fd: number): OpenFile | undefined => descriptors.get(fd)
  switch (submission.opcode) {
    case Opcode.Send: {
      const spans = [{ address: submission.address, lengthBytes: submission.length }]
      const to = nameAt(memory, submission.offset, submission.nameBytes)
      if (to === null) return -Errno.EFAULT
      const message = { spans, to, segmentBytes: 0, fds: [] }
      return new SendMessageRequest(ring, submission, file, socket, message, fileOf)
    }
    case Opcode.SendMessage: {
      const header = readMessageHeader(memory, submission.address)
      if (header === undefined) return -Errno.EFAULT
      return new SendMessageRequest(ring, submission, file, socket, header, fileOf)
    }
    case Opcode.ReceiveMessage: {
      const words = headerWords(memory, submission.address)
      if (words === undefined) return -Errno.EFAULT
      const name = words[MessageHeaderWord.NameBytes]
      const control = words[MessageHeaderWord.ControlBytes]
      const install = (received: OpenFile): number => descriptors.install(received)
      return new ReceiveMessageRequest(ring, submission, file, socket, name, control, install)
    }
    default: return -Errno.EINVAL
  }
}

function beginCancel({ descriptors }: Process, ring: SimulatedRing, submission: Submission): Request | number {
  const { operationFlags, fd, targetLow, targetHigh } = submission
  const file = descriptors.get(fd)
  if ((operationFlags & cancelByDescriptor) !== 0) {
    if (file === undefined) return -Errno.EBADF
    return new ImmediateRequest(ring, submission, undefined, () => ring.cancel((request) => request.file === file))
  }
  return new ImmediateRequest(ring, submission, undefined, () => ring.cancel(({ submission: other }) =>
    other.userDataLow === targetLow && other.userDataHigh === targetHigh))
}

function headerWords(memory: SimulatedMemory, address: number): Uint32Array | undefined {
  const bytes = memory.at(address, messageHeaderBytes)
  return bytes && wordsOf(bytes)
}

function wordsOf(header: Uint8Array): Uint32Array {
  return new Uint32Array(header.buffer, header.byteOffset, messageHeaderBytes / 4)
}

function addressIn(words: Uint32Array, at: number): number {
  return words[at] + words[at + 1] * twoTo32
}

/** @returns undefined for none, and null if it is not in memory. */
function nameAt(memory: SimulatedMemory, address: number, lengthBytes: number): Uint8Array | undefined | null {
  if (lengthBytes === 0) return undefined
  const bytes = memory.at(address, lengthBytes)
  return bytes === undefined ? null : Uint8Array.from(bytes)
}

/** Sends a message of a Unix socket by a call, not a request. @returns its length in bytes, or `-errno`. */
export function sendAtOnce(
  memory: SimulatedMemory,
  socket: LocalMessageSocket,
  headerBytes: Uint8Array,
  fileOf: (fd: number) => OpenFile | undefined,
): number {
  const message = messageIn(memory, wordsOf(headerBytes))
  if (message === undefined) return -Errno.EFAULT
  const pieces = message.spans.map(({ address, lengthBytes }) => memory.at(address, lengthBytes))
  const files = message.fds.map(fileOf)
  if (!pieces.every((piece) => piece !== undefined)) return -Errno.EFAULT
  if (!files.every((file) => file !== undefined)) return -Errno.EBADF
  return socket.send(Buffer.concat(pieces), message.to, files)
}

/** Reads a `msghdr`, its vector and the control messages that mean something here (`UDP_SEGMENT`, `SCM_RIGHTS`). */
function readMessageHeader(memory: SimulatedMemory, address: number): OutgoingMessage | undefined {
  const words = headerWords(memory, address)
  return words && messageIn(memory, words)
}

function messageIn(memory: SimulatedMemory, words: Uint32Array): OutgoingMessage | undefined {
  const count = words[MessageHeaderWord.VectorCount]
  const vector = memory.at(addressIn(words, MessageHeaderWord.Vector), count * vectorBytes)
  if (vector === undefined) return undefined
  const vectorWords = new Uint32Array(vector.buffer, vector.byteOffset, count * 4)
  const spans = Array.from({ length: count }, (_, index) => ({
    address: addressIn(vectorWords, index * 4), lengthBytes: vectorWords[index * 4 + 2],
  }))
  const to = nameAt(memory, addressIn(words, MessageHeaderWord.Name), words[MessageHeaderWord.NameBytes])
  if (to === null) return undefined
  const controlBytes = words[MessageHeaderWord.ControlBytes]
  const control = controlBytes < controlHeaderBytes
    ? undefined
    : memory.at(addressIn(words, MessageHeaderWord.Control), controlBytes)
  const data = control?.subarray(controlHeaderBytes, control.readUInt32LE(0)) ?? Buffer.alloc(0)
  const [level, type] = control === undefined ? [0, 0] : [control.readUInt32LE(8), control.readUInt32LE(12)]
  const fds: number[] = []
  if (level === socketLevel && type === rightsType) {
    for (let at = 0; at + 4 <= data.byteLength; at += 4) fds.push(data.readInt32LE(at))
  }
  return { spans, to, segmentBytes: level === udpLevel && type === segmentType ? data.readUInt16LE(0) : 0, fds }
}
