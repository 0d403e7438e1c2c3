import { type Opcode, submissionEntryBytes } from '../abi'

const twoTo32 = 2 ** 32
const wordsPerEntry = submissionEntryBytes / 4

/** One submission entry, read out of the queue. */
export interface Submission {
  readonly opcode: Opcode
  readonly entryFlags: number
  readonly mode: number
  readonly fd: number
  /** `off`, `addr2`: the address of a name, or a length. */
  readonly offset: number
  readonly address: number
  readonly length: number
  readonly operationFlags: number
  readonly userDataLow: number
  readonly userDataHigh: number
  readonly group: number
  readonly nameBytes: number
  /** `addr` as two words: the user data of what is to be cancelled. */
  readonly targetLow: number
  readonly targetHigh: number
}

export function readSubmission(entries: Uint32Array, index: number): Submission {
  const at = index * wordsPerEntry
  const first = entries[at]
  return {
    // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- unknown ones are refused
    opcode: first & 0xff,
    entryFlags: (first >>> 8) & 0xff,
    mode: first >>> 16,
    fd: entries[at + 1] | 0,
    offset: entries[at + 2] + entries[at + 3] * twoTo32,
    address: entries[at + 4] + entries[at + 5] * twoTo32,
    length: entries[at + 6],
    operationFlags: entries[at + 7],
    userDataLow: entries[at + 8],
    userDataHigh: entries[at + 9],
    group: entries[at + 10] & 0xffff,
    nameBytes: entries[at + 11] & 0xffff,
    targetLow: entries[at + 4],
    targetHigh: entries[at + 5],
  }
}
