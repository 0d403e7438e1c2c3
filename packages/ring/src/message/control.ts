import { controlHeaderBytes } from '../abi'

/** Reads one control message: `words[at]` is the first word of its data, of which there are `lengthBytes`. */
export type ControlReader = (
  level: number,
  type: number,
  words: Int32Array,
  at: number,
  lengthBytes: number,
) => void

const headerWords = controlHeaderBytes / 4

/** Calls `read` for each control message (`struct cmsghdr`, `cmsg(3)`) in `lengthBytes` of `words`. */
export function controlMessages(
  words: Int32Array,
  offsetBytes: number,
  lengthBytes: number,
  read: ControlReader,
): void {
  const end = (offsetBytes + lengthBytes) >> 2
  let at = offsetBytes >> 2
  while (at + headerWords <= end) {
    const length = words[at]
    if (length < controlHeaderBytes) return
    read(words[at + 2], words[at + 3], words, at + headerWords, length - controlHeaderBytes)
    at += ((length + 7) & ~7) >> 2
  }
}
