const twoTo32 = 2 ** 32

/** Writes an address to two words of memory that the kernel reads. */
export function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address >>> 0
  words[at + 1] = (address / twoTo32) >>> 0
}
