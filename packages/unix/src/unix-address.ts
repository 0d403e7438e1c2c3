import { type PathAddress, systemError } from '@sheaf/ring'

export const unixFamily = 1
/** `SOCK_NONBLOCK`, of a socket's type. */
export const nonBlockingType = 0o4000
/** `sun_path` has 108 bytes. A path needs one for the NUL that ends it; an abstract name needs none. */
const pathBytesMax = 107
const abstractBytesMax = 108
const familyBytes = 2
/** The longest `struct sockaddr_un`: a path of 108 bytes, which other programs may bind, is reported with its NUL. */
export const unixAddressBytesMax = familyBytes + abstractBytesMax + 1
const einval = -22

/** A name that begins with a NUL byte is abstract: in no file system, and gone with its socket. */
export function isAbstract(path: string): boolean {
  return path.startsWith('\0')
}

/**
 * The `sockaddr_un` of a path or an abstract name. An abstract name is exactly as long as it is: not padded with NULs.
 * @param syscall what the error is to name.
 * @throws SystemError `EINVAL` if it is longer than the kernel takes, as newer versions of Node have it (older ones cut
 *   it short).
 */
export function encodeUnixAddress(path: string, syscall: string): Uint8Array {
  const name = Buffer.from(path)
  const abstract = isAbstract(path)
  const max = abstract ? abstractBytesMax : pathBytesMax
  if (name.byteLength > max) {
    const error = systemError(einval, syscall, path)
    error.message += `: a socket's ${abstract ? 'abstract name' : 'path'} has at most ${max} bytes, not ${
      name.byteLength}`
    throw error
  }
  const bytes = new Uint8Array(familyBytes + name.byteLength + (abstract ? 0 : 1))
  bytes[0] = unixFamily
  bytes.set(name, familyBytes)
  return bytes
}

/** @param bytes a `sockaddr_un` as long as the kernel says it is. */
export function decodeUnixAddress(bytes: Uint8Array): PathAddress {
  const name = Buffer.from(bytes.subarray(familyBytes))
  // An abstract name may have NULs anywhere; a path ends at its first.
  const end = name[0] === 0 ? -1 : name.indexOf(0)
  return { path: name.toString('utf8', 0, end === -1 ? name.byteLength : end) }
}
