const twoTo32 = 2 ** 32

/** The address in two words of memory that the kernel reads. */
export function addressAt(words: Uint32Array, at: number): number {
  return words[at] + words[at + 1] * twoTo32
}

/** Writes one there. */
export function setAddress(words: Uint32Array, at: number, address: number): void {
  words[at] = address >>> 0
  words[at + 1] = (address / twoTo32) >>> 0
}
