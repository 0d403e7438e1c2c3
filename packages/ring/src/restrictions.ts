import type { RingRestrictions } from '@sheaf/native'
import { EntryFlag, Opcode } from './abi'

/**
 * All that a ring of Sheaf's can ever be made to do: the socket operations that `SubmissionQueue` writes. Whoever
 * comes to write a submission entry (its memory is in this process, after all) can't open, read or write a file with
 * it. A new kind of request needs its opcode here: without it the kernel answers `EACCES`.
 */
export const restrictions: RingRestrictions = {
  opcodes: Uint8Array.of(
    Opcode.PollAdd,
    Opcode.SendMessage,
    Opcode.ReceiveMessage,
    Opcode.Accept,
    Opcode.AsyncCancel,
    Opcode.Connect,
    Opcode.Close,
    Opcode.Send,
    Opcode.Receive,
  ),
  entryFlags: EntryFlag.Link | EntryFlag.Async | EntryFlag.BufferSelect,
}
