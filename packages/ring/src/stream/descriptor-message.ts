import { messageHeaderBytes, MessageHeaderWord, vectorBytes } from '../abi'
import { setAddress } from '../memory/address'
import type { SendBlock } from '../memory/send-memory'
import { rightsBytesMax, type SentDescriptors } from '../socket/rights'

/** Where what lies in the block: header, vector, control message, payload. */
const vectorOffsetBytes = messageHeaderBytes + 8
const controlOffsetBytes = vectorOffsetBytes + vectorBytes
/** A stream's bytes that descriptors go along with begin here in their block. */
export const descriptorPayloadOffsetBytes = (controlOffsetBytes + rightsBytesMax + 63) & ~63

/** Writes to the beginning of a block the `msghdr` of its bytes from `start` to `end`, and of the descriptors. */
export function writeDescriptorMessage(
  block: SendBlock,
  start: number,
  end: number,
  descriptors: SentDescriptors,
): void {
  const words = new Uint32Array(block.bytes.buffer, block.bytes.byteOffset, controlOffsetBytes / 4)
  words.fill(0)
  setAddress(words, MessageHeaderWord.Vector, block.address + vectorOffsetBytes)
  words[MessageHeaderWord.VectorCount] = 1
  setAddress(words, MessageHeaderWord.Control, block.address + controlOffsetBytes)
  words[MessageHeaderWord.ControlBytes] = descriptors.write(block.bytes, controlOffsetBytes)
  setAddress(words, vectorOffsetBytes / 4, block.address + start)
  words[vectorOffsetBytes / 4 + 2] = end - start
}
